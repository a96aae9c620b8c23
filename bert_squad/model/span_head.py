"""The span head: two vectors S and E that score every position as start and end, and their loss.

For hidden states T_i the head gives the logits S·T_i + b_S and E·T_i + b_E. A softmax over all positions of
the sequence makes each a probability, P_start(i) and P_end(j). Training maximises the log-likelihood of the
correct start and end positions, that is, it minimises

    span_loss = -(log P_start(i) + log P_end(j)) / 2        averaged over the batch.

Prediction looks for the maximum scoring span, the pair i ≤ j with the largest S·T_i + E·T_j. The two softmax
denominators do not depend on (i, j), so this is the pair of the largest P_start(i) · P_end(j): the answer is
the span that the loss teaches the model to find likely, among those that are allowed
(see `bert_squad.answers.nbest`).
"""

from typing import Any

import tensorflow as tf
import tf_keras

from bert_squad.model.layers import check_policy, make_dense

KERNEL_DEVIATION = 0.02  # LEGACY: whatever the configuration's `initializer_range` says


@tf_keras.utils.register_keras_serializable("bert_squad")
class SpanHead(tf_keras.layers.Layer):
    """Score each position as the start and as the end of the answer.

    Args:
      hidden_size: H.
      dtype: Keras policy, or its name; scores are computed in the type of its weights. None: Keras' global policy.
      kwargs: those of every Keras layer.

    S and E are the two columns of one Dense(2) kernel [H, 2]. The TF1 checkpoint holds its transpose,
    `cls/squad/output_weights` [2, H].

    Raises:
      ConfigError: for a policy that `layers.check_policy` refuses.

    Source: `run_squad.create_model`.
    """

    def __init__(self, hidden_size: int, *, dtype=None, **kwargs):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        check_policy(self.dtype_policy)
        self.hidden_size = hidden_size
        with tf.name_scope(self.name):
            self.dense = make_dense(self, hidden_size, 2, "dense", KERNEL_DEVIATION)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the same layer again, with new weights."""
        return {**super().get_config(), "hidden_size": self.hidden_size}

    @property
    def start_vector(self) -> tf.Tensor:
        """S, float [H]."""
        return self.dense.kernel[:, 0]

    @property
    def end_vector(self) -> tf.Tensor:
        """E, float [H]."""
        return self.dense.kernel[:, 1]

    def call(self, sequence_output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map hidden states, float [B, S, H], to (start_logits, end_logits), each float32 [B, S]."""
        logits = tf.cast(self.dense(sequence_output), tf.float32)
        start_logits, end_logits = tf.unstack(tf.transpose(logits, [2, 0, 1]))
        return start_logits, end_logits


@tf_keras.utils.register_keras_serializable("bert_squad")
def span_loss(
    start_logits: tf.Tensor, end_logits: tf.Tensor, start_positions: tf.Tensor, end_positions: tf.Tensor
) -> tf.Tensor:
    """Return the negative log-likelihood of the correct start and end, averaged over both and the batch.

    Args:
      start_logits: float [B, S]; every position counts in the softmax, padding too, as in the legacy script.
      end_logits: float [B, S].
      start_positions: int [B], each in [0, S).
      end_positions: int [B], inclusive, each in [0, S).

    Returns:
      float scalar: -mean(log P_start(start) + log P_end(end)) / 2.

    Source: `compute_loss` in `run_squad.model_fn_builder`.
    """
    start_loss, end_loss = (
        tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=positions, logits=logits))
        for positions, logits in ((start_positions, start_logits), (end_positions, end_logits))
    )
    return (start_loss + end_loss) / 2.0
