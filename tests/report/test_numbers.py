"""The numbers of a report against the official metrics, on the legacy program's own answers."""

import json
import shutil

import pytest
from golden_files import golden
from report.report_files import entry, squad, write_json

from bert_squad.answers.metrics import evaluate
from bert_squad.errors import DataError
from bert_squad.report.calibration import best_within, calibrate
from bert_squad.report.comparison import compare
from bert_squad.report.groups import group_questions
from bert_squad.report.questions import read_results
from bert_squad.report.run_folder import read_run_folder
from bert_squad.report.thresholds import sweep_thresholds

LEGACY = "model/legacy_run"


def results_of(folder, predict_file, most=None):
    return read_results(read_run_folder(str(folder)), str(predict_file), most)[0]


def legacy_results(version, folder="output"):
    return results_of(golden(f"{LEGACY}/{version}/{folder}"), golden(f"{LEGACY}/{version}/dev.json"))


def official(version, folder="output"):
    place = golden(f"{LEGACY}/{version}/{folder}")
    odds = place / "null_odds.json" if version == "v2" else None
    return evaluate(str(golden(f"{LEGACY}/{version}/dev.json")), place / "predictions.json", odds)


def mean(results, name):
    return 100 * sum(getattr(of.score, name) for of in results.questions) / len(results.questions)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_scores_of_questions_add_up_to_the_official_ones(version):
    results, metrics = legacy_results(version), official(version)
    assert results.metrics == metrics
    assert mean(results, "exact") == pytest.approx(results.exact)
    assert mean(results, "f1") == pytest.approx(metrics["f1"])
    assert results.is_version_2 == (version == "v2")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_grouping_has_each_question_once(version):
    results = legacy_results(version)
    for grouping in group_questions(results, None):
        assert sum(group.total for group in grouping.groups) == len(results.questions)
        assert sum(group.exact * group.total for group in grouping.groups) == pytest.approx(
            results.exact * len(results.questions)
        )
        for index, group in enumerate(grouping.groups):
            assert grouping.group_of.count(index) == group.total
            assert group.exact_interval.low <= group.exact <= group.exact_interval.high
            assert group.f1_interval.low <= group.f1 <= group.f1_interval.high


def test_missing_predictions_and_repeated_ids_count_as_officially(tmp_path):
    questions = [(qas_id, "Who?", "Ann and Bob", ["Ann"]) for qas_id in ("a", "b", "a", "c")]
    for version_2 in (False, True):
        write_json(tmp_path / "dev.json", squad(questions, version_2))
        write_json(tmp_path / "predictions.json", {"a": "Ann", "b": "and Bob", "other": "x"})
        results = results_of(tmp_path, tmp_path / "dev.json")
        assert results.metrics == evaluate(str(tmp_path / "dev.json"), tmp_path / "predictions.json")
        assert mean(results, "exact") == pytest.approx(results.exact)
        assert len(results.questions) == (2 if version_2 else 4)
        assert results.num_foreign == 1
    assert len(results_of(tmp_path, tmp_path / "dev.json", most=1).questions) == 1


def test_a_threshold_scores_as_a_run_with_it():
    swept = sweep_thresholds(legacy_results("v2").questions)
    assert (swept.at_zero.exact, swept.at_zero.f1) == pytest.approx(
        [official("v2")[name] for name in ("exact", "f1")]
    )
    command = golden(f"{LEGACY}/v2/command_predict_only_threshold.txt").read_text()
    threshold = float(command.split("--null_score_diff_threshold=")[1].split()[0])
    scored = official("v2", "predict_only_threshold")
    of_run = sweep_thresholds(legacy_results("v2", "predict_only_threshold").questions)
    assert of_run.curve == sweep_thresholds(legacy_results("v2", "predict_only").questions).curve
    at = [point for point in of_run.curve if point.threshold <= threshold][-1]
    assert (at.exact, at.f1) == pytest.approx((scored["exact"], scored["f1"]))


def test_the_best_threshold_is_the_official_one_when_nothing_was_left_empty(tmp_path):
    """The official search can only take answers away, so it is given all of them."""
    place = golden(f"{LEGACY}/v2/output")
    shutil.copytree(place, tmp_path / "run", ignore=shutil.ignore_patterns("model*", "*.tf_record"))
    nbest = json.loads((place / "nbest_predictions.json").read_text())
    full = {qas_id: next(e["text"] for e in entries if e["text"]) for qas_id, entries in nbest.items()}
    write_json(tmp_path / "run/predictions.json", full)
    results = results_of(tmp_path / "run", golden(f"{LEGACY}/v2/dev.json"))
    swept = sweep_thresholds(results.questions)
    for name in ("exact", "f1"):
        best = getattr(swept, f"best_{name}")
        assert getattr(best, name) == pytest.approx(results.metrics[f"best_{name}"])
    assert swept.curve[0].exact == pytest.approx(
        100 * sum(not of.golds for of in results.questions) / len(results.questions)
    )
    assert sum(swept.answerable) == results.metrics["HasAns_total"]
    assert sum(swept.unanswerable) == results.metrics["NoAns_total"]


def test_thresholds_need_null_odds():
    assert sweep_thresholds(legacy_results("v1").questions) is None


@pytest.fixture
def calibrated(tmp_path):
    questions = [(f"q{i}", "Who?", "Ann and Bob", ["Ann"]) for i in range(4)]
    write_json(tmp_path / "dev.json", squad(questions, version_2=False))
    nbest = {
        "q0": [entry("Ann", 0.95), entry("Bob", 0.05)],
        "q1": [entry("Bob", 0.95), entry("Ann", 0.05)],
        "q2": [entry("and", 1.0), entry("and Bob", 0.0), entry("Ann and Bob", 0.0)],
        "q3": [entry("Ann", 0.3), entry("Bob", 0.2)],
    }
    write_json(tmp_path / "nbest_predictions.json", nbest)
    write_json(tmp_path / "predictions.json", {qas_id: of[0]["text"] for qas_id, of in nbest.items()})
    return results_of(tmp_path, tmp_path / "dev.json")


def test_calibration_by_hand(calibrated):
    found = calibrate(calibrated.questions)
    assert [(of.low, of.total, of.share_exact) for of in found.bins] == [(0.3, 1, 1.0), (0.9, 3, 1 / 3)]
    assert found.bins[1].mean_probability == pytest.approx(2.9 / 3)
    assert found.error == pytest.approx((0.7 + 3 * (2.9 / 3 - 1 / 3)) / 4)
    assert (found.mean_probability, found.share_exact) == pytest.approx((0.8, 0.5))


def test_what_better_choices_win_by_hand(calibrated):
    depths = best_within(calibrated.questions)
    assert [of.depth for of in depths] == [1, 3]
    assert [of.exact for of in depths] == [50.0, 75.0]
    assert depths[1].f1 == pytest.approx(100 * (3 + 0.5) / 4)
    assert depths[0].exact == calibrated.exact


def test_a_comparison_by_hand(calibrated, tmp_path):
    write_json(tmp_path / "predictions.json", {"q0": "Bob", "q1": "Ann", "q2": "Ann and Bob", "other": ""})
    found = compare(calibrated, str(tmp_path))
    assert (found.total, found.num_here, found.num_there) == (3, 4, 4)
    assert found.exact == pytest.approx((100 / 3, 100 / 3))
    assert found.f1 == pytest.approx((100 / 3, 50.0))
    assert (found.only_here, found.only_there, found.exact_p) == (1, 1, 1.0)
    assert (found.num_better, found.num_worse) == (1, 2)
    assert found.answers[3] is None
    assert found.answers[2].prediction == "Ann and Bob"
    assert found.f1_interval.low <= 100 / 3 - 50 <= found.f1_interval.high
    write_json(tmp_path / "predictions.json", {"other": ""})
    with pytest.raises(DataError, match="its predictions are for other questions"):
        compare(calibrated, str(tmp_path))
