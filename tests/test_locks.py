"""One run at a time writes to a place; a killed one holds it no longer."""

import errno
import json
import os
import socket
import subprocess
import sys

import pytest
from program import environment

from bert_squad import locks
from bert_squad.errors import DirectoryInUseError, OutputError

HOLDER = (
    "import sys; from bert_squad import locks\n"
    "with locks.exclusive(sys.argv[1], 'training'):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_is_refused_with_the_owner_and_the_time(tmp_path):
    path = tmp_path / "lock"
    process = holder(path)
    pattern = (
        rf"Another run is training in {tmp_path}: process {process.pid} of \S+ on {socket.gethostname()}, since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    )
    with pytest.raises(DirectoryInUseError, match=pattern), locks.exclusive(str(path), "training"):
        pass
    process.communicate()
    assert process.returncode == 0
    assert os.listdir(tmp_path) == []
    with locks.exclusive(str(path), "training"):
        assert os.listdir(tmp_path) == ["lock"]


def test_a_killed_owner_holds_nothing(tmp_path):
    process = holder(tmp_path / "lock")
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path) == ["lock"]
    with locks.exclusive(str(tmp_path / "lock"), "training"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_fork_leaves_the_lock_of_its_parent(tmp_path):
    program = (
        "import os, sys; from bert_squad import locks\n"
        "with locks.exclusive(sys.argv[1], 'training'):\n"
        "    child = os.fork()\n"
        "    if child == 0: locks.release_all(); os._exit(0)\n"
        "    os.waitpid(child, 0); print(os.path.exists(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert os.listdir(tmp_path) == []


def test_one_that_waits_gets_it_in_the_end(tmp_path):
    process = holder(tmp_path / "lock")
    waiter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER.replace("'training'", "'predicting', waits=True"),
            str(tmp_path / "lock"),
        ],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(timeout=2)
    process.communicate()
    assert waiter.stdout.readline() == b"held\n"
    waiter.communicate()


def test_where_the_file_is_the_lock(tmp_path):
    """`file://` goes through TensorFlow, as every remote file system does."""
    url = f"file://{tmp_path}/lock"
    with locks.exclusive(url, "training"):
        owner = json.loads((tmp_path / "lock").read_text())
        assert (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())
        with pytest.raises(DirectoryInUseError, match=r"if that run is no more, delete file://.*lock\."):
            locks.exclusive(url, "training").__enter__()
    assert os.listdir(tmp_path) == []
    # Left by a run on another machine: nobody can tell whether it lives. Left by one on this machine: it is gone.
    for host, pid, is_free in (("elsewhere", 1, False), (socket.gethostname(), 2**22 + 1, True)):
        (tmp_path / "lock").write_text(json.dumps({"host": host, "pid": pid, "user": "u", "since": "then"}))
        if is_free:
            with locks.exclusive(url, "training"):
                pass
        else:
            with pytest.raises(DirectoryInUseError, match=r"process 1 of u on elsewhere, since then"):
                locks.exclusive(url, "training").__enter__()


def test_on_a_disk_without_locks_too_one_holds_it_and_the_second_is_refused(tmp_path, monkeypatch):
    """As on some network disks."""

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    path = str(tmp_path / "lock")
    with locks.exclusive(path, "training"):
        pattern = rf"Another run is training in {tmp_path}: process {os.getpid()} of "
        with pytest.raises(DirectoryInUseError, match=pattern), locks.exclusive(path, "training"):
            pass
        assert os.listdir(tmp_path) == ["lock"]
    assert os.listdir(tmp_path) == []


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OSError, match=r"Cannot write the lock"):
        locks.exclusive(str(tmp_path / "lock"), "training").__enter__()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_full_disk_does_not_hold_the_lock(tmp_path, monkeypatch):
    """A notebook goes on, makes room, and runs the cell again."""

    def full(*_):
        raise OSError(28, "No space left on device")

    path = str(tmp_path / "lock")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left on device"), locks.exclusive(path, "training"):
        pass
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []
    with locks.exclusive(path, "training"):
        assert os.listdir(tmp_path) == ["lock"]


def test_a_pipe_in_the_place_of_the_lock_is_said_each_time(tmp_path):
    for _ in range(2):
        os.mkfifo(tmp_path / "lock")
        with (
            pytest.raises(OutputError, match="Cannot write the lock"),
            locks.exclusive(str(tmp_path / "lock"), "x"),
        ):
            pass
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("pid", ['"7"', "null", "[]", "1" + "0" * 40, "9" * 5000])
def test_a_lock_object_of_any_content_is_a_sentence(pid):
    """Where the file is the lock, a person may have written to it."""
    import tensorflow as tf

    path = "ram://odd_locks/lock"
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
    with tf.io.gfile.GFile(path, "w") as writer:
        writer.write(f'{{"host": "{socket.gethostname()}", "pid": {pid}}}')
    if pid == "1" + "0" * 40:  # no process has such a number: its owner is gone
        with locks.exclusive(path, "training"):
            return
    with (
        pytest.raises(DirectoryInUseError, match="it has not said yet which"),
        locks.exclusive(path, "training"),
    ):
        pass
