"""Questions without an answer, as in SQuAD 2.0: the null candidate of `bert_squad.answers.nbest`, as operations."""

import tensorflow as tf

from bert_squad.serving import ragged
from bert_squad.serving.graph_nbest import Answers, no_answers

_HIGHEST_NULL_SCORE = 1000000.0  # LEGACY: a [CLS] score must be below this to be seen at all


def null_answers(
    cls_start_logits: tf.Tensor, cls_end_logits: tf.Tensor, row_of_window: tf.Tensor, num_rows: tf.Tensor
) -> tuple[tf.Tensor, Answers]:
    """Find, for each question, the window whose [CLS] speaks least for "no answer".

    Args:
      cls_start_logits: float32 [W], of the first position of each window.
      cls_end_logits: float32 [W].
      row_of_window: int32 [W], the question of each window.
      num_rows: B.

    Returns:
      The null score, float64 [B], 0.0 without any window; and the null answers, fields [B, 1], with the text "".
    """
    num_windows = tf.size(row_of_window)
    score = tf.cast(cls_start_logits, tf.float64) + tf.cast(cls_end_logits, tf.float64)
    is_seen = score < _HIGHEST_NULL_SCORE
    lowest = tf.math.unsorted_segment_min(
        tf.where(is_seen, score, _HIGHEST_NULL_SCORE), row_of_window, num_rows
    )
    is_lowest = is_seen & (score == tf.gather(lowest, row_of_window))
    number = tf.where(is_lowest, tf.range(num_windows), num_windows)
    first = tf.minimum(tf.math.unsorted_segment_min(number, row_of_window, num_rows), num_windows)
    # LEGACY: without a window that was seen, the logits are 0.
    start_logit, end_logit = (
        tf.gather(tf.concat([logits, [0.0]], 0), first)[:, tf.newaxis]
        for logits in (cls_start_logits, cls_end_logits)
    )
    answers = no_answers(num_rows, 1)._replace(
        start_logit=start_logit, end_logit=end_logit, exists=tf.ones([num_rows, 1], tf.bool)
    )
    has_windows = ragged.bincount(row_of_window, num_rows) > 0
    return tf.where(has_windows, lowest, 0.0), answers


def with_null(answers: Answers, null: Answers) -> tuple[Answers, tf.Tensor]:
    """Put the null answer in its place among the others.

    Args:
      answers: fields [B, n].
      null: fields [B, 1].

    Returns:
      The answers, [B, n + 1], and the column of the null answer, int32 [B, 1]. It stands behind those with the same
      score. LEGACY: where it would not be among the first n, it follows them, even if that makes n + 1.
    """
    size = answers.text.shape[1] or tf.shape(answers.text)[1]
    is_before_null = answers.exists & (answers.score >= null.score)
    null_column = tf.reduce_sum(tf.cast(is_before_null, tf.int32), axis=1, keepdims=True)
    column = tf.range(size + 1)[tf.newaxis, :]
    source = tf.where(column < null_column, column, tf.where(column == null_column, size, column - 1))
    merged = answers.followed_by(null).at(source)
    return merged.where(merged.exists & ((column < size) | (column == null_column))), null_column


def null_odds(
    score_null: tf.Tensor, merged: Answers, null_column: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compare the null score with the best answer that is a text.

    Args:
      score_null: float64 [B].
      merged: fields [B, n + 1], from `with_null`.
      null_column: int32 [B, 1].

    Returns:
      The null odds, float64 [B]: the null score minus that of the best text, or the null score alone when the list
      holds no text. The column of the best text, int32 [B, 1], and whether there is one, bool [B].
    """
    best_column = tf.cast(null_column == 0, tf.int32)
    best = merged.at(best_column)
    exists = best.exists[:, 0]
    odds = (
        score_null - tf.cast(best.start_logit, tf.float64)[:, 0] - tf.cast(best.end_logit, tf.float64)[:, 0]
    )
    return tf.where(exists, odds, score_null), best_column, exists
