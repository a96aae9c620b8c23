"""Dropout masks that are a function of a seed and the position, so that an interrupted run can repeat them."""

import tensorflow as tf

from bert_squad.model.fusion import has_gpu


def dropout(x: tf.Tensor, rate: float, key: tf.Tensor) -> tf.Tensor:
    """Set a share of the elements to zero and scale the others up, as `tf.nn.dropout` does.

    Args:
      x: float tensor of any shape.
      rate: probability of an element to be dropped, in [0, 1).
      key: from `mask_key`; the same key gives the same mask.

    Returns:
      A tensor like `x`; kept elements are multiplied by 1 / (1 - rate).

    Source: `modeling.dropout`. Differs: random bits are hashes of the positions (see `keep_mask`).
    """
    if rate == 0.0:
        return x
    scale = tf.constant(1.0 / (1.0 - rate), x.dtype)
    return tf.where(keep_mask(tf.shape(x), rate, key), x * scale, tf.zeros([], x.dtype))


def keep_mask(shape: tf.Tensor, rate: float, key: tf.Tensor) -> tf.Tensor:
    """Draw the elements that stay.

    The random bits of an element are a hash of its position and the key. Unlike the numbers of a generator they
    need no memory: a compiler computes them where they are used, in the backward pass a second time. On a GPU, where
    nothing is compiled unless asked for, a generator draws them.

    Args:
      shape: int32 [rank].
      rate: probability of False, in [0, 1); known to 2^-32.
      key: uint32 [2], from `mask_key`.

    Returns:
      bool tensor of that shape.
    """
    if has_gpu():
        seed = tf.bitcast(key, tf.int32)
        bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32)
    else:
        position = tf.reshape(tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32), shape)
        bits = _mixed(_mixed(position + key[0]) ^ key[1])
    return bits >= tf.constant(round(rate * 2**32), tf.uint32)


def _mixed(word: tf.Tensor) -> tf.Tensor:
    """Map uint32 words of any shape one to one so that each bit of the input changes half of the bits of the output.

    Source: the finalizer of MurmurHash3 (A. Appleby).
    """
    for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        word = (word ^ _shifted_right(word, shift)) * tf.constant(multiplier, tf.uint32)
    return word ^ _shifted_right(word, 16)


def _shifted_right(word: tf.Tensor, bits: int) -> tf.Tensor:
    """Shift uint32 words of any shape."""
    return tf.bitwise.right_shift(word, tf.constant(bits, tf.uint32))


def site_seed(seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """Derive the seed of one place in the model from the seed of the step.

    Args:
      seed: int32 [2]; None where nothing is dropped.
      site: number of the place; different places get independent masks.

    Returns:
      int32 [2], or None for None.
    """
    if seed is None:
        return None
    return tf.random.experimental.stateless_fold_in(seed, site)


def mask_key(seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """Return the key of the masks of one place, uint32 [2], or None for None; arguments as in `site_seed`."""
    if seed is None:
        return None
    return tf.random.stateless_uniform([2], site_seed(seed, site), minval=None, maxval=None, dtype=tf.uint32)
