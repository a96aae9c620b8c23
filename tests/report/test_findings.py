"""What is said in the beginning of a report, and which pictures are drawn."""

import pytest
from report.report_files import entry, squad, write_json

from bert_squad.report.calibration import best_within, calibrate
from bert_squad.report.curves import TrainingCurves
from bert_squad.report.findings import findings, weak_groups
from bert_squad.report.groups import group_questions
from bert_squad.report.pictures import loss_picture, scores_picture
from bert_squad.report.questions import read_results
from bert_squad.report.run_folder import read_run_folder, training_folder
from bert_squad.report.svg import Axis, Series, line_chart
from bert_squad.report.thresholds import sweep_thresholds
from bert_squad.report.window_facts import CUT, HELD, WindowFacts


@pytest.fixture
def results(tmp_path):
    """40 questions, of which those with how are all wrong, and surely so; odds that would better be cut at 2."""
    kinds = ["Who is it?"] * 30 + ["How is it?"] * 10
    questions = [(f"q{i}", kind, "Ann and Bob", ["Ann"] if i % 5 else []) for i, kind in enumerate(kinds)]
    write_json(tmp_path / "dev.json", squad(questions))
    texts = {f"q{i}": "Ann" if i < 30 else "Bob" for i in range(40)}
    write_json(tmp_path / "predictions.json", texts)
    nbest = {
        qas_id: [entry(text, 0.9), entry("Ann and", 0.06), entry("", 0.04)] for qas_id, text in texts.items()
    }
    write_json(tmp_path / "nbest_predictions.json", nbest)
    write_json(tmp_path / "null_odds.json", {f"q{i}": -1.0 if i % 5 else 3.0 for i in range(40)})
    return read_results(read_run_folder(str(tmp_path)), str(tmp_path / "dev.json"))[0]


def test_what_is_weak_out_of_reach_and_could_be_won(results):
    held = [CUT if i < 2 else HELD for i in range(40)]
    groupings = group_questions(results, WindowFacts([1] * 40, held))
    (kind,) = weak_groups(results, groupings)
    assert kind.text == "kind of question: how, F1 0.0 (10)"
    assert groupings[kind.grouping].groups[kind.group].label == "how"
    sentences = findings(
        results,
        groupings,
        best_within(results.questions),
        calibrate(results.questions),
        sweep_thresholds(results.questions),
    )
    assert [sentence.replace("\u00a0", " ") for sentence in sentences] == [
        "Out of reach of this run: the right answers to 2 questions, which no window holds.",
        "A right answer is among the first 3 of the n-best list for 80.0 % of the questions; 60.0 % are answered "
        "exactly. The difference is what a better choice could win.",
        "The model is surer than it is right: its answers have a mean probability of 90 %, and 60 % are exact.",
        "With --null_score_diff_threshold=-1 F1 would be 80.0 instead of 60.0 on these very questions.",
    ]


def test_nothing_is_said_of_what_chance_explains(results):
    few = results._replace(questions=results.questions[:9])
    assert weak_groups(few, group_questions(few, None)) == []
    assert findings(few, [], [], None, None) == []


def test_pictures_escape_and_leave_out_what_is_no_number():
    drawn = line_chart(
        "<b>",
        '"&',
        [Series("<i>", "c1", [(0, 0), (0.5, float("nan")), (1, 1)])],
        Axis("<x>", 0, 1),
        Axis("y", 0, 1),
    )
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert "&lt;x&gt;" in drawn
    assert "nan" not in drawn
    assert drawn.count("polyline") == 1


def test_curves_of_one_point_and_of_no_finite_one():
    curves = TrainingCurves([(1, float("nan"))], [(1, 0.0)], [(1, 0.0)])
    assert "<svg" in loss_picture(curves)
    assert "<circle" in scores_picture(curves)


def test_answers_in_best_and_in_evaluations_are_of_the_training_above():
    from bert_squad.answers.checkpoint_scores import EVALUATIONS
    from bert_squad.training.evaluations import BEST

    for folder in (f"a/out/{BEST}", f"a/out/{EVALUATIONS}/100", f"a/out/{EVALUATIONS}/100/"):
        assert training_folder(folder) == "a/out"
    for folder in ("a/out", "out", BEST, ".", f"a/{EVALUATIONS}"):
        assert training_folder(folder) == folder
