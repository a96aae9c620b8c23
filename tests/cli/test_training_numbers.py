"""What reaches training from the command line: the schedule, the seed, parts of a batch."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from faults.runs import FILES, TRAIN
from golden_files import golden, read_json
from program import ROOT, environment, run_program

NUM_STEPS = 120


def command(output: str, *flags: str) -> list[str]:
    return [*FILES, *TRAIN, f"--output_dir={output}", *flags]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The legacy script's first run: 24 questions, with dropout."""
    folder = tmp_path_factory.mktemp("training")
    for name in ("vocab.txt", "train.json", "bert_config.json"):
        shutil.copy(golden("model/legacy_run/v1") / name, folder / name)
    return folder


def run(folder, output, *flags):
    done = run_program(*command(output, *flags), cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def weights_file(output, step):
    return output / f"model.ckpt-{step}.data-00000-of-00001"


def test_the_schedule_and_the_seed_of_the_shuffle(folder):
    """From given weights and without dropout a seed decides the order of the questions and nothing else."""
    config = read_json(folder / "bert_config.json")
    without = {**config, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "without.json").write_text(json.dumps(without))
    begin = golden("model/legacy_run/v1/output/model.ckpt-0.index").with_suffix("")
    flags = [f"--init_checkpoint={begin}", "--bert_config_file=without.json", "--num_train_epochs=0.5"]
    for seed in (1, 2):
        # Of three steps, 0.9 are two of warm-up: the third has a third of the peak, and with one more two thirds.
        done = run(folder, f"seed-{seed}", *flags, f"--seed={seed}", "--warmup_proportion=0.9")
        assert re.search(r"step 3 of 3: loss \S+, learning rate 0\.000333,", done.stderr), done.stderr
    assert weights_file(folder / "seed-1", 3).read_bytes() != weights_file(folder / "seed-2", 3).read_bytes()


PARTS = ["--gradient_accumulation_steps=2", "--num_train_epochs=20", "--save_checkpoints_steps=50"]


@pytest.fixture(scope="module")
def in_parts(folder):
    """A run in parts that nothing disturbed: where it lies, and what it logged."""
    return folder / "parts", run(folder, "parts", *PARTS).stderr


def test_parts_change_nothing_but_rounding(folder, in_parts):
    output, log = in_parts
    whole = run(folder, "whole", *PARTS[1:]).stderr
    assert "Each batch of 4 is computed in 2 parts (--gradient_accumulation_steps)." in log
    assert "--gradient_accumulation_steps" not in whole
    losses = [
        float(re.search(rf"step {NUM_STEPS} of {NUM_STEPS}: loss (\S+),", text)[1]) for text in (whole, log)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    readers = [
        tf.train.load_checkpoint(str(path / f"model.ckpt-{NUM_STEPS}")) for path in (folder / "whole", output)
    ]
    files = [weights_file(path, NUM_STEPS).read_bytes() for path in (folder / "whole", output)]
    assert files[0] != files[1], "sums of parts round differently: it was computed in parts"
    for name in readers[0].get_variable_to_shape_map():
        ours, wanted = (reader.get_tensor(name).astype(np.float64) for reader in readers)
        assert np.abs(ours - wanted).mean() < 1e-4, name


@pytest.mark.slow
def test_a_stopped_run_in_parts_goes_on_to_the_same_bits(folder, in_parts):
    words = [sys.executable, str(ROOT / "run_squad.py"), *command("stopped", *PARTS)]
    with subprocess.Popen(words, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if re.search(r"\] step \d+ of ", line):
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
    assert process.returncode == 143, rest
    assert re.search(rf"Stopped by signal 15 after step \d+ of {NUM_STEPS};", rest), rest
    assert "Continuing from" in run(folder, "stopped", *PARTS).stderr
    ours, wanted = (weights_file(path, NUM_STEPS) for path in (folder / "stopped", in_parts[0]))
    assert ours.read_bytes() == wanted.read_bytes()


def test_going_on_in_parts_is_the_same_run(folder, in_parts):
    """Parts change no number, so `run.json` does not hold them."""
    again = run(folder, "parts", "--num_train_epochs=20", "--gradient_accumulation_steps=4")
    assert "This is not the run" not in again.stderr


def test_a_batch_that_cannot_be_cut_is_refused_before_anything_is_written(folder):
    done = run_program(*command("uncut", "--gradient_accumulation_steps=3"), cwd=folder)
    assert done.returncode == 1
    assert "--gradient_accumulation_steps=3 cuts each batch into parts of one size" in done.stderr
    assert "--train_batch_size=4" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "uncut").exists()
