"""The n-best lists of `bert_squad.answers.nbest`, as TensorFlow operations.

Candidates are looked at, the best first, until each question has `n_best_size` answers with different texts. Mostly
one round is enough; where many candidates have the same text, there are more. Only the answers are read.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_squad.serving import ragged
from bert_squad.serving.graph_alignment import GraphAlignment, TextRange
from bert_squad.serving.graph_candidates import Candidates
from bert_squad.serving.graph_windows import Windows

# Candidates looked at in the first round, for each answer wanted, as some will have the text of an earlier one; how
# the rounds grow from then on; and how large one gets, all questions together: that bounds the memory.
_CANDIDATES_PER_ANSWER, _GROWTH, _MAX_CANDIDATES = 2, 8, 1 << 18
NO_CANDIDATE_TEXT = "empty"  # LEGACY: the word stands for the lack of any candidate
NOWHERE = -1
"""An offset that is none: there is no such place in the passage."""


class Answers(NamedTuple):
    """Lists of n answers for each of B questions, the best first; each field [B, n].

    Attributes:
      text: string.
      start_logit: float32.
      end_logit: float32.
      start_char: int32, offset in the context, in code points.
      end_char: int32, exclusive.
      start_byte: int32, offset in the context, in bytes of UTF-8.
      end_byte: int32, exclusive.
      exists: bool; the entries that do not exist are the last ones.
    """

    text: tf.Tensor
    start_logit: tf.Tensor
    end_logit: tf.Tensor
    start_char: tf.Tensor
    end_char: tf.Tensor
    start_byte: tf.Tensor
    end_byte: tf.Tensor
    exists: tf.Tensor

    @property
    def score(self) -> tf.Tensor:
        """Sum of both logits, float64."""
        return tf.cast(self.start_logit, tf.float64) + tf.cast(self.end_logit, tf.float64)

    @property
    def count(self) -> tf.Tensor:
        """Number of answers, int32 [B]."""
        return tf.reduce_sum(tf.cast(self.exists, tf.int32), axis=1)

    def at(self, columns: tf.Tensor) -> "Answers":
        """Return the answers at `columns`, int32 [B, m]."""
        return Answers(*(tf.gather(field, columns, batch_dims=1) for field in self))

    def where(self, condition: tf.Tensor) -> "Answers":
        """Return these answers where `condition`, bool [B, n], is true, and none elsewhere."""
        return Answers(*(tf.where(condition, field, none) for field, none in zip(self, _NONE, strict=True)))

    def followed_by(self, others: "Answers") -> "Answers":
        """Return these answers with others, of as many questions, behind them."""
        return Answers(*(tf.concat(pair, axis=1) for pair in zip(self, others, strict=True)))


_NONE = Answers("", 0.0, 0.0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, False)


def no_answers(num_rows: tf.Tensor, size: tf.Tensor | int) -> Answers:
    """Return `size` entries for each question that do not exist."""
    return Answers(*(tf.fill([num_rows, size], none) for none in _NONE))


class _Found(NamedTuple):
    """Candidates, and the part of the passage that each stands for; each field [B, n], or flat."""

    key: tf.Tensor  # int64, the same for the same text
    doc_start: tf.Tensor
    doc_end: tf.Tensor
    start_logit: tf.Tensor
    end_logit: tf.Tensor
    exists: tf.Tensor

    def take(self, numbers: tf.Tensor) -> "_Found":
        return _Found(*(tf.gather(field, numbers) for field in self))


_NOT_FOUND = _Found(np.int64(0), 0, 0, 0.0, 0.0, False)


def distinct_answers(
    alignment: GraphAlignment,
    windows: Windows,
    candidates: Candidates,
    splits: tf.Tensor,
    n_best_size: tf.Tensor | int,
) -> Answers:
    """Read the best candidates; of those with the same text only the first.

    Args:
      alignment: the passages.
      windows: all windows.
      candidates: ranked.
      splits: int32 [B + 1], the questions among them.
      n_best_size: n, the most answers of a question; at least 1.
    """
    first, last = splits[:-1], splits[1:]
    num_rows = tf.size(first)
    most = tf.maximum(1, _MAX_CANDIDATES // tf.maximum(1, num_rows))

    def num_unread(begin: tf.Tensor, found: _Found) -> tf.Tensor:
        return tf.where(found.exists[:, -1], 0, tf.maximum(last - first - begin, 0))

    def read_round(begin: tf.Tensor, size: tf.Tensor, found: _Found):
        lengths = tf.minimum(num_unread(begin, found), size)
        rows, numbers = ragged.ranges(first + begin, lengths)
        chosen = Candidates(*(tf.gather(field, numbers) for field in candidates))
        found = _with_new_texts(found, _find(alignment, windows, chosen), rows)
        return begin + size, tf.minimum(size, most // _GROWTH + 1) * _GROWTH, found

    found = _Found(*(tf.fill([num_rows, n_best_size], none) for none in _NOT_FOUND))
    width = n_best_size if isinstance(n_best_size, int) else None
    *_, found = tf.while_loop(
        lambda begin, _, found: tf.reduce_any(num_unread(begin, found) > 0),
        read_round,
        (0, tf.minimum(n_best_size, most) * _CANDIDATES_PER_ANSWER, found),
        shape_invariants=(
            *[tf.TensorShape([])] * 2,
            _Found(*[tf.TensorShape([None, width])] * len(found)),
        ),
        parallel_iterations=1,
    )
    return _answers(alignment, found)


def _find(alignment: GraphAlignment, windows: Windows, candidates: Candidates) -> _Found:
    """Find what V candidates stand for."""
    own_windows = windows.take(candidates.window)
    parts = alignment.project(
        own_windows.pieces(candidates.start_index), own_windows.pieces(candidates.end_index)
    )
    return _Found(
        alignment.keys(parts),
        parts.starts,
        parts.ends,
        candidates.start_logit,
        candidates.end_logit,
        tf.ones_like(parts.starts, tf.bool),
    )


def _with_new_texts(found: _Found, fresh: _Found, rows: tf.Tensor) -> _Found:
    """Add those whose texts are new, in their order, as long as there is room.

    Args:
      found: fields [B, n], with different texts in each row.
      fresh: V more.
      rows: int32 [V], the row of each of those.
    """
    num_rows, size = tf.unstack(tf.shape(found.exists))
    pool = _Found(
        *(tf.concat([tf.reshape(old, [-1]), new], 0) for old, new in zip(found, fresh, strict=True))
    )
    pool_rows = tf.concat([tf.range(num_rows * size) // size, rows], 0)

    position = tf.range(tf.size(pool_rows))
    distinct_texts, texts = tf.unique(pool.key)
    key = tf.cast(pool_rows, tf.int64) * tf.size(distinct_texts, tf.int64) + tf.cast(texts, tf.int64)
    distinct_keys, key_ids = tf.unique(tf.where(pool.exists, key, -1))
    firsts = tf.math.unsorted_segment_min(position, key_ids, tf.size(distinct_keys))
    kept = ragged.positions_where(pool.exists & (position == tf.gather(firsts, key_ids)))
    kept_rows = tf.gather(pool_rows, kept)
    kept = tf.gather(kept, tf.math.top_k(-kept_rows, tf.size(kept)).indices)  # a stable sort

    splits = ragged.row_splits(ragged.bincount(kept_rows, num_rows))
    place = splits[:-1, tf.newaxis] + tf.range(size)
    exists = place < splits[1:, tf.newaxis]
    return pool.take(tf.gather(kept, tf.where(exists, place, 0)))._replace(exists=exists)


def _answers(alignment: GraphAlignment, found: _Found) -> Answers:
    """Read the texts that were found, and say where they are."""
    size = tf.shape(found.exists)[1]
    is_found = tf.reshape(found.exists, [-1])
    positions = ragged.positions_where(is_found)
    chosen = _Found(*(tf.reshape(field, [-1]) for field in found)).take(positions)
    parts = TextRange(chosen.doc_start, chosen.doc_end)
    chars = alignment.char_offsets(parts, positions // size)
    octets = alignment.byte_offsets(parts)
    fields = Answers(
        alignment.read(parts),
        chosen.start_logit,
        chosen.end_logit,
        chars.starts,
        chars.ends,
        octets.starts,
        octets.ends,
        chosen.exists,
    )
    # Behind those that exist, one that does not: the others are as it.
    place = tf.where(is_found, tf.cumsum(tf.cast(is_found, tf.int32)) - 1, tf.size(positions))
    place = tf.reshape(place, tf.shape(found.exists))
    place.set_shape(found.exists.shape)
    return Answers(
        *(
            tf.gather(tf.concat([values, [none]], 0), place)
            for values, none in zip(fields, _NONE, strict=True)
        )
    )
