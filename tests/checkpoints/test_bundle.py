"""What an index says is checked against what the files hold, whatever its checksums say."""

import os
import sys

import numpy as np
import pytest
import tensorflow as tf
from checkpoints.tables import block_of, table_of
from checkpoints.v1_files import write_v1
from program import run_console
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto
from tiny_models import assert_same_weights, tiny_model, weights

from bert_squad.checkpoints import child_process
from bert_squad.checkpoints.bundle import read_bundle
from bert_squad.checkpoints.index_table import read_table
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.tf1 import Tf1Reader, checkpoint_files
from bert_squad.checkpoints.tf1_writing import write_tensors
from bert_squad.errors import CheckpointError, DamagedCheckpointError


@pytest.fixture
def prefix(tmp_path):
    """Make a checkpoint of a float32 and a string."""
    path = str(tmp_path / "model.ckpt-5")
    write_tensors(path, {"a": tf.ones([2, 3]), "s": tf.constant("some text")})
    return path


def change_entry(prefix: str, name: str, change) -> None:
    """Change an entry of an index; all checksums are right afterwards."""
    path = f"{prefix}.index"
    with open(path, "rb") as reader:
        pairs = dict(read_table(reader.read()))
    entry = BundleEntryProto.FromString(pairs[name.encode()])
    change(entry)
    pairs[name.encode()] = entry.SerializeToString()
    with open(path, "wb") as writer:
        writer.write(table_of(block_of(*sorted(pairs.items())), last_keys=(max(pairs),)))


def test_what_an_index_says(prefix):
    bundle = read_bundle(prefix)
    assert bundle.shapes == {"a": (2, 3), "s": ()}
    assert bundle.dtypes == {"a": tf.float32, "s": tf.string}
    assert bundle.is_safe


def test_an_index_that_was_written_here_is_read_by_tensorflow_too(prefix):
    change_entry(prefix, "a", lambda entry: None)
    np.testing.assert_array_equal(Tf1Reader(prefix)["a"], np.ones([2, 3]))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (
            "a",
            lambda e: e.shape.dim[0].CopyFrom(e.shape.dim.add(size=2**40)),
            "no proper|where its shape needs",
        ),
        ("a", lambda e: setattr(e.shape.dim[0], "size", 2**62), "a has 24 bytes where its shape needs"),
        ("a", lambda e: setattr(e.shape.dim[0], "size", -2), "a has no proper shape"),
        ("a", lambda e: setattr(e.shape, "unknown_rank", True), "a has no proper shape"),
        ("a", lambda e: [e.shape.dim.add(size=1) for _ in range(300)], "a has no proper shape"),
        ("a", lambda e: setattr(e, "dtype", 2), "a has 24 bytes where its shape needs 48"),
        ("a", lambda e: setattr(e, "dtype", 0), r"a is of an unknown type \(0\)"),
        ("a", lambda e: setattr(e, "dtype", 77), r"a is of an unknown type \(77\)"),
        ("a", lambda e: setattr(e, "dtype", 101), r"a is of an unknown type \(101\)"),
        ("a", lambda e: setattr(e, "shard_id", 1), "a is at no place in its files"),
        ("a", lambda e: setattr(e, "offset", -1), "a is at no place in its files"),
        ("a", lambda e: setattr(e, "offset", 2**63 - 1), "a is at no place in its files"),
        ("a", lambda e: setattr(e, "offset", 10), "s shares its place with another"),
        ("a", lambda e: setattr(e, "offset", 100), "its data files hold 38 of 124 bytes"),
        ("s", lambda e: setattr(e, "size", 13), "the strings of s have another length than its place"),
        ("s", lambda e: e.shape.dim.add(size=2), "the strings of s have another length|a number has no end"),
        ("s", lambda e: e.shape.dim.add(size=2**40), "s has 14 bytes where its shape needs"),
    ],
)
def test_a_wrong_entry_is_refused(prefix, name, change, reason):
    change_entry(prefix, name, change)
    with pytest.raises(DamagedCheckpointError, match=reason) as caught:
        Tf1Reader(prefix)
    assert str(caught.value).startswith(f"The checkpoint {prefix} is ")


def test_a_changed_tensor_is_refused_when_it_is_read(prefix):
    data = f"{prefix}.data-00000-of-00001"
    with open(data, "r+b") as file:
        file.write(b"\xff")
    with pytest.raises(DamagedCheckpointError, match=r"model\.ckpt-5 is damaged: a cannot be read") as caught:
        Tf1Reader(prefix)["a"]
    assert caught.value.reason.startswith("a cannot be read")


def test_the_user_gets_a_sentence_for_a_huge_shape(prefix):
    change_entry(prefix, "a", lambda entry: setattr(entry.shape.dim[0], "size", 2**61))
    done = run_console("checkpoint", "inspect", prefix)
    assert done.returncode == 1
    assert f"{prefix} is damaged: a has 24 bytes where its shape needs {2**61 * 12}; copy it" in done.stderr
    assert "Traceback" not in done.stderr


# What cannot be checked here: tried in another process.


def test_partitioned_variables_are_read_whole(tmp_path):
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["part", "part"],
        shape_and_slices=["4 2 0,2:0,2", "4 2 2,2:0,2"],
        tensors=[tf.zeros([2, 2]), tf.ones([2, 2])],
    )
    assert not read_bundle(prefix).is_safe
    np.testing.assert_array_equal(Tf1Reader(prefix)["part"], [[0, 0], [0, 0], [1, 1], [1, 1]])


def test_a_process_that_dies_is_a_damaged_checkpoint(prefix, monkeypatch):
    monkeypatch.setattr(child_process, "_tried", set())
    dying = "import os; os.abort()"
    monkeypatch.setattr(sys, "executable", str(write_executable(prefix, dying)))
    with pytest.raises(
        DamagedCheckpointError, match=r"model\.ckpt-5 is damaged: TensorFlow cannot read it; copy"
    ):
        child_process.try_in_child(prefix, prefix.encode())


def test_a_process_that_cannot_start_says_nothing(prefix, monkeypatch):
    monkeypatch.setattr(child_process, "_tried", set())
    monkeypatch.setattr(sys, "executable", str(write_executable(prefix, "import sys; sys.exit(1)")))
    child_process.try_in_child(prefix, prefix.encode())
    assert not child_process._tried


def test_what_was_read_once_is_not_tried_again(prefix, monkeypatch):
    monkeypatch.setattr(child_process, "_tried", set())
    child_process.try_in_child(prefix, prefix.encode())
    assert len(child_process._tried) == 1
    monkeypatch.setattr(sys, "executable", str(write_executable(prefix, "import os; os.abort()")))
    child_process.try_in_child(prefix, prefix.encode())


def test_a_process_that_does_not_end_is_a_damaged_checkpoint(prefix, monkeypatch):
    monkeypatch.setattr(child_process, "_tried", set())
    monkeypatch.setattr(child_process, "_SECONDS", 0.2)
    monkeypatch.setattr(sys, "executable", str(write_executable(prefix, "import time; time.sleep(600)")))
    with pytest.raises(DamagedCheckpointError, match="is damaged: reading it does not come to an end; copy"):
        child_process.try_in_child(prefix, prefix.encode())


def write_executable(prefix: str, code: str):
    path = os.path.join(os.path.dirname(prefix), "python")
    with open(path, "w") as writer:
        writer.write(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    os.chmod(path, 0o755)
    return path


# Checkpoints of one file.


def test_a_checkpoint_of_one_file_is_loaded(tmp_path):
    """The legacy script reads those too."""
    source = tiny_model()
    path = write_v1(tmp_path / "bert[1]*.ckpt-7", weights(source) | {"global_step": np.array([7], np.int32)})
    assert checkpoint_files(path) == [path]
    model = tiny_model(seed=1)
    assert load_checkpoint(model, path).missing == ()
    assert_same_weights(model, weights(source))
    done = run_console("checkpoint", "inspect", path)
    assert done.returncode == 0, done.stderr
    assert "kind: TF1 checkpoint\nstep: 7\n" in done.stdout


@pytest.mark.parametrize("how", ["cut", "shape"])
def test_a_damaged_checkpoint_of_one_file_is_refused(tmp_path, how):
    path = write_v1(tmp_path / "model.ckpt", {"a": np.ones([4, 5], np.float32)})
    content = (tmp_path / "model.ckpt").read_bytes()
    if how == "cut":
        (tmp_path / "model.ckpt").write_bytes(content[:60] + content[100:])
    else:
        wrong = tf.raw_ops.Save  # a whole table, whose tensor is not what its name says
        wrong(filename=path, tensor_names=["a"], data=[tf.ones([4, 5])])
        pairs = dict(read_table((tmp_path / "model.ckpt").read_bytes()))
        pairs[b""] = pairs[b""].replace(b"\x12\x02\x08\x04", b"\x12\x02\x08\x7f")
        (tmp_path / "model.ckpt").write_bytes(
            table_of(block_of(*sorted(pairs.items())), last_keys=(max(pairs),))
        )
    with pytest.raises(CheckpointError, match=r"model\.ckpt"):
        Tf1Reader(path)["a"]


def test_files_of_a_checkpoint_are_no_others(tmp_path):
    for name in ("model.ckpt-1", "model.ckpt-10", "model.ckpt-1[0]"):
        write_tensors(str(tmp_path / name), {"a": tf.ones([2])})
    for name in ("model.ckpt-1.tar.gz", "model.ckpt-1.meta", "model.ckpt-1.data-0-of-1", "model.ckpt-1"):
        (tmp_path / name).write_bytes(b"of the user")
    ends = (".data-00000-of-00001", ".index", ".meta")
    assert checkpoint_files(str(tmp_path / "model.ckpt-1")) == [
        f"{tmp_path}/model.ckpt-1{end}" for end in ends
    ]
    assert checkpoint_files(str(tmp_path / "model.ckpt-1[0]")) == [
        f"{tmp_path}/model.ckpt-1[0]{end}" for end in ends[:2]
    ]
