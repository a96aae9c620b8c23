from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

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


GOOD = {"input_ids": [[2, 3, 4]], "input_mask": [[1, 1, 0]], "segment_ids": [[0, 1, 0]]}
WRONG_FEATURES = {
    "must have the same shape": [
        {"input_mask": [[1, 1]]},
        {"input_mask": [[1]]},
        {"segment_ids": [[0]]},
        {"segment_ids": [[0, 0, 0], [0, 0, 0]]},
    ],
    "at least one sequence, and at least one WordPiece": [
        dict.fromkeys(FEATURES, np.zeros([1, 0])),
        dict.fromkeys(FEATURES, np.zeros([0, 3])),
    ],
    "input_ids must be from 0 to 433, the WordPieces of the model": [
        {"input_ids": [[2, 434, 4]]},
        {"input_ids": [[-1, 3, 4]]},
        {"input_ids": [[2**31 - 1, 3, 4]]},
    ],
    "input_mask must be 0 or 1": [{"input_mask": [[1, 2, 1]]}, {"input_mask": [[1, -1, 1]]}],
    "segment_ids must be from 0 to 1": [{"segment_ids": [[0, 2, 0]]}, {"segment_ids": [[-1, 0, 0]]}],
}


@pytest.mark.parametrize(
    ("sentence", "change"), [(sentence, c) for sentence, changes in WRONG_FEATURES.items() for c in changes]
)
@pytest.mark.parametrize("name", ["serving_default", "serving_unique_ids_int64"])
def test_wrong_features_get_a_sentence(signatures, name, sentence, change):
    dtype = tf.int64 if name.endswith("int64") else tf.int32
    inputs = {key: tf.constant(value, dtype) for key, value in {**GOOD, **change}.items()}
    if "unique_ids" in name:
        inputs["unique_ids"] = tf.range(tf.shape(inputs["input_ids"])[0])
        inputs["unique_ids"] = tf.cast(inputs["unique_ids"], dtype)
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        signatures[name](**inputs)


def test_ids_beyond_32_bits_do_not_wrap(signatures):
    inputs = {key: tf.constant(value, tf.int64) for key, value in GOOD.items()}
    signatures["serving_default_int64"](**inputs)
    for name, sentence in (
        ("input_ids", "from 0 to 433"),
        ("input_mask", "0 or 1"),
        ("segment_ids", "0 to 1"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
            signatures["serving_default_int64"](**{**inputs, name: inputs[name] + 2**32})
    wrapping = example({name: np.array(value) for name, value in GOOD.items()}, 0, 3, input_ids=[2, 3, 2**32])
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 433"):
        signatures["serving_examples"](examples=tf.constant([wrapping]))


def test_each_sequence_has_its_unique_id(signatures):
    inputs = {key: tf.constant(value, tf.int32) for key, value in GOOD.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many unique_ids as sequences"):
        signatures["serving_unique_ids"](**inputs, unique_ids=tf.constant([1, 2]))


def test_examples_without_features_get_a_sentence(signatures):
    good = example({name: np.array(value) for name, value in GOOD.items()}, 0, 3)
    for examples in ([b""], [good, b""]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"a tf\.Example has no input_ids"):
            signatures["serving_examples"](examples=tf.constant(examples))
    with pytest.raises(tf.errors.InvalidArgumentError, match="there must be at least one sequence"):
        signatures["serving_examples"](examples=tf.constant([], tf.string))


def served_functions(path):
    """Return the graphs of the signatures in a SavedModel: function → node → (operation, nodes it waits for)."""
    saved = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        if "_serve_" in function.signature.name:
            inputs = [argument.name for argument in function.signature.input_arg]
            nodes = {name: ("Input", []) for name in inputs}
            for node in function.node_def:
                nodes[node.name] = (node.op, [name.lstrip("^").split(":")[0] for name in node.input])
            yield function.signature.name, nodes


def ancestors(nodes, names):
    found, waiting = set(), list(names)
    while waiting:
        for name in nodes[waiting.pop()][1]:
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def unguarded(nodes):
    """Return what works on inputs, is part of no check, and waits for none."""
    checks = [name for name, (operation, _) in nodes.items() if operation == "Assert"]
    of_checks = ancestors(nodes, checks) | set(checks)
    inputs = {
        name for name, (operation, _) in nodes.items() if operation == "Input" and "resource" not in name
    }
    return {
        name
        for name in set(nodes) - of_checks
        if inputs & (before := ancestors(nodes, [name])) and not before.intersection(checks)
    }


def test_every_check_comes_before_what_it_guards(exported_v2):
    """An assertion that nothing waits for is a race: the client reads what the first operation says that stumbles."""
    functions = dict(served_functions(exported_v2.path))
    assert len(functions) == 7
    for function, nodes in functions.items():
        assert sum(operation == "Assert" for operation, _ in nodes.values()) >= 1, function
        loose = unguarded(nodes)
        if any(operation == "ParseExampleV2" for operation, _ in nodes.values()):
            # That operation has errors of its own; what it gives is what is checked, and ids just come back.
            loose = {name for name in loose if not name.startswith(("ParseExample", "Identity"))}
        assert not loose, (function, sorted(loose))


def test_the_test_of_checks_sees_a_loose_one():
    nodes = {
        "x": ("Input", []),
        "is_good": ("Less", ["x"]),
        "check": ("Assert", ["is_good"]),
        "safe": ("Identity", ["x", "check"]),
        "used": ("Gather", ["safe"]),
        "loose": ("Gather", ["x"]),
    }
    assert unguarded(nodes) == {"loose"}
