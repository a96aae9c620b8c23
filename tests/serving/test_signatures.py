import numpy as np
import pytest
import tensorflow as tf

FEATURES = ("input_ids", "input_mask", "segment_ids")


@pytest.fixture
def signatures(loaded_v2):
    return loaded_v2.signatures


def rows(*lengths, size=None):
    """Make features of the given lengths, padded to `size`; WordPiece ids differ from row to row."""
    size = size or max(lengths)
    mask = (np.arange(size) < np.array(lengths)[:, None]).astype(np.int32)
    ids = (np.arange(size) * 7 + np.arange(len(lengths))[:, None] * 31) % 400 + 5
    return {"input_ids": (ids * mask).astype(np.int32), "input_mask": mask, "segment_ids": mask}


def example(features, row, length, **ids):
    values = {name: features[name][row, :length].tolist() for name in FEATURES if name in features} | ids
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in values.items()
            }
        )
    ).SerializeToString()


def constants(features):
    return {name: tf.constant(value) for name, value in features.items()}


def test_names_and_types(signatures):
    def described(specs):
        return {name: (spec.dtype.name, spec.shape.rank) for name, spec in specs.items()}

    features = dict.fromkeys(FEATURES, ("int32", 2))
    features64 = dict.fromkeys(FEATURES, ("int64", 2))
    strings = dict.fromkeys(("question", "context"), ("string", 1))
    assert {name: described(s.structured_input_signature[1]) for name, s in signatures.items()} == {
        "serving_default": features,
        "serving_unique_ids": features | {"unique_ids": ("int32", 1)},
        "serving_default_int64": features64,
        "serving_unique_ids_int64": features64 | {"unique_ids": ("int64", 1)},
        "serving_examples": {"examples": ("string", 1)},
        "answer": strings,
        "answer_fast": strings,
    }
    logits = dict.fromkeys(("start_logits", "end_logits"), ("float32", 2))
    per_question = {
        "answer": "string",
        "is_impossible": "bool",
        "nbest_count": "int32",
        **dict.fromkeys(("score", "probability", "null_score", "null_odds"), "float32"),
        **dict.fromkeys(("start_char", "end_char", "start_byte", "end_byte"), "int32"),
    }
    per_entry = {
        "nbest_text": "string",
        **dict.fromkeys(("nbest_probability", "nbest_start_logit", "nbest_end_logit"), "float32"),
        **dict.fromkeys(
            (f"nbest_{side}_{unit}" for side in ("start", "end") for unit in ("char", "byte")), "int32"
        ),
    }
    answer = {name: (dtype, 1) for name, dtype in per_question.items()}
    answer |= {name: (dtype, 2) for name, dtype in per_entry.items()}
    assert {name: described(s.structured_outputs) for name, s in signatures.items()} == {
        "serving_default": logits,
        "serving_unique_ids": logits | {"unique_ids": ("int32", 1)},
        "serving_default_int64": logits,
        "serving_unique_ids_int64": logits | {"unique_ids": ("int64", 1)},
        "serving_examples": logits | {"unique_ids": ("int64", 1)},
        "answer": answer,
        "answer_fast": answer,
    }


def test_any_length_up_to_the_limit(signatures, exported_v2):
    serve = signatures["serving_default"]
    limit = exported_v2.legacy.bert_config.max_position_embeddings
    whole = serve(**constants(rows(9, size=limit)))
    for size in (9, 10, limit):
        outputs = serve(**constants(rows(9, size=size)))
        for name in ("start_logits", "end_logits"):
            assert outputs[name].shape == (1, size)
            np.testing.assert_allclose(outputs[name][:, :9], whole[name][:, :9], atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"longer than {limit} WordPieces"):
        serve(**constants(rows(9, size=limit + 1)))


def test_examples_of_several_lengths_share_a_batch(signatures):
    features = rows(5, 12, 8)
    serialized = [example(features, 0, 5, unique_ids=[7]), example(features, 1, 12), example(features, 2, 8)]
    outputs = signatures["serving_examples"](examples=tf.constant(serialized))
    assert outputs["unique_ids"].numpy().tolist() == [7, -1, -1]
    together = signatures["serving_default"](**constants(features))
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(outputs[name], together[name], atol=1e-5)


def test_features_of_one_example_must_be_equally_long(signatures):
    features = rows(5)
    features["input_mask"] = features["input_mask"][:, :4]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"segment_ids of a tf\.Example differ in length"
    ):
        signatures["serving_examples"](examples=tf.constant([example(features, 0, 5)]))


def test_each_question_needs_a_context(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many contexts as questions"):
        signatures["answer"](question=tf.constant(["a", "b"]), context=tf.constant(["a"]))
