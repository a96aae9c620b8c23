"""tf.data pipelines from TFRecords to batches."""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from bert_squad.data.records import named_errors, parse_example, record_dataset
from bert_squad.devices.replicas import Share

SHUFFLE_BUFFER = 100  # features, as in the legacy script


def train_batches(
    path: str,
    *,
    max_seq_length: int,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    share: Share | None = None,
) -> tf.data.Dataset:
    """Read training batches for ever: repeat, then shuffle with a buffer of 100, then batch.

    The file that is there now is read in all epochs, even if another takes its place.

    Args:
      path: `train.tf_record`.
      max_seq_length: S, in WordPieces.
      batch_size: B, in features.
      seed: of the shuffle; the same seed gives the same batches.
      first_step: number of batches to pass over, so that a continued run sees what it would have seen.
        Passed records are shuffled but not parsed.
      share: which rows of each batch are read, and how many at a time; the others are shuffled but not parsed. None:
        whole batches.

    Returns:
      A dataset of dicts: `input_ids`, `input_mask`, `segment_ids` int32 [B, S], `start_positions`,
      `end_positions`, `unique_ids` int32 [B]. With a `share`, B is its `rows_at_a_time`, and a batch is several.

    Source: `run_squad.input_fn_builder`.
    """
    records = record_dataset(path).repeat().shuffle(SHUFFLE_BUFFER, seed=seed)
    records = records.skip(first_step * batch_size)
    if share is not None:
        records = _rows(records, batch_size, share)
    size = batch_size if share is None else share.rows_at_a_time
    batches = records.batch(size, drop_remainder=True).map(
        lambda serialized: parse_example(serialized, max_seq_length, is_training=True),
        num_parallel_calls=1,
        deterministic=True,
    )
    return batches.prefetch(2)


def _rows(records: tf.data.Dataset, batch_size: int, share: Share) -> tf.data.Dataset:
    """Keep of each run of `batch_size` records those of a share."""
    if share.num_rows == batch_size:
        return records
    end = share.first_row + share.num_rows
    batches = records.batch(batch_size, drop_remainder=True)
    return batches.map(lambda batch: batch[share.first_row : end]).unbatch()


def predict_batches(path: str, *, max_seq_length: int, batch_size: int) -> tf.data.Dataset:
    """Read the records of `eval.tf_record` once, in order; the last batch may be smaller.

    Args:
      path: `eval.tf_record`.
      max_seq_length: S, in WordPieces.
      batch_size: B, in features.

    Returns:
      A dataset of dicts: `unique_ids` int32 [B], `input_ids`, `input_mask`, `segment_ids` int32 [B, S].

    Source: `run_squad.input_fn_builder`.
    """
    records = record_dataset(path).batch(batch_size)
    batches = records.map(
        lambda serialized: parse_example(serialized, max_seq_length, is_training=False),
        num_parallel_calls=1,
        deterministic=True,
    )
    return batches.prefetch(2)


WINDOWS_SORTED_TOGETHER = 512
LENGTHS_ROUNDED_TO = 16  # few shapes are quicker than the last bit of padding left out


def predict_batches_by_length(
    path: str, *, max_seq_length: int, batch_size: int, pad_to: str = "max"
) -> Iterator[dict[str, tf.Tensor]]:
    """Read the records of `eval.tf_record` once and put windows of similar length together.

    Args:
      path: `eval.tf_record`.
      max_seq_length: S, in WordPieces, of the records.
      batch_size: B, in features.
      pad_to: "max": all windows stay padded to S; "batch": to the longest of their batch, rounded up.

    Returns:
      Batches like those of `predict_batches`. Some `WINDOWS_SORTED_TOGETHER` windows are sorted at a time; between
      these the order is that of the file.
    """
    chunk_size = batch_size * max(1, WINDOWS_SORTED_TOGETHER // batch_size)
    chunks = predict_batches(path, max_seq_length=max_seq_length, batch_size=chunk_size)
    for chunk in chunks.as_numpy_iterator():
        lengths = chunk["input_mask"].sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        for begin in range(0, len(order), batch_size):
            members = order[begin : begin + batch_size]
            size = max_seq_length
            if pad_to == "batch":
                size = -(-lengths[members[-1]] // LENGTHS_ROUNDED_TO) * LENGTHS_ROUNDED_TO
            yield {
                name: tf.constant(values[members, :size] if values.ndim > 1 else values[members])
                for name, values in chunk.items()
            }


def with_named_errors(batches: Iterable[dict[str, tf.Tensor]], path: str) -> Iterator[dict[str, tf.Tensor]]:
    """Pass batches on, and name the record file when it cannot be read or turns out to be damaged.

    Raises:
      DataError: as `named_errors`.
    """
    with named_errors(path):
        yield from batches
