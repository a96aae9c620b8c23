"""Workers of a cluster, real processes: whatever is done to one of them, none hangs, and nothing is lost."""

import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from devices.test_peers import free_addresses
from faults.runs import EXIT_CODES, PREDICT, has_temporary, own_lines, run, said, start
from faults.test_injected import shim  # noqa: F401  a fixture
from faults.workers import LAST, NAMES, SECONDS, TRAINING, Workers, complaints, config_of, has_saved, weights

from bert_squad.checkpoints.tf1 import Tf1Reader

ADVICE = "run the same command again on all workers to go on from the last checkpoint."
TIMEOUT = 20  # seconds; a process may take ten to start
PREDICTING = [*PREDICT, "--do_eval", "--output_dir=output"]


@pytest.fixture
def workers(tmp_path):
    started = Workers(tmp_path)
    yield started
    started.kill_all()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two workers that train without anything happening to them; tests must not change their folders."""
    started = Workers(tmp_path_factory.mktemp("undisturbed"))
    started.run(*TRAINING)
    return started


def logged(text):
    return lambda folder: re.search(text, said(folder)) is not None


def check_goes_on(workers, undisturbed):
    """Run the same command again: it goes on where it was, and ends as if nothing had happened."""
    workers.run(*TRAINING)
    assert "Continuing from output/model.ckpt-" in said(workers.folders[0])
    assert weights(workers.folders[0]) == weights(undisturbed.folders[0])


def check_nothing_half_written(folder):
    """Check what a worker that ended by itself has left in its folder."""
    assert not any(".tmp-" in path.name for path in folder.rglob("*"))
    state = folder / "output" / "checkpoint"
    if state.exists():
        named = re.findall('all_model_checkpoint_paths: "([^"]+)"', state.read_text())
        assert named
        for name in named:
            assert (state.parent / f"{name}.index").exists(), name


def disturb(workers, number, who):
    """Start to train and send a signal to one of the workers at step 10; return that one and the other."""
    started = workers.start_all(*TRAINING, f"--cluster_timeout={TIMEOUT}")
    started[0].wait_for(has_saved(10))
    started[who].send(number)
    return started[who], started[1 - who]


def check_loss(workers, number, who):
    """Let a worker die, or stand still, while it trains: the other says so and ends."""
    victim, survivor = disturb(workers, number, who)
    assert survivor.code(TIMEOUT + 10) == 1
    assert survivor.last_words().startswith(f"error: {victim.name} does not answer any more")
    assert survivor.last_words().endswith(ADVICE)
    check_nothing_half_written(survivor.folder)
    victim.kill()


def check_stop(workers, number, who):
    """Signal one worker while all train: they save and leave after the same step."""
    for worker in disturb(workers, number, who):
        assert worker.code() == EXIT_CODES[number], said(worker.folder)
        match = re.fullmatch(
            rf"Stopped by signal {number} after step (\d+) of 60; saved as output/model.ckpt-(\d+)\. Run the same "
            "command again to continue.",
            worker.last_words(),
        )
        assert match, said(worker.folder)
        assert has_saved(match[1])(workers.folders[0])
        assert match[1] == match[2]
    workers.check_nothing_left()


def test_a_worker_is_signalled_and_another_time_killed(workers):
    check_stop(workers, signal.SIGTERM, 1)
    started = workers.start_all(*TRAINING, f"--cluster_timeout={TIMEOUT}")
    started[0].wait_for(has_saved(30))
    assert "Continuing from output/model.ckpt-1" in said(started[0].folder)
    started[1].send(signal.SIGKILL)
    assert started[0].code(TIMEOUT + 10) == 1
    assert started[0].last_words() == (
        f"error: {started[1].name} does not answer any more, so this worker ends too; {ADVICE}"
    )
    check_nothing_half_written(started[0].folder)


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1], ids=["chief", "other"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=NAMES.get)
def test_a_worker_that_is_lost_in_training_is_named(workers, undisturbed, number, who):
    check_loss(workers, number, who)
    check_goes_on(workers, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "who"), [(signal.SIGTERM, 0), (signal.SIGTERM, 1), (signal.SIGINT, 0), (signal.SIGINT, 1)]
)
def test_a_signal_to_one_stops_all_after_the_same_step(workers, undisturbed, number, who):
    check_stop(workers, number, who)
    check_goes_on(workers, undisturbed)


@pytest.mark.slow
def test_a_worker_that_stands_still_for_a_while_is_waited_for(workers, undisturbed):
    """TensorFlow alone would take it for dead after 10 seconds."""
    started = workers.start_all(*TRAINING)
    started[0].wait_for(has_saved(10))
    started[1].send(signal.SIGSTOP)
    time.sleep(25)
    started[1].send(signal.SIGCONT)
    for worker in started:
        assert worker.code() == 0, said(worker.folder)
    workers.check_nothing_left()
    assert weights(workers.folders[0]) == weights(undisturbed.folders[0])


@pytest.mark.slow
def test_a_second_signal_ends_a_worker_at_once(workers):
    """The other stands still, so that nobody can agree with anybody."""
    victim, other = disturb(workers, signal.SIGSTOP, 1)
    other.send(signal.SIGTERM)
    time.sleep(2)
    assert not other.has_ended(), said(other.folder)
    other.send(signal.SIGTERM)
    assert other.code(5) == 143
    assert other.last_words().startswith("stopped at once by a second signal while training")
    victim.kill()


@pytest.mark.slow
def test_a_signal_in_the_last_steps_loses_nothing(workers):
    started = workers.start_all(*TRAINING, "--num_train_epochs=2", "--save_checkpoints_steps=11")
    started[0].wait_for(has_saved(11))
    started[1].send(signal.SIGTERM)
    codes = [worker.code() for worker in started]
    assert codes in ([0, 0], [143, 143], [0, 143]), [said(worker.folder) for worker in started]
    assert has_saved(12)(started[0].folder)


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1], ids=["chief", "other"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=NAMES.get)
def test_a_worker_that_is_lost_in_prediction_is_named(workers, undisturbed, number, who):
    shutil.copytree(undisturbed.folders[0] / "output", workers.folders[0] / "output")
    flags = [*PREDICTING, "--predict_batch_size=1", f"--cluster_timeout={TIMEOUT}"]
    started = workers.start_all(*flags)
    started[0].wait_for(lambda folder: has_temporary(folder / "output", "predictions.json"))
    started[who].send(number)
    victim, survivor = started[who], started[1 - who]
    code = survivor.code(TIMEOUT + 15)
    assert code == 1, said(survivor.folder)
    assert survivor.last_words().startswith(f"error: {victim.name} does not answer any more"), said(
        survivor.folder
    )
    check_nothing_half_written(survivor.folder)
    victim.kill()
    workers.run(*PREDICTING)
    assert (workers.folders[0] / "output" / "eval_results.json").exists()


@pytest.mark.parametrize(
    "who", [pytest.param(0, id="chief", marks=pytest.mark.slow), pytest.param(1, id="other")]
)
def test_a_worker_that_is_absent_is_named(workers, who):
    worker = workers.start(who, *TRAINING, "--cluster_timeout=4")
    assert worker.code(40) == 1
    assert worker.last_words() == (
        f"error: {workers.names[1 - who]} has not started within 4 s (--cluster_timeout); start the same command on "
        "all workers, each with its own TF_CONFIG."
    )
    workers.check_nothing_left()
    assert not (worker.folder / "output").exists()


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1], ids=["chief", "other"])
@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_a_signal_to_who_waits_for_an_absent_worker(workers, number, who):
    worker = workers.start(who, *TRAINING)
    worker.wait_for(logged("waiting for the others"))
    time.sleep(3)
    worker.send(number)
    assert worker.code(10) == EXIT_CODES[number], said(worker.folder)
    assert worker.last_words().startswith(("stopped by signal", "stopped while"))
    workers.check_nothing_left()
    assert not (worker.folder / "output").exists()


@pytest.mark.slow
@pytest.mark.parametrize("late", [0, 1], ids=["chief", "other"])
def test_a_worker_may_be_late(workers, undisturbed, late):
    first = workers.start(1 - late, *TRAINING)
    time.sleep(12)
    second = workers.start(late, *TRAINING)
    for worker in (first, second):
        assert worker.code() == 0, said(worker.folder)
    workers.check_nothing_left()
    assert weights(workers.folders[0]) == weights(undisturbed.folders[0])


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1], ids=["chief", "other"])
def test_a_worker_that_is_started_twice_disturbs_nobody(tmp_path, workers, undisturbed, who):
    started = workers.start_all(*TRAINING)
    started[0].wait_for(has_saved(0))
    twice = workers.start(who, *TRAINING, place=shutil.copytree(workers.folders[1], tmp_path / "again"))
    assert twice.code() == 1
    assert re.fullmatch(
        rf"error: {re.escape(workers.names[who])} cannot serve at its address \(.*\); is it running twice\?",
        twice.last_words(),
    )
    assert not (tmp_path / "again/output").exists()
    for worker in started:
        assert worker.code() == 0, said(worker.folder)
    assert weights(workers.folders[0]) == weights(undisturbed.folders[0])


def other_vocabulary(folder):
    path = folder / "vocab.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")


def other_data(name):
    def change(folder):
        path = folder / name
        path.write_text(path.read_text().replace('"title"', ' "title"', 1))

    return change


def nothing(folder):
    pass


DIFFERENCES = {
    "flag": (["--seed=3"], nothing, r"--seed \(12345 in the chief, 3 there\)"),
    "task": (
        ["--nodo_predict"],
        nothing,
        r"--do_predict \(True in the chief, False there\), .*the questions.*",
    ),
    "vocabulary": ([], other_vocabulary, r"the vocabulary \(sha256 .* there\)"),
    "training data": ([], other_data("train.json"), r"the training data \(sha256 .* there\)"),
    "questions": ([], other_data("dev.json"), r"the questions \(sha256 .* there\)"),
}


@pytest.mark.parametrize(
    "name", [name if name == "flag" else pytest.param(name, marks=pytest.mark.slow) for name in DIFFERENCES]
)
def test_workers_that_were_told_different_things_say_in_what(workers, name):
    arguments, change, wanted = DIFFERENCES[name]
    change(workers.folders[1])
    started = [
        workers.start(0, *TRAINING, *PREDICT),
        workers.start(1, *TRAINING, *PREDICT, *arguments),
    ]
    for worker in started:
        assert worker.code() == 1
        assert re.fullmatch(
            rf"error: The workers were not told the same as {re.escape(workers.names[0])}, the chief: "
            rf"{re.escape(workers.names[1])}: {wanted}\. Give all of them the same flags and files\.",
            worker.last_words(),
        )
        assert not (worker.folder / "output").exists()
    workers.check_nothing_left()


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1], ids=["chief", "other"])
def test_workers_that_believe_in_other_clusters_end(tmp_path, workers, who):
    """One waits for a third that nobody starts, and ends in time; so does the other, alone then."""
    addresses = [*workers.addresses, *free_addresses(1)]
    started = {
        who: workers.start(who, *TRAINING, "--cluster_timeout=10", addresses=addresses),
        1 - who: workers.start(1 - who, *TRAINING, "--cluster_timeout=10"),
    }
    for worker in started.values():
        assert worker.code(60) == 1
        assert not (worker.folder / "output").exists()
        assert len(own_lines(worker.folder)) == 1
    if who == 0:
        assert f"worker 2 ({addresses[2]}) has not started within 10 s" in started[0].last_words()
        assert "worker 0" in own_lines(started[1].folder)[0]
    else:
        assert "worker 1" in started[0].last_words()


def damage(folder):
    shutil.copytree(folder / "output", folder / "kept")
    for path in (folder / "output").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:-100])


CHIEFS_ERRORS = {
    "output": (["--output_dir=file/output"], lambda folder: (folder / "file").touch(), "file/output"),
    "init_checkpoint": (["--init_checkpoint=nowhere/model"], nothing, "nowhere/model"),
    "full disk": ([], nothing, "Cannot save the checkpoint output/model.ckpt-10"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHIEFS_ERRORS)
def test_an_error_of_the_chief_ends_the_others_too(workers, name, shim):  # noqa: F811
    arguments, change, named = CHIEFS_ERRORS[name]
    change(workers.folders[0])
    faults = {"LD_PRELOAD": shim, "FAULT": "rename:model.ckpt-10:28"} if name == "full disk" else {}
    started = [
        workers.start(0, *TRAINING, *arguments, **faults),
        workers.start(1, *TRAINING, *arguments),
    ]
    assert started[0].code() == 1
    assert started[0].last_words().startswith("error: ")
    assert named in started[0].last_words()
    assert started[1].code(30) == 1, said(started[1].folder)
    assert started[1].last_words().startswith(f"error: {started[0].name} ")


@pytest.mark.slow
def test_a_damaged_checkpoint_of_the_chief_ends_the_others_too(workers, undisturbed):
    folder = workers.folders[0]
    shutil.copytree(undisturbed.folders[0] / "output", folder / "output")
    damage(folder)
    started = workers.start_all(*TRAINING, "--num_train_epochs=11")
    assert started[0].code() == 1
    assert "model.ckpt-" in own_lines(started[0].folder)[0]
    assert started[1].code(30) == 1, said(started[1].folder)


@pytest.mark.slow
def test_without_the_flag_tf_config_is_ignored(tmp_path, workers):
    folder = workers.folders[0]
    process = start(
        folder, *TRAINING, "--num_train_epochs=0.2", env={"TF_CONFIG": config_of(workers.addresses, 1)}
    )
    assert process.wait(timeout=SECONDS) == 0
    assert said(folder).count("TF_CONFIG is set, and ignored") == 1
    assert has_saved(1)(folder)


@pytest.mark.slow
def test_what_a_killed_worker_left_is_deleted_by_the_next(workers, undisturbed):
    victim, _ = disturb(workers, signal.SIGKILL, 1)
    assert any(name.startswith("bert_squad.tmp-") for name in os.listdir(victim.folder / "tmp"))
    workers.run(*TRAINING)
    assert not any(name.startswith("bert_squad.tmp-") for name in os.listdir(victim.folder / "tmp"))


RESULTS = ["predictions.json", "nbest_predictions.json", "eval_results.json"]


@pytest.mark.slow
def test_results_are_those_of_one_device_and_the_chief_exports_alone(workers, undisturbed):
    shutil.copytree(undisturbed.folders[0] / "output", workers.folders[0] / "output")
    one = shutil.copytree(workers.folders[0], workers.folders[0].parent / "one")
    flags = [*PREDICTING, "--do_export"]
    assert run(one, *flags) == 0, said(one)
    workers.run(*flags, "--cluster_timeout=6")
    for folder in workers.folders:
        assert complaints(folder) == []
    for name in RESULTS:
        assert (workers.folders[0] / "output" / name).read_bytes() == (one / "output" / name).read_bytes(), (
            name
        )
    assert list((workers.folders[0] / "output/export").glob("*/saved_model.pb"))


@pytest.mark.slow
def test_training_that_is_done_already_is_skipped_by_all(workers, undisturbed):
    shutil.copytree(undisturbed.folders[0] / "output", workers.folders[0] / "output")
    workers.run(*TRAINING, *PREDICTING)
    assert said(workers.folders[0]).count("Skipping training") == 1
    assert (workers.folders[0] / "output/eval_results.json").exists()


def check_close(folder, other):
    """Compare the last checkpoints of two trainings, with the tolerances of the optimizer's tests."""
    first, second = (Tf1Reader(str(place / "output" / LAST)) for place in (folder, other))
    for name in first:
        tolerance = {"adam_m": 1e-6, "adam_v": 1e-8}.get(name.rsplit("/", 1)[-1], 2e-4)
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=tolerance, err_msg=name)


KINDS = {
    "one": [],
    "mirrored": ["--distribution_strategy=mirrored", "--num_logical_devices=2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_with_other_devices(workers, undisturbed, kind):
    """Two workers begin and another strategy goes on; and the other way round."""
    folder = workers.folders[0]
    for worker in disturb(workers, signal.SIGTERM, 1):
        assert worker.code() == 143
    process = start(folder, *TRAINING, *KINDS[kind])
    assert process.wait(timeout=SECONDS) == 0, said(folder)
    assert "Continuing from" in said(folder)
    check_close(folder, undisturbed.folders[0])
    shutil.rmtree(folder / "output")
    process = start(folder, *TRAINING, *KINDS[kind])
    while not has_saved(10)(folder):
        assert process.poll() is None, said(folder)
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=SECONDS) == 143, said(folder)
    workers.run(*TRAINING)
    assert "Continuing from" in said(folder)
    check_close(folder, undisturbed.folders[0])


@pytest.mark.slow
def test_scores_on_the_way_are_the_chiefs_and_a_signal_in_one_stops_all(workers):
    """Evaluations are predictions of all; a vote before each batch ends one that is asked to."""
    scored = [*TRAINING, "--predict_file=long.json", "--eval_steps=25"]
    for folder in workers.folders:
        data = json.loads((folder / "dev.json").read_text())
        (folder / "long.json").write_text(json.dumps({"data": data["data"] * 400}))
    chief, other = workers.start(0, *scored), workers.start(1, *scored)
    chief.wait_for(lambda folder: any((folder / "tmp").glob("bert_squad.tmp-*/*.tmp-*")))
    other.send(signal.SIGTERM)
    assert (chief.code(), other.code()) == (143, 143)
    for worker in (chief, other):
        assert "after step 25 of 60" in own_lines(worker.folder)[-1]
    assert not (chief.folder / "output/eval_history.jsonl").exists()
    scored = [*TRAINING, "--predict_file=dev.json", "--eval_steps=25"]
    chief, other = workers.start(0, *scored), workers.start(1, *scored)
    assert (chief.code(), other.code()) == (0, 0), said(chief.folder)
    rows = [
        json.loads(line) for line in (chief.folder / "output/eval_history.jsonl").read_text().splitlines()
    ]
    assert [row["step"] for row in rows] == [25, 50, 60]
    assert (chief.folder / "output/best/predictions.json").exists()
    assert not (other.folder / "output/best").exists()
