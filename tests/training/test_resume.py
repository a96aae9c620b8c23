"""A run that is killed, whenever and however, goes on to the same weights, bit for bit, when it is run again."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from golden_files import golden, read_json
from program import ROOT, environment, run_program

NUM_STEPS = 240
FINAL = f"model.ckpt-{NUM_STEPS}"


def command(output: str) -> list[str]:
    """A run with dropout and shuffling, whose time goes half into saving."""
    return [
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        f"--output_dir={output}",
        "--do_train",
        "--train_file=train.json",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        "--train_batch_size=4",
        "--num_train_epochs=40",
        "--learning_rate=1e-3",
        "--save_checkpoints_steps=10",
        "--keep_checkpoint_max=2",
        "--seed=3",
    ]


def start(folder, output, **options):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_squad.py"), *command(output)],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    source = golden("model/legacy_run/v1")
    for name in ("vocab.txt", "train.json"):
        shutil.copy(source / name, folder / name)
    config = {
        **read_json(source / "bert_config.json"),
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }
    (folder / "bert_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(folder):
    """The bytes of weights, slots and step after a run that nothing disturbed."""
    done = run_program(*command("whole"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return final_bytes(folder / "whole")


def final_bytes(output) -> bytes:
    return (output / f"{FINAL}.data-00000-of-00001").read_bytes()


def kill_once(folder, output, generator) -> bool:
    """Start or continue the run and kill it at a random moment of training, or in the middle of a save.

    Returns:
      Whether it was killed before it was done.
    """
    process = start(folder, output)
    during_save = generator.random() < 0.5
    try:
        # Training begins with the first line about a step; the kill falls into the seconds after it.
        for line in process.stderr:
            if re.search(r"\] step \d+ of ", line):
                break
        deadline = time.monotonic() + generator.uniform(0.0, 1.5)
        while process.poll() is None and time.monotonic() < deadline:
            if during_save and any(".tmp-" in name for name in os.listdir(folder / output)):
                break
            time.sleep(0.001)
        killed = process.poll() is None
        process.kill()
    finally:
        process.stderr.close()
        process.wait()
    return killed


def check_kills(folder, uninterrupted, kills, seed):
    generator = random.Random(seed)
    output = f"killed-{seed}"
    killed = 0
    while killed < kills:
        if not kill_once(folder, output, generator):
            shutil.rmtree(folder / output)  # it was quicker than the killer: begin anew
            continue
        killed += 1
        if (folder / output / f"{FINAL}.index").exists():
            break
    done = run_program(*command(output), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert final_bytes(folder / output) == uninterrupted
    assert not [name for name in os.listdir(folder / output) if ".tmp-" in name]


def test_three_kills(folder, uninterrupted):
    check_kills(folder, uninterrupted, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 17))
def test_twenty_one_kills(folder, uninterrupted, seed):
    check_kills(folder, uninterrupted, kills=3, seed=seed)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_polite_signal_saves_and_exits_with_the_conventional_code(folder, uninterrupted, number, code):
    output = f"signal-{code}"
    process = start(folder, output)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if re.search(r"\] step \d+ of ", line):
            process.send_signal(number)
            break
    rest, _ = process.stderr.read(), process.stderr.close()
    assert process.wait() == code, rest
    stopped = re.search(r"Stopped by signal \d+ after step (\d+) of 240; saved as (\S+)\. Run the same", rest)
    assert stopped, rest
    assert (folder / f"{stopped.group(2)}.index").exists()
    done = run_program(*command(output), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"Continuing from {stopped.group(2)}, step {stopped.group(1)}." in done.stderr
    assert final_bytes(folder / output) == uninterrupted
