"""BertForSquad: the encoder with the span head on top."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.model.encoder import BertEncoder
from bert_squad.model.packing import Packed, Padded, RealKeys
from bert_squad.model.span_head import SpanHead

PADDING_LOGIT = -1e4
"""The logit of padding when it is left out: its probability is 0 in float32."""


@contextlib.contextmanager
def _global_policy(dtype: str) -> Iterator[None]:
    """Let Keras make layers of one type in a block, also where a notebook has set another policy."""
    policy = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(dtype)
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(policy)


class BertForSquad(tf_keras.Model):
    """Score every position of a question and passage as start and end of the answer.

    Args:
      bert_config: the encoder's description.
      compute_dtype: type of matrix products and attention: "float32" as in the legacy program, "bfloat16" or "float16".
        Weights stay float32.
      leave_out_padding: train on real positions only, and give padding `PADDING_LOGIT`. Logits of real positions are
        the same but for rounding; a loss is another one, since padding takes no part in its softmax. The real
        positions of a sequence must be its first ones, and batches must have a known size.
      dense_dtype: type in which dense layers keep their weights, for prediction (see `for_prediction`).
      weight_dtype: type of all other weights, whatever Keras' global policy and `floatx` say.

    All weights exist from the start, drawn from the legacy initializers; call
    `tf_keras.utils.set_random_seed` before for the same ones again.

    Source: `run_squad.create_model`.
    """

    def __init__(
        self,
        bert_config: BertConfig,
        compute_dtype: str = "float32",
        leave_out_padding: bool = False,
        dense_dtype: str | None = None,
        weight_dtype: str = "float32",
        **kwargs,
    ):
        with _global_policy(weight_dtype):
            super().__init__(**kwargs)
            self.bert_config = bert_config
            self.bert = BertEncoder(bert_config, compute_dtype, dense_dtype, name="bert")
            self.span_head = SpanHead(bert_config.hidden_size, name="squad")
        self.computes_in, self.leaves_out_padding = compute_dtype, leave_out_padding

    def call(
        self,
        inputs: dict[str, tf.Tensor],
        training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        static_shapes: bool = False,
    ):
        """Score a batch.

        Args:
          inputs: `input_ids`, `input_mask`, `segment_ids`, each int32 [B, S]; other keys are ignored.
          training: whether to drop out.
          dropout_seed: int32 [2]; the same seed drops the same elements. Without one, training draws it.
          static_shapes: predict in shapes that do not depend on what is padding, as XLA needs them. Slower.

        Returns:
          (start_logits, end_logits), each float32 [B, S].
        """
        if not training:
            dropout_seed = None
        elif dropout_seed is None:
            dropout_seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        pack: type[Padded | Packed] = Padded if training or static_shapes else RealKeys
        if training and self.leaves_out_padding:
            pack = Packed
        mask = inputs["input_mask"]
        states = self.bert(inputs["input_ids"], mask, inputs["segment_ids"], dropout_seed, pack)
        logits = self.span_head(states[-1])
        if not self.leaves_out_padding:
            return logits
        is_real = tf.cast(mask, tf.bool)
        start_logits, end_logits = (tf.where(is_real, of, PADDING_LOGIT) for of in logits)
        return start_logits, end_logits

    def for_prediction(self) -> "BertForSquad":
        """Return a model that predicts the same; its dense layers keep their weights in the type they multiply in."""
        if self.computes_in == "float32":
            return self
        other = BertForSquad(self.bert_config, self.computes_in, self.leaves_out_padding, self.computes_in)
        return other.take_weights_of(self)

    def with_all_in(self, dtype: str) -> "BertForSquad":
        """Return a model with the same weights that keeps and multiplies all of them in one type, padding included.

        Args:
          dtype: "float32", "bfloat16" or "float16".
        """
        return BertForSquad(self.bert_config, dtype, weight_dtype=dtype).take_weights_of(self)

    def take_weights_of(self, source: "BertForSquad") -> "BertForSquad":
        """Copy the weights of another model of the same sizes, each in its type here; return this model."""
        if source is self:
            return self
        for target, weight in zip(self.weights, source.weights, strict=True):
            target.assign(tf.cast(weight, target.dtype))
        return self

    def get_config(self) -> dict:
        """Return what `from_config` needs to make the same model again, with new weights."""
        return {
            **super().get_config(),
            "bert_config": self.bert_config.to_dict(),
            "compute_dtype": self.computes_in,
            "leave_out_padding": self.leaves_out_padding,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "BertForSquad":
        """Make a model from `get_config`."""
        config = dict(config)
        return cls(BertConfig.from_dict(config.pop("bert_config")), **config)
