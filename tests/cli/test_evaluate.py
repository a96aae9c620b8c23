"""`bert-squad evaluate`: predictions made earlier, and all kept checkpoints of a run."""

import json
import shutil

import pytest
from faults.runs import FILES, copy_trained, make_folder
from golden_files import golden
from program import run_console, run_program

from bert_squad import locks
from bert_squad.answers.metrics import evaluate
from bert_squad.answers.prediction_files import PREDICTION_LOCK

V2 = "model/legacy_run/v2"
EARLIER = ["--predict_file=dev.json", "--predictions=predictions.json"]
ALL = ["--all_checkpoints", *FILES, "--predict_file=dev.json"]
STEPS = (0, 10, 20, 24)


@pytest.fixture(scope="module")
def version_2(tmp_path_factory):
    """The legacy script's own answers to questions of version 2."""
    place = tmp_path_factory.mktemp("version_2")
    shutil.copy(golden(f"{V2}/dev.json"), place / "dev.json")
    for name in ("predictions.json", "null_odds.json"):
        shutil.copy(golden(f"{V2}/output/{name}"), place / name)
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The legacy script's own training, of which four checkpoints are kept."""
    place = make_folder(tmp_path_factory.mktemp("checkpoints"))
    copy_trained(place / "trained")
    (place / "trained/predictions.json").write_text("{}")
    (place / "trained/evaluations/10").mkdir(parents=True)
    (place / "trained/evaluations/10/predictions.json").write_text("old")
    return place


def test_predictions_made_earlier(version_2):
    expected = evaluate(str(version_2 / "dev.json"), version_2 / "predictions.json")
    done = run_console("evaluate", *EARLIER, "--output=scores.json", cwd=version_2)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split() for line in done.stdout.splitlines())
    assert lines.keys() == expected.keys()
    assert lines["f1"] == f"{expected['f1']:.2f}"
    assert json.loads((version_2 / "scores.json").read_text()) == expected


def test_odds_and_a_threshold(version_2):
    odds = version_2 / "null_odds.json"
    values = sorted(json.loads(odds.read_text()).values())
    middle = values[len(values) // 2]
    expected = evaluate(
        str(version_2 / "dev.json"), version_2 / "predictions.json", odds, na_prob_thresh=middle
    )
    flags = ["--null_odds=null_odds.json", f"--na_prob_thresh={middle!r}", "--json"]
    done = run_console("evaluate", *EARLIER, *flags, cwd=version_2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert "best_f1_thresh" in expected


@pytest.fixture(scope="module")
def evaluated(folder):
    before = {path.name: path.read_bytes() for path in (folder / "trained").iterdir() if path.is_file()}
    # What the run's flags say of training and export is not done.
    of_the_run = ["--do_train", "--train_file=train.json", "--eval_steps=5", "--do_export"]
    words = [*ALL, *of_the_run, "--output_dir=trained", "--output=all.json"]
    done = run_console("evaluate", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    after = {path.name: path.read_bytes() for path in (folder / "trained").iterdir() if path.is_file()}
    assert after == before, "nothing but evaluations/ is written to"
    return done


@pytest.mark.parametrize("step", [10, 24])
def test_each_checkpoint_answers_as_a_prediction_with_it_does(step, evaluated, folder):
    alone = folder / f"alone-{step}"
    alone.mkdir()
    for path in (folder / "trained").glob(f"model.ckpt-{step}.*"):
        shutil.copy(path, alone / path.name)
    (alone / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')
    flags = ["--do_predict", "--do_eval", "--predict_file=dev.json", f"--output_dir={alone}"]
    assert run_program(*FILES, *flags, cwd=folder).returncode == 0
    names = {"predictions.json", "nbest_predictions.json", "eval_results.json"}
    place = folder / "trained/evaluations" / str(step)
    assert {path.name for path in place.iterdir()} == names
    for name in names:
        assert (place / name).read_bytes() == (alone / name).read_bytes(), name


def test_the_table_has_a_row_for_each_step(evaluated, folder):
    scores = json.loads((folder / "all.json").read_text())
    assert [row["step"] for row in scores] == list(STEPS)
    heading, *rows = (line.split() for line in evaluated.stdout.splitlines())
    assert heading == list(scores[0])
    assert [row[0] for row in rows] == list(map(str, STEPS))
    for row in scores:
        of_step = json.loads((folder / f"trained/evaluations/{row['step']}/eval_results.json").read_text())
        assert row == {"step": row["step"], **of_step}
    assert len({row["f1"] for row in scores}) > 1, "they differ"


def test_a_damaged_checkpoint_is_passed_over(folder):
    shutil.copytree(folder / "trained", folder / "damaged")
    data = folder / "damaged/model.ckpt-20.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    done = run_console("evaluate", *ALL, "--output_dir=damaged", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Passing over the checkpoint damaged/model.ckpt-20" in done.stderr
    assert [row["step"] for row in json.loads(done.stdout)] == [0, 10, 24]


def test_what_somebody_keeps_there_is_not_replaced(folder):
    copy_trained(folder / "kept")
    (folder / "kept/evaluations/0").mkdir(parents=True)
    (folder / "kept/evaluations/0/notes.txt").write_text("mine")
    done = run_console("evaluate", *ALL, "--output_dir=kept", cwd=folder)
    assert done.returncode == 1
    assert "kept/evaluations/0 holds more than an evaluation" in done.stderr
    assert (folder / "kept/evaluations/0/notes.txt").read_text() == "mine"


def test_nobody_else_predicts_there_meanwhile(folder):
    with locks.exclusive(str(folder / "trained" / PREDICTION_LOCK), "predicting"):
        done = run_console("evaluate", *ALL, "--output_dir=trained", cwd=folder)
    assert done.returncode == 1
    assert "Another run is predicting in trained" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--predictions=predictions.json"], "--predict_file is missing"),
        (["--predict_file=dev.json"], "--predictions is missing"),
        ([*EARLIER, "--max_seq_length=64"], "--max_seq_length says nothing of --predictions"),
        ([*EARLIER, "--na_prob_thresh=nan"], "must be a number, not nan"),
        ([*EARLIER, "--output=predictions.json"], "is a file that is read here"),
        ([*EARLIER, "more"], "Do not know what to do with 'more'"),
        (["--predict_file=dev.json", "--predictions=dev.json"], "have no prediction"),
        (
            ["--predict_file=dev.json", "--predictions=missing.json"],
            "Cannot read the predictions missing.json",
        ),
        ([*EARLIER, "--null_odds=predictions.json"], "is not a number; give a null_odds.json"),
        ([*EARLIER, "--prediction=x"], "the nearest known one is --predictions"),
        ([*EARLIER, "--all_checkpoints"], "makes its own predictions; leave --predictions out"),
        (["--all_checkpoints", "--predict_file=dev.json"], "--vocab_file must have a value"),
    ],
)
def test_wrong_words_are_one_sentence(words, sentence, version_2):
    before = (version_2 / "predictions.json").read_bytes()
    done = run_console("evaluate", *words, cwd=version_2)
    assert done.returncode == 1
    assert sentence in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert (version_2 / "predictions.json").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--output_dir=nowhere"], "There is no checkpoint in nowhere"),
        (["--output_dir=trained", "--predict_file=blind.json"], "has no answer to compare with"),
        (["--output_dir=trained", "--distribution_strategy=multi_worker"], "works in one process"),
    ],
)
def test_runs_that_cannot_be_evaluated(flags, sentence, folder):
    data = json.loads((folder / "dev.json").read_text())
    data["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    (folder / "blind.json").write_text(json.dumps(data))
    done = run_console("evaluate", *ALL, *flags, cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "nowhere").exists()


def test_help_is_quick_and_says_both_ways():
    done = run_console("evaluate", "--help")
    assert done.returncode == 0
    assert "--all_checkpoints" in done.stdout
    assert "--predictions" in done.stdout
