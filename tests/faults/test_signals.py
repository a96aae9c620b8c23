"""A signal at any stage: one line, 128 + its number, nothing left; a second one ends the program at once."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from faults.runs import (
    EXIT_CODES,
    PREDICT,
    TRAIN,
    copy_trained,
    has_temporary,
    make_folder,
    own_lines,
    said,
    start,
    temporaries,
    wait_for,
)

TRAINING = [*TRAIN, "--num_train_epochs=400", "--save_checkpoints_steps=7", "--output_dir=output"]
USING = [*PREDICT, "--do_eval", "--do_export", "--output_dir=output"]


@pytest.fixture(autouse=True)
def terminal_can_end():
    """Programs that the tests start heed SIGHUP, also when the tests themselves run under `nohup`."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


def maps_tensorflow():
    """Say whether the program, a child of this process, has begun to load TensorFlow."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(OSError):
            is_program = "run_squad.py" in Path(f"/proc/{child}/cmdline").read_text()
            if is_program and "tensorflow" in Path(f"/proc/{child}/maps").read_text():
                return True
    return False


def logged(text):
    return lambda folder: re.search(text, said(folder)) is not None


# Stage → the command, and what shows that the stage has begun.
STAGES = {
    "imports": (USING, lambda folder: (folder / "stderr.txt").exists() and maps_tensorflow()),
    "model": (USING, logged("Running on")),
    "records for training": (TRAINING, lambda folder: has_temporary(folder / "output", "train.tf_record")),
    "first step": (TRAINING, logged("Running training")),
    "step": (TRAINING, logged(r"\] step \d+ of")),
    "save": (TRAINING, lambda folder: has_temporary(folder / "output", "model.ckpt-7")),
    "weights": (USING, logged("Predicting with")),
    "records for prediction": (USING, lambda folder: has_temporary(folder / "output", "eval.tf_record")),
    "prediction": (USING, logged("Writing predictions")),
    "evaluation": (USING, logged("Writing metrics")),
    "export begins": (USING, lambda folder: has_temporary(folder / "output" / "export", "temp-")),
    "export": (
        USING,
        lambda folder: any((folder / "output" / "export").glob("temp-*/variables/variables.index")),
    ),
}
FAST = [
    ("imports", signal.SIGTERM),
    ("model", signal.SIGTERM),
    ("prediction", signal.SIGINT),
    ("export begins", signal.SIGTERM),
]


def check_stage(folder, stage, number):
    arguments, has_begun = STAGES[stage]
    if arguments is USING:
        copy_trained(folder / "output")
    process = start(folder, *arguments, restore_signals=True)
    assert wait_for(process, lambda: has_begun(folder)), said(folder)
    process.send_signal(number)
    process.wait(timeout=120)
    assert process.returncode == EXIT_CODES[number], said(folder)
    lines = own_lines(folder)
    assert len(lines) == 1, said(folder)
    assert re.match(r"run_squad\.py: ([Ss]topped by signal|stopped while)", lines[0]), lines
    assert "Traceback" not in said(folder)
    assert temporaries(folder) == []


@pytest.mark.parametrize(("stage", "number"), FAST, ids=lambda value: str(value))
def test_a_signal_at_some_stages(tmp_path, stage, number):
    check_stage(make_folder(tmp_path), stage, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_at_every_stage(tmp_path, stage, number):
    check_stage(make_folder(tmp_path), stage, number)


WORKER = """
import os, sys, time, threading
from bert_squad import locks, whole_files
from bert_squad.interruption import end_process, heed_signals_again, noticed_signals, raised_afterwards
from bert_squad.interruption import stopping_on_signals

def say(text):
    print(text, file=sys.stderr, flush=True)

with stopping_on_signals(say):
    whole_files.create_temporary(sys.argv[1] + "/half")
    {body}
"""
BUSY = "print('ready', flush=True)\n{indent}time.sleep(60)"


def run_worker(tmp_path, body, *numbers):
    """Send signals, one 0.3 seconds after the other, to a process that does what `body` says."""
    process = subprocess.Popen(
        [os.sys.executable, "-c", WORKER.format(body=body), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)  # it says so just before it is
    for number in numbers:
        process.send_signal(number)
        try:
            process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            continue
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr, os.listdir(tmp_path)


def test_a_second_signal_ends_a_save_at_once(tmp_path):
    body = "with noticed_signals():\n        print('ready', flush=True); time.sleep(60); time.sleep(60)"
    code, stderr, left = run_worker(tmp_path, body, signal.SIGINT, signal.SIGINT)
    assert (code, left) == (130, [])
    assert stderr.startswith("stopped at once by a second signal while starting (signal 2)")


def test_the_same_request_twice_is_one(tmp_path):
    """`timeout` signals the process and then its group: that is no second wish."""
    body = (
        "with noticed_signals() as stop:\n        print('ready', flush=True)\n"
        "        while not stop.signal_number: time.sleep(0.01)\n"
        "        os.kill(os.getpid(), 15); time.sleep(1)\n        os._exit(7)"
    )
    code, _, _ = run_worker(tmp_path, body, signal.SIGTERM)
    assert code == 7


def test_what_swallows_the_exception_does_not_go_on(tmp_path):
    """A destructor or a callback of a library may swallow what the handler raises."""
    body = (
        "print('ready', flush=True)\n    while True:\n        try: time.sleep(60)\n"
        "        except BaseException: pass"
    )
    code, stderr, left = run_worker(tmp_path, body, signal.SIGTERM)
    assert (code, left) == (143, [])
    assert stderr == "stopped while starting (signal 15); nothing half-written is left.\n"


@pytest.mark.parametrize(
    "disk", ["", "locks.fcntl = types.SimpleNamespace(LOCK_EX=0, LOCK_NB=0, flock=refuse)"]
)
def test_who_is_ended_leaves_no_lock(tmp_path, disk):
    """On a disk without locks, or in Cloud Storage, the next run would be told that this one still goes on."""
    body = (
        "def refuse(*_): raise OSError\n    import types\n"
        f"    {disk}\n    with locks.exclusive(sys.argv[1] + '/lock', 'testing'):\n"
        "        print('ready', flush=True)\n        while True:\n            try: time.sleep(60)\n"
        "            except BaseException: pass"
    )
    code, _, left = run_worker(tmp_path, body, signal.SIGTERM)
    assert (code, left) == (143, [])


def test_a_signal_after_the_last_look_is_not_lost(tmp_path):
    body = (
        "try:\n        with noticed_signals():\n            print('ready', flush=True); time.sleep(0.5)\n"
        "    except KeyboardInterrupt as stop: os._exit(stop.signal_number)"
    )
    code, _, _ = run_worker(tmp_path, body, signal.SIGTERM)
    assert code == 15


def test_a_signal_is_raised_after_what_would_garble_it(tmp_path):
    body = (
        "try:\n        with raised_afterwards():\n            print('ready', flush=True); time.sleep(0.5)\n"
        "            say('whole')\n    except KeyboardInterrupt as stop: os._exit(stop.signal_number)"
    )
    assert run_worker(tmp_path, body, signal.SIGTERM)[:2] == (15, "whole\n")


def test_who_takes_too_long_before_a_signal_is_raised_is_ended(tmp_path):
    body = "with raised_afterwards():\n        print('ready', flush=True); time.sleep(60); time.sleep(60)"
    code, stderr, left = run_worker(tmp_path, body, signal.SIGTERM)
    assert (code, left) == (143, [])
    assert stderr == "stopped while starting (signal 15); nothing half-written is left.\n"


def test_an_error_that_a_library_made_of_a_signal_is_that_signal():
    """TensorFlow's C++ comes back from Python with a TypeError, or a SystemError."""
    code = (
        "import os\nfrom bert_squad.cli import main\ndef run(*_):\n    try: os.kill(os.getpid(), 15)\n"
        "    except KeyboardInterrupt: raise TypeError from None\nmain._run_squad = run\nmain.console()"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 143, done.stderr
    assert re.fullmatch(
        r"-c: stopped by signal 15 while starting; nothing half-written is left\. .*\n", done.stderr
    )


OVERRULE = "import ctypes; ctypes.CDLL(None).signal(15, 1)  # ignored, without Python's knowledge\n    "


@pytest.mark.parametrize(("heed", "code"), [("heed_signals_again()", 15), ("pass", 7)])
def test_signals_are_heeded_again_after_a_library_has_taken_one_over(tmp_path, heed, code):
    body = (
        f"{OVERRULE}{heed}\n    try: print('ready', flush=True); time.sleep(1.5)\n"
        "    except KeyboardInterrupt as stop: os._exit(stop.signal_number)\n    os._exit(7)"
    )
    assert run_worker(tmp_path, body, signal.SIGTERM)[0] == code


def test_signals_that_are_heeded_again_are_still_noticed_only(tmp_path):
    body = (
        f"{OVERRULE}with noticed_signals() as stop:\n        heed_signals_again(); print('ready', flush=True)\n"
        "        while not stop.signal_number: time.sleep(0.01)\n        os._exit(stop.signal_number)"
    )
    assert run_worker(tmp_path, body, signal.SIGTERM)[0] == 15


def test_outside_of_a_program_no_signal_is_taken_over():
    from bert_squad.interruption import heed_signals_again

    before = signal.getsignal(signal.SIGTERM)
    heed_signals_again()
    assert signal.getsignal(signal.SIGTERM) is before


def test_any_thread_ends_the_process_with_one_line(tmp_path):
    """Two of them at once, while the main thread is busy."""
    body = (
        "threads = [threading.Thread(target=end_process, args=('Nobody is there.',)) for _ in range(2)]\n"
        "    print('ready', flush=True)\n    for thread in threads: thread.start()\n    time.sleep(60)"
    )
    assert run_worker(tmp_path, body) == (1, "error: Nobody is there.\n", [])


def test_outside_of_a_program_the_line_goes_to_standard_error(tmp_path):
    (tmp_path / "name.py").write_text(
        "from bert_squad.interruption import end_process\nend_process('Nobody is there.', 3)"
    )
    done = subprocess.run(
        [os.sys.executable, str(tmp_path / "name.py")],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "name.py: error: Nobody is there.\n")


def test_without_its_terminal_a_program_stops_like_that_too(tmp_path):
    code, stderr, _ = run_worker(
        tmp_path, "print('ready', flush=True); time.sleep(60); time.sleep(60)", signal.SIGHUP
    )
    assert code == 1, stderr  # the worker has no `main` around it that turns the exception into 129
    assert "StopSignal: stopped by signal 1" in stderr


def test_under_nohup_the_end_of_the_terminal_is_no_reason_to_stop(tmp_path):
    body = "print('ready', flush=True)\n    time.sleep(1)\n    whole_files.discard_all()\n    os._exit(7)"
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does; a child inherits it
    code, _, _ = run_worker(tmp_path, body, signal.SIGHUP)
    assert code == 7


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_a_signal_while_modules_are_imported(tmp_path, number):
    """Most of them are imported before the flags are read."""
    process = start(make_folder(tmp_path), *USING, restore_signals=True)
    loaded = "_multiarray_umath"  # of NumPy: early, and in the middle of a library
    maps = Path(f"/proc/{process.pid}/maps")
    assert wait_for(process, lambda: loaded in maps.read_text()), said(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=60) == EXIT_CODES[number], said(tmp_path)
    assert len(said(tmp_path).splitlines()) == 1
    assert re.match(r"run_squad\.py: stopped (by signal \d+ )?while starting", own_lines(tmp_path)[0])


def test_a_signal_when_all_is_done_changes_nothing(tmp_path):
    code = (
        "import os, signal, sys\nfrom bert_squad.cli import main\n"
        "main.streams.finish = lambda: [os.kill(os.getpid(), n) for n in (1, 2, 15)]\nmain.console()"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", code, "--help"],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
