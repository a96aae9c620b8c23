"""A continued run that is another run: what changes numbers is named, what makes nonsense is refused."""

import dataclasses
import json

import pytest
from faults.runs import PREDICT, TRAIN, make_folder, run, said
from tiny_config import TINY

from bert_squad import run_record
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError, OutputError
from bert_squad.run_record import SessionRecord, check_same_run, describe_run, read_record, write_record

CONFIG = SquadConfig(
    bert_config_file="bert_config.json", vocab_file="vocab.txt", output_dir="out", train_file="train.json"
)
VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}
EXACT = {"dtype": "float32", "pad_to": "max", "jit_compile": False}


def describe(bert=None, vocab=VOCABULARY, data="ab12", speed=EXACT, **flags):
    config = SquadConfig(**{**CONFIG.__dict__, **flags})
    return describe_run(config, dataclasses.replace(TINY, **(bert or {})), vocab, speed, data)


@pytest.fixture
def output(tmp_path):
    write_record(str(tmp_path), describe(), 0)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": "cd34"}, "the training data (train.json → train.json)"),
        ({"seed": 7}, "--seed (12345 → 7)"),
        ({"train_batch_size": 8}, "--train_batch_size (32 → 8)"),
        ({"max_seq_length": 128}, "--max_seq_length (384 → 128)"),
        ({"doc_stride": 64}, "--doc_stride (128 → 64)"),
        ({"learning_rate": 1e-4}, "--learning_rate (5e-05 → 0.0001)"),
        ({"num_train_epochs": 5.0}, "--num_train_epochs (3.0 → 5.0)"),
        ({"trainable": "^cls/"}, "--trainable (None → ^cls/)"),
        ({"layerwise_lr_decay": 0.8}, "--layerwise_lr_decay (1.0 → 0.8)"),
        ({"max_train_questions": 8}, "--max_train_questions (0 → 8)"),
        ({"do_lower_case": False}, "--do_lower_case (True → False)"),
        ({"version_2_with_negative": True}, "--version_2_with_negative (False → True)"),
        ({"on_bad_question": "skip"}, "--on_bad_question (error → skip)"),
        ({"several_answers": "first"}, "--several_answers (error → first)"),
        ({"speed": {**EXACT, "dtype": "bfloat16"}}, "--dtype (float32 → bfloat16)"),
        ({"bert": {"hidden_dropout_prob": 0.2}}, "`hidden_dropout_prob` (0.0 → 0.2)"),
    ],
)
def test_what_changes_numbers_is_named_in_one_warning(output, warnings, change, named):
    check_same_run(output, describe(**change), allow_changed_run=False, trains=True)
    (line,) = warnings
    assert line.startswith(f"This is not the run that {output}/run.json records")
    assert line.endswith(f": {named}.")


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"vocab": {**VOCABULARY, "a": 4, "b": 3}}, r"the vocabulary \(vocab\.txt → vocab\.txt\)"),
        ({"bert": {"num_attention_heads": 4}}, r"`num_attention_heads` \(3 → 4\)"),
        ({"bert": {"hidden_act": "relu"}}, r"`hidden_act` \(gelu → relu\)"),
    ],
)
def test_nonsense_is_refused_unless_it_is_allowed(output, warnings, change, named, trains):
    with pytest.raises(
        ConfigError, match=rf"was trained with something else: {named}\. .*--allow_changed_run"
    ):
        check_same_run(output, describe(**change), allow_changed_run=False, trains=trains)
    assert not warnings
    check_same_run(output, describe(**change), allow_changed_run=True, trains=trains)
    assert len(warnings) == 1


def test_flags_that_came_later_are_recorded_when_they_say_something(tmp_path, warnings):
    """So the records of earlier versions, which lack them, stay equal to those of the same runs."""
    assert not {"max_train_questions", "trainable", "layerwise_lr_decay"} & set(describe()["flags"])
    write_record(str(tmp_path), describe(max_train_questions=8), 0)
    check_same_run(str(tmp_path), describe(max_train_questions=8), allow_changed_run=False, trains=True)
    assert not warnings
    check_same_run(str(tmp_path), describe(), allow_changed_run=False, trains=True)
    assert warnings[0].endswith(": --max_train_questions (8 → 0).")


def test_the_same_run_and_one_without_a_record_say_nothing(output, warnings, tmp_path):
    check_same_run(output, describe(), allow_changed_run=False, trains=True)
    check_same_run(str(tmp_path / "legacy"), describe(), allow_changed_run=False, trains=True)
    # A prediction is free to choose lengths, and the vocabulary may have blank lines at its end.
    blank = {**VOCABULARY, "": 4}
    check_same_run(
        output, describe(max_seq_length=100, vocab=blank, data=None), allow_changed_run=False, trains=False
    )
    assert not warnings


def test_an_activation_written_in_another_way_is_the_same(tmp_path, warnings):
    for written, again in (("gelu", "GELU"), (None, ""), ("", "linear")):
        directory = tmp_path / f"written {written}"
        directory.mkdir()
        write_record(str(directory), describe({"hidden_act": written}), 0)
        check_same_run(str(directory), describe({"hidden_act": again}), allow_changed_run=False, trains=True)
    assert warnings == []


def test_a_record_keeps_what_changed(output):
    write_record(output, describe(seed=7), 40)
    record = read_record(output)
    assert record["flags"]["seed"] == 7
    assert record["earlier"] == [{"until_step": 40, "changed": ["--seed (12345 → 7)"]}]
    write_record(output, describe(), 0)
    assert read_record(output)["earlier"] == []


def test_a_file_of_the_user_is_left_alone(tmp_path, warnings):
    (tmp_path / "run.json").write_text('{"mine": 1}')
    write_record(str(tmp_path), describe(), 0)
    assert json.loads((tmp_path / "run.json").read_text()) == {"mine": 1}
    assert len(warnings) == 1
    (tmp_path / "run.json").write_text("[" * 100_000)
    check_same_run(str(tmp_path), describe(), allow_changed_run=False, trains=True)
    assert "nested too deeply" in warnings[1]


@pytest.mark.parametrize(
    "part", ["flags", "model", "vocabulary", "train_data", "earlier", "tensorflow", "init_checkpoint"]
)
@pytest.mark.parametrize("content", [None, 5, "abc", [1], {"a": [1]}])
def test_a_record_that_somebody_has_edited_ends_nothing(output, warnings, part, content):
    record = {**read_record(output), part: content}
    with open(f"{output}/run.json", "w", encoding="utf-8") as writer:
        json.dump(record, writer)
    check_same_run(output, describe(), allow_changed_run=True, trains=True)
    write_record(output, describe(seed=1, data="cd34"), 3)
    earlier = [change for change in read_record(output)["earlier"] if isinstance(change, dict)]
    assert [change["until_step"] for change in earlier if "until_step" in change] == [3]


def test_sessions_scores_and_exports_are_on_record(tmp_path):
    folder = make_folder(tmp_path)
    training = [*TRAIN, "--output_dir=output", "--save_checkpoints_steps=4"]
    assert run(folder, *training, "--num_train_epochs=1") == 0, said(folder)
    assert run(folder, *training, "--num_train_epochs=2", *PREDICT, "--do_eval", "--do_export") == 0, said(
        folder
    )
    record = json.loads((folder / "output/run.json").read_text())
    sessions = record["sessions"]
    assert [(of["first_step"], of["last_step"]) for of in sessions] == [(0, 6), (6, 12)]
    assert [of["flags"]["num_train_epochs"] for of in sessions] == [1.0, 2.0]
    assert all("CPU" in of["device"] and of["seconds"] > 0 and of["tensorflow"] for of in sessions)
    scores = json.loads((folder / "output/eval_results.json").read_text())
    assert record["scores"] == {"step": 12, "predict_file": "dev.json", **scores}
    (description,) = (folder / "output/export").glob("*/**/export.json")
    assert json.loads(description.read_text())["training"] == record


def test_a_record_that_cannot_be_added_to_is_no_reason_to_stop(tmp_path, monkeypatch, warnings):
    write_record(str(tmp_path), describe(), 0)
    config = SquadConfig("bert_config.json", "vocab.txt", str(tmp_path), seed=7)
    session = SessionRecord(str(tmp_path), config, "the CPU", 0)
    session.save(4)
    before = read_record(str(tmp_path))
    assert before["sessions"][0]["flags"]["seed"] == 7

    def refused(*_):
        raise OutputError("Cannot write run.json (No space left on device).")

    monkeypatch.setattr(run_record, "_write", refused)
    session.save(8)
    session.save(12)
    assert read_record(str(tmp_path)) == before
    assert warnings == ["Cannot write run.json (No space left on device). The run goes on."]
