"""Curves for TensorBoard, read with its own reader."""

import signal
import socket
import time
from pathlib import Path

import pytest
import tensorflow as tf
from faults.runs import TRAIN, make_folder, own_lines, said, start, wait_for
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bert_squad.training.loop import StepValues
from bert_squad.training.summaries import TrainingSummaries

TWELVE_STEPS = [*TRAIN, "--num_train_epochs=2", "--output_dir=output"]  # of 24 questions, 4 a step
RATES = {"global_step/sec", "examples/sec"}


def curves(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows: (step, value) by tag."""
    events = EventAccumulator(str(directory))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def steps_of(points: list[tuple[int, float]]) -> list[int]:
    return [step for step, _ in points]


def step_values(step: int, seconds: float) -> StepValues:
    return StepValues(step, tf.constant(step / 2), tf.constant(0.1), tf.constant(3.0), seconds)


def write(directory: Path, first_step: int, last_step: int, summary_steps: int) -> None:
    with TrainingSummaries(
        str(directory), first_step, batch_size=8, summary_steps=summary_steps
    ) as summaries:
        for step in range(first_step + 1, last_step + 1):
            summaries.update(step_values(step, seconds=0.5 * (step - first_step)))


def test_steps_count_from_the_first_of_the_session(tmp_path):
    write(tmp_path, 100, 320, summary_steps=100)
    found = curves(tmp_path)
    assert found["loss"] == [(101, 50.5), (201, 100.5), (301, 150.5)]
    assert steps_of(found["learning_rate"]) == steps_of(found["global_norm"]) == [101, 201, 301]
    assert found["global_step/sec"] == [(201, 2.0), (301, 2.0)], "there is no rate of one step"
    assert found["examples/sec"] == [(201, 16.0), (301, 16.0)]


def test_the_file_is_named_as_ever(tmp_path):
    write(tmp_path, 0, 1, summary_steps=1)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    assert socket.gethostname() in path.name


@pytest.mark.parametrize("behind", [-5, 0, 3600], ids=["later", "the same second", "a clock that is behind"])
def test_a_session_that_goes_on_takes_the_place_of_what_was_lost(tmp_path, monkeypatch, behind):
    monkeypatch.setattr("os.getpid", lambda: 7)
    write(tmp_path, 0, 9, summary_steps=2)
    monkeypatch.setattr("os.getpid", lambda: 12)  # another process, whose name comes before, as 1 before 7
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - behind)
    write(tmp_path, 4, 8, summary_steps=1)
    assert steps_of(curves(tmp_path)["loss"]) == [1, 3, 5, 6, 7, 8]


def test_scores_are_there_beside(tmp_path):
    with TrainingSummaries(str(tmp_path), 0, batch_size=8, summary_steps=1) as summaries:
        summaries.add_scalars(3, {"eval/f1": 81.5})
    assert curves(tmp_path)["eval/f1"] == [(3, 81.5)]


def test_a_directory_that_cannot_be_written_ends_no_training(tmp_path, caplog):
    write(tmp_path / "missing", 0, 3, summary_steps=1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "so the curves for TensorBoard end here; training goes on" in warning


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("curves"))


def finish(process) -> int:
    return process.wait(timeout=300)


def test_a_killed_run_that_goes_on_has_each_step_once(folder):
    arguments = [*TWELVE_STEPS, "--summary_steps=1", "--save_checkpoints_steps=5"]
    killed = start(folder, *arguments)
    assert wait_for(killed, lambda: (folder / "output/model.ckpt-5.index").exists())
    killed.send_signal(signal.SIGKILL)
    finish(killed)
    assert finish(start(folder, *arguments)) == 0, said(folder)
    found = curves(folder / "output")
    for tag in ("loss", "learning_rate", "global_norm"):
        assert steps_of(found[tag]) == list(range(1, 13)), tag
    assert set(found) == {"loss", "learning_rate", "global_norm", *RATES}
    assert own_lines(folder) == []
    assert len(list((folder / "output").glob("events.out.tfevents.*"))) == 2


@pytest.mark.slow
def test_without_curves_there_is_no_file_and_weights_are_the_same(folder):
    assert finish(start(folder, *TWELVE_STEPS, "--summary_steps=0", "--output_dir=without")) == 0, said(
        folder
    )
    assert not list((folder / "without").glob("events*"))
    assert finish(start(folder, *TWELVE_STEPS, "--output_dir=default")) == 0, said(folder)
    assert steps_of(curves(folder / "default")["loss"]) == [1]
    name = "model.ckpt-12.data-00000-of-00001"
    assert (folder / "without" / name).read_bytes() == (folder / "default" / name).read_bytes()
