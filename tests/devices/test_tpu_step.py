"""What a TPU is given to compute is what a TPU can compute.

It compiles all that a replica does with XLA, once: so nothing in it may be left to the host, and every shape has to be
known. There is no TPU here; the operations are looked at, and XLA compiles them for a CPU.
"""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from devices.xla_graphs import compiled_by_xla, operations
from tiny_models import TINY, random_inputs, tiny_model

from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

OF_ONE_LAYER = dataclasses.replace(
    TINY, num_hidden_layers=1, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3
)
INPUTS = {name: tf.constant(value) for name, value in random_inputs(lengths=(16, 11, 5, 9)).items()}
BATCH = {
    **INPUTS,
    "start_positions": tf.constant([3, 1, 4, 7]),
    "end_positions": tf.constant([5, 4, 4, 8]),
}

# The axes of a sum, which follow from shapes: TensorFlow does not work them out, XLA does when it compiles.
KNOWN_TO_XLA = {"BroadcastGradientArgs"}


@pytest.fixture(params=["hashed", "drawn"])
def masks(request, monkeypatch):
    """No pieces that are compiled by themselves, as on a TPU; and both ways to make a dropout mask."""
    monkeypatch.setattr("bert_squad.model.fusion.has_gpu", lambda: True)
    monkeypatch.setattr("bert_squad.model.dropout.has_gpu", lambda: request.param == "drawn")
    return request.param


def left_to_the_host(graph):
    """Return how many operations of each type XLA does not compile. What is fed is a Placeholder."""
    not_compiled = (entry.type for entry in operations(graph) if entry.type not in compiled_by_xla())
    return {name: count for name, count in collections.Counter(not_compiled).items() if name != "Placeholder"}


def unknown_shapes(graph):
    """Return the operations, type and name, with an output of unknown shape."""
    return [
        (entry.type, entry.name)
        for entry in operations(graph)
        if entry.type not in KNOWN_TO_XLA and not all(shape.is_fully_defined() for shape in entry.shapes)
    ]


def make_step(num_parts, config=OF_ONE_LAYER, dtype="float32", **options):
    model = BertForSquad(config, compute_dtype=dtype)
    model.set_weights(tiny_model(2, config).get_weights())
    optimizer = AdamWeightDecay.for_model(model)
    schedule = {"learning_rate": 1e-3, "num_train_steps": 10, "num_warmup_steps": 2, "seed": 3}
    return model, make_train_step(model, optimizer, **schedule, num_parts=num_parts, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("num_parts", [1, 2])
def test_a_training_step_leaves_nothing_to_the_host(num_parts, dtype, masks):
    _, step = make_step(num_parts, dtype=dtype)
    graph = step.get_concrete_function(tf.constant(0), BATCH).graph
    assert left_to_the_host(graph) == {}
    assert unknown_shapes(graph) == []
    types = {entry.type for entry in operations(graph)}
    # All of it was looked at: dropout, its gradient within the loop over parts, and the update.
    assert ("StatelessRandomUniformFullIntV2" if masks == "drawn" else "RightShift") in types
    assert ("StatelessWhile" in types or "While" in types) == (num_parts > 1)
    assert {"SparseSoftmaxCrossEntropyWithLogits", "UnsortedSegmentSum", "AssignVariableOp"} <= types


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_prediction_leaves_nothing_to_the_host(dtype, masks):
    model = BertForSquad(TINY, compute_dtype=dtype)
    scores = tf.function(lambda batch: model(batch, training=False, static_shapes=True))
    graph = scores.get_concrete_function(INPUTS).graph
    assert left_to_the_host(graph) == {}
    assert unknown_shapes(graph) == []
    assert "BatchMatMulV2" in {entry.type for entry in operations(graph)}


def three_steps(num_parts, config, **options):
    """Return losses, learning rates and norms, float [3, 3], and the weights after them."""
    model, step = make_step(num_parts, config, **options)
    values = [[float(value) for value in step(tf.constant(number), BATCH)] for number in range(3)]
    return np.array(values), np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def assert_compiled_to_the_same_numbers(num_parts, config):
    plain, weights = three_steps(num_parts, config)
    compiled, compiled_weights = three_steps(num_parts, config, jit_compile=True)
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)
    assert (np.abs(compiled_weights - weights) > 1e-4).mean() < 0.01


@pytest.mark.parametrize("num_parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_xla_compiles_a_training_step_to_the_same_numbers(num_parts, masks):
    """The masks too: they are a function of seed, step and place, whoever computes them."""
    assert_compiled_to_the_same_numbers(num_parts, OF_ONE_LAYER)


def test_xla_compiles_prediction_to_the_same_numbers(masks):
    model = tiny_model(2)
    scores = [
        tf.function(lambda batch: model(batch, training=False, static_shapes=True), jit_compile=jit_compile)
        for jit_compile in (False, True)
    ]
    for plain, compiled in zip(*(of_batch(INPUTS) for of_batch in scores), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-5)


def repeated(body):
    """Trace a loop that does something to a vector, so that this stands in a function of its own."""
    loop = tf.function(
        lambda x: tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, body(x)), (tf.constant(0), x))
    )
    return loop.get_concrete_function(tf.zeros([4])).graph


def test_the_tests_see_what_is_left_to_the_host():
    def on_host(x):
        return tf.ensure_shape(tf.numpy_function(lambda x: x, [x], tf.float32), [4])

    assert left_to_the_host(repeated(lambda x: x + 1)) == {}
    assert left_to_the_host(repeated(on_host)) == {"PyFunc": 1}
    texts = tf.function(lambda x: tf.strings.length(tf.strings.as_string(x)))
    assert left_to_the_host(texts.get_concrete_function(tf.zeros([4])).graph) == {
        "AsString": 1,
        "StringLength": 1,
    }


def test_the_tests_see_shapes_that_are_not_known():
    def ones_of_what_is_positive(x):
        return x + tf.reduce_sum(tf.boolean_mask(x, x > 0))

    assert unknown_shapes(repeated(lambda x: x + 1)) == []
    assert "Where" in {kind for kind, _ in unknown_shapes(repeated(ones_of_what_is_positive))}
    model = tiny_model()
    trimmed = tf.function(lambda batch: model(batch, training=False))
    assert unknown_shapes(trimmed.get_concrete_function(INPUTS).graph), "prediction elsewhere trims its keys"
