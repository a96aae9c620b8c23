"""What a run's folder says besides the answers: how passages were cut, and how the training went."""

import json

import pytest
import tensorflow as tf
from golden_files import golden
from report.report_files import write_json

from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.report.curves import read_curves
from bert_squad.report.questions import read_results
from bert_squad.report.run_folder import read_run_folder
from bert_squad.report.window_facts import CUT, HELD, NONE, TOO_LONG, UNPLACED, window_facts
from bert_squad.run_record import hash_of_vocabulary
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.loop import StepValues
from bert_squad.training.summaries import TrainingSummaries

LENGTHS = {"max_seq_length": 24, "doc_stride": 12, "max_query_length": 6}
KIND = "bert_squad training"


@pytest.fixture
def tokenizer():
    return FullTokenizer(str(golden("tiny/vocab_uncased.txt")), do_lower_case=True)


def make_folder(folder, predict_file, tokenizer, **changed):
    """A folder with predictions for all questions of a file, and a record of how its passages were cut."""
    examples = read_squad_examples(str(predict_file), is_training=False)
    write_json(folder / "predictions.json", {str(example.qas_id): "x" for example in examples})
    vocabulary = {
        "file": str(golden("tiny/vocab_uncased.txt")),
        "sha256": hash_of_vocabulary(tokenizer.vocab),
    }
    record = {"kind": KIND, "flags": {**LENGTHS, "do_lower_case": True}, "vocabulary": vocabulary} | changed
    write_json(folder / "run.json", record)
    run = read_run_folder(str(folder))
    return run, read_results(run, str(predict_file))[0]


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_windows_and_labels_are_those_of_a_training(version, tmp_path, tokenizer):
    """A training's features have a start position exactly where a window holds the answer."""
    data = golden(f"tiny/train-{version}.json")
    run, results = make_folder(tmp_path, data, tokenizer, sessions=[{"flags": {"max_answer_length": 1000}}])
    facts, why = window_facts(results, run, None)
    assert why == ""
    examples = read_squad_examples(str(data), is_training=True, version_2_with_negative=version == "v2.0")
    features = list(convert_examples_to_features(examples, tokenizer, *LENGTHS.values(), is_training=True))
    row_of = {question.qas_id: row for row, question in enumerate(results.questions)}
    seen = set()
    for index, example in enumerate(examples):
        row = row_of[str(example.qas_id)]
        of_example = [feature for feature in features if feature.example_index == index]
        assert facts.num_windows[row] == len(of_example), example.qas_id
        held = any(feature.start_position for feature in of_example)
        expected = NONE if example.is_impossible else HELD if held else CUT
        if of_example:
            assert facts.holdable[row] == expected, example.qas_id
            seen.add((expected, len(of_example) > 1))
    assert {(HELD, True), (CUT, True)} <= seen, "the test sees both"


def test_an_answer_may_be_too_long_to_be_predicted(tmp_path, tokenizer):
    context = "one two three four five"
    answers = {"one": 0, "one two": 0, "two three four": 4, "five": None}
    qas = [
        {
            "id": text,
            "question": "what",
            "answers": [{"text": text} | ({} if start is None else {"answer_start": start})],
        }
        for text, start in answers.items()
    ]
    data = {"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}
    write_json(tmp_path / "dev.json", data)
    pieces = len(tokenizer.tokenize("one two"))
    sessions = [{"flags": {"max_answer_length": pieces}}]
    run, results = make_folder(tmp_path, tmp_path / "dev.json", tokenizer, sessions=sessions)
    facts, _ = window_facts(results, run, None)
    assert facts.holdable == [HELD, HELD, TOO_LONG, UNPLACED]


def test_what_is_not_known_is_said(tmp_path, tokenizer):
    data = golden("tiny/train-v1.1.json")
    cases = [
        ({"kind": "other"}, "no run.json that says --max_seq_length"),
        ({"vocabulary": {"file": "gone.txt"}}, "The run's vocabulary gone.txt is not there"),
        ({"vocabulary": {"file": str(data)}}, "The run's vocabulary cannot be read"),
        (
            {"vocabulary": {"file": str(golden("tiny/vocab_cased.txt")), "sha256": "0"}},
            "not that of the run any more",
        ),
    ]
    for changed, sentence in cases:
        run, results = make_folder(tmp_path, data, tokenizer, **changed)
        facts, why = window_facts(results, run, None)
        assert facts is None
        assert sentence in why
    run, results = make_folder(tmp_path, data, tokenizer, vocabulary={"file": "gone.txt"})
    assert window_facts(results, run, str(golden("tiny/vocab_uncased.txt")))[0] is not None


def write_events(folder, first_step, last_step, shift=0.0):
    with TrainingSummaries(str(folder), first_step, batch_size=8, summary_steps=1) as summaries:
        for step in range(first_step + 1, last_step + 1):
            summaries.update(
                StepValues(step, tf.constant(step + shift), tf.constant(0.1), tf.constant(3.0), 1.0)
            )


def test_a_later_session_takes_the_place_of_what_was_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.0)
    write_events(tmp_path, 0, 6)
    monkeypatch.setattr("time.time", lambda: 2000.0)
    write_events(tmp_path, 4, 5, shift=0.5)
    assert read_curves(str(tmp_path)).loss == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.5)]


def test_an_event_file_that_is_cut_or_foreign_is_read_as_far_as_it_goes(tmp_path, warnings):
    write_events(tmp_path, 0, 3)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "events.out.tfevents.9").write_bytes(b"\xff" * 8 + b"no record of anything" * 3)
    (tmp_path / "events.out.tfevents.99").write_bytes((3).to_bytes(8, "little") + b"\0" * 4 + b"\xff" * 7)
    assert read_curves(str(tmp_path)).loss == [(1, 1.0), (2, 2.0)]
    assert any("events.out.tfevents.99" in line for line in warnings)


def test_scores_on_the_way(tmp_path, warnings):
    rows = [{"step": 10, "exact": 1.0, "f1": 2.0}, {"step": 20, "exact": 3.0, "f1": 4.0}]
    (tmp_path / "eval_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curves = read_curves(str(tmp_path))
    assert (curves.exact, curves.f1) == ([(10, 1.0), (20, 3.0)], [(10, 2.0), (20, 4.0)])
    (tmp_path / "eval_history.jsonl").write_text("nonsense\n{}\n")
    assert read_curves(str(tmp_path)).f1 == []
    assert any("The report does without" in line for line in warnings)


def test_long_curves_become_means(tmp_path):
    write_events(tmp_path, 0, 1000)
    loss = read_curves(str(tmp_path)).loss
    assert len(loss) <= 400
    assert loss[0] == (3, 2.0)
    assert loss[-1][0] == 1000
