"""Scores on the way: `--eval_steps`, the best checkpoint, early stopping."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from faults.runs import FILES, TRAIN, make_folder, own_lines, start, wait_for
from program import run_program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TWELVE_STEPS = [*FILES, *TRAIN, "--num_train_epochs=2", "--save_checkpoints_steps=4"]
EVALUATED = [*TWELVE_STEPS, "--predict_file=dev.json", "--eval_steps=5"]
WEIGHTS = "model.ckpt-12.data-00000-of-00001"


def history(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "eval_history.jsonl").read_text().splitlines()]


def best(output: Path) -> dict:
    return json.loads((output / "best/best.json").read_text())["scores"]


def content(folder: Path) -> dict[str, bytes]:
    """Return what files hold, but for those that say when they were written."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("evaluations"))


@pytest.fixture(scope="module")
def undisturbed(folder):
    done = run_program(*EVALUATED, "--output_dir=undisturbed", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stderr, folder / "undisturbed"


def test_every_so_many_steps_and_the_end_are_scored(undisturbed):
    log, output = undisturbed
    rows = history(output)
    assert [row["step"] for row in rows] == [5, 10, 12]
    assert all(set(row) == {"step", "exact", "f1", "exact_match"} for row in rows)
    for row in rows:
        assert f"Evaluation after step {row['step']}: exact {row['exact']:.2f}, F1 {row['f1']:.2f}" in log
    events = EventAccumulator(str(output)).Reload()
    scalars = [(event.step, event.value) for event in events.Scalars("eval/f1")]
    assert scalars == [(row["step"], pytest.approx(row["f1"])) for row in rows]


def test_the_best_of_all_is_kept_with_its_answers(undisturbed, folder):
    _, output = undisturbed
    rows = history(output)
    first_best = next(row for row in rows if row["f1"] == max(row["f1"] for row in rows))
    assert best(output) == first_best
    step = first_best["step"]
    names = {path.name for path in (output / "best").iterdir()}
    assert names == {
        *("checkpoint", f"model.ckpt-{step}.index", f"model.ckpt-{step}.data-00000-of-00001", "best.json"),
        *("predictions.json", "nbest_predictions.json", "eval_results.json", "run.json"),
    }
    shutil.copytree(output, folder / "again")
    predict = ["--do_predict", "--do_eval", "--predict_file=dev.json", "--use_best", "--output_dir=again"]
    done = run_program(*FILES, *predict, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"best/model.ckpt-{step}, step {step}" in done.stderr
    for name in ("predictions.json", "nbest_predictions.json", "eval_results.json"):
        assert (folder / "again" / name).read_bytes() == (output / "best" / name).read_bytes()


def test_weights_are_those_of_a_run_without(undisturbed, folder):
    _, output = undisturbed
    assert run_program(*TWELVE_STEPS, "--output_dir=without", cwd=folder).returncode == 0
    assert (folder / "without" / WEIGHTS).read_bytes() == (output / WEIGHTS).read_bytes()
    assert not (folder / "without/best").exists()


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGKILL, "eval_history.jsonl"),  # evaluated after step 5, saved after step 4
        pytest.param(signal.SIGTERM, "best", marks=pytest.mark.slow),
    ],
    ids=["kill", "term"],
)
def test_a_run_that_was_stopped_goes_on_to_the_same_end(number, moment, undisturbed, folder):
    _, expected = undisturbed
    output = folder / f"stopped-{number}"
    arguments = [*EVALUATED, f"--output_dir={output}"]
    process = start(folder, *arguments)
    assert wait_for(process, (output / moment).exists)
    process.send_signal(number)
    process.wait(timeout=300)
    assert process.returncode != 0
    done = run_program(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert history(output) == history(expected)
    assert content(output / "best") == content(expected / "best")
    assert (output / WEIGHTS).read_bytes() == (expected / WEIGHTS).read_bytes()
    assert not list(folder.rglob("*.previous"))


@pytest.mark.slow
def test_a_signal_in_an_evaluation_is_heeded_and_it_is_made_again(undisturbed, folder):
    _, expected = undisturbed
    data = json.loads((folder / "dev.json").read_text())
    (folder / "long.json").write_text(json.dumps({"data": data["data"] * 2000}))
    output, scratch = folder / "long", folder / "scratch"
    scratch.mkdir()
    arguments = [*EVALUATED, "--predict_file=long.json", "--eval_max_questions=0", "--output_dir=long"]
    process = start(folder, *arguments, env={"TMPDIR": str(scratch)})
    assert wait_for(process, lambda: any(scratch.glob("bert_squad.tmp-*/*.tmp-*")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert own_lines(folder)[-1].startswith("run_squad.py: Stopped by signal 15 after step 5 of 12")
    assert not (output / "eval_history.jsonl").exists()
    assert (output / "model.ckpt-5.index").exists()
    done = run_program(*EVALUATED, "--output_dir=long", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert history(output) == history(expected)


def test_training_ends_when_nothing_gets_better_and_stays_ended(folder):
    arguments = [*EVALUATED, "--learning_rate=0", "--eval_steps=2", "--output_dir=early"]
    done = run_program(*arguments, "--early_stopping_evals=2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Training ends after step 6: 2 evaluations in a row brought no better f1" in done.stderr
    assert [row["step"] for row in history(folder / "early")] == [2, 4, 6]
    assert best(folder / "early")["step"] == 2, "the earlier of equals"
    again = run_program(*arguments, "--early_stopping_evals=2", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "Skipping training, which --early_stopping_evals has ended" in again.stderr
    assert not list((folder / "early").glob("model.ckpt-12*"))
    further = run_program(*arguments, cwd=folder)
    assert further.returncode == 0, further.stderr
    assert [row["step"] for row in history(folder / "early")] == [2, 4, 6, 8, 10, 12]


def test_a_sample_is_the_same_each_time(folder):
    arguments = [*EVALUATED, "--eval_max_questions=4", "--output_dir=sample"]
    assert run_program(*arguments, cwd=folder).returncode == 0
    asked = json.loads((folder / "sample/best/predictions.json").read_text())
    everything = [
        qa["id"]
        for article in json.loads((folder / "dev.json").read_text())["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    assert list(asked) == [everything[number] for number in (0, 5, 10, 15)]
    more = run_program(*arguments, "--eval_max_questions=5", "--num_train_epochs=3", cwd=folder)
    assert more.returncode == 1
    assert "was chosen by other questions" in more.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--eval_steps=5", *TRAIN], "add --do_train, and --predict_file with answers"),
        (["--eval_steps=5", *TRAIN, "--predict_file=blind.json"], "--eval_steps scores the answers"),
        ([*TRAIN, "--early_stopping_evals=2"], "add --eval_steps"),
        (["--use_best", *TRAIN], "add --do_predict or --do_export"),
        (["--use_best", "--do_predict", "--predict_file=dev.json"], "There is no best checkpoint in nothing"),
        ([*TRAIN, "--best_metric=best_f1"], "version 1.1 has not"),
        ([*TRAIN, "--best_metric=loss"], "--best_metric must be one of f1, exact, best_f1"),
    ],
)
def test_what_cannot_be_is_one_sentence(flags, sentence, folder):
    data = json.loads((folder / "dev.json").read_text())
    data["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    (folder / "blind.json").write_text(json.dumps(data))
    done = run_program(*FILES, *flags, "--output_dir=nothing", cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("nothing/model.ckpt*"))


@pytest.mark.parametrize("what", ["best", "eval_history.jsonl"])
def test_what_another_training_left_is_not_mixed_with(what, undisturbed, folder):
    _, output = undisturbed
    place = folder / f"other-{what}"
    place.mkdir()
    copy = shutil.copytree if (output / what).is_dir() else shutil.copy
    copy(output / what, place / what)
    done = run_program(*EVALUATED, f"--output_dir={place}", cwd=folder)
    assert done.returncode == 1
    assert "is of another training, since there is no checkpoint" in done.stderr
    assert {path.name for path in place.iterdir()} >= {what}
    assert not list(place.glob("model.ckpt*"))


def test_a_folder_of_that_name_is_no_concern_of_a_run_without_scores(folder):
    (folder / "own/best").mkdir(parents=True)
    (folder / "own/best/notes.txt").write_text("mine")
    assert run_program(*TWELVE_STEPS, "--output_dir=own", cwd=folder).returncode == 0
    done = run_program(*EVALUATED, "--output_dir=own", "--num_train_epochs=3", cwd=folder)
    assert done.returncode == 1
    assert "holds no best checkpoint of this program" in done.stderr
    assert (folder / "own/best/notes.txt").read_text() == "mine"


def test_what_somebody_keeps_in_the_best_directory_stays(undisturbed, folder):
    _, output = undisturbed
    place = folder / "kept"
    shutil.copytree(output, place)
    record = json.loads((place / "best/best.json").read_text())
    record["scores"]["f1"] = -1.0  # so that the next one is better
    (place / "best/best.json").write_text(json.dumps(record))
    (place / "best/export").mkdir()
    (place / "best/export/notes.txt").write_text("mine")
    done = run_program(*EVALUATED, "--output_dir=kept", "--num_train_epochs=3", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (place / "best/export/notes.txt").read_text() == "mine"
    assert best(place)["f1"] >= 0
    assert len(list((place / "best").glob("*.index"))) == 1, "the older checkpoint is gone"


def test_a_best_that_was_being_replaced_is_found_again(undisturbed, folder):
    _, output = undisturbed
    place = folder / "replaced"
    shutil.copytree(output, place)
    (place / "best").rename(place / "best.previous")
    predict = ["--do_predict", "--predict_file=dev.json", "--use_best", f"--output_dir={place}"]
    done = run_program(*FILES, *predict, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert content(place / "best").keys() == content(output / "best").keys()
