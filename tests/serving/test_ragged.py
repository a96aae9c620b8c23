import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_squad.serving import ragged


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=8))
def test_rows_of_any_lengths(rows):
    """Empty rows at the beginning, in the middle and at the end, and no rows."""
    starts = tf.constant([start for start, _ in rows], tf.int32)
    lengths = tf.constant([length for _, length in rows], tf.int32)
    owners, numbers = ragged.ranges(starts, lengths)
    expected = [(row, start + i) for row, (start, length) in enumerate(rows) for i in range(length)]
    assert list(zip(owners.numpy().tolist(), numbers.numpy().tolist(), strict=True)) == expected
    splits = ragged.row_splits(lengths)
    assert ragged.row_lengths(splits).numpy().tolist() == lengths.numpy().tolist()
    assert ragged.bincount(owners, len(rows)).numpy().tolist() == lengths.numpy().tolist()
