"""Runs of the tiny legacy model that faults are done to."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from golden_files import golden
from program import ROOT, environment, run_program

LENGTHS = ["--max_seq_length=64", "--doc_stride=24", "--max_query_length=16"]
FILES = ["--vocab_file=vocab.txt", "--bert_config_file=bert_config.json", *LENGTHS]
TRAIN = ["--do_train", "--train_file=train.json", "--train_batch_size=4", "--learning_rate=1e-3"]
PREDICT = ["--do_predict", "--predict_file=dev.json"]


def make_folder(place: Path) -> Path:
    """Copy the data, vocabulary and configuration of the legacy script's own run to a folder."""
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(golden(f"model/legacy_run/v1/{name}"), place / name)
    return place


def copy_trained(place: Path) -> None:
    """Put the legacy script's own checkpoints there, 24 steps."""
    place.mkdir()
    for path in golden("model/legacy_run/v1/output/checkpoint").parent.iterdir():
        if path.name.startswith(("checkpoint", "model.ckpt")):
            shutil.copy(path, place / path.name)


def start(folder: Path, *arguments: str, **options) -> subprocess.Popen:
    """Start the program; its standard error goes to `stderr.txt` in the folder."""
    with (folder / "stderr.txt").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_squad.py"), *FILES, *arguments],
            cwd=folder,
            env={**environment(), "TF_CPP_MIN_LOG_LEVEL": "3", **options.pop("env", {})},
            stdout=options.pop("stdout", subprocess.DEVNULL),
            stderr=stderr,
            **options,
        )


def run(folder: Path, *arguments: str) -> int:
    """Run the program to its end, quicker than `start` does, and return its exit code; `said` works as there."""
    done = run_program(*FILES, *arguments, cwd=folder)
    (folder / "stderr.txt").write_text(done.stderr)
    return done.returncode


def wait_for(process: subprocess.Popen, is_there, seconds: float = 240) -> bool:
    """Wait until something is there; return False when the process ended before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_there():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    process.kill()
    raise AssertionError("it never came")


def said(folder: Path) -> str:
    """Return what the program has written to standard error."""
    return (folder / "stderr.txt").read_text(errors="replace")


def own_lines(folder: Path) -> list[str]:
    """Return the lines that are the program's last words, no log."""
    return [line for line in said(folder).splitlines() if line.startswith("run_squad.py: ")]


def temporaries(folder: Path) -> list[str]:
    """Return what is left under temporary names, and of locks, anywhere below."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if re.search(r"\.tmp-\d+-|\.lock$", path.name)
    ]


def has_temporary(folder: Path, start: str) -> bool:
    """Say whether something that begins like this is being written."""
    try:
        return any(start in name and ".tmp-" in name for name in os.listdir(folder))
    except FileNotFoundError:
        return False


EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
