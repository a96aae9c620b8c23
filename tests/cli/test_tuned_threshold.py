"""`--tune_null_threshold`: what the legacy README has people do in three commands."""

import json
import shutil

import pytest
from faults.runs import FILES, TRAIN
from golden_files import golden
from program import run_program

from bert_squad.answers.metrics import evaluate

THRESHOLD = "null_score_diff_threshold.json"
VERSION_2 = [*FILES, "--version_2_with_negative", "--do_predict", "--predict_file=dev.json"]
TUNE = [*VERSION_2, "--tune_null_threshold", "--do_eval"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The legacy script's own run of version 2: data and checkpoints."""
    place = tmp_path_factory.mktemp("threshold")
    legacy = golden("model/legacy_run/v2/vocab.txt").parent
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(legacy / name, place / name)
    (place / "trained").mkdir()
    for path in (legacy / "output").iterdir():
        if path.name.startswith(("checkpoint", "model.ckpt")):
            shutil.copy(path, place / "trained" / path.name)
    return place


def run_in(folder, output, *arguments):
    if not (folder / output).exists():
        shutil.copytree(folder / "trained", folder / output)
    done = run_program(*arguments, f"--output_dir={output}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def tuned(folder):
    done = run_in(folder, "tuned", *TUNE)
    return done, folder / "tuned"


def test_one_command_does_what_three_did(tuned, folder):
    done, output = tuned
    by_hand = folder / "by_hand"
    run_in(folder, "by_hand", *VERSION_2)
    scores = evaluate(str(folder / "dev.json"), by_hand / "predictions.json", by_hand / "null_odds.json")
    threshold = scores["best_f1_thresh"]
    run_in(folder, "by_hand", *VERSION_2, f"--null_score_diff_threshold={threshold!r}")
    for name in ("predictions.json", "nbest_predictions.json", "null_odds.json"):
        assert (output / name).read_bytes() == (by_hand / name).read_bytes(), name
    kept = read(output / THRESHOLD)
    assert kept["threshold"] == threshold
    assert (kept["tuned_on"], kept["step"]) == ("dev.json", 33)
    assert kept["at_zero"]["f1"] == scores["f1"]
    results = read(output / "eval_results.json")
    assert (results["tuned_threshold"], results["f1_at_0"]) == (threshold, scores["f1"])
    assert results["f1"] == kept["at_threshold"]["f1"] == pytest.approx(scores["best_f1"])
    assert "flatters the questions that it was tuned on" in done.stderr
    assert f"{threshold:.6g}" in next(line for line in done.stdout.splitlines() if "tuned_threshold" in line)


@pytest.fixture(scope="module")
def with_another(folder):
    """A directory whose threshold changes answers: this model's odds are all around 10."""
    shutil.copytree(folder / "trained", folder / "another")
    kept = {"threshold": 9.95, "tuned_on": "other.json", "step": 33, "at_zero": {}, "at_threshold": {}}
    (folder / "another" / THRESHOLD).write_text(json.dumps(kept))
    return folder / "another"


def test_later_predictions_use_it_unless_another_is_given(with_another, folder):
    predictions = with_another / "predictions.json"
    later = run_in(folder, "another", *VERSION_2)
    assert "The threshold 9.95, which was tuned on other.json, is used" in later.stderr
    with_it = read(predictions)
    odds = read(with_another / "null_odds.json")
    assert {qas_id for qas_id, text in with_it.items() if text} == {
        qas_id for qas_id, of in odds.items() if of <= 9.95
    }
    assert any(with_it.values()), "it changes something"
    for flags in (["--null_score_diff_threshold=0"], ["--nouse_tuned_threshold"]):
        run_in(folder, "another", *VERSION_2, *flags)
        assert not any(read(predictions).values()), flags


def test_an_export_has_it(with_another, folder):
    run_in(folder, "another", *FILES, "--version_2_with_negative", "--do_export")
    (version,) = (with_another / "export").iterdir()
    (description,) = (
        path for path in version.rglob("*.json") if "null_score_diff_threshold" in path.read_text()
    )
    assert read(description)["null_score_diff_threshold"] == 9.95


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            [*FILES, "--do_predict", "--predict_file=dev.json", "--tune_null_threshold"],
            "add --version_2_with_negative",
        ),
        ([*FILES, *TRAIN, "--version_2_with_negative", "--tune_null_threshold"], "add --do_predict"),
        ([*TUNE, "--null_score_diff_threshold=-1"], "leave one of them out"),
        ([*TUNE, "--predict_file=blind.json"], "(--tune_null_threshold scores the answers.)"),
    ],
)
def test_what_cannot_be_tuned_is_one_sentence(flags, sentence, folder):
    data = read(folder / "dev.json")
    del data["data"][0]["paragraphs"][0]["qas"][0]["answers"]
    (folder / "blind.json").write_text(json.dumps(data))
    done = run_program(*flags, "--output_dir=trained", cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "trained/predictions.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", marks=pytest.mark.slow),
        pytest.param("{}", marks=pytest.mark.slow),
        pytest.param('{"threshold": "-1"}', marks=pytest.mark.slow),
        '{"threshold": NaN}',
        pytest.param("[1]", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_threshold_is_named(content, folder):
    place = folder / "damaged"
    if not place.exists():
        shutil.copytree(folder / "trained", place)
    (place / THRESHOLD).write_text(content)
    done = run_program(*VERSION_2, "--output_dir=damaged", cwd=folder)
    assert done.returncode == 1
    assert THRESHOLD in done.stderr
    assert not (place / "predictions.json").exists()
    assert (
        run_program(
            *VERSION_2, "--null_score_diff_threshold=0", "--output_dir=damaged", cwd=folder
        ).returncode
        == 0
    )
    (place / "predictions.json").unlink()


def test_version_1_knows_of_no_threshold(folder):
    """A directory may have had another training in it."""
    place = folder / "version_1"
    shutil.copytree(folder / "trained", place)
    (place / THRESHOLD).write_text("damaged")
    run_in(folder, "version_1", *FILES, "--do_predict", "--predict_file=dev.json")
