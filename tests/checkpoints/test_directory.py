import contextlib
import dataclasses
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden
from tiny_config import TINY

from bert_squad.checkpoints import directory, state_file
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import CheckpointError, OutputError, TrainingError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.optimizer import AdamWeightDecay


@pytest.fixture(scope="module")
def model():
    return BertForSquad(TINY)


@pytest.fixture(scope="module")
def optimizer(model):
    return AdamWeightDecay.for_model(model)


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
    other_optimizer = AdamWeightDecay.for_model(other)
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
    assert Tf1Reader(f"{output}/model.ckpt-33").step == 33


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
    with pytest.raises(CheckpointError, match=r"lacks 78 variables, .*name it with --init_checkpoint"):
        directory.restore(prefix, model, optimizer)


def test_another_model_is_refused_with_both_shapes(optimizer, tmp_path, model):
    wider = BertForSquad(dataclasses.replace(TINY, vocab_size=41))
    prefix = str(tmp_path / "model.ckpt-0")
    save_tf1_checkpoint(prefix, wider)
    before = model.get_weights()
    with pytest.raises(
        CheckpointError, match=r"word_embeddings has shape \[41, 12\] in .* but \[40, 12\] in the model"
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


ODD_NAMES = ["run[b]", "q?", "a*", "back\\slash", "é", "new\nline", "a space", "-dash", "#1"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_no_patterns(model, optimizer, tmp_path, name):
    """A directory of any name keeps its own checkpoints, and siblings that the name would match keep theirs."""
    siblings = ["runb", "qa", "ab", "backslash"]
    for sibling in siblings:
        (tmp_path / sibling).mkdir()
        for step in (0, 10):
            (tmp_path / sibling / f"model.ckpt-{step}.index").write_text("a sibling's")
    own = str(tmp_path / name)
    os.mkdir(own)
    for step in range(0, 40, 10):
        directory.save(own, model, optimizer, step, keep_max=2)
    assert state_file.checkpoints_in(own) == ["model.ckpt-20", "model.ckpt-30"]
    assert directory.latest_checkpoint(own) == f"{own}/model.ckpt-30"
    assert directory.restore_latest(own, model, optimizer) == (f"{own}/model.ckpt-30", 30)
    for sibling in siblings:
        assert names(tmp_path / sibling) == ["model.ckpt-0.index", "model.ckpt-10.index"]


def test_files_of_the_user_beside_a_checkpoint_stay(model, optimizer, tmp_path):
    directory.save(str(tmp_path), model, optimizer, 0)
    kept = ["model.ckpt-0.README", "model.ckpt-0.index.bak", "model.ckpt-0.tar.gz", "model.ckpt-01.index"]
    for name in kept:
        (tmp_path / name).write_text("the user's")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "graph").write_text("the user's")
    (tmp_path / "model.ckpt-0.meta").symlink_to("outside/graph")
    directory.save(str(tmp_path), model, optimizer, 1, keep_max=1)
    assert {name for name in names(tmp_path) if "ckpt-0" in name} == set(kept)
    assert (tmp_path / "outside" / "graph").read_text() == "the user's"


@pytest.mark.parametrize(
    "crafted",
    ["../other/model.ckpt-1", "*", "", "model.ckpt-?", "gs://bucket/model.ckpt-1", ".", "..", "/", "other/*"],
)
def test_a_crafted_name_reads_and_deletes_nothing_elsewhere(model, optimizer, tmp_path, crafted):
    for place in ("other", "own"):
        (tmp_path / place).mkdir()
        directory.save(str(tmp_path / place), model, optimizer, 1)
    (tmp_path / "own" / "notes").write_text("the user's")
    before = {place: names(tmp_path / place) for place in ("other", "own")}
    state = tmp_path / "own" / "checkpoint"
    for name in before["own"]:
        if name.startswith("model.ckpt"):
            (tmp_path / "own" / name).rename(tmp_path / "own" / name.replace("-1.", "-2."))
    state.write_text(f'model_checkpoint_path: "{crafted}"\nall_model_checkpoint_paths: "{crafted}"\n')
    with pytest.raises(CheckpointError, match=r"names (no checkpoint|'.*' \(it is not there\))"):
        directory.latest_checkpoint(str(tmp_path / "own"))
    directory.save(str(tmp_path / "own"), model, optimizer, 3, keep_max=1)
    assert names(tmp_path / "other") == before["other"]
    assert {"notes", "model.ckpt-2.index", "model.ckpt-3.index"} <= set(names(tmp_path / "own"))


def test_a_copy_does_not_go_back_to_its_original(model, optimizer, tmp_path):
    """The legacy script writes absolute paths when --output_dir is one."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    for step in (1, 2):
        directory.save(str(original), model, optimizer, step)
    lines = [f'all_model_checkpoint_paths: "{original}/model.ckpt-{step}"' for step in (1, 2)]
    (original / "checkpoint").write_text(
        "\n".join([f'model_checkpoint_path: "{original}/model.ckpt-2"', *lines])
    )
    shutil.copytree(original, copy)
    before = names(original)
    assert directory.latest_checkpoint(str(copy)) == str(copy / "model.ckpt-2")
    directory.save(str(copy), model, optimizer, 3, keep_max=1)
    assert names(original) == before
    assert names(copy) == ["checkpoint", "model.ckpt-3.data-00000-of-00001", "model.ckpt-3.index"]


def test_a_far_checkpoint_is_read_with_a_warning_and_never_deleted(model, optimizer, tmp_path, warnings):
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    directory.save(str(far), model, optimizer, 2)
    (near / "checkpoint").write_text(f'model_checkpoint_path: "{far}/model.ckpt-2"\n')
    assert directory.restore_latest(str(near), model, optimizer) == (f"{far}/model.ckpt-2", 2)
    assert any("is not in" in line and "read from there" in line for line in warnings)
    before = names(far)
    directory.save(str(near), model, optimizer, 3, keep_max=1)
    assert names(far) == before


@pytest.mark.parametrize(
    "name", ["C:\\\\out\\\\model.ckpt-2", "gs://bucket/out/model.ckpt-2", "/gone/model.ckpt-2"]
)
def test_a_name_of_elsewhere_does_not_hide_the_own_file(model, optimizer, tmp_path, name):
    directory.save(str(tmp_path), model, optimizer, 2)
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-2")


@pytest.mark.parametrize("state", ["", 'model_checkpoint_path: "model.ckpt-999"\n'])
def test_a_state_file_that_names_nothing_lists_what_is_there(model, optimizer, tmp_path, state):
    for step in (2, 10):
        directory.save(str(tmp_path), model, optimizer, step)
    (tmp_path / "checkpoint").write_text(state)
    message = r"so nothing can be restored\. There are model\.ckpt-2, model\.ckpt-10: let it hold the line"
    with pytest.raises(CheckpointError, match=message):
        directory.restore_latest(str(tmp_path), model, optimizer)


def test_checkpoints_without_a_state_file_are_not_trained_over(model, optimizer, tmp_path):
    directory.save(str(tmp_path), model, optimizer, 2)
    state_file.check_all_named(str(tmp_path))
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(CheckpointError, match=r"holds model\.ckpt-2 but no `checkpoint` file"):
        state_file.check_all_named(str(tmp_path))


def test_a_flipped_bit_costs_the_newest_checkpoint_alone(model, optimizer, tmp_path, warnings):
    for step in (1, 2):
        directory.save(str(tmp_path), model, optimizer, step)
    data = tmp_path / "model.ckpt-2.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert directory.restore_latest(str(tmp_path), model, optimizer) == (str(tmp_path / "model.ckpt-1"), 1)
    assert any(f"Passing over the checkpoint {tmp_path}/model.ckpt-2" in line for line in warnings)


def test_no_checkpoint_ever_holds_a_nan(model, optimizer, tmp_path):
    directory.save(str(tmp_path), model, optimizer, 1)
    before = names(tmp_path)
    bias = tf1_variables(model)["cls/squad/output_bias"].variable
    old = bias.numpy()
    bias.assign([float("nan"), 0.0])
    try:
        with pytest.raises(
            TrainingError, match=r"cls/squad/output_bias is not finite .*model\.ckpt-2 is not saved"
        ):
            directory.save(str(tmp_path), model, optimizer, 2)
    finally:
        bias.assign(old)
    assert names(tmp_path) == before


def test_a_kill_before_the_deletion_leaves_nothing_for_ever(model, optimizer, tmp_path, monkeypatch):
    for step in (1, 2):
        directory.save(str(tmp_path), model, optimizer, step, keep_max=2)
    (tmp_path / "model.ckpt-0.index").write_text("the user's own")
    monkeypatch.setattr(directory, "_delete", lambda *_: None)
    directory.save(str(tmp_path), model, optimizer, 3, keep_max=2)
    assert state_file.checkpoints_in(str(tmp_path)) == [f"model.ckpt-{step}" for step in range(4)]
    monkeypatch.undo()
    directory.finish_dropping(str(tmp_path))
    assert state_file.checkpoints_in(str(tmp_path)) == [f"model.ckpt-{step}" for step in (0, 2, 3)]
    assert "checkpoint.dropped" not in names(tmp_path)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("renames", range(5))
@pytest.mark.parametrize("first", [True, False])
def test_a_kill_between_the_renames_of_a_save_leaves_nothing_for_ever(
    model, optimizer, tmp_path, monkeypatch, renames, first
):
    """Not even when the next run saves at other steps, and so never writes over what is left."""
    if not first:
        directory.save(str(tmp_path), model, optimizer, 1, keep_max=1)
    before, todo = names(tmp_path), renames + 1

    def rename(source, target, rename=os.replace):
        nonlocal todo
        todo -= 1
        if not todo:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(os, "replace", rename)
    with contextlib.suppress(Killed):
        directory.save(str(tmp_path), model, optimizer, 2, keep_max=1)
    monkeypatch.undo()
    directory.finish_dropping(str(tmp_path))
    state_file.check_all_named(str(tmp_path))
    latest = directory.latest_checkpoint(str(tmp_path))
    if renames < 4:  # the note, two files of the checkpoint, the `checkpoint` file
        assert names(tmp_path) == before
    else:
        assert latest == str(tmp_path / "model.ckpt-2")
        assert not any("ckpt-1" in name or "dropped" in name for name in names(tmp_path))


def test_a_lost_state_file_deletes_nothing(model, optimizer, tmp_path):
    for step in (1, 2):
        directory.save(str(tmp_path), model, optimizer, step)
    (tmp_path / "checkpoint.dropped").write_text('["model.ckpt-1", "model.ckpt-2"]')
    for state in (None, ""):
        (tmp_path / "checkpoint").unlink() if state is None else (tmp_path / "checkpoint").write_text(state)
        directory.finish_dropping(str(tmp_path))
        assert state_file.checkpoints_in(str(tmp_path)) == ["model.ckpt-1", "model.ckpt-2"]


def test_a_save_that_fails_halfway_leaves_no_half(model, optimizer, tmp_path, monkeypatch):
    directory.save(str(tmp_path), model, optimizer, 1)
    before = names(tmp_path)

    def refuse(source, target, rename=os.replace):
        if target.endswith("ckpt-2.index"):
            raise OSError(28, "No space left on device", target)
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        directory.save(str(tmp_path), model, optimizer, 2)
    assert names(tmp_path) == before


@pytest.mark.parametrize("name", ["checkpoint.dropped", "model.ckpt-2.index", "checkpoint"])
def test_whatever_cannot_be_written_it_is_the_checkpoint_that_is_not_saved(
    model, optimizer, tmp_path, monkeypatch, name
):
    """Of the small files beside it nobody has heard."""
    directory.save(str(tmp_path), model, optimizer, 1)
    before = names(tmp_path)

    def refuse(source, target, rename=os.replace):
        if os.path.basename(target) == name:
            raise OSError(28, "No space left on device", target)
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError) as caught:
        directory.save(str(tmp_path), model, optimizer, 2)
    assert str(caught.value) == (
        f"Cannot save the checkpoint {tmp_path / 'model.ckpt-2'} (No space left on device); earlier checkpoints are "
        "unchanged. Free some space or restore write permission, then run the same command again to continue."
    )
    assert names(tmp_path) == before


def test_an_old_checkpoint_that_cannot_be_deleted_is_a_warning(
    model, optimizer, tmp_path, monkeypatch, warnings
):
    directory.save(str(tmp_path), model, optimizer, 1)

    def refuse(path):
        if "ckpt-1" in path:
            raise PermissionError(1, "Operation not permitted", path)
        os.unlink(path)

    monkeypatch.setattr(os, "remove", refuse)
    directory.save(str(tmp_path), model, optimizer, 2, keep_max=1)
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-2")
    assert any("Cannot delete the old checkpoint file" in line for line in warnings)


def test_a_state_file_that_an_editor_of_windows_has_saved(model, optimizer, tmp_path):
    directory.save(str(tmp_path), model, optimizer, 1)
    content = (tmp_path / "checkpoint").read_bytes()
    (tmp_path / "checkpoint").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert directory.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-1")


def test_thousands_of_names_make_no_endless_sentence(tmp_path):
    lines = [f'all_model_checkpoint_paths: "model.ckpt-{step}"' for step in range(3000)]
    (tmp_path / "checkpoint").write_text("\n".join([*lines, f'model_checkpoint_path: "{"x" * 5000}"']))
    with pytest.raises(CheckpointError, match=r"names 'xxx.*\.\.\..*, so nothing can be restored") as caught:
        directory.latest_checkpoint(str(tmp_path))
    assert len(str(caught.value)) < 2000


def test_a_checkpoint_of_another_name_is_never_deleted(model, optimizer, tmp_path):
    """A `checkpoint` file may name a published model; it drops out of the file and stays on the disk."""
    save_tf1_checkpoint(str(tmp_path / "bert_model.ckpt"), model, optimizer, 7)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "bert_model.ckpt"\n')
    assert directory.restore_latest(str(tmp_path), model, optimizer) == (str(tmp_path / "bert_model.ckpt"), 7)
    directory.save(str(tmp_path), model, optimizer, 8, keep_max=1)
    assert {"bert_model.ckpt.index", "model.ckpt-8.index"} <= set(names(tmp_path))
    assert "bert_model" not in (tmp_path / "checkpoint").read_text()


def test_a_checkpoint_that_somebody_kept_survives_a_save_that_fails(model, optimizer, tmp_path, monkeypatch):
    """Who goes back lets the `checkpoint` file name an older one; the newer ones are still there."""
    for step in (1, 2):
        directory.save(str(tmp_path), model, optimizer, step)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')

    rename = directory.files.rename

    def full(source, target):
        if "model.ckpt" in target:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(directory.files, "rename", full)
    with pytest.raises(OutputError, match="Cannot save the checkpoint"):
        directory.save(str(tmp_path), model, optimizer, 2)
    monkeypatch.undo()
    directory.finish_dropping(str(tmp_path))
    assert state_file.checkpoints_in(str(tmp_path)) == ["model.ckpt-1", "model.ckpt-2"]


def test_later_checkpoints_that_training_would_write_over_are_named(model, optimizer, tmp_path, warnings):
    for step in (1, 2, 10):
        directory.save(str(tmp_path), model, optimizer, step)
    state_file.warn_of_later(str(tmp_path), 1)
    assert not warnings
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')
    state_file.warn_of_later(str(tmp_path), 1)
    (line,) = warnings
    assert line.startswith(
        f"{tmp_path} holds model.ckpt-2, model.ckpt-10, which its `checkpoint` file does not name"
    )
