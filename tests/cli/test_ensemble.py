"""`bert-squad ensemble`: n-best files of several runs become one."""

import json
import os

import pytest
from program import run_console

from bert_squad import locks
from bert_squad.answers.prediction_files import PREDICTION_LOCK


def entry(text, probability, start_logit=1.0, end_logit=2.0):
    return {"text": text, "probability": probability, "start_logit": start_logit, "end_logit": end_logit}


A = {
    "q2": [entry("Rome", 0.6, 3.0, 4.0), entry("in Rome", 0.3), entry("", 0.1, -1.0, -1.0)],
    "q1": [entry("Zürich", 0.75), entry("", 0.25)],
}
B = {
    "q1": [entry("", 0.75), entry("Bern", 0.25)],
    "q2": [entry("in Rome", 0.8, 5.0, 6.0), entry("", 0.15), entry("Rome", 0.05, 5.0, 8.0)],
}
A_ODDS, B_ODDS = {"q2": -3.0, "q1": -1.0}, {"q1": 4.0, "q2": -2.0}
RUNS = ["--nbest=a.json", "--nbest=b.json"]
ODDS = ["--null_odds=a_odds.json", "--null_odds=b_odds.json"]


@pytest.fixture
def folder(tmp_path):
    contents = {"a": A, "b": B, "a_odds": A_ODDS, "b_odds": B_ODDS}
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def outputs(place):
    return {path.name: json.loads(path.read_text()) for path in place.iterdir()}


def combine(folder, *words):
    done = run_console("ensemble", *words, "--output_dir=out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return outputs(folder / "out")


def test_probabilities_and_odds_are_means(folder):
    files = combine(folder, *RUNS, *ODDS)
    assert files.keys() == {"predictions.json", "nbest_predictions.json", "null_odds.json"}
    assert files["null_odds.json"] == {"q2": -2.5, "q1": 1.5}
    assert files["predictions.json"] == {"q2": "in Rome", "q1": ""}
    probabilities = [(e["text"], e["probability"]) for e in files["nbest_predictions.json"]["q2"]]
    assert probabilities == [
        ("in Rome", pytest.approx(0.55)),
        ("Rome", pytest.approx(0.325)),
        ("", pytest.approx(0.125)),
    ]
    first, second, _ = files["nbest_predictions.json"]["q2"]
    assert (second["start_logit"], second["end_logit"]) == (4.0, 6.0)
    assert (first["start_logit"], first["end_logit"]) == (3.0, 4.0)
    bern = next(e for e in files["nbest_predictions.json"]["q1"] if e["text"] == "Bern")
    assert (bern["start_logit"], bern["end_logit"]) == (1.0, 2.0), "of the one run that lists it"


def test_the_files_have_the_legacy_form(folder):
    files = combine(folder, *RUNS, *ODDS)
    for name, content in files.items():
        text = (folder / "out" / name).read_bytes()
        assert text == (json.dumps(content, indent=4) + "\n").encode(), name
    assert list(files["predictions.json"]) == ["q2", "q1"], "in the order of the first run"


def test_the_threshold_is_applied_to_the_mean_odds(folder):
    assert combine(folder, *RUNS, *ODDS, "--null_score_diff_threshold=1.5")["predictions.json"]["q1"] == (
        "Zürich"
    )
    files = combine(folder, *RUNS, *ODDS, "--null_score_diff_threshold=-2.6", "--overwrite")
    assert files["predictions.json"] == {"q2": "", "q1": ""}


def test_weights(folder):
    files = combine(folder, *RUNS, *ODDS, "--weights=3,1")
    assert files["null_odds.json"] == {"q2": -2.75, "q1": 0.25}
    assert files["predictions.json"]["q2"] == "Rome"
    assert files["nbest_predictions.json"]["q2"][0]["probability"] == pytest.approx(0.75 * 0.6 + 0.25 * 0.05)


def test_lists_are_cut_and_no_answer_stays(folder):
    files = combine(folder, *RUNS, *ODDS, "--n_best_size=1")
    assert [e["text"] for e in files["nbest_predictions.json"]["q2"]] == ["in Rome", ""]
    assert files["predictions.json"]["q2"] == "in Rome"


def test_version_1_has_no_odds(folder):
    files = combine(folder, *RUNS)
    assert files.keys() == {"predictions.json", "nbest_predictions.json"}
    assert files["predictions.json"] == {"q2": "in Rome", "q1": ""}, "the most probable text"


def test_one_run_alone_stays_what_it_was(folder):
    files = combine(folder, "--nbest=a.json", "--null_odds=a_odds.json")
    assert files["nbest_predictions.json"] == A
    assert files["null_odds.json"] == A_ODDS


def test_answers_do_not_come_beside_offsets_of_others(folder):
    (folder / "placed").mkdir()
    (folder / "placed/predictions_offsets.json").write_text("{}")
    done = run_console("ensemble", *RUNS, *ODDS, "--overwrite", "--output_dir=placed", cwd=folder)
    assert done.returncode == 1
    assert "placed/predictions_offsets.json says where other answers are; move it away" in done.stderr
    assert [path.name for path in (folder / "placed").iterdir()] == ["predictions_offsets.json"]


def test_what_is_there_is_replaced_only_when_asked_to(folder):
    combine(folder, *RUNS, *ODDS)
    before = outputs(folder / "out")
    for words, sentence in [
        ([*RUNS, *ODDS, "--weights=9,1"], "is there already"),
        ([*RUNS, "--overwrite"], "out/null_odds.json would be left beside answers"),
        (["--nbest=out/nbest_predictions.json", "--nbest=b.json", "--overwrite"], "is one of the files to"),
    ]:
        done = run_console("ensemble", *words, "--output_dir=out", cwd=folder)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert outputs(folder / "out") == before
    assert combine(folder, *RUNS, *ODDS, "--weights=9,1", "--overwrite") != before


def test_nobody_else_writes_there_meanwhile(folder):
    os.mkdir(folder / "out")
    with locks.exclusive(str(folder / "out" / PREDICTION_LOCK), "predicting"):
        done = run_console("ensemble", *RUNS, "--output_dir=out", cwd=folder)
    assert done.returncode == 1
    assert "Another run is predicting in out" in done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"q1": ', "is not valid JSON"),
        ("[]", "should be an object with question ids as keys"),
        ('{"q1": [], "q2": []}', "Question q1 of the n-best answers b.json should have a list of objects"),
        ('{"q1": "Rome", "q2": "Rome"}', "give a nbest_predictions.json"),
        (json.dumps({**B, "q2": [{"text": "Rome"}]}), "Question q2 of the n-best answers b.json"),
        (json.dumps({**B, "q2": [entry("Rome", float("nan"))]}), "Question q2 of the n-best"),
        (json.dumps({**B, "q2": [entry("Rome", 1.5)]}), "Question q2 of the n-best"),
        (json.dumps({**B, "q2": [entry("Rome", True)]}), "Question q2 of the n-best"),
        (json.dumps({**B, "q2": [entry("Rome", 0.5, 10**400)]}), "Question q2 of the n-best"),
        (json.dumps({"q1": B["q1"]}), "b.json lacks 1 of the 2 questions of a.json, q2 among them"),
        (json.dumps({**B, "q3": B["q1"]}), "a.json lacks 1 of the 3 questions of b.json, q3 among them"),
    ],
)
def test_damaged_files_are_named(content, sentence, folder):
    (folder / "b.json").write_text(content)
    done = run_console("ensemble", *RUNS, "--output_dir=out", cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--nbest is missing"),
        ([*RUNS, "--output_dir="], "--output_dir is missing"),
        ([*RUNS, ODDS[0]], "There are 1 --null_odds for 2 --nbest"),
        ([*RUNS, "--weights=1"], "--weights has 1 numbers for 2 --nbest"),
        ([*RUNS, "--weights=1,0"], "should be finite numbers above 0"),
        ([*RUNS, "--weights=1,a"], "--weights should be numbers, as in 2,1,1, not 1,a"),
        ([*RUNS, "--null_score_diff_threshold=1"], "give --null_odds too"),
        ([*RUNS, *ODDS, "--null_score_diff_threshold=nan"], "must be a number, not nan"),
        ([*RUNS, "--n_best_size=0"], "n_best_size"),
        (
            [*RUNS, "--null_odds=a_odds.json", "--null_odds=short.json"],
            "short.json lacks 1 of the 2 questions",
        ),
        ([*RUNS, "--null_odds=a_odds.json", "--null_odds=infinite.json"], "is infinite"),
        ([*RUNS, "--null_odds=a_odds.json", "--null_odds=b.json"], "is not a number"),
        (["--nbest=missing.json", "--nbest=b.json"], "Cannot read the n-best answers missing.json"),
        ([*RUNS, "c.json"], "Do not know what to do with 'c.json'"),
    ],
)
def test_wrong_words_are_one_sentence(words, sentence, folder):
    (folder / "short.json").write_text('{"q1": 1.0}')
    (folder / "infinite.json").write_text('{"q1": 1.0, "q2": Infinity}')
    done = run_console("ensemble", "--output_dir=out", *words, cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()


def test_help_is_quick():
    done = run_console("ensemble", "--help")
    assert done.returncode == 0
    assert "--null_score_diff_threshold" in done.stdout
