"""What TensorFlow's C++ says to itself does not reach a user."""

import subprocess
import sys

from faults.runs import FILES, TRAIN, make_folder
from faults.workers import complaints
from program import ROOT, environment


def test_a_training_says_nothing_but_what_is_ours(tmp_path):
    """It compiles with XLA, which says so through Abseil, behind a warning of its own."""
    folder = make_folder(tmp_path)
    variables = environment()
    del variables["TF_CPP_MIN_LOG_LEVEL"]
    arguments = [*FILES, *TRAIN, "--num_train_epochs=0.5", "--output_dir=output"]
    with (folder / "stderr.txt").open("wb") as stderr:
        command = [sys.executable, str(ROOT / "run_squad.py"), *arguments]
        done = subprocess.run(command, cwd=folder, env=variables, stderr=stderr, timeout=300, check=False)
    assert done.returncode == 0
    assert complaints(folder) == []
