"""Compiled functions compute what they say, and gradients made by hand are those of automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from bert_squad.model.attention import attend, make_split_with_bias, make_training_attention, split_heads
from bert_squad.model.dropout import dropout, mask_key
from bert_squad.model.fusion import compiled, fused

KEY = mask_key(tf.constant([4, 5]), 1)


def gradients(function, *inputs):
    """Return the output of a function and the gradients of a weighted sum of it."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(function(*inputs))
        total = tf.add_n(
            [
                tf.reduce_sum(
                    tf.cast(x, tf.float32)
                    * tf.reshape(tf.sin(tf.range(tf.size(x), dtype=tf.float32)), x.shape)
                )
                for x in outputs
            ]
        )
    return outputs, tape.gradient(total, inputs)


def assert_same(ours, theirs, tolerance=1e-5):
    for got, wanted in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(wanted))))
        np.testing.assert_allclose(got, wanted, atol=tolerance * scale)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_attention_with_dropout_and_its_gradient(rate):
    query, key, value = tf.unstack(tf.random.stateless_normal([3, 2, 3, 5, 4], [1, 2]))
    score_bias = tf.constant([[0.0, 0, 0, 0, -1e4], [0.0, 0, -1e4, -1e4, -1e4]])[:, None, None, :]

    def plain(query, key, value):
        probabilities = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + score_bias)
        return tf.matmul(dropout(probabilities, rate, KEY), value)

    def ours(query, key, value):
        return make_training_attention(rate)(query, key, value, score_bias, KEY)

    assert_same(gradients(ours, query, key, value), gradients(plain, query, key, value))
    if rate == 0:
        assert_same(ours(query / 2, key, value), attend(query, key, value, score_bias))  # 1/sqrt(4)


def test_split_with_bias():
    states, bias = tf.random.stateless_normal([2, 5, 12], [1, 2]), tf.random.stateless_normal([12], [3, 4])
    assert_same(
        gradients(make_split_with_bias(3, 0.5), states, bias),
        gradients(lambda states, bias: split_heads((states + bias) * 0.5, 3), states, bias),
    )


def test_a_fused_function_and_its_gradient():
    def function(x, y, key):
        z = dropout(tf.tanh(x) * y, 0.4, key)
        return z, tf.cast(z + x, tf.bfloat16)

    x, y = tf.random.stateless_normal([6, 4], [1, 2]), tf.random.stateless_normal([4], [3, 4])
    ours, plain = (gradients(lambda x, y, of=of: of(x, y, KEY), x, y) for of in (fused(function), function))
    assert_same(ours, plain)


def test_both_outputs_count_when_only_one_is_used():
    pair = fused(lambda x: (x * 2.0, x * 3.0))
    x = tf.constant([1.0, 2.0])
    _, gradient = gradients(lambda x: pair(x)[1], x)
    np.testing.assert_allclose(gradient[0], 3 * np.sin([0, 1]), rtol=1e-6)


def test_with_a_gpu_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr("bert_squad.model.fusion.has_gpu", lambda: True)
    seen = []
    compiled(lambda x: seen.append(x) or x)(tf.constant(1.0))
    assert seen[0].numpy() == 1.0, "a tensor with a value, not a symbol"
