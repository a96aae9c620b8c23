"""The n-best lists of `bert_squad.answers.nbest`, as TensorFlow operations.

Candidates are read, the best first, until each question has `n_best_size` answers with different texts. Mostly
one round of reading is enough; where many candidates have the same text, there are more.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_squad.serving import flat_rows
from bert_squad.serving.graph_alignment import GraphAlignment, TextRange
from bert_squad.serving.graph_candidates import Candidates
from bert_squad.serving.graph_windows import Windows

# Candidates read in the first round, for each answer wanted, as some will have the text of an earlier one; and how
# the rounds grow from then on.
_CANDIDATES_PER_ANSWER, _GROWTH = 2, 8
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


def no_answers(num_rows: tf.Tensor, size: int) -> Answers:
    """Return `size` entries for each question that do not exist."""
    return Answers(*(tf.fill([num_rows, size], none) for none in _NONE))


def distinct_answers(
    alignment: GraphAlignment, windows: Windows, candidates: Candidates, splits: tf.Tensor, n_best_size: int
) -> Answers:
    """Read the best candidates; of those with the same text only the first.

    Args:
      alignment: the passages.
      windows: all windows.
      candidates: ranked.
      splits: int32 [B + 1], the questions among them.
      n_best_size: n, the most answers of a question.
    """
    first, last = splits[:-1], splits[1:]
    num_rows = tf.size(first)

    def num_unread(begin: tf.Tensor, answers: Answers) -> tf.Tensor:
        return tf.where(answers.exists[:, -1], 0, tf.maximum(last - first - begin, 0))

    def read_round(begin: tf.Tensor, size: tf.Tensor, answers: Answers):
        lengths = tf.minimum(num_unread(begin, answers), size)
        rows, numbers = flat_rows.ranges(first + begin, lengths)
        chosen = Candidates(*(tf.gather(field, numbers) for field in candidates))
        answers = _with_new_texts(answers, _read(alignment, windows, chosen), rows)
        return begin + size, size * _GROWTH, answers

    answers = no_answers(num_rows, n_best_size)
    *_, answers = tf.while_loop(
        lambda begin, _, answers: tf.reduce_any(num_unread(begin, answers) > 0),
        read_round,
        (0, _CANDIDATES_PER_ANSWER * n_best_size, answers),
        shape_invariants=(
            *[tf.TensorShape([])] * 2,
            Answers(*[tf.TensorShape([None, n_best_size])] * len(answers)),
        ),
        parallel_iterations=1,
    )
    return answers


class _FreshAnswers(NamedTuple):
    """V answers that were read; candidates often share a text, which may be long, so texts are held apart."""

    answers: Answers  # fields [V]; `text` is a number
    texts: tf.Tensor  # string [T]


def _read(alignment: GraphAlignment, windows: Windows, candidates: Candidates) -> _FreshAnswers:
    """Return what candidates stand for."""
    own_windows = windows.take(candidates.window)
    parts = alignment.project(
        own_windows.pieces(candidates.start_index), own_windows.pieces(candidates.end_index)
    )
    chars = alignment.char_offsets(parts, own_windows.row)
    octets = alignment.byte_offsets(parts)
    # One part, one text; it may be the whole of a long passage.
    distinct_parts, part_numbers = tf.unique(
        tf.bitcast(tf.stack([parts.starts, parts.ends], axis=1), tf.int64)
    )
    starts, ends = tf.unstack(tf.bitcast(distinct_parts, tf.int32), axis=1)
    answers = Answers(
        part_numbers,
        candidates.start_logit,
        candidates.end_logit,
        chars.starts,
        chars.ends,
        octets.starts,
        octets.ends,
        tf.ones_like(part_numbers, tf.bool),
    )
    return _FreshAnswers(answers, alignment.read(TextRange(starts, ends)))


def _with_new_texts(answers: Answers, fresh: _FreshAnswers, rows: tf.Tensor) -> Answers:
    """Add answers whose texts are new, in their order, as long as there is room.

    Args:
      answers: fields [B, n], with different texts in each row.
      fresh: V answers more.
      rows: int32 [V], the row of each of those.
    """
    num_rows, size = tf.shape(answers.exists)[0], answers.exists.shape[1]
    flat = Answers(*(tf.reshape(field, [-1]) for field in answers))
    num_flat = tf.size(flat.exists)
    texts, text_ids = tf.unique(tf.concat([flat.text, fresh.texts], 0))
    flat = flat._replace(text=text_ids[:num_flat])
    added = fresh.answers._replace(text=tf.gather(text_ids[num_flat:], fresh.answers.text))
    pool = Answers(*(tf.concat(pair, 0) for pair in zip(flat, added, strict=True)))
    pool_rows = tf.concat([tf.range(num_flat) // size, rows], 0)

    position = tf.range(tf.size(pool_rows))
    key = tf.cast(pool_rows, tf.int64) * tf.size(texts, tf.int64) + tf.cast(pool.text, tf.int64)
    distinct_keys, key_ids = tf.unique(tf.where(pool.exists, key, -1))
    firsts = tf.math.unsorted_segment_min(position, key_ids, tf.size(distinct_keys))
    kept = flat_rows.positions_of(pool.exists & (position == tf.gather(firsts, key_ids)))
    kept_rows = tf.gather(pool_rows, kept)
    kept = tf.gather(kept, tf.math.top_k(-kept_rows, tf.size(kept)).indices)  # a stable sort

    splits = flat_rows.splits_of(flat_rows.counts(kept_rows, num_rows))
    place = splits[:-1, tf.newaxis] + tf.range(size)
    exists = place < splits[1:, tf.newaxis]
    source = tf.gather(kept, tf.where(exists, place, 0))
    columns = Answers(*(tf.gather(field, source) for field in pool))
    columns = columns._replace(text=tf.gather(texts, columns.text), exists=exists)
    return columns.where(exists)
