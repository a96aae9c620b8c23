"""The changes of docs/TAKE_OVER.md, applied to a copy of the program that then runs."""

import re
import shutil
import subprocess
import sys

import pytest
from golden_files import golden
from program import ROOT, environment

DIFFS = re.findall(
    r"```diff\n(.*?)```", (ROOT / "docs" / "TAKE_OVER.md").read_text(encoding="utf-8"), re.DOTALL
)

SIGNATURE = """
import sys
import tensorflow as tf
import tensorflow_text
probabilities = tf.saved_model.load(sys.argv[1]).signatures["serving_probabilities"]
ids = tf.ones([1, 8], tf.int32)
outputs = probabilities(input_ids=ids, input_mask=ids, segment_ids=ids)
assert abs(float(tf.reduce_sum(outputs["start_probabilities"])) - 1) < 1e-6
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The program with all the changes."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "bert_squad", folder / "bert_squad", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_squad.py", folder)
    assert len(DIFFS) == 3
    for diff in DIFFS:
        done = subprocess.run(
            ["git", "apply"], input=diff, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder


def run(folder, *command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_changed_program_does_what_the_page_says(copy, tmp_path):
    assert "--warmup_steps: Steps with a rising learning rate" in run(copy, "run_squad.py", "--help").stdout
    source = golden("model/legacy_run/v1")
    files = [
        f"--{flag}={source / name}"
        for flag, name in (
            ("vocab_file", "vocab.txt"),
            ("bert_config_file", "bert_config.json"),
            ("train_file", "train.json"),
        )
    ]
    lengths = ["--max_seq_length=64", "--doc_stride=24", "--max_query_length=16", "--train_batch_size=4"]
    done = run(
        copy,
        "run_squad.py",
        *files,
        *lengths,
        f"--output_dir={tmp_path}",
        "--do_train",
        "--num_train_epochs=2",
        "--warmup_steps=3",
        "--do_export",
    )
    assert "mean loss up to step 10:" in done.stderr
    assert '"warmup_steps": 3' in (tmp_path / "run.json").read_text()
    (version,) = (tmp_path / "export").iterdir()
    run(copy, "-c", SIGNATURE, version)
