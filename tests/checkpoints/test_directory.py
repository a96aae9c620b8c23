import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from golden_files import golden

from bert_squad.checkpoints import directory
from bert_squad.checkpoints.tf1 import Tf1Reader, save_tf1_checkpoint, tf1_variables
from bert_squad.config import BertConfig
from bert_squad.errors import CheckpointError, OutputError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.optimizer import AdamWeightDecay

TINY = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=16,
    type_vocab_size=2,
)


@pytest.fixture(scope="module")
def model():
    return BertForSquad(TINY)


@pytest.fixture(scope="module")
def optimizer(model):
    return AdamWeightDecay({n: e.variable for n, e in tf1_variables(model).items() if e.trained})


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    return lines


def names(path):
    return sorted(os.listdir(path))


def test_keeps_the_newest_and_says_so(model, optimizer, tmp_path):
    for step in range(0, 80, 10):
        directory.save(str(tmp_path), model, optimizer, step, keep_max=5)
    kept = [f"model.ckpt-{step}" for step in range(30, 80, 10)]
    files = [f"{name}.{suffix}" for name in kept for suffix in ("data-00000-of-00001", "index")]
    assert names(tmp_path) == sorted(["checkpoint", *files])
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-70")
    # TensorFlow's own reader of the state file agrees, as the legacy script's does.
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-70")
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert [os.path.basename(path) for path in state.all_model_checkpoint_paths] == kept


def test_restore_gives_back_weights_slots_and_step(model, optimizer, tmp_path):
    generator = np.random.default_rng(0)
    for name, entry in tf1_variables(model).items():
        entry.variable.assign(generator.normal(size=entry.variable.shape))
        if entry.trained:
            for slot in optimizer.slots(name):
                slot.assign(generator.normal(size=slot.shape))
    prefix = directory.save(str(tmp_path), model, optimizer, 7)
    other = BertForSquad(TINY)
    other_optimizer = AdamWeightDecay({n: e.variable for n, e in tf1_variables(other).items() if e.trained})
    assert directory.restore(prefix, other, other_optimizer) == 7
    for name, entry in tf1_variables(model).items():
        np.testing.assert_array_equal(entry.variable, tf1_variables(other)[name].variable)
        if entry.trained:
            for mine, its in zip(optimizer.slots(name), other_optimizer.slots(name), strict=True):
                np.testing.assert_array_equal(mine, its)


def test_a_legacy_output_directory_is_understood():
    output = os.path.dirname(golden("model/legacy_run/v2/output/checkpoint"))
    # Its `checkpoint` file names 0, 10, 20, 30 and 33, of which 10 and 33 are there.
    assert directory.latest_checkpoint(output) == f"{output}/model.ckpt-33"
    assert directory.step_of(f"{output}/model.ckpt-33") == 33


def test_absolute_paths_of_another_machine_are_looked_for_here(model, optimizer, tmp_path):
    directory.save(str(tmp_path), model, optimizer, 3)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/run/model.ckpt-3"\n')
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-3")


@pytest.mark.parametrize("damage", ["data", "index", "cut"])
def test_a_torn_checkpoint_is_passed_over(model, optimizer, tmp_path, warnings, damage):
    directory.save(str(tmp_path), model, optimizer, 1)
    directory.save(str(tmp_path), model, optimizer, 2)
    data = tmp_path / "model.ckpt-2.data-00000-of-00001"
    if damage == "data":
        data.unlink()
    elif damage == "index":
        (tmp_path / "model.ckpt-2.index").unlink()
    else:
        data.write_bytes(data.read_bytes()[:-1])
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-1")
    assert len(warnings) == 1
    assert warnings[0].startswith(f"Passing over the checkpoint {tmp_path}/model.ckpt-2: its")


def test_no_checkpoint(tmp_path):
    assert directory.latest_checkpoint(str(tmp_path)) is None
    assert directory.latest_checkpoint(str(tmp_path / "nowhere")) is None


def test_an_unreadable_state_file_is_named(tmp_path):
    (tmp_path / "checkpoint").write_text("{broken")
    with pytest.raises(CheckpointError, match=r"The checkpoint state file .*checkpoint cannot be read"):
        directory.latest_checkpoint(str(tmp_path))


def test_without_slots_the_way_out_is_named(model, optimizer, tmp_path):
    prefix = str(tmp_path / "model.ckpt-0")
    save_tf1_checkpoint(prefix, model)
    with pytest.raises(CheckpointError, match=r"lacks 46 variables, .*name it with --init_checkpoint"):
        directory.restore(prefix, model, optimizer)


def test_another_model_is_refused_with_both_shapes(optimizer, tmp_path, model):
    wider = BertForSquad(BertConfig(**{**TINY.to_dict(), "vocab_size": 21}))
    prefix = str(tmp_path / "model.ckpt-0")
    save_tf1_checkpoint(prefix, wider)
    before = model.get_weights()
    with pytest.raises(
        CheckpointError, match=r"word_embeddings has shape \[21, 8\] in .* but \[20, 8\] in the model"
    ):
        directory.restore(prefix, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_full_disk_leaves_the_previous_checkpoint(model, optimizer, tmp_path, monkeypatch):
    directory.save(str(tmp_path), model, optimizer, 1)
    before = names(tmp_path)

    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.raw_ops, "SaveV2", full)
    with pytest.raises(
        OutputError, match=r"Cannot save the checkpoint .*model\.ckpt-2 \(No space left on device\)"
    ):
        directory.save(str(tmp_path), model, optimizer, 2)
    assert names(tmp_path) == before
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-1")


def test_saving_over_what_the_legacy_left(model, optimizer, tmp_path):
    """A `.meta` file of an old checkpoint goes with it."""
    source = os.path.dirname(golden("model/legacy_run/v2/output/checkpoint"))
    shutil.copytree(source, tmp_path / "output")
    (tmp_path / "output" / "model.ckpt-10.meta").write_text("graph")
    directory.save(str(tmp_path / "output"), model, optimizer, 34, keep_max=2)
    kept = [name for name in names(tmp_path / "output") if name.startswith("model.ckpt")]
    assert [name.split(".")[1] for name in kept] == ["ckpt-33", "ckpt-33", "ckpt-34", "ckpt-34"]
    assert Tf1Reader(str(tmp_path / "output/model.ckpt-34"))["global_step"] == 34
