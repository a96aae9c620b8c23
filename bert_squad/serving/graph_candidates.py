"""The candidate answers of `bert_squad.answers.candidates`, as TensorFlow operations.

Equal logits do occur, so each sort is stable, as there: `tf.math.top_k` puts the lower index first.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_squad.serving import ragged
from bert_squad.serving.graph_windows import Windows, is_max_context


class Candidates(NamedTuple):
    """Candidates, each field [V]: spans of windows.

    Attributes:
      window: int32, number of the window among all windows.
      start_index: int32, position in the window's sequence.
      end_index: int32, likewise, inclusive.
      start_logit: float32.
      end_logit: float32.
    """

    window: tf.Tensor
    start_index: tf.Tensor
    end_index: tf.Tensor
    start_logit: tf.Tensor
    end_logit: tf.Tensor

    @property
    def score(self) -> tf.Tensor:
        """Sum of both logits, in float64: sums of float32 tie where those of the legacy program do not."""
        return tf.cast(self.start_logit, tf.float64) + tf.cast(self.end_logit, tf.float64)


def possible_candidates(
    windows: Windows,
    numbers: tf.Tensor,
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    n_best_size: int,
    max_answer_length: int,
) -> Candidates:
    """Pair the best starts of each window with its best ends, as far as a pair is a span of the passage.

    Args:
      windows: W windows.
      numbers: int32 [W], their numbers among all windows.
      start_logits: float32 [W, S].
      end_logits: float32 [W, S].
      n_best_size: how many starts and ends of each window are tried.
      max_answer_length: longest answer in WordPieces (inclusive).

    Returns:
      The candidates in the order of window, start rank, end rank.
    """
    size = tf.minimum(n_best_size, tf.shape(start_logits)[1])
    best_starts, starts = tf.math.top_k(start_logits, size)
    best_ends, ends = tf.math.top_k(end_logits, size)
    prefix_length = windows.prefix_length[:, tf.newaxis]
    span_end = prefix_length + windows.span_length[:, tf.newaxis]

    def is_in_span(positions: tf.Tensor) -> tf.Tensor:
        return (positions >= prefix_length) & (positions < span_end)

    tok_starts = windows.span_start[:, tf.newaxis] + starts - prefix_length
    # LEGACY: the start must have its maximum context in this window; the end need not.
    can_start = is_in_span(starts) & is_max_context(windows, tok_starts)
    length = ends[:, tf.newaxis, :] - starts[:, :, tf.newaxis] + 1
    is_possible = (
        can_start[:, :, tf.newaxis]
        & is_in_span(ends)[:, tf.newaxis, :]
        & (length > 0)
        & (length <= max_answer_length)
    )
    places = tf.where(is_possible)  # window, start rank, end rank
    start_places, end_places = places[:, :2], tf.stack([places[:, 0], places[:, 2]], axis=1)
    return Candidates(
        tf.gather(numbers, places[:, 0]),
        tf.gather_nd(starts, start_places),
        tf.gather_nd(ends, end_places),
        tf.gather_nd(best_starts, start_places),
        tf.gather_nd(best_ends, end_places),
    )


def ranked_candidates(
    candidates: Candidates, row_of_window: tf.Tensor, num_rows: tf.Tensor
) -> tuple[Candidates, tf.Tensor]:
    """Sort candidates by their question, and those of a question by their score, the best first.

    Args:
      candidates: in any order of the windows; those of a window as `possible_candidates` gives them.
      row_of_window: int32 [W], the question of each window.
      num_rows: B.

    Returns:
      The candidates, and the splits, int32 [B + 1], of the questions among them.
    """
    # Of several stable sorts the last one decides, and the ones before decide what it leaves open.
    for key in (
        lambda c: -c.window,
        lambda c: c.score,
        lambda c: -tf.gather(row_of_window, c.window),
    ):
        ranking = tf.math.top_k(key(candidates), tf.size(candidates.window)).indices
        candidates = Candidates(*(tf.gather(field, ranking) for field in candidates))
    rows = tf.gather(row_of_window, candidates.window)
    return candidates, ragged.row_splits(ragged.bincount(rows, num_rows))
