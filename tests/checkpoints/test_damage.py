"""Damaged files of every kind: one clear error or the right values, and never a bare traceback or a hang."""

import contextlib
import json
import shutil
from datetime import timedelta

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tiny_models import VOCABULARY, assert_same_weights, garden_encoder, tiny_model, weights

from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.inspection import inspect_checkpoint
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import BertSquadError, CheckpointError

EXAMPLES = settings(
    max_examples=100,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# What happens to a file: where, as a share of its length, and how.
DAMAGE = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True), st.just(0)),
    st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
    st.tuples(st.just("zero"), st.floats(0, 1, exclude_max=True), st.integers(1, 64)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.integers(1, 64)),
    st.tuples(st.just("random"), st.just(0.0), st.integers(0, 2**32 - 1)),
)


def damaged(content: bytes, damage: tuple) -> bytes:
    how, share, amount = damage
    place = int(share * len(content))
    if how == "cut":
        return content[:place]
    if how == "flip":
        return content[:place] + bytes([content[place] ^ (1 << amount)]) + content[place + 1 :]
    if how == "zero":
        return content[:place] + bytes(len(content[place : place + amount])) + content[place + amount :]
    if how == "insert":
        return content[:place] + b"\x7f" * amount + content[place:]
    return np.random.default_rng(amount).bytes(len(content))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make one good checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tf1").mkdir()
    save_tf1_checkpoint(str(folder / "tf1" / "model.ckpt"), tiny_model(), step=3)
    (folder / "tf1" / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    (folder / "tf1" / "bert_config.json").write_text(json.dumps(tiny_model().bert_config.to_dict()))
    convert(str(folder / "tf1"), str(folder / "hf"), "huggingface")
    tf.train.Checkpoint(model=garden_encoder("BertEncoderV2")).write(str(folder / "tf2" / "model.ckpt"))
    return folder


@pytest.fixture(scope="module")
def model():
    return tiny_model(seed=1)


def load_damaged(model, path):
    """Load; return the message of the error, or None. The model must be as it was when there is one."""
    before = weights(model)
    try:
        load_checkpoint(model, str(path))
    except CheckpointError as error:
        message = str(error)
    else:
        return None
    assert_same_weights(model, before)
    return message


def put_damaged_copy(source, target, name, damage):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    content = (target / name).read_bytes()
    (target / name).write_bytes(damaged(content, damage))
    return (target / name).read_bytes() != content


@pytest.mark.parametrize("kind", ["tf1", "tf2"])
@pytest.mark.parametrize("end", ["index", "data-00000-of-00001"])
@EXAMPLES
@example(damage=("insert", 0.97265625, 1))  # TensorFlow answers some with an IndexError
@example(damage=("cut", 0.75, 0))
@given(damage=DAMAGE)
def test_tensorflow_checkpoints_never_give_wrong_values(whole, model, tmp_path, kind, end, damage):
    """Each block of the index and each tensor has a checksum."""
    put_damaged_copy(whole / kind, tmp_path / "copy", f"model.ckpt.{end}", damage)
    if load_damaged(model, tmp_path / "copy" / "model.ckpt") is None:
        right = tiny_model(seed=1)
        head = load_checkpoint(right, str(whole / kind / "model.ckpt")).missing
        assert_same_weights(model, weights(right), but=head)
    inspect_or_refuse(tmp_path / "copy" / "model.ckpt")


@EXAMPLES
@given(damage=DAMAGE)
def test_safetensors_are_read_or_refused(whole, model, tmp_path, damage):
    """A changed weight has no checksum to tell it by; a changed header or length is noticed."""
    put_damaged_copy(whole / "hf", tmp_path / "copy", "model.safetensors", damage)
    message = load_damaged(model, tmp_path / "copy")
    if damage[0] in ("cut", "insert", "random"):
        assert message
    inspect_or_refuse(tmp_path / "copy")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"])
@settings(EXAMPLES, max_examples=40)
@given(damage=DAMAGE)
def test_the_files_of_a_huggingface_directory_when_it_is_converted(whole, tmp_path, name, damage):
    put_damaged_copy(whole / "hf", tmp_path / "copy", name, damage)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    try:
        convert(str(tmp_path / "copy"), str(tmp_path / "out") + "/", "tf1")
    except BertSquadError:
        assert not list((tmp_path / "out").glob("model*"))


@settings(EXAMPLES, max_examples=50)
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.index", "a.safetensors", "a", "checkpoint"]))
def test_files_of_anything(model, tmp_path, content, name):
    shutil.rmtree(tmp_path / "any", ignore_errors=True)
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / name).write_bytes(content)
    assert load_damaged(model, tmp_path / "any" / name.removesuffix(".index"))
    assert load_damaged(model, tmp_path / "any")


def inspect_or_refuse(path):
    with contextlib.suppress(CheckpointError):
        assert str(inspect_checkpoint(str(path))).startswith(str(path))
