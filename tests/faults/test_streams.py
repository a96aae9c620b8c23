"""Standard output and error are not files of ours: closed, full or of another encoding, they cost no work."""

import os
import subprocess
import sys

import pytest
from faults.runs import FILES, PREDICT, copy_trained, make_folder, own_lines, said, start
from program import ROOT, environment

from bert_squad.cli import streams

EVALUATE = [*PREDICT, "--do_eval", "--output_dir=output"]


@pytest.fixture
def folder(tmp_path):
    copy_trained(make_folder(tmp_path) / "output")
    return tmp_path


def test_a_full_standard_output_costs_nothing(folder):
    with open("/dev/full", "w") as full:
        process = start(folder, *EVALUATE, stdout=full)
        assert process.wait(timeout=240) == 0, said(folder)
    assert "Cannot print the metrics (No space left on device); they are in the file." in said(folder)
    assert (folder / "output" / "eval_results.json").exists()


def test_a_daemon_without_streams_works(folder):
    """All three are closed: what is opened next would get their numbers."""
    command = [sys.executable, str(ROOT / "run_squad.py"), *FILES, *EVALUATE]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *command], cwd=folder, env=environment(), check=False
    )
    assert done.returncode == 0
    assert (folder / "output" / "eval_results.json").exists()


def test_any_text_can_be_shown():
    code = "from bert_squad.cli import streams; streams.make_usable(); streams.print_line('Zoë \\ud800 東京')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"Zo\\xeb \\ud800 \\u6771\\u4eac\n")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_object_is_replaced(monkeypatch, closed):
    monkeypatch.setattr(sys, closed, None)
    streams.make_usable()
    assert getattr(sys, closed).write("to nowhere")
    getattr(sys, closed).close()
    monkeypatch.undo()


def test_the_help_of_a_reader_that_is_gone():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_squad.py"), "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_path_or_flags_file_that_is_no_utf8_is_one_sentence(folder):
    odd = os.fsdecode(b"dev\xe9.json")
    process = start(folder, f"--predict_file={odd}", "--do_predict", "--output_dir=output")
    assert process.wait(timeout=60) == 1
    assert own_lines(folder) == [
        "run_squad.py: error: --predict_file: 'dev\\udce9.json' holds bytes that are not UTF-8; rename the file, or "
        "name it by a link."
    ]
    (folder / "flags").write_bytes(b"--seed=1\n--output_dir=\xe9\n")
    process = start(folder, "--flagfile=flags")
    assert process.wait(timeout=60) == 1
    assert len(own_lines(folder)) == 1
    assert "The file that --flagfile names cannot be read" in own_lines(folder)[0]
