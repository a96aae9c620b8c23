"""Checks of what a client sends, inside the graph: each comes before whatever it guards.

In a graph nothing waits for an assertion but what is told to. So inputs go through `checked`, and everything else is
made of what comes out of it: then a client reads a sentence, and not what the first operation says that stumbles.
"""

from collections.abc import Mapping

import tensorflow as tf

Checks = dict[str, tf.Tensor]
"""A sentence → whether it is true of the inputs, bool []."""


def checked(inputs: Mapping[str, tf.Tensor], checks: Checks) -> dict[str, tf.Tensor]:
    """Return inputs that exist only once all checks have passed.

    Args:
      inputs: tensors by name.
      checks: what has to be true; the sentence of one that is not is the error.
    """
    asserted = [tf.debugging.Assert(is_true, [sentence]) for sentence, is_true in checks.items()]
    with tf.control_dependencies(asserted):
        return {name: tf.identity(value) for name, value in inputs.items()}


def feature_checks(
    input_ids: tf.Tensor,
    input_mask: tf.Tensor,
    segment_ids: tf.Tensor,
    *,
    max_length: int,
    vocab_size: int,
    num_segments: int,
) -> Checks:
    """Return what has to be true of the features of sequences, int [B, S].

    Args:
      input_ids: WordPieces.
      input_mask: 1 for what is real.
      segment_ids: 0 for the question, 1 for the passage.
      max_length: greatest S.
      vocab_size: number of WordPieces that the model knows.
      num_segments: number of segments that it knows.
    """
    shape = tf.shape(input_ids)

    def is_within(values: tf.Tensor, size: int) -> tf.Tensor:
        return tf.reduce_all((values >= 0) & (values < size))

    return {
        "input_ids, input_mask and segment_ids must have the same shape": tf.reduce_all(
            (shape == tf.shape(input_mask)) & (shape == tf.shape(segment_ids))
        ),
        "there must be at least one sequence, and at least one WordPiece in it": tf.reduce_all(shape > 0),
        f"sequences are longer than {max_length} WordPieces, the limit of the model": shape[1] <= max_length,
        f"input_ids must be from 0 to {vocab_size - 1}, the WordPieces of the model": is_within(
            input_ids, vocab_size
        ),
        "input_mask must be 0 or 1": is_within(input_mask, 2),
        f"segment_ids must be from 0 to {num_segments - 1}": is_within(segment_ids, num_segments),
    }
