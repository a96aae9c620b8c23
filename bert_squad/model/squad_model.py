"""BertForSquad: the encoder with the span head on top, as a Keras model."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.errors import ConfigError, DataError
from bert_squad.model.encoder import BertEncoder
from bert_squad.model.layers import COMPUTE_DTYPES, check_policy
from bert_squad.model.span_head import SpanHead, span_loss

FEATURES = ("input_ids", "input_mask", "segment_ids")
LABELS = ("start_positions", "end_positions")
PADDING_LOGIT = -1e4
"""The logit of padding when it is left out: its probability is 0 in float32."""


@tf_keras.utils.register_keras_serializable("bert_squad")
class BertForSquad(tf_keras.Model):
    """Score every position of a question and passage as start and end of the answer.

    Args:
      bert_config: the encoder's description; a dict of its keys will do.
      compute_dtype: type of matrix products and attention: "float32" as in the legacy program, "bfloat16" or "float16".
        Weights are float32 then, whatever Keras' global policy is. None: `dtype` says it.
      pad_to: "max", as in the legacy program: padding is computed like all else. "batch": training leaves it out, and
        it gets `PADDING_LOGIT`. Logits of real positions are the same but for rounding; a loss is another one, since
        padding takes no part in its softmax. The real positions of a sequence must be its first ones. Where a graph
        does not know the size of its batches, padding is computed all the same, to the same logits.
      dtype: Keras policy, or its name: "float32", "mixed_bfloat16" (the same as `compute_dtype="bfloat16"`),
        "mixed_float16", or with all weights in the narrow type too, "bfloat16" and "float16". None: Keras' global
        policy.
      kwargs: those of every Keras model.

    All weights exist from the start, drawn from the legacy initializers; call
    `tf_keras.utils.set_random_seed` before for the same ones again.

    Keras trains it on the batches of `train_batches`, which hold features and labels in one dict:
    `model.compile("adam")`, `model.fit(batches, steps_per_epoch=…)`. The step of `training.loop.make_train_step` gives
    the legacy program's numbers. `save` to a .keras file keeps the optimizer's state and what is frozen
    (`trainable = False`); to a directory, neither. Import this class before `load_model`; else Keras makes a
    directory a model that can only predict.

    Raises:
      ConfigError: for a policy or a `pad_to` that is none of these.

    Source: `run_squad.create_model`.
    """

    def __init__(
        self,
        bert_config: BertConfig | dict,
        compute_dtype: str | None = None,
        pad_to: str = "max",
        *,
        dtype=None,
        **kwargs,
    ):
        if compute_dtype is not None:
            dtype = _policy_name(compute_dtype, dtype)
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        check_policy(self.dtype_policy)
        if pad_to not in ("max", "batch"):
            raise ConfigError(f'`pad_to` must be "max" or "batch", not {pad_to!r}.')
        if isinstance(bert_config, dict):
            bert_config = BertConfig.from_dict(bert_config)
        self.bert_config, self.pad_to = bert_config, pad_to
        self.bert = BertEncoder(bert_config, name="bert", dtype=self.dtype_policy)
        self.span_head = SpanHead(bert_config.hidden_size, name="span_head", dtype=self.dtype_policy)
        self.output_names = ["start_logits", "end_logits"]  # in the log of `fit`, and in what `save` writes
        # Keras can describe and save the model at once, since all that it would learn from a first call is known.
        self.built = True
        self._set_save_spec({name: tf.TensorSpec([None, None], tf.int32, name) for name in FEATURES})

    def call(
        self,
        inputs: Mapping[str, tf.Tensor],
        training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        static_shapes: bool = False,
        first_sequence: tf.Tensor | None = None,
        keeps_rank: bool = False,
        recompute: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Score a batch.

        Args:
          inputs: `input_ids`, `input_mask`, `segment_ids`, each int [B, S]; other keys are ignored.
          training: whether to drop out.
          dropout_seed: int32 [2]; the same seed drops the same elements. Without one, training draws it.
          static_shapes: predict in shapes that do not depend on what is padding, as XLA needs them. Slower.
          first_sequence: int32 scalar, for a part of a batch: the number of its first sequence in the whole one, so
            that it drops what it would have dropped there.
          keeps_rank: predict in static shapes without laying positions end to end, as converters to other formats need
            it (see `packing.Whole`). Slower.
          recompute: compute the layers once more in the backward pass: the same gradients with less memory, and slower.

        Returns:
          (start_logits, end_logits), each float32 [B, S].

        Raises:
          DataError: when a key is missing, or what it holds has no whole numbers or another shape.
          ConfigError: when sequences are longer than the model's `max_position_embeddings`, where their length is known
            before anything is computed; or when a model is to be trained whose weights are not float32.
        """
        input_ids, mask, segment_ids = _features(inputs)
        if training:
            self.check_trained_type()
            if dropout_seed is None:
                dropout_seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        else:
            dropout_seed = None
        packing = "padded" if training or static_shapes else "trimmed"
        if keeps_rank and not training:
            packing = "whole"
        if training and self.pad_to == "batch" and mask.shape[0] is not None:
            packing = "packed"
        states = self.bert(
            input_ids,
            mask,
            segment_ids,
            dropout_seed=dropout_seed,
            packing=packing,
            first_sequence=first_sequence,
            recompute=recompute,
        )
        start_logits, end_logits = self.span_head(states[-1])
        if self.pad_to == "max":
            return start_logits, end_logits
        is_real = tf.cast(mask, tf.bool)
        return tf.where(is_real, start_logits, PADDING_LOGIT), tf.where(is_real, end_logits, PADDING_LOGIT)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs) -> None:
        """Prepare for `fit` and `evaluate`, as every Keras model.

        Args:
          optimizer: one of Keras'.
          loss: `span_loss`, the same as None; or what Keras takes for the two outputs.
          kwargs: as for every Keras model.

        Raises:
          ConfigError: for `jit_compile` with `pad_to="batch"`, whose shapes are not known when a step is compiled.
        """
        if kwargs.get("jit_compile") and self.pad_to == "batch":
            raise ConfigError(
                '`jit_compile` needs shapes that pad_to="batch" does not know; leave one of them out.'
            )
        if loss is None or loss is span_loss:
            # The same in Keras' terms, so that sample weights, metrics and saving work: half of each cross-entropy.
            cross_entropy = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            loss, kwargs["loss_weights"] = [cross_entropy, cross_entropy], [0.5, 0.5]
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any] | None) -> None:
        """Compile as the model was that was saved to a .keras file."""
        if config:
            self.compile(**tf_keras.saving.deserialize_keras_object(config))
            self.optimizer.build(self.trainable_variables)

    def check_trained_type(self) -> None:
        """Refuse to train weights that are not float32.

        Raises:
          ConfigError: when they are not.
        """
        if self.variable_dtype != "float32":
            raise ConfigError(
                f"The model's weights are {self.variable_dtype}, and training needs float32; make it with "
                f'compute_dtype="{self.variable_dtype}", which computes in that type all the same.'
            )

    def train_step(self, data):
        """Do one step of `fit`; a batch may be a dict that holds the labels too, as those of `train_batches`."""
        return super().train_step(_with_labels(data))

    def test_step(self, data):
        """Do one step of `evaluate`, with batches as for `train_step`."""
        return super().test_step(_with_labels(data))

    def with_all_in(self, dtype: str) -> "BertForSquad":
        """Return a model with the same weights that keeps and multiplies all of them in one type, padding included.

        Args:
          dtype: "float32", "bfloat16" or "float16".
        """
        return BertForSquad(self.bert_config, dtype=dtype).take_weights_of(self)

    def take_weights_of(self, source: "BertForSquad") -> "BertForSquad":
        """Copy the weights of another model of the same sizes, each in its type here; return this model."""
        for target, weight in zip(self.weights, source.weights, strict=True):
            target.assign(tf.cast(weight, target.dtype))
        return self

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the same model again, with new weights."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype_policy.name,
            "bert_config": self.bert_config.to_dict(),
            "pad_to": self.pad_to,
            "not_trained": [weight.name for weight in self.non_trainable_weights],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects=None) -> "BertForSquad":
        """Make a model from `get_config`; what was frozen there (`trainable = False`) is frozen."""
        config = dict(config)
        not_trained = set(config.pop("not_trained", ()))
        model = cls(**config)
        for layer in model.submodules:
            names = {weight.name for weight in getattr(layer, "weights", ())}
            if names and names <= not_trained:
                layer.trainable = False
        return model


def _policy_name(compute_dtype: str, dtype: Any) -> str:
    """Return the Keras policy that computes in a type and has float32 weights."""
    if dtype is not None:
        raise ConfigError("Give `compute_dtype`, or a Keras policy as `dtype`, but not both.")
    if compute_dtype not in COMPUTE_DTYPES:
        raise ConfigError(
            f"`compute_dtype` must be one of {', '.join(COMPUTE_DTYPES)}, not {compute_dtype!r}."
        )
    return "float32" if compute_dtype == "float32" else f"mixed_{compute_dtype}"


def _features(inputs: Any) -> list[tf.Tensor]:
    """Return the three features, each [B, S]."""
    given = sorted(map(str, inputs)) if isinstance(inputs, Mapping) else []
    missing = [name for name in FEATURES if name not in given]
    if missing:
        raise DataError(
            f"The model's inputs lack {' and '.join(missing)}: they are a dict of {', '.join(FEATURES)}, each [batch, "
            f"sequence]; given: {', '.join(given) or type(inputs).__name__}."
        )
    features = [_whole_numbers(name, inputs[name]) for name in FEATURES]
    shapes = [feature.shape for feature in features]
    if any(shape.rank not in (None, 2) or not shape.is_compatible_with(shapes[0]) for shape in shapes):
        raise DataError(
            "The model's inputs must be of one shape, [batch, sequence]; given: "
            f"{', '.join(f'{name} {shape}' for name, shape in zip(FEATURES, shapes, strict=True))}."
        )
    return features


def _whole_numbers(name: str, values: Any) -> tf.Tensor:
    """Return an input as int32."""
    if isinstance(values, tf.RaggedTensor | tf.SparseTensor):
        raise DataError(f"The model's input {name} is a {type(values).__name__}; pad it to a tensor.")
    values = tf.convert_to_tensor(values)
    if not (values.dtype.is_integer or values.dtype.is_bool):
        raise DataError(f"The model's input {name} is {values.dtype.name}; it must be of whole numbers.")
    return tf.cast(values, tf.int32)


def _with_labels(data: Any) -> Any:
    """Return (features, labels, weights of samples) for Keras, where a dict may hold features and labels both."""
    features, labels, sample_weights = tf_keras.utils.unpack_x_y_sample_weight(data)
    if labels is None and isinstance(features, Mapping) and all(name in features for name in LABELS):
        labels = tuple(features[name] for name in LABELS)
    return features, labels, sample_weights
