"""Leaving padding out changes nothing but rounding for the positions that are real."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from tiny_config import TINY
from tiny_models import tiny_model

from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.model.packing import Packed, Padded, TrimmedKeys
from bert_squad.model.squad_model import PADDING_LOGIT, BertForSquad

CONFIG = dataclasses.replace(TINY, vocab_size=60, max_position_embeddings=160)


def inputs(lengths, size):
    rng = np.random.default_rng(1)
    mask = (np.arange(size) < np.array(lengths)[:, None]).astype(np.int32)
    return {
        "input_ids": rng.integers(1, 60, mask.shape).astype(np.int32) * mask,
        "input_mask": mask,
        "segment_ids": (np.arange(size) > 4).astype(np.int32) * mask,
    }


def two_models():
    padded = tiny_model(5, CONFIG)
    packed = BertForSquad(CONFIG, pad_to="batch")
    packed.set_weights(padded.get_weights())
    return padded, packed


@pytest.mark.parametrize(
    ("lengths", "size"), [([7, 12, 3, 9, 12, 5, 11], 12), ([150, 20, 70, 90, 66], 150), ([4], 9), ([8, 8], 8)]
)
@pytest.mark.parametrize("training", [False, True])
def test_logits_and_gradients_of_real_positions(lengths, size, training):
    batch = inputs(lengths, size)
    real = batch["input_mask"].astype(bool)
    found = []
    for model in two_models():

        @tf.function
        def scores(batch, model=model):
            with tf.GradientTape() as tape:
                logits = tf.stack(model(batch, training=training, dropout_seed=tf.constant([1, 2])))
                weights = tf.range(tf.size(logits[0]), dtype=tf.float32)[tf.newaxis]
                loss = tf.reduce_sum(tf.sin(weights) * tf.reshape(tf.where(real, logits, 0.0), [2, -1]))
            used = [entry.variable for entry in tf1_variables(model).values() if entry.trained]
            return logits, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, used)]

        found.append(scores({name: tf.constant(value) for name, value in batch.items()}))
    (padded, wanted), (packed, got) = found
    np.testing.assert_allclose(packed.numpy()[:, real], padded.numpy()[:, real], atol=2e-6)
    assert (packed.numpy()[:, ~real] == PADDING_LOGIT).all()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * max(1.0, abs(theirs).numpy().max()))


def test_batches_of_unknown_size_are_computed_with_padding():
    """So that Keras can save the model and train it on arrays; only `Packed` has to know the size."""
    padded, packed = two_models()
    batch = inputs([7, 12, 3], 12)
    spec = {name: tf.TensorSpec([None, None], tf.int32) for name in batch}

    @tf.function(input_signature=[spec])
    def scores(batch):
        return packed(batch, training=True, dropout_seed=tf.constant([1, 2]))

    real = batch["input_mask"].astype(bool)
    wanted = padded(batch, training=True, dropout_seed=tf.constant([1, 2]))
    for got, of_padded in zip(scores(batch), wanted, strict=True):
        np.testing.assert_allclose(got.numpy()[real], of_padded.numpy()[real], atol=2e-6)
        assert (got.numpy()[~real] == PADDING_LOGIT).all()


MASKS = {
    "the real positions first": [[1] * 7 + [0] * 33, [1] * 20 + [0] * 20, [1] + [0] * 39],
    "none is padding": [[1] * 40] * 3,
    "gaps": [[1, 0] * 10 + [0] * 20, [0] * 15 + [1] * 10 + [0] * 15, [0] * 3 + [1] + [0] * 36],
    "padding first": [[0] * 30 + [1] * 10, [0] * 39 + [1], [1] * 40],
    "a sequence without real positions": [[1] * 7 + [0] * 33, [0] * 40, [1] * 9 + [0] * 31],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_padding_that_is_no_key_changes_no_logit(mask):
    """Those of padding included: they take part in the legacy n-best."""
    model = tiny_model(5, CONFIG)
    batch = {**inputs([40] * 3, 40), "input_mask": np.array(mask, np.int32)}
    batch = {name: tf.constant(value) for name, value in batch.items()}
    with_all_keys, with_trimmed_keys = (
        tf.function(functools.partial(model, static_shapes=static))(batch) for static in (True, False)
    )
    np.testing.assert_allclose(with_trimmed_keys, with_all_keys, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_what_stays_whole_gives_the_same_logits(dtype, tolerance):
    model = tiny_model(5, CONFIG).with_all_in(dtype)
    batch = {name: tf.constant(value) for name, value in inputs([40, 17, 3], 40).items()}
    whole, in_rows = (
        tf.function(functools.partial(model, **flags))(batch)
        for flags in ({"keeps_rank": True}, {"static_shapes": True})
    )
    np.testing.assert_allclose(whole, in_rows, atol=tolerance)


def test_keys_end_with_the_longest_sequence():
    for lengths, keys in (([7, 17, 3], 32), ([7, 16], 16), ([33], 40), ([40], 40)):
        mask = tf.constant(inputs(lengths, 40)["input_mask"])
        (of_keys,) = TrimmedKeys(mask).masks
        np.testing.assert_array_equal(of_keys, mask[:, :keys])


@pytest.mark.parametrize("packing", [Padded, TrimmedKeys, Packed])
def test_rows_come_back_to_their_places(packing):
    mask = tf.constant([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]])
    states = tf.random.normal([5, 4, 3])
    of_batch = packing(mask)
    real = tf.cast(mask, tf.bool)
    there_and_back = (
        of_batch.unpack(of_batch.pack(states)),
        of_batch.unpack(of_batch.from_groups(of_batch.to_groups(of_batch.pack(states)))),
    )
    for result in there_and_back:
        np.testing.assert_array_equal(result[real], states[real])
    assert sum(int(tf.reduce_sum(mask)) for mask in of_batch.masks) == 12


def test_sequences_of_similar_length_share_a_group():
    lengths = np.array([300, 10, 200, 20, 250, 30, 100, 40])
    mask = tf.constant((np.arange(384) < lengths[:, None]).astype(np.int32))
    assert [tuple(group.shape) for group in Packed(mask).masks] == [(2, 64), (2, 64), (2, 256), (2, 320)]


def dropping_model(pad_to):
    """One of `two_models`, with dropout."""
    config = dataclasses.replace(CONFIG, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.4)
    model = BertForSquad(config, pad_to=pad_to)
    model.set_weights(tiny_model(5, CONFIG).get_weights())
    return model


def in_training(model, batch, **arguments):
    """Return the logits with dropout, [2, B, S]."""
    batch = {name: tf.constant(value) for name, value in batch.items()}
    seed = tf.constant([1, 2])
    return tf.function(lambda: tf.stack(model(batch, training=True, dropout_seed=seed, **arguments)))()


def test_the_same_is_dropped_with_and_without_padding():
    batch = inputs([150, 20, 70, 90, 66], 150)
    real = batch["input_mask"].astype(bool)
    padded, packed = (
        in_training(dropping_model(pad_to), batch).numpy()[:, real] for pad_to in ("max", "batch")
    )
    np.testing.assert_allclose(packed, padded, atol=2e-5)


@pytest.mark.parametrize("pad_to", ["max", "batch"])
def test_a_part_drops_what_the_whole_batch_does(pad_to):
    model = dropping_model(pad_to)
    batch = inputs([150, 20, 70, 90, 66, 12], 150)
    whole = in_training(model, batch)
    for first in (0, 2, 4):
        part = {name: value[first : first + 2] for name, value in batch.items()}
        of_part = in_training(model, part, first_sequence=tf.constant(first))
        np.testing.assert_allclose(of_part, whole[:, first : first + 2], atol=2e-5)


def test_groups_drop_independently():
    """Four equal windows fall into four groups; dropout of attention alone must make their logits differ."""
    config = dataclasses.replace(CONFIG, attention_probs_dropout_prob=0.5)
    model = BertForSquad(config, pad_to="batch")
    model.set_weights(tiny_model(5, config).get_weights())
    batch = inputs([20], 24)
    batch = {name: tf.constant(np.repeat(value, 4, axis=0)) for name, value in batch.items()}
    start_logits, _ = model(batch, training=True, dropout_seed=tf.constant([1, 2]))
    rows = {tuple(row) for row in start_logits.numpy()[:, :20].round(4)}
    assert len(rows) == 4
