"""Scaled dot-product attention over heads, for prediction and, with dropout and its gradient by hand, for training.

In types narrower than float32, prediction computes scores and their softmax in float32 all the same. Training does not,
because it would take twice the memory.

Shapes: B batch, S sequence, H hidden, N heads, D head size.

Source: `modeling.attention_layer`; Vaswani et al. 2017.
"""

import functools
import math
from collections.abc import Callable

import tensorflow as tf

from bert_squad.model.dropout import dropout
from bert_squad.model.fusion import fused, one_pass


def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, score_bias: tf.Tensor) -> tf.Tensor:
    """Let every position attend to every other one, without dropout.

    Args:
      query: float [B, N, S, D].
      key: float [B, N, S, D].
      value: float [B, N, S, D].
      score_bias: [B, 1, 1, S], added to the scores: 0 for a real key, large and negative for padding. Its type is that
        of the product with the values.

    Returns:
      [B, N, S, D] of the type of `score_bias`.
    """
    narrow = score_bias.dtype
    # Scores are float32 whatever the type: rounded to 8 bits they would change more answers. TensorFlow does scale and
    # bias in one operation with the product when they stand in this order.
    query, key, score_bias = (tf.cast(x, tf.float32) for x in (query, key, score_bias))
    scores = tf.matmul(query, key, transpose_b=True) * (1.0 / math.sqrt(query.shape[-1])) + score_bias
    return tf.matmul(tf.cast(tf.nn.softmax(scores), narrow), tf.cast(value, narrow))


def split_heads(states: tf.Tensor, heads: int) -> tf.Tensor:
    """Reshape [B, S, H] to [B, N, S, D]."""
    shape = tf.shape(states)
    states = tf.reshape(states, [shape[0], shape[1], heads, states.shape[-1] // heads])
    return tf.transpose(states, [0, 2, 1, 3])


def merge_heads(states: tf.Tensor) -> tf.Tensor:
    """Reshape [B, N, S, D] to [B, S, H], the heads of a position side by side."""
    states = tf.transpose(states, [0, 2, 1, 3])
    shape = tf.shape(states)
    return tf.reshape(states, [shape[0], shape[1], states.shape[-2] * states.shape[-1]])


def _split_with_bias(heads: int, scale: float, states, bias):
    biased = (tf.cast(states, tf.float32) + bias) * scale
    return split_heads(tf.cast(biased, states.dtype), heads)


@functools.cache
def make_split_with_bias(heads: int, scale: float = 1.0) -> Callable:
    """Return a function of (float [B, S, H], float32 [H]) that adds the second and multiplies, then splits heads."""
    return fused(functools.partial(_split_with_bias, heads, scale))


@functools.cache
def make_training_attention(rate: float) -> Callable:
    """Return attention with dropout on its probabilities.

    Args:
      rate: probability of an element to be dropped.

    Returns:
      A function like `attend`, but of queries that are scaled already, and with a last argument, the key of the
      dropout mask (`dropout.mask_key`). Its gradient needs no sum over the scores: with P the probabilities, M the mask
      and its scale, and O = (P∘M)·V, the sum of dO·Vᵀ∘M∘P over a row is that of dO∘O.

    Source: the sum is the one of FlashAttention (Dao et al. 2022), appendix B.2.
    """

    @one_pass
    def dropped_part(probabilities, key):
        return dropout(probabilities, rate, key)

    @one_pass
    def row_sums(upstream, context):
        product = tf.cast(upstream, tf.float32) * tf.cast(context, tf.float32)
        return tf.reduce_sum(product, -1, keepdims=True)

    @one_pass
    def score_gradient(probabilities, upstream, sums, key):
        dropped = dropout(probabilities, rate, key)
        wide, wide_dropped, upstream = (tf.cast(x, tf.float32) for x in (probabilities, dropped, upstream))
        return dropped, tf.cast(wide_dropped * upstream - wide * sums, probabilities.dtype)

    @tf.custom_gradient
    def attend_and_drop(query, key, value, score_bias, mask_key):
        scores = tf.matmul(query, key, transpose_b=True) + score_bias
        probabilities = tf.nn.softmax(scores)
        context = tf.matmul(dropped_part(probabilities, mask_key) if rate else probabilities, value)

        def gradient(upstream):
            dropped, d_scores = score_gradient(
                probabilities,
                tf.matmul(upstream, value, transpose_b=True),
                row_sums(upstream, context),
                mask_key,
            )
            return (
                tf.matmul(d_scores, key),
                tf.matmul(d_scores, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
                None,
                None,
            )

        return context, gradient

    return attend_and_drop
