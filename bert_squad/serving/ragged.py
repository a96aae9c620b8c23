"""Rows of different lengths, laid end to end in one flat tensor.

That is what a `tf.RaggedTensor` is, too; but some of its operations pad the rows in between, and one row may be a
book. Row `r` of R has the flat positions `splits[r]` to `splits[r + 1]` (exclusive); `splits` is int32 [R + 1].
"""

import tensorflow as tf


def row_splits(lengths: tf.Tensor) -> tf.Tensor:
    """Return the splits of rows of the given lengths, int32 [R].

    >>> row_splits(tf.constant([2, 0, 3])).numpy().tolist()
    [0, 2, 2, 5]
    """
    return tf.concat([[0], tf.cumsum(lengths)], 0)


def row_lengths(splits: tf.Tensor) -> tf.Tensor:
    """Return the lengths of rows, int32 [R].

    >>> row_lengths(tf.constant([0, 2, 2, 5])).numpy().tolist()
    [2, 0, 3]
    """
    return splits[1:] - splits[:-1]


def value_rowids(splits: tf.Tensor) -> tf.Tensor:
    """Return the row of each flat position, int32.

    >>> value_rowids(tf.constant([0, 2, 2, 5])).numpy().tolist()
    [0, 0, 2, 2, 2]
    """
    beginnings = splits[1:-1]
    total = splits[-1]
    # Rows that begin at the very end are empty; they fall off with the last element.
    begun = tf.math.unsorted_segment_sum(tf.ones_like(beginnings), beginnings, total + 1)
    return tf.cumsum(begun)[:total]


def ranges(starts: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Count from each start, and lay the results end to end.

    Args:
      starts: int32 [R].
      lengths: int32 [R].

    Returns:
      For each counted number, int32, the row it belongs to and the number.

    >>> rows, numbers = ranges(tf.constant([10, 20]), tf.constant([2, 3]))
    >>> rows.numpy().tolist(), numbers.numpy().tolist()
    ([0, 0, 1, 1, 1], [10, 11, 20, 21, 22])
    """
    splits = row_splits(lengths)
    rows = value_rowids(splits)
    return rows, tf.range(splits[-1]) + tf.gather(starts - splits[:-1], rows)


def bincount(rows: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """Return how often each row occurs among `rows`, int32 [num_rows].

    >>> bincount(tf.constant([0, 0, 2]), 3).numpy().tolist()
    [2, 0, 1]
    """
    return tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, num_rows)


def positions_where(flags: tf.Tensor) -> tf.Tensor:
    """Return the positions at which a bool tensor [N] is true, int32.

    >>> positions_where(tf.constant([False, True, True])).numpy().tolist()
    [1, 2]
    """
    return tf.cast(tf.where(flags)[:, 0], tf.int32)
