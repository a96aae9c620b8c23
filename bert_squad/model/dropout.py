"""Dropout masks that are a function of a seed and an element's place in the whole batch.

So an interrupted run can repeat them, and a batch that is cut into parts, or (without a GPU) whose padding is left out,
drops what it would have dropped whole.
"""

import tensorflow as tf

from bert_squad.model.fusion import has_gpu


def dropout(x: tf.Tensor, rate: float, key: tf.Tensor, first_index: tf.Tensor | None = None) -> tf.Tensor:
    """Set a share of the elements to zero and scale the others up, as `tf.nn.dropout` does.

    Args:
      x: float tensor of any shape.
      rate: probability of an element to be dropped, in [0, 1).
      key: from `mask_key`; the same key gives the same mask.
      first_index: as for `keep_mask`.

    Returns:
      A tensor like `x`; kept elements are multiplied by 1 / (1 - rate).

    Source: `modeling.dropout`. Differs: random bits are hashes of the places (see `keep_mask`).
    """
    if rate == 0.0:
        return x
    scale = tf.constant(1.0 / (1.0 - rate), x.dtype)
    return tf.where(keep_mask(tf.shape(x), rate, key, first_index), x * scale, tf.zeros([], x.dtype))


def keep_mask(
    shape: tf.Tensor, rate: float, key: tf.Tensor, first_index: tf.Tensor | None = None
) -> tf.Tensor:
    """Draw the elements that stay.

    The random bits of an element are a hash of its index in the tensor of the whole batch and the key. Unlike the
    numbers of a generator they need no memory: a compiler computes them where they are used, in the backward pass a
    second time. On a GPU, where nothing is compiled unless asked for, a generator draws them where indices run on, and
    those without padding, whose indices do not, differ from those with it.

    Args:
      shape: int32 [rank].
      rate: probability of False, in [0, 1); known to 2^-32.
      key: uint32 [2], from `mask_key`.
      first_index: where the tensor is a part of a larger one, uint32. A scalar: the index there of the first element,
        from which all others run on. Or [..., 1], broadcast to the shape: of the first element of each row. None: the
        tensor is the whole.

    Returns:
      bool tensor of that shape.
    """
    runs_on = first_index is None or first_index.shape.rank == 0
    if runs_on and has_gpu():
        bits = drawn_bits(shape, key, first_index)
    else:
        counted = shape if runs_on else shape[-1:]
        index = tf.reshape(tf.cast(tf.range(tf.reduce_prod(counted)), tf.uint32), counted)
        index = index if first_index is None else index + first_index
        bits = _mixed(_mixed(index + key[0]) ^ key[1])
    return bits >= tf.constant(round(rate * 2**32), tf.uint32)


_GENERATOR = "philox"
"""Named, although it is the one that TensorFlow selects: XLA then draws the same, and does so on a TPU too."""
_WORDS_AT_ONCE = 4  # which TensorFlow's generator makes of one value of its counter


def drawn_bits(shape: tf.Tensor, key: tf.Tensor, first_index: tf.Tensor | None = None) -> tf.Tensor:
    """Draw uint32 words with TensorFlow's generator; a part gets what it would get in the whole.

    Args:
      shape: int32 [rank].
      key: uint32 [2], from `mask_key`.
      first_index: uint32 scalar, the index of the first element in the whole tensor; None: this is the whole.

    Returns:
      uint32 tensor of that shape.
    """
    seed = tf.bitcast(key, tf.int32)
    if first_index is None:
        return _uniform_words(shape, seed)
    first_index, count = tf.cast(first_index, tf.int64), tf.reduce_prod(shape)
    generator_key, counter = _key_and_counter(seed)
    passed_over = tf.cast(tf.stack([first_index // _WORDS_AT_ONCE, 0]), tf.uint64)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[count + _WORDS_AT_ONCE - 1],
        key=generator_key,
        counter=counter + passed_over,
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.uint32,
    )
    begin = tf.cast(first_index % _WORDS_AT_ONCE, tf.int32)
    return tf.reshape(tf.slice(words, [begin], [count]), shape)


def _uniform_words(shape: tf.Tensor | list[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw uint32 words from a seed, int32 [2], by `_GENERATOR`."""
    return tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg=_GENERATOR)


def _key_and_counter(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return uint64 [1] and [2], where the generator of a seed, int32 [2], begins.

    Source: TensorFlow's `StatelessRandomGetKeyCounter`, which XLA makes something else of.
    """
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[4],
        key=tf.constant([0x02461E293EC8F720], tf.uint64),
        counter=tf.cast(seed, tf.uint64),
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.uint32,
    )
    key, high = tf.unstack(tf.bitcast(tf.reshape(words, [2, 2]), tf.uint64))
    return key[tf.newaxis], tf.stack([tf.constant(0, tf.uint64), high])


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
    return tf.random.experimental.stateless_fold_in(seed, site, alg=_GENERATOR)


def mask_key(seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """Return the key of the masks of one place, uint32 [2], or None for None; arguments as in `site_seed`."""
    if seed is None:
        return None
    return _uniform_words([2], site_seed(seed, site))


Mask = tuple[tf.Tensor, ...]
"""Which mask a place in the model has: the arguments of `dropout` behind the rate, but for those that are None."""


def mask_of(seed: tf.Tensor | None, site: int, first_index: tf.Tensor | None = None) -> Mask | None:
    """Return which mask one place has, or None for no seed; arguments as in `site_seed` and `keep_mask`."""
    key = mask_key(seed, site)
    if key is None:
        return None
    return (key,) if first_index is None else (key, first_index)
