"""Answers from our own features and n-best, compared with `answer_fast`, which does all of it in the graph.

TensorFlow stands in for OpenVINO here, so that these tests run everywhere.
"""

import itertools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from serving.legacy_models import questions_of

from bert_squad.answers.nbest import NbestOptions
from bert_squad.answers.raw_results import RawResult
from bert_squad.data.examples import SquadExample
from bert_squad.data.windows import WindowLengths, make_windows
from bert_squad.errors import ConfigError
from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.export_settings import read_settings
from bert_squad.serving.openvino_answers import answer_texts, batches_by_length

LOWEST = np.finfo(np.float32).min
ODD = [
    ("", "Straße im Σ\u0301, 東京"),
    ("Where? é", "\u00ad\u2003 é x\u00a0y\tz  café \U0001f600 smith's  SMITH x"),
    (b"\xff who \xe2\x82", b"abc \xff d\xe2\x82e \xf0\x9f\x98 f. \xed\xa0\x80g"),
    ("when", "   "),
    ("long? " * 40, "word, " * 300),
    ("half \ud800", "a\ud800b\x00c \u202f d"),
]


@pytest.fixture(scope="module")
def settings(exported_v2):
    return read_settings(exported_v2.path)


@pytest.fixture(scope="module")
def predict(loaded_v2):
    """The model of the signatures, in the place of OpenVINO."""

    def results(batches):
        for batch in batches:
            features = {name: tf.constant(value) for name, value in batch.items() if name != "unique_ids"}
            logits = loaded_v2.signatures["serving_default"](**features)
            is_padding = batch["input_mask"] == 0
            yield from map(
                RawResult,
                batch["unique_ids"].tolist(),
                *(
                    np.where(is_padding, LOWEST, logits[name].numpy())
                    for name in ("start_logits", "end_logits")
                ),
            )

    return results


def assert_same_answers(answers, expected):
    """Compare rows as `ExportedModel.answer` returns them, numbers but for rounding."""

    def assert_same(values, of_expected):
        assert list(values) == list(of_expected)
        for name, value in of_expected.items():
            if name != "nbest":
                assert type(values[name]) is type(value), name
                assert values[name] == (pytest.approx(value, abs=1e-4) if isinstance(value, float) else value)

    assert len(answers) == len(expected)
    for answer, of_expected in zip(answers, expected, strict=True):
        assert_same(answer, of_expected)
        assert len(answer["nbest"]) == len(of_expected["nbest"])
        for entry, other in zip(answer["nbest"], of_expected["nbest"], strict=True):
            assert_same(entry, other)


def test_answers_are_those_of_the_graph(exported_v2, loads_once, settings, predict):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    questions += [question for question, _ in ODD]
    contexts += [context for _, context in ODD]

    def as_bytes(texts):
        return [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts]

    expected = ExportedModel(exported_v2.path, "answer_fast").answer(questions, contexts)
    answers = answer_texts(predict, settings, as_bytes(questions), as_bytes(contexts))
    assert_same_answers(answers, expected)
    assert any(answer["is_impossible"] for answer in answers)
    assert any(answer["answer"] for answer in answers)


def test_version_1_has_no_null_and_calls_nothing_empty(exported_v2, settings, predict):
    settings = settings._replace(
        options=NbestOptions(n_best_size=20, max_answer_length=30, do_lower_case=True)
    )
    found, nothing = answer_texts(predict, settings, [b"who", b"who"], [b"Ada did", b" "])
    assert found["answer"] == found["nbest"][0]["text"] != ""
    assert "null_score" not in found
    assert len(found["nbest"]) > 1
    assert (nothing["answer"], nothing["start_char"], nothing["end_byte"], nothing["is_impossible"]) == (
        "empty",
        -1,
        -1,
        False,
    )


def test_windows_come_by_length_and_hardly_padded(settings):
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    examples = [SquadExample(str(size), "who", words[:size]) for size in (9, 1, 5, 3, 10, 2)]
    windows = list(make_windows(examples, settings.tokenizer, WindowLengths(64, 24, 16), is_training=False))
    batches = list(batches_by_length(windows, 4))
    lengths = [batch["input_mask"].sum(axis=1).tolist() for batch in batches]
    assert list(itertools.chain(*lengths)) == sorted(window.length for window in windows)
    assert [len(of_batch) for of_batch in lengths] == [4, 2]
    for batch, of_batch in zip(batches, lengths, strict=True):
        assert of_batch[-1] <= batch["input_ids"].shape[1] < of_batch[-1] + 16
        for unique_id, ids, length in zip(
            batch["unique_ids"], batch["input_ids"].tolist(), of_batch, strict=True
        ):
            (window,) = [window for window in windows if window.unique_id == unique_id]
            assert ids[:length] == window.input_ids[:length]
            assert not any(ids[length:])


def copy_of(exported, tmp_path):
    return shutil.copytree(exported.path, tmp_path / "copy")


def test_a_vocabulary_that_is_not_the_exports(exported_v2, tmp_path):
    version = copy_of(exported_v2, tmp_path)
    path = version / "assets.extra" / "vocab.txt"
    path.write_bytes(path.read_bytes() + b"another\n")
    with pytest.raises(
        ConfigError, match=r"vocab.txt is not the one that the model was exported with, so that"
    ):
        read_settings(str(version))
    path.unlink()
    with pytest.raises(
        ConfigError, match=r"is not whole: assets.extra/vocab.txt is missing; export it again"
    ):
        read_settings(str(version))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: None, r"has no export.json, which says how its windows are made"),
        (
            lambda said: {**said, "flags": {}},
            r"export.json is damaged: it does not describe a model \('max_seq_",
        ),
        (lambda said: {**said, "flags": {**said["flags"], "doc_stride": "x"}}, r"damaged: .* \(--doc_stride"),
        (lambda said: {**said, "vocabulary": 3}, r"export.json is damaged"),
        (lambda said: {**said, "bert_config": {"vocab_size": -1}}, r"export.json is damaged"),
    ],
)
def test_a_description_that_is_missing_or_damaged(exported_v2, tmp_path, change, message):
    version = copy_of(exported_v2, tmp_path)
    path = version / "export.json"
    said = change(json.loads(path.read_text(encoding="utf-8")))
    path.unlink()
    if said is not None:
        path.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_settings(str(version))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "onnx"}, r"--engine must be one of tensorflow, openvino, not 'onnx'\."),
        ({"dtype": "bfloat16"}, r"--dtype is for --engine=openvino; "),
        (
            {"engine": "openvino", "signature": "answer"},
            r"--engine=openvino pads no window, so it has no exact mode",
        ),
    ],
)
def test_what_does_not_go_together(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ExportedModel("nowhere", **arguments)
