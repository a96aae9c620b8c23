"""The exported model against the files that the legacy script wrote."""

import numpy as np
import tensorflow as tf
from golden_files import golden, read_json
from serving.legacy_models import questions_of
from serving.scripted_model import assert_offsets_say_the_same, assert_same_answer

FOLDER = "model/legacy_run/v2"


def read_answers(name):
    return read_json(golden(f"{FOLDER}/predict_only_threshold/{name}.json"))


def answers_of(model, signature):
    ids, questions, contexts = questions_of(golden(f"{FOLDER}/dev.json"))
    outputs = model.signatures[signature](question=tf.constant(questions), context=tf.constant(contexts))
    outputs = {name: value.numpy() for name, value in outputs.items()}
    assert_offsets_say_the_same(outputs, contexts)
    return ids, outputs


def test_answer_gives_the_legacy_answers(loaded_v2):
    predictions, nbest = read_answers("predictions"), read_answers("nbest_predictions")
    null_odds = read_answers("null_odds")
    ids, outputs = answers_of(loaded_v2, "answer")
    for row, qas_id in enumerate(ids):
        assert_same_answer(outputs, row, predictions[qas_id], nbest[qas_id], null_odds[qas_id])
    assert 0 < outputs["is_impossible"].sum() < len(ids), "else the threshold is not put to the test"


def test_answer_fast_gives_the_legacy_answers_too(loaded_v2):
    """Padding is left out, so entries low in a list may differ: in two lists of these 22 they do."""
    predictions, nbest = read_answers("predictions"), read_answers("nbest_predictions")
    ids, outputs = answers_of(loaded_v2, "answer_fast")
    assert [answer.decode() for answer in outputs["answer"]] == [predictions[qas_id] for qas_id in ids]
    differing = 0
    for row, qas_id in enumerate(ids):
        texts = [text.decode() for text in outputs["nbest_text"][row, : outputs["nbest_count"][row]]]
        differing += texts != [entry["text"] for entry in nbest[qas_id]]
    assert differing == 2


def test_feature_signatures_give_the_legacy_logits(loaded_v2):
    """From the records that the legacy script wrote, in every form that a client may send them."""
    stored = np.load(golden(f"{FOLDER}/eval_logits.npz"))
    path = golden(f"{FOLDER}/predict_only/eval.tf_record")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    outputs = loaded_v2.signatures["serving_examples"](examples=tf.constant(records))
    check = {"atol": 2e-5, "rtol": 0}
    np.testing.assert_array_equal(outputs["unique_ids"], stored["unique_ids"])
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(outputs[name], stored[name], **check)

    spec = {
        name: tf.io.FixedLenFeature([64], tf.int64) for name in ("input_ids", "input_mask", "segment_ids")
    }
    features = tf.io.parse_example(records, spec)
    for name, dtype in (("", tf.int32), ("_int64", tf.int64)):
        typed = {key: tf.cast(value, dtype) for key, value in features.items()}
        unique_ids = tf.cast(stored["unique_ids"], dtype)
        plain = loaded_v2.signatures[f"serving_default{name}"](**typed)
        assert set(plain) == {"start_logits", "end_logits"}
        with_ids = loaded_v2.signatures[f"serving_unique_ids{name}"](unique_ids=unique_ids, **typed)
        np.testing.assert_array_equal(with_ids["unique_ids"], unique_ids)
        assert with_ids["unique_ids"].dtype == dtype
        for outputs in (plain, with_ids):
            for key in ("start_logits", "end_logits"):
                assert outputs[key].dtype == tf.float32
                np.testing.assert_allclose(outputs[key], stored[key], **check)
