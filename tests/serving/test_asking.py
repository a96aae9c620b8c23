import os
import shutil

import pytest

from bert_squad.errors import ConfigError
from bert_squad.serving.asking import ExportedModel, latest_version


def test_answers_are_plain_values(exported_v2, loads_once):
    model = ExportedModel(os.path.dirname(exported_v2.path))
    assert model.path == exported_v2.path
    context = exported_v2.legacy.folder.joinpath("vocab.txt").read_text()[:200].replace("\n", " ")
    answers = model.answer(["who ?", b"\xff", "\ud800"], [context, "", b"the \xff fox"])
    assert [type(answer["answer"]) for answer in answers] == [str, str, str]
    first = answers[0]
    assert next(iter(first)) == "answer"
    assert set(first) == {
        "answer",
        "score",
        "probability",
        "start_char",
        "end_char",
        "start_byte",
        "end_byte",
        "is_impossible",
        "null_score",
        "null_odds",
        "nbest",
    }
    assert type(first["is_impossible"]) is bool
    assert type(first["score"]) is float
    assert 1 < len(first["nbest"]) <= 21
    assert set(first["nbest"][0]) == {
        "text",
        "probability",
        "start_logit",
        "end_logit",
        "start_char",
        "end_char",
        "start_byte",
        "end_byte",
    }
    for entry in first["nbest"]:
        if entry["text"]:
            assert context[entry["start_char"] : entry["end_char"]].split() == entry["text"].split()
    assert answers[1]["nbest"] == [
        {"text": "", "probability": 1.0, "start_logit": 0.0, "end_logit": 0.0}
        | dict.fromkeys(("start_char", "end_char", "start_byte", "end_byte"), -1)
    ]


def test_the_latest_version_answers(tmp_path):
    for number in ("9", "10", "temp-11-5"):
        (tmp_path / number).mkdir()
    assert latest_version(str(tmp_path)) == str(tmp_path / "10")
    (tmp_path / "9" / "saved_model.pb").touch()
    assert latest_version(str(tmp_path / "9")) == str(tmp_path / "9")


def test_what_is_no_model_is_named(exported_v2, loads_once, tmp_path):
    with pytest.raises(ConfigError, match=f"There is no exported model in {tmp_path}; name the directory"):
        ExportedModel(str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no signature 'summarise'"):
        ExportedModel(exported_v2.path, "summarise")
    damaged = tmp_path / "1"
    shutil.copytree(exported_v2.path, damaged)
    (damaged / "variables/variables.index").unlink()
    with pytest.raises(ConfigError, match=f"Cannot load the model {damaged}"):
        ExportedModel(str(damaged))
