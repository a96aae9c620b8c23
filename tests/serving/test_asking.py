import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_squad.errors import ConfigError, DataError, PathError
from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.versions import latest_version


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
    for number in ("9", "10", "temp-11-5", "011", "\u0661\u0662"):
        (tmp_path / number).mkdir()
    (tmp_path / "20240131").touch()  # a file of somebody
    assert latest_version(str(tmp_path)) == str(tmp_path / "10")
    (tmp_path / "9" / "saved_model.pb").touch()
    assert latest_version(str(tmp_path / "9")) == str(tmp_path / "9")


@pytest.mark.parametrize(
    ("questions", "contexts", "message"),
    [
        ("Who?", ["Anna"], "questions must be a list of texts, one for each question, not a single text."),
        (["Who?"], "Anna", "contexts must be a list of texts, one for each passage, not a single text."),
        (["Who?"], b"Anna", "contexts must be a list of texts, one for each passage, not a single text."),
        (["a", "b"], ["c"], "There are 2 questions and 1 contexts: each question needs its passage."),
        ([], ["c"], "There are 0 questions and 1 contexts: each question needs its passage."),
        (["a", None], ["c", "d"], "questions[1] must be a text, not NoneType."),
        (["a"], [float("nan")], "contexts[0] must be a text, not float."),
        ([["a"]], ["c"], "questions[0] must be a text, not list."),
        (None, ["c"], "questions must be a list of texts, not NoneType."),
        (7, ["c"], "questions must be a list of texts, not int."),
    ],
)
def test_what_is_no_list_of_texts_is_refused(exported_v2, loads_once, questions, contexts, message):
    with pytest.raises(DataError) as error:
        ExportedModel(exported_v2.path).answer(questions, contexts)
    assert str(error.value) == message


def test_any_lists_of_texts_will_do(exported_v2, loads_once):
    model = ExportedModel(Path(exported_v2.path).parent)
    assert model.answer([], []) == []
    (answer,) = model.answer(("who ?",), (text for text in ["the fox"]))
    assert model.answer(np.array(["who ?"]), np.array(["the fox"])) == [answer]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM"),
            "not enough memory to answer 1 questions at a time",
        ),
        (tf.errors.InternalError(None, None, "it broke\nhere"), r"cannot answer \(it broke\)\."),
    ],
)
def test_what_fails_while_it_answers_is_one_sentence(exported_v2, loads_once, problem, message):
    def fail(**_):
        raise problem

    model = ExportedModel(exported_v2.path)
    model._engine._signature = fail
    with pytest.raises(DataError, match=message):
        model.answer(["a"], ["b"])


def test_a_model_that_cannot_be_reached(tmp_path):
    no_utf8 = str(tmp_path / "m") + b"\xff".decode("utf-8", "surrogateescape")
    os.mkdir(no_utf8)
    for path, message in (
        (no_utf8, "--model: TensorFlow reaches only paths that are UTF-8, which '.*m.udcff' is not"),
        (str(tmp_path / "\0"), "There is no exported model in"),
    ):
        with pytest.raises(ConfigError, match=message):
            ExportedModel(path)
    with pytest.raises(PathError, match=r"Cannot reach hdfs://n/m/saved_model.pb: .*"):
        ExportedModel("hdfs://n/m")


def test_names_of_directories_are_no_patterns(exported_v2, tmp_path):
    odd = tmp_path / "ex[1]*?\\ é\n"
    shutil.copytree(Path(exported_v2.path).parent, odd)
    (answer,) = ExportedModel(odd).answer(["who ?"], ["the fox"])
    assert answer["nbest"]


def test_what_is_no_model_is_named(exported_v2, loads_once, tmp_path):
    with pytest.raises(ConfigError, match=f"There is no exported model in {tmp_path}; name the directory"):
        ExportedModel(str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no signature 'summarise'"):
        ExportedModel(exported_v2.path, "summarise")
    damaged = tmp_path / "1"
    shutil.copytree(exported_v2.path, damaged)
    (damaged / "variables/variables.index").unlink()
    with pytest.raises(
        ConfigError, match=f"The model {damaged} is not whole: 'variables/variables.index' is missing; export"
    ):
        ExportedModel(str(damaged))
    (damaged / "export.json").unlink()
    with pytest.raises(ConfigError, match=f"Cannot load the model {damaged}"):
        ExportedModel(str(damaged))


def save_model_of_another_program(path, dtype):
    """Save one that has the names of an exported model, but other inputs or answers."""

    @tf.function(input_signature=[tf.TensorSpec([None], dtype, name) for name in ("question", "context")])
    def answer(question, context):
        row = tf.zeros([1], tf.int32)
        texts = tf.fill([1], "Anna")
        return {"answer": texts, "start_char": row, "nbest_count": row + 1, "nbest_text": texts}

    tf.saved_model.save(tf.Module(), str(path), {"answer": answer})


def test_a_model_of_another_program_with_the_same_names(tmp_path):
    for dtype in (tf.string, tf.float32):
        save_model_of_another_program(tmp_path / dtype.name, dtype)
    with pytest.raises(
        ConfigError, match=r"string answers is not of the form of an exported model's answers"
    ):
        ExportedModel(str(tmp_path / "string")).answer(["a"], ["b"])
    with pytest.raises(ConfigError, match=r"has no signature 'answer', so it answers no texts"):
        ExportedModel(str(tmp_path / "float32"))


def damage(version, name, change):
    path = version / name
    if change == "a directory":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "export.json"])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:50] + bytes([content[50] ^ 4]) + content[51:],
        lambda content: b"PK\x03\x04",
        lambda content: b"[" * 100_000,
        lambda content: b"null",
        lambda content: b'{"files": []}',
        lambda content: b'{"files": {"../../x": 1}}',
        "a directory",
    ],
)
def test_a_damaged_export_is_one_sentence_before_tensorflow_reads_it(
    exported_v2, tmp_path, name, change, monkeypatch
):
    version = tmp_path / "1"
    shutil.copytree(exported_v2.path, version)
    damage(version, name, change)
    monkeypatch.setattr(tf.saved_model, "load", None)
    with pytest.raises(
        ConfigError, match=r"export it again|check --model|There is no exported model|export.json"
    ):
        ExportedModel(version)


@pytest.mark.parametrize(
    "change", [lambda content: content[:-5], lambda content: content + b"x", "a directory"]
)
def test_weights_of_another_length_are_noticed(exported_v2, tmp_path, change):
    version = tmp_path / "1"
    shutil.copytree(exported_v2.path, version)
    damage(version, "variables/variables.data-00000-of-00001", change)
    with pytest.raises(ConfigError, match=r"'variables/variables\.data-00000-of-00001' is"):
        ExportedModel(version)


def test_damaged_weights_are_noticed_by_their_checksum(exported_v2, tmp_path):
    version = tmp_path / "1"
    shutil.copytree(exported_v2.path, version)
    damage(
        version, "variables/variables.data-00000-of-00001", lambda c: c[:999] + bytes([c[999] ^ 1]) + c[1000:]
    )
    with pytest.raises(ConfigError, match=f"Cannot load the model {version} .*[Cc]hecksum"):
        ExportedModel(version)


def test_an_export_without_a_description_answers(exported_v2, tmp_path):
    """As those of other programs, and those from before its files were listed."""
    version = tmp_path / "1"
    shutil.copytree(exported_v2.path, version)
    (version / "export.json").unlink()
    assert ExportedModel(version).answer(["who ?"], ["the fox"])


@pytest.mark.parametrize("description", [None, "{}"])
def test_an_export_without_recorded_files_has_its_index_checked(exported_v2, tmp_path, description):
    """Those of another program, and of this one before it recorded files: TensorFlow may not survive the damage."""
    version = tmp_path / "1"
    shutil.copytree(exported_v2.path, version)
    (version / "export.json").unlink()
    if description is not None:
        (version / "export.json").write_text(description)
    assert ExportedModel(str(version)).path == str(version)
    index = version / "variables" / "variables.index"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 0x55
    index.write_bytes(content)
    with pytest.raises(ConfigError, match=r"The model .* is damaged: .*variables"):
        ExportedModel(str(version))


def test_threads_get_what_each_asked_for(exported_v2, loads_once):
    """Their questions are answered together where they wait for each other."""
    model = ExportedModel(exported_v2.path)
    context = "The survey of the Tamsel River was led by Dr. Ines Kowal in 1921."
    asked = [f"Who led the survey {number}?" for number in range(24)]
    alone = [model.answer([question], [context])[0] for question in asked]
    found = {}

    def ask(number):
        found[number] = model.answer([asked[number]], [context])[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for number, answer in enumerate(alone):
        assert found[number]["answer"] == answer["answer"]
        assert found[number]["score"] == pytest.approx(answer["score"], abs=1e-4)
