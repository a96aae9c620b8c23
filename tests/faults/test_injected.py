"""A system call that fails, at each stage: one sentence, exit 1, and what was there before is there still."""

import errno
import shutil
import subprocess
from pathlib import Path

import pytest
from faults.runs import PREDICT, TRAIN, copy_trained, make_folder, own_lines, said, start, temporaries

SHIM = Path(__file__).with_name("failing_calls.c")
TRAINING = [*TRAIN, "--num_train_epochs=2", "--save_checkpoints_steps=4", "--keep_checkpoint_max=1"]
EVALUATING = [*TRAINING, "--predict_file=dev.json", "--eval_steps=6"]
USING = [*PREDICT, "--do_eval", "--do_export"]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path_factory.mktemp("shim") / "failing_calls.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the compiler here cannot make it: {done.stderr.decode()[:200]}")
    return str(library)


class Case:
    """One fault: the command, the call that fails, and what has to come of it."""

    def __init__(self, command, call, part, number, sentence, *, code=1, present=(), is_fast=False):
        self.command, self.fault = command, f"{call}:{part}:{number}"
        self.sentence, self.code, self.present, self.is_fast = sentence, code, present, is_fast

    def __str__(self):
        return self.fault


CASES = [
    Case(TRAINING, "rename", "train.tf_record", errno.EROFS, "Cannot write output/train.tf_record (Read-only file"),
    Case(TRAINING, "create", ".training.lock", errno.EACCES, "Cannot write the lock output/.bert_squad.training.lock"),
    Case(TRAINING, "fsync", "model.ckpt-4", errno.EIO, "Cannot save the checkpoint output/model.ckpt-4 (Input/output"),
    Case(TRAINING, "rename", "model.ckpt-8.index", errno.EDQUOT, "Cannot save the checkpoint output/model.ckpt-8"),
    Case(TRAINING, "mkdir", "model.ckpt-4.tmp", errno.ENOSPC, "model.ckpt-4 (No space left on device)"),
    Case(TRAINING, "read", "train.tf_record", errno.EIO, "train.tf_record"),
    Case(TRAINING, "create", "run.json", errno.EACCES, "Cannot write output/run.json (Permission denied)"),
    # What was trained before an evaluation that fails is saved.
    Case(
        EVALUATING, "write", "nbest_predictions", errno.ENOSPC, "nbest_predictions.json (No space left",
        present=["model.ckpt-6.index"], is_fast=True,
    ),
    Case(
        EVALUATING, "rename", "output/best", errno.EROFS, "Cannot save the best checkpoint in output/best",
        present=["model.ckpt-6.index"],
    ),
    Case(EVALUATING, "create", "eval_history", errno.EACCES, "eval_history.jsonl", present=["model.ckpt-6.index"]),
    # An old checkpoint that stays is a warning.
    Case(TRAINING, "unlink", "model.ckpt-0", errno.EPERM, "Cannot delete the old checkpoint", code=0, is_fast=True),
    Case(USING, "read", "eval.tf_record", errno.EIO, "eval.tf_record", present=["export"]),
    Case(USING, "rename", "/predictions.json", errno.EROFS, "Cannot write output/predictions.json", present=["export"]),
    Case(USING, "write", "nbest_predictions", errno.ENOSPC, "nbest_predictions.json (No space", present=["export"]),
    Case(
        USING, "create", "eval_results", errno.ENOSPC, "Cannot write output/eval_results.json",
        present=["export", "predictions.json"],
    ),
    Case(USING, "mkdir", "output/export", errno.EROFS, "The export directory output/export cannot be written"),
    Case(USING, "open", "output/checkpoint", errno.EACCES, "The checkpoint state file output/checkpoint cannot"),
    Case(USING, "open", "dev.json", errno.EIO, "Cannot read the data set dev.json (Input/output error)"),
    Case(USING, "open", "vocab.txt", errno.EIO, "Cannot read the vocabulary vocab.txt (Input/output error)"),
    # One that cannot be read is passed over, as a damaged one is: step 20 is there too.
    Case(USING, "read", "model.ckpt-24", errno.EIO, "Passing over the checkpoint output/model.ckpt-24", code=0),
    Case(USING, "fsync", "saved_model.pb", errno.EIO, "Cannot export", present=["eval_results.json"]),
]  # fmt: skip


def check(case, folder, shim):
    make_folder(folder)
    if case.command is USING:
        copy_trained(folder / "output")
    before = sorted(path.name for path in (folder / "output").glob("model.ckpt-*"))
    env = {"LD_PRELOAD": shim, "FAULT": case.fault}
    process = start(folder, *case.command, "--output_dir=output", env=env)
    assert process.wait(timeout=240) == case.code, said(folder)
    assert case.sentence in (said(folder) if case.code == 0 else own_lines(folder)[0])
    assert len(own_lines(folder)) == case.code
    assert "Traceback" not in said(folder)
    assert temporaries(folder) == []
    for name in case.present:
        assert (folder / "output" / name).exists(), name
    assert set(before) <= {path.name for path in (folder / "output").glob("model.ckpt-*")}


@pytest.mark.parametrize("case", [case for case in CASES if case.is_fast], ids=str)
def test_some_calls_that_fail(tmp_path, shim, case):
    check(case, tmp_path, shim)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_call_that_fails(tmp_path, shim, case):
    check(case, tmp_path, shim)
