"""Strings in, answers out: the whole of prediction as one TensorFlow function.

Passages and questions are tokenized and laid out as windows, the windows go through the model some at a time,
and their best spans are read back from the passages. No Python is left when this is saved.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from bert_squad.answers.nbest import NbestOptions
from bert_squad.serving import ragged
from bert_squad.serving.graph_alignment import GraphAlignment
from bert_squad.serving.graph_candidates import Candidates, possible_candidates, ranked_candidates
from bert_squad.serving.graph_nbest import NO_CANDIDATE_TEXT, Answers, distinct_answers
from bert_squad.serving.graph_null import null_answers, null_odds, with_null
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.serving.graph_windows import WindowLayout, Windows

ScoreFunction = Callable[[Mapping[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]
"""From `input_ids`, `input_mask`, `segment_ids`, int32 [W, S], to start and end logits, float32 [W, S]."""


class TextModel:
    """Answers questions about passages.

    Args:
      tokenizer: makes WordPieces.
      layout: makes windows of them.
      score: the model.
      options: how answers are chosen.
      pads_windows: fill windows up to `max_seq_length`, and let the padding take part in the choice of the best
        starts and ends, as the legacy program does. Otherwise windows are as long as the longest of their step,
        which is quicker, and padding takes no part; answers can differ, above all low in the n-best list.
      windows_per_step: how many windows the model sees at a time; with `layout.lengths.max_seq_length`, that bounds the
        memory it takes, however long the passages are.
    """

    def __init__(
        self,
        tokenizer: GraphTokenizer,
        layout: WindowLayout,
        score: ScoreFunction,
        options: NbestOptions,
        *,
        pads_windows: bool = True,
        windows_per_step: int = 16,
    ):
        self._tokenizer = tokenizer
        self._layout = layout
        self._score = score
        self._options = options
        self._windows_per_step = windows_per_step
        self._pads_windows = pads_windows

    def answer(self, question: tf.Tensor, context: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer B questions.

        Args:
          question: string [B], UTF-8.
          context: string [B], the passage of each question, of any length.

        Returns:
          The answers; see docs/serving.md. The first dimension of each is B.
        """
        options = self._options
        num_rows = tf.size(question)
        texts = self._tokenizer.tokenize(tf.concat([context, question], 0))
        windows = self._layout.cut(texts.piece_splits)
        candidates, cls_start_logits, cls_end_logits = self._candidates(windows, texts.piece_ids)
        candidates, splits = ranked_candidates(candidates, windows.row, num_rows)
        size = self._list_size(splits)
        answers = distinct_answers(GraphAlignment(texts), windows, candidates, splits, size)
        if options.version_2_with_negative:
            score_null, null = null_answers(cls_start_logits, cls_end_logits, windows.row, num_rows)
            return self._with_null(answers, score_null, null)
        is_missing = ~answers.exists & (tf.range(size) == 0)
        answers = answers._replace(
            text=tf.where(is_missing, NO_CANDIDATE_TEXT, answers.text), exists=answers.exists | is_missing
        )
        return _outputs(answers, tf.zeros([num_rows, 1], tf.int32), tf.zeros([num_rows], tf.bool))

    def _list_size(self, splits: tf.Tensor) -> tf.Tensor | int:
        """Return the length of the n-best lists: `n_best_size`, or no more than a question has candidates.

        Only where that is more than a window has positions, so that the length depends on the passage in no usual case.
        """
        n_best_size = self._options.n_best_size
        if n_best_size <= self._layout.lengths.max_seq_length:
            return n_best_size
        most = tf.reduce_max(tf.concat([[1], ragged.row_lengths(splits)], 0))
        return tf.minimum(n_best_size, most)

    def _with_null(self, answers: Answers, score_null: tf.Tensor, null: Answers) -> dict[str, tf.Tensor]:
        merged, null_column = with_null(answers, null)
        odds, best_column, has_text = null_odds(score_null, merged, null_column)
        is_impossible = ~has_text | (odds > self._options.null_score_diff_threshold)
        column = tf.where(is_impossible[:, tf.newaxis], null_column, best_column)
        return {
            **_outputs(merged, column, is_impossible),
            "null_score": tf.cast(score_null, tf.float32),
            "null_odds": tf.cast(odds, tf.float32),
        }

    def _candidates(self, windows: Windows, piece_ids: tf.Tensor) -> tuple[Candidates, tf.Tensor, tf.Tensor]:
        """Let the model see all windows, some at a time.

        Returns:
          The candidates of all windows, and the logits of the first position of each window, in their order.
        """
        num_windows = tf.size(windows.row)
        per_step = self._windows_per_step
        num_steps = -(-num_windows // per_step)
        # Those of a length together, where that saves padding.
        sequence = tf.range(num_windows) if self._pads_windows else _descending(windows.length)

        def see(step: tf.Tensor, arrays: list[tf.TensorArray]):
            numbers = sequence[step * per_step : (step + 1) * per_step]
            seen = windows.take(numbers)
            start_logits, end_logits = self._logits(seen, piece_ids)
            found = possible_candidates(
                seen,
                numbers,
                start_logits,
                end_logits,
                self._options.n_best_size,
                self._options.max_answer_length,
            )
            values = [*found, numbers, start_logits[:, 0], end_logits[:, 0]]
            return step + 1, [array.write(step, value) for array, value in zip(arrays, values, strict=True)]

        # One element more than there are steps, and empty: nothing cannot be concatenated.
        arrays = [
            tf.TensorArray(dtype, num_steps + 1, element_shape=[None], infer_shape=False).write(
                num_steps, tf.zeros([0], dtype)
            )
            for dtype in (*[tf.int32] * 3, *[tf.float32] * 2, tf.int32, *[tf.float32] * 2)
        ]
        _, arrays = tf.while_loop(lambda step, _: step < num_steps, see, (0, arrays), parallel_iterations=1)
        *found, numbers, cls_start_logits, cls_end_logits = (array.concat() for array in arrays)
        order = tf.math.invert_permutation(numbers)
        return Candidates(*found), tf.gather(cls_start_logits, order), tf.gather(cls_end_logits, order)

    def _logits(self, windows: Windows, piece_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self._pads_windows:
            return self._score(self._layout.features(windows, piece_ids, self._layout.lengths.max_seq_length))
        features = self._layout.features(windows, piece_ids, tf.reduce_max(windows.length))
        start_logits, end_logits = self._score(features)
        is_padding = features["input_mask"] == 0
        lowest = tf.float32.min
        return tf.where(is_padding, lowest, start_logits), tf.where(is_padding, lowest, end_logits)


def _descending(values: tf.Tensor) -> tf.Tensor:
    """Return the positions of values, int32 [N], the largest first."""
    return tf.math.top_k(values, tf.size(values)).indices


def _outputs(answers: Answers, column: tf.Tensor, is_impossible: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the outputs of the signature.

    Args:
      answers: fields [B, n].
      column: int32 [B, 1], the one that is the answer.
      is_impossible: bool [B].
    """
    score = tf.where(answers.exists, answers.score, -float("inf"))
    exponentials = tf.exp(score - tf.reduce_max(score, axis=1, keepdims=True))
    probability = tf.cast(exponentials / tf.reduce_sum(exponentials, axis=1, keepdims=True), tf.float32)
    best = Answers(*(field[:, 0] for field in answers.at(column)))
    return {
        "answer": best.text,
        "score": tf.cast(best.score, tf.float32),
        "probability": tf.gather(probability, column, batch_dims=1)[:, 0],
        "start_char": best.start_char,
        "end_char": best.end_char,
        "start_byte": best.start_byte,
        "end_byte": best.end_byte,
        "is_impossible": is_impossible,
        "nbest_count": answers.count,
        "nbest_text": answers.text,
        "nbest_probability": probability,
        "nbest_start_logit": answers.start_logit,
        "nbest_end_logit": answers.end_logit,
        "nbest_start_char": answers.start_char,
        "nbest_end_char": answers.end_char,
        "nbest_start_byte": answers.start_byte,
        "nbest_end_byte": answers.end_byte,
    }
