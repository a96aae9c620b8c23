"""Dropout whose random numbers are a function of a seed, so that an interrupted run can repeat them."""

import tensorflow as tf


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Set a share of the elements to zero and scale the others up, as `tf.nn.dropout` does.

    Args:
      x: float tensor of any shape.
      rate: probability of an element to be dropped, in [0, 1); known to 1/65536.
      seed: int32 [2]; the same seed gives the same mask. None: no dropout (prediction).

    Returns:
      A tensor like `x`; kept elements are multiplied by 1 / (1 - rate).

    Source: `modeling.dropout`. Differs: the mask is cut from 16 random bits an element instead of 23, two
    elements from one 32-bit number. That halves the cost; a rate of 0.1 becomes 0.100006.
    """
    if seed is None or rate == 0.0:
        return x
    return tf.where(
        keep_mask(tf.shape(x), rate, seed), x * tf.cast(1.0 / (1.0 - rate), x.dtype), tf.zeros([], x.dtype)
    )


def keep_mask(shape: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Draw the elements that stay.

    Args:
      shape: int32 [rank].
      rate: probability of False, in [0, 1).
      seed: int32 [2].

    Returns:
      bool tensor of that shape.
    """
    count = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32)
    bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
    return tf.reshape(bits >= tf.constant(round(rate * 65536), tf.uint16), shape)


def site_seed(seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """Derive the seed of one place in the model from the seed of the step.

    Args:
      seed: int32 [2] or None.
      site: number of the place; different places get independent masks.
    """
    return None if seed is None else tf.random.experimental.stateless_fold_in(seed, site)
