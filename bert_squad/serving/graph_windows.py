"""The doc spans of `bert_squad.data`, as TensorFlow operations: passages are laid out as windows.

A window is `[CLS] question [SEP] doc span [SEP]`, as an `InputFeatures` is. B questions with their passages
have W windows in all, those of the first question first.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from bert_squad.data.windows import WindowLengths
from bert_squad.serving import ragged


class Windows(NamedTuple):
    """Windows, each field int32 [W]; lengths and steps count WordPieces.

    Attributes:
      row: the question that the window belongs to, from 0.
      index: number of the window among those of its question, from 0.
      query_start: position of the question's first WordPiece among those of all texts.
      query_length: length of the question, after it was cut.
      doc_start: position of the passage's first WordPiece among those of all texts.
      doc_length: length of the passage.
      room: greatest length of a span beside the question.
      step: from the start of one span to the start of the next.
    """

    row: tf.Tensor
    index: tf.Tensor
    query_start: tf.Tensor
    query_length: tf.Tensor
    doc_start: tf.Tensor
    doc_length: tf.Tensor
    room: tf.Tensor
    step: tf.Tensor

    def take(self, numbers: tf.Tensor) -> "Windows":
        """Return the windows of these numbers, int32."""
        return Windows(*(tf.gather(field, numbers) for field in self))

    @property
    def span_start(self) -> tf.Tensor:
        """First WordPiece of the span, counted within the passage."""
        return self.index * self.step

    @property
    def span_length(self) -> tf.Tensor:
        """Length of the span."""
        return tf.minimum(self.room, self.doc_length - self.span_start)

    @property
    def last_index(self) -> tf.Tensor:
        """Number of the last window of the question: the first that reaches the end of the passage."""
        return -(-tf.maximum(self.doc_length - self.room, 0) // self.step)  # rounded up

    @property
    def prefix_length(self) -> tf.Tensor:
        """Length of `[CLS] question [SEP]`: the position in the sequence at which the span begins."""
        return self.query_length + 2

    @property
    def length(self) -> tf.Tensor:
        """Length of the sequence without padding."""
        return self.prefix_length + self.span_length + 1

    def pieces(self, seq_positions: tf.Tensor) -> tf.Tensor:
        """Return where positions in the span of each window, int32 [W], lie among the WordPieces of all texts."""
        return self.doc_start + self.span_start + seq_positions - self.prefix_length


@dataclasses.dataclass(frozen=True)
class WindowLayout:
    """How windows are made: their lengths, and the ids of the two special WordPieces."""

    lengths: WindowLengths
    classification_id: int
    separator_id: int

    def cut(self, piece_splits: tf.Tensor) -> Windows:
        """Cut passages into windows.

        Args:
          piece_splits: int32 [2B + 1], the B passages and then the B questions among the WordPieces.

        Returns:
          The windows; a passage without WordPieces has none.

        Source: `cut_doc_spans`, whose loop this is in closed form.
        """
        num_rows = tf.size(piece_splits) // 2
        lengths = ragged.row_lengths(piece_splits)
        doc_length = lengths[:num_rows]
        query_length = tf.minimum(lengths[num_rows:], self.lengths.max_query_length)
        room = self.lengths.max_seq_length - query_length - 3
        step = tf.minimum(room, self.lengths.doc_stride)
        num_further = -(-tf.maximum(doc_length - room, 0) // step)  # as `Windows.last_index`
        row, index = ragged.ranges(tf.zeros_like(doc_length), tf.where(doc_length > 0, 1 + num_further, 0))
        of_rows = (
            piece_splits[num_rows:-1],
            query_length,
            piece_splits[:num_rows],
            doc_length,
            room,
            step,
        )
        return Windows(row, index, *(tf.gather(values, row) for values in of_rows))

    def features(
        self, windows: Windows, piece_ids: tf.Tensor, seq_length: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        """Lay windows out as input of the model.

        Args:
          windows: W windows, none longer than S.
          piece_ids: int32, the ids of the WordPieces of all texts.
          seq_length: S, to which they are padded.

        Returns:
          `input_ids`, `input_mask`, `segment_ids`, each int32 [W, S].
        """
        position = tf.range(seq_length)[tf.newaxis, :]
        prefix_length = windows.prefix_length[:, tf.newaxis]
        last = windows.length[:, tf.newaxis] - 1
        is_query = (position > 0) & (position < prefix_length - 1)
        is_span = (position >= prefix_length) & (position < last)
        is_separator = (position == prefix_length - 1) | (position == last)
        query_piece = windows.query_start[:, tf.newaxis] + position - 1
        span_piece = tf.transpose(windows.pieces(tf.transpose(position)))
        piece = tf.where(is_query, query_piece, tf.where(is_span, span_piece, 0))
        special = tf.where(
            is_separator, self.separator_id, tf.where(position == 0, self.classification_id, 0)
        )
        return {
            "input_ids": tf.where(is_query | is_span, tf.gather(piece_ids, piece), special),
            "input_mask": tf.cast(position <= last, tf.int32),
            "segment_ids": tf.cast((position >= prefix_length) & (position <= last), tf.int32),
        }


def is_max_context(windows: Windows, tok_positions: tf.Tensor) -> tf.Tensor:
    """Say whether no other window gives a WordPiece more context; of equals, the first counts as the one.

    Args:
      windows: W windows.
      tok_positions: int32 [W, K], positions within the passage, each in the span of its window.

    Returns:
      bool [W, K].

    Source: `max_context_span_indexes`.
    """

    def column(values: tf.Tensor) -> tf.Tensor:
        return values[:, tf.newaxis, tf.newaxis]

    # Of windows of the same length, the best is one of the two whose middles are nearest; only the last one may be
    # shorter. So these, the last but one and the last are all that can be better.
    step, room, last = column(windows.step), column(windows.room), column(windows.last_index)
    tok_positions = tok_positions[:, :, tf.newaxis]
    nearest = (2 * tok_positions - room + 1) // (2 * step)
    own = column(windows.index) + tf.zeros_like(nearest)
    index = tf.concat(
        [own, nearest, nearest + 1, last - 1 + tf.zeros_like(nearest), last + tf.zeros_like(nearest)], -1
    )
    index = tf.clip_by_value(index, 0, last)
    start = index * step
    length = tf.minimum(room, column(windows.doc_length) - start)
    left = tok_positions - start
    right = length - 1 - left
    # In float64 and in this order, as everywhere: the comparison must round alike.
    score = tf.cast(tf.minimum(left, right), tf.float64) + 0.01 * tf.cast(length, tf.float64)
    own_score = score[:, :, :1]
    is_better = ((index < own) & (score >= own_score)) | ((index > own) & (score > own_score))
    return ~tf.reduce_any((left >= 0) & (right >= 0) & is_better, axis=-1)
