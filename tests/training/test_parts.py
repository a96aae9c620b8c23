"""A batch in parts gives the numbers of the whole batch, whatever else a step does."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_models import TINY, random_inputs, tiny_model

from bert_squad.errors import ConfigError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay
from bert_squad.training.parts import sum_over_parts

DROPPING = dataclasses.replace(TINY, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3)
BATCH = {
    **{name: tf.constant(value) for name, value in random_inputs(lengths=(16, 11, 5, 9)).items()},
    "start_positions": tf.constant([3, 1, 4, 7]),
    "end_positions": tf.constant([5, 4, 4, 8]),
}


def trained(num_parts, step_options=None, config=DROPPING, **model_options):
    """Return the losses and norms of three steps with dropout, and the weights after them."""
    model = BertForSquad(config, **model_options)
    model.set_weights(tiny_model(2, config).get_weights())
    step = make_train_step(
        model,
        AdamWeightDecay.for_model(model),
        learning_rate=1e-3,
        num_train_steps=10,
        num_warmup_steps=0,
        seed=3,
        num_parts=num_parts,
        **(step_options or {}),
    )
    outputs = [[float(value) for value in step(tf.constant(number), BATCH)] for number in range(3)]
    losses, _, norms = zip(*outputs, strict=True)
    return losses, norms, np.concatenate([np.ravel(weight) for weight in model.get_weights()])


WAYS = {
    "padded": ({}, {}),
    "without padding": ({}, {"pad_to": "batch"}),
    "scaled": ({"scales_loss": True}, {}),
}


@pytest.mark.parametrize(
    "way", ["padded", *(pytest.param(way, marks=pytest.mark.slow) for way in list(WAYS)[1:])]
)
def test_parts_with_dropout(way):
    step_options, model_options = WAYS[way]
    losses, norms, weights = trained(1, step_options, **model_options)
    for num_parts in (2, 4):
        of_parts = trained(num_parts, step_options, **model_options)
        np.testing.assert_allclose(of_parts[0], losses, rtol=1e-5)
        np.testing.assert_allclose(of_parts[1], norms, rtol=1e-4)
        assert (np.abs(of_parts[2] - weights) > 1e-4).mean() < 0.01


OF_ONE_LAYER = dataclasses.replace(DROPPING, num_hidden_layers=1)  # compiling takes its time


@pytest.mark.parametrize(
    ("step_options", "compute_dtype", "tolerance"),
    [({"scales_loss": True}, "float16", 0.002), ({"jit_compile": True}, "float32", 1e-5)],
    ids=["float16", "compiled"],
)
def test_two_parts_in_other_ways(step_options, compute_dtype, tolerance):
    whole, of_parts = (
        trained(num_parts, step_options, OF_ONE_LAYER, compute_dtype=compute_dtype) for num_parts in (1, 2)
    )
    np.testing.assert_allclose(of_parts[0], whole[0], rtol=tolerance)
    np.testing.assert_allclose(of_parts[1], whole[1], rtol=10 * tolerance)


def square_and_look_up(table, weight):
    """A loss with a gradient of each kind: slices of `table`, dense ones of `weight`."""

    def of_part(rows, first_row):
        with tf.GradientTape() as tape:
            looked_up = tf.gather(table, rows["input_ids"])
            loss = tf.reduce_mean(tf.reduce_sum(looked_up * weight, [1, 2])) / (1 if first_row is None else 2)
        return loss * (1 if first_row is None else 2), tape.gradient(loss, [table, weight])

    return of_part


def test_slices_are_laid_end_to_end_and_dense_gradients_are_added():
    """LEGACY: the norm counts repeated rows separately, so those of several parts may not be added."""
    table, weight = tf.Variable(tf.random.stateless_normal([5, 3], [1, 2])), tf.Variable([1.0, 2.0, 3.0])
    batch = {"input_ids": tf.constant([[4, 0], [1, 1], [4, 4], [2, 0]])}
    of_part = square_and_look_up(table, weight)

    def gradients(num_parts):
        loss, found = sum_over_parts(of_part, batch, num_parts, [table, weight], sliced=table)
        return loss, found[0].values, found[0].indices, found[1]

    whole, of_two = (tf.function(lambda n=n: gradients(n))() for n in (1, 2))
    np.testing.assert_array_equal(of_two[2], [4, 0, 1, 1, 4, 4, 2, 0])
    for ours, wanted in zip(of_two, whole, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-6)


def test_a_part_is_traced_once_and_knows_its_first_row():
    variable, seen = tf.Variable([0.0]), []

    def of_part(rows, first_row):
        seen.append(rows["input_ids"].shape)
        first_id = tf.cast(rows["input_ids"][0, 0], tf.float32)
        return tf.cast(first_row, tf.float32) - first_id, [tf.reshape(tf.cast(first_row, tf.float32), [1])]

    batch = {"input_ids": tf.range(8)[:, tf.newaxis] + tf.zeros([1, 3], tf.int32)}
    other = tf.Variable([0.0])
    run = tf.function(lambda: sum_over_parts(of_part, batch, 4, [variable], sliced=other))
    loss, (total,) = run()
    assert seen == [(2, 3)]
    assert float(loss) == 0.0, "the first row of a part is the one that it was told"
    assert float(total[0]) == 0 + 2 + 4 + 6


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ConfigError, match=r"A batch of 4 cannot be cut into 3 parts of one size\."):
        trained(3)
