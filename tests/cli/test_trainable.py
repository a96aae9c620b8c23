"""`--trainable` and `--layerwise_lr_decay`: which variables are trained, and how fast."""

import json
import re
import shutil

import numpy as np
import pytest
from faults.runs import FILES, PREDICT, TRAIN, copy_trained, make_folder
from golden_files import golden
from program import run_program

from bert_squad.checkpoints.names import SLOT_NAMES
from bert_squad.checkpoints.tf1 import Tf1Reader

SIX_STEPS = [*FILES, *TRAIN, "--num_train_epochs=1", "--save_checkpoints_steps=3"]
DATA = "model.ckpt-6.data-00000-of-00001"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("trainable"))


def train(folder, output, *flags):
    done = run_program(*SIX_STEPS, f"--output_dir={output}", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def plain(folder):
    train(folder, "plain")
    return folder / "plain"


@pytest.fixture(scope="module")
def head_alone(folder):
    done = train(folder, "head", "--trainable=^cls/")
    assert "  2 of 39 variables are trained" in done.stderr
    return folder / "head"


def is_slot(name):
    return name.rsplit("/", 1)[-1] in SLOT_NAMES


def test_the_others_are_frozen_and_have_empty_slots(head_alone, plain):
    first, last = (Tf1Reader(str(head_alone / f"model.ckpt-{step}")) for step in (0, 6))
    legacy = Tf1Reader(str(golden("model/legacy_run/v1/output/model.ckpt-24.index")).removesuffix(".index"))
    assert set(last) == set(Tf1Reader(str(plain / "model.ckpt-6"))) == set(legacy), "the legacy program's"
    for name in set(last) - {"global_step"}:
        is_trained = name.startswith("cls/")
        assert np.array_equal(first[name], last[name]) == (not is_trained), name
        if is_slot(name) and not is_trained:
            assert not last[name].any(), name


def test_it_is_predicted_with_and_gone_on_from(head_alone, folder):
    done = run_program(*FILES, *PREDICT, "--output_dir=head", cwd=folder)
    assert done.returncode == 0, done.stderr
    further = train(folder, "head", "--trainable=^cls/", "--num_train_epochs=2")
    assert "is not the run" in further.stderr, "of the number of epochs"
    assert "--trainable (" not in further.stderr
    assert json.loads((head_alone / "run.json").read_text())["flags"]["trainable"] == "^cls/"


def test_a_legacy_checkpoint_is_gone_on_from_with_its_slots(folder):
    copy_trained(folder / "legacy")
    done = run_program(
        *FILES, *TRAIN, "--num_train_epochs=5", "--trainable=^cls/", "--output_dir=legacy", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    before, after = (Tf1Reader(str(folder / f"legacy/model.ckpt-{step}")) for step in (24, 30))
    name = "bert/encoder/layer_0/output/dense/kernel"
    for of_frozen in (name, *(f"{name}/{slot}" for slot in SLOT_NAMES)):
        assert np.array_equal(before[of_frozen], after[of_frozen])
    assert not np.array_equal(before["cls/squad/output_weights"], after["cls/squad/output_weights"])


@pytest.mark.parametrize(
    "flag", ["--trainable=.", pytest.param("--layerwise_lr_decay=1.0", marks=pytest.mark.slow)]
)
def test_what_changes_nothing_gives_the_same_bits(flag, plain, folder):
    output = "same" + re.sub(r"\W", "", flag)
    train(folder, output, flag)
    assert (folder / output / DATA).read_bytes() == (plain / DATA).read_bytes()


def test_layerwise_decay_reaches_the_training(plain, folder):
    train(folder, "decay", "--layerwise_lr_decay=0.01")
    name = "bert/embeddings/word_embeddings"
    changes = []
    for output in ("plain", "decay"):
        first, last = (Tf1Reader(str(folder / f"{output}/model.ckpt-{step}")) for step in (0, 6))
        changes.append(np.abs(last[name] - first[name]).max())
    assert changes[1] < 1e-4 * changes[0]


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_to_the_same_bits_recomputing_layers(folder):
    """What a run does to take less memory is no part of what it is: it may change on the way."""
    flags = ["--trainable=kernel|cls/", "--layerwise_lr_decay=0.5"]
    whole = train(folder, "whole", *flags)
    shutil.copytree(folder / "whole", folder / "cut")
    for path in (folder / "cut").glob("model.ckpt-6.*"):
        path.unlink()
    (folder / "cut/checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"\n')
    again = train(folder, "cut", *flags, "--recompute")
    assert "Continuing from cut/model.ckpt-3, step 3." in again.stderr
    assert "is not the run" not in again.stderr
    line = "Layers are computed once more in the backward pass, to keep less (--recompute)."
    assert [line in done.stderr for done in (whole, again)] == [False, True]
    assert (folder / "cut" / DATA).read_bytes() == (folder / "whole" / DATA).read_bytes()


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--trainable=lcs/", "--trainable=lcs/ is found in the name of no variable that is trained"),
        ("--trainable=pooler", "is found in the name of no variable that is trained"),
        ("--trainable=(", "is no regular expression (missing ), unterminated subpattern at position 0)"),
        ("--trainable=", "--trainable is empty"),
        ("--layerwise_lr_decay=0", "--layerwise_lr_decay must be above 0 and at most 1, not 0.0"),
        ("--layerwise_lr_decay=1.5", "must be above 0 and at most 1, not 1.5"),
        ("--layerwise_lr_decay=nan", "must be above 0 and at most 1, not nan"),
    ],
)
def test_what_cannot_be_is_one_sentence(flag, sentence, folder):
    done = run_program(*SIX_STEPS, "--output_dir=none", flag, cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("none/model.ckpt*"))
