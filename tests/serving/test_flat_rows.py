import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_squad.serving import flat_rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=8))
def test_rows_of_any_lengths(rows):
    """Empty rows at the beginning, in the middle and at the end, and no rows."""
    starts = tf.constant([start for start, _ in rows], tf.int32)
    lengths = tf.constant([length for _, length in rows], tf.int32)
    owners, numbers = flat_rows.ranges(starts, lengths)
    expected = [(row, start + i) for row, (start, length) in enumerate(rows) for i in range(length)]
    assert list(zip(owners.numpy().tolist(), numbers.numpy().tolist(), strict=True)) == expected
    splits = flat_rows.splits_of(lengths)
    assert flat_rows.lengths_of(splits).numpy().tolist() == lengths.numpy().tolist()
    assert flat_rows.counts(owners, len(rows)).numpy().tolist() == lengths.numpy().tolist()
