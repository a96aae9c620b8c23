"""Layers that are recomputed keep nothing but their inputs, wait for their gradients, and give the same bits."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf
from tiny_models import TINY, random_inputs, tiny_model

from bert_squad.model.recomputation import recomputed
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

BATCH = {
    **{name: tf.constant(value) for name, value in random_inputs(lengths=(16, 11, 5, 9)).items()},
    "start_positions": tf.constant([3, 1, 4, 7]),
    "end_positions": tf.constant([5, 4, 4, 8]),
}


def dropping(num_layers: int):
    return dataclasses.replace(
        TINY, num_hidden_layers=num_layers, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3
    )


def ancestors(outputs, with_control: bool = False) -> dict[str, tf.Operation]:
    """Return all that tensors are computed from, by name; what only has to come before, if asked for."""
    found, left = {}, [tensor.op for tensor in outputs]
    while left:
        operation = left.pop()
        if operation.name not in found:
            found[operation.name] = operation
            left += [tensor.op for tensor in operation.inputs]
            left += operation.control_inputs if with_control else []
    return found


def kept_elements(num_layers: int, recompute: bool) -> int:
    """Count the numbers that the forward pass of a model computes and the backward pass reads."""
    model = BertForSquad(dropping(num_layers))

    @tf.function(autograph=False)
    def loss_and_gradients(batch):
        with tf.GradientTape() as tape:
            logits = model(batch, training=True, dropout_seed=tf.constant([1, 2]), recompute=recompute)
            loss = tf.reduce_sum(logits)
        return loss, tape.gradient(loss, model.trainable_variables)

    loss, *gradients = loss_and_gradients.get_concrete_function(BATCH).outputs
    forward, whole = ancestors([loss]), ancestors(gradients)
    read = {
        tensor.name: tensor.shape.num_elements()
        for name, operation in whole.items()
        if name not in forward
        for tensor in operation.inputs
        if tensor.op.name in forward and tensor.dtype.is_floating and tensor.op.type != "ReadVariableOp"
    }
    return sum(read.values())


def test_one_layer_more_keeps_its_input_and_nothing_else():
    rows = BATCH["input_ids"].shape.num_elements() * TINY.hidden_size
    kept = {
        recompute: kept_elements(3, recompute) - kept_elements(2, recompute) for recompute in (False, True)
    }
    assert kept[True] == rows
    assert kept[False] > 10 * rows


def two_in_a_row(x, weight):
    """The gradient by two variables, or one that is used twice, of what has two matrix products that are recomputed."""
    product = recomputed(lambda states: (tf.tanh(states @ weight),))
    with tf.GradientTape() as tape:
        (between,) = product(x)
        loss = tf.reduce_sum(tf.sin(product(between)[0]), name="loss")
    return tape.gradient(loss, weight)


@pytest.fixture
def weight():
    return tf.Variable(tf.random.stateless_normal([8, 8], [1, 2]))


X = tf.random.stateless_normal([4, 8], [3, 4])


def test_a_variable_that_is_read_has_its_gradient(weight):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(tf.tanh(tf.tanh(X @ weight) @ weight)))
    wanted = tape.gradient(loss, weight)
    for compute in (two_in_a_row, tf.function(two_in_a_row)):
        np.testing.assert_allclose(compute(X, weight), wanted, rtol=1e-5, atol=1e-6)


def test_it_is_recomputed_when_its_gradient_is_there(weight):
    """TensorFlow computes what it can as soon as it can: without waiting, all layers' would lie there at one time."""
    (gradient,) = tf.function(lambda x: two_in_a_row(x, weight)).get_concrete_function(X).outputs
    whole = ancestors([gradient], with_control=True)
    products = [operation for operation in whole.values() if operation.type == "Tanh"]
    waiting = [
        operation
        for operation in products
        if "Cos" in {o.type for o in ancestors(operation.outputs, True).values()}
    ]
    assert (len(products), len(waiting)) == (4, 2)


def test_xla_does_not_merge_what_is_computed_twice(weight):
    def num_products(function) -> int:
        compiled = tf.function(lambda x: function(x, weight), jit_compile=True)
        return len(re.findall(r" dot\(", compiled.experimental_get_compiler_ir(X)(stage="optimized_hlo")))

    def kept(x, weight):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(tf.tanh(tf.tanh(x @ weight) @ weight)))
        return tape.gradient(loss, weight)

    assert num_products(two_in_a_row) == num_products(kept) + 2


def trained(recompute: bool, step_options=None, optimizer_options=None, **model_options):
    """Return losses and norms of three steps with dropout, and the weights after them, bit for bit."""
    config = dropping(2)
    model = BertForSquad(config, **model_options)
    model.set_weights(tiny_model(2, config).get_weights())
    step = make_train_step(
        model,
        AdamWeightDecay.for_model(model, **(optimizer_options or {})),
        learning_rate=1e-3,
        num_train_steps=10,
        num_warmup_steps=0,
        seed=3,
        recompute=recompute,
        **(step_options or {}),
    )
    values = [[float(value) for value in step(tf.constant(number), BATCH)] for number in range(3)]
    return values, [weight.tobytes() for weight in model.get_weights()]


SCALED = {"scales_loss": True}
WAYS = {
    "as by default": ({}, {}, {}),
    "bfloat16 in parts": ({"num_parts": 2}, {}, {"compute_dtype": "bfloat16"}),
    "float16": (SCALED, {}, {"compute_dtype": "float16"}),
    "without padding": ({}, {}, {"pad_to": "batch"}),
    "without padding, bfloat16 in parts": (
        {"num_parts": 2},
        {},
        {"pad_to": "batch", "compute_dtype": "bfloat16"},
    ),
    "compiled": ({"jit_compile": True}, {}, {}),
    "compiled, float16 in parts": (
        SCALED | {"jit_compile": True, "num_parts": 2},
        {},
        {"compute_dtype": "float16"},
    ),
    "some variables": ({}, {"trainable": "layer_1/|cls/", "layerwise_lr_decay": 0.5}, {}),
    "the lowest variables, compiled": ({"jit_compile": True}, {"trainable": "embeddings"}, {}),
}


@pytest.mark.parametrize(
    "way", ["as by default", *(pytest.param(way, marks=pytest.mark.slow) for way in list(WAYS)[1:])]
)
def test_losses_and_weights_are_the_same_bits(way):
    step_options, optimizer_options, model_options = WAYS[way]
    kept, recomputed_ones = (
        trained(recompute, step_options, optimizer_options, **model_options) for recompute in (False, True)
    )
    assert recomputed_ones == kept
