"""What the layers of the encoder are made of: their base class, their weights, and dense layers with what follows them.

Weights exist as soon as a layer is made, so that a checkpoint can be loaded into a model that has not been called.
`tf_keras.layers.Dense` and `LayerNormalization` only hold weights here. The functions below compute with them, each in
two ways. In prediction all is plain TensorFlow, because exported models must run where there is no compiler; a bias is
added in the type of the product, as TensorFlow does both in one operation. In training what stands between matrix
products is compiled (`model.fusion`) and float32.

Shapes: R rows (positions of a batch), H hidden, I and O the sizes of a dense layer's input and output.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.errors import ConfigError
from bert_squad.model.dropout import Mask, dropout
from bert_squad.model.fusion import fused

LAYER_NORM_EPSILON = 1e-12
COMPUTE_DTYPES = ("float32", "bfloat16", "float16")


def check_policy(policy: tf_keras.mixed_precision.Policy) -> None:
    """Refuse a Keras policy that layers cannot follow.

    Raises:
      ConfigError: unless matrix products are of one of `COMPUTE_DTYPES`, and weights float32 or of that type.
    """
    compute, variables = policy.compute_dtype, policy.variable_dtype
    if compute not in COMPUTE_DTYPES or variables not in ("float32", compute):
        raise ConfigError(
            f"The Keras policy {policy.name!r} is not one that BERT can follow; it is one of float32, mixed_bfloat16, "
            "mixed_float16, bfloat16 and float16. Give one as `dtype`, or as Keras' global policy."
        )


class BertLayer(tf_keras.layers.Layer):
    """A layer that is described by a `BertConfig` and has its weights at once, named by their places in the model.

    Args:
      bert_config: sizes, rates and activation; a dict of its keys will do.
      dtype: Keras policy, or its name: "mixed_bfloat16" computes matrix products and attention in bfloat16 and has
        float32 weights. None: Keras' global policy.
      kwargs: those of every Keras layer.

    Raises:
      ConfigError: for a policy that `check_policy` refuses.
    """

    def __init__(self, bert_config: BertConfig | dict, *, dtype=None, **kwargs):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        check_policy(self.dtype_policy)
        if isinstance(bert_config, dict):
            bert_config = BertConfig.from_dict(bert_config)
        self.bert_config = bert_config
        with tf.name_scope(self.name):
            self.make_weights(bert_config)
        self.built = True

    def make_weights(self, bert_config: BertConfig) -> None:
        """Make what the layer consists of; the names of variables begin with that of the layer."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the same layer again, with new weights."""
        return {**super().get_config(), "bert_config": self.bert_config.to_dict()}


def initializer(deviation: float) -> tf_keras.initializers.Initializer:
    """Return the initializer of one weight matrix: normal, cut at two standard deviations."""
    return tf_keras.initializers.TruncatedNormal(stddev=deviation)


def make_dense(
    owner: tf_keras.layers.Layer,
    input_size: int,
    units: int,
    name: str,
    kernel_deviation: float,
    layer_class: type[tf_keras.layers.Dense] = tf_keras.layers.Dense,
) -> tf_keras.layers.Dense:
    """Make a dense layer with its weights, [I, O] and [O], in the type of the owner's weights."""
    kernel_initializer = initializer(kernel_deviation)
    layer = layer_class(units, kernel_initializer=kernel_initializer, name=name, dtype=owner.variable_dtype)
    with tf.name_scope(name):
        layer.build((None, input_size))
    return layer


def make_layer_norm(
    owner: tf_keras.layers.Layer, hidden_size: int, name: str
) -> tf_keras.layers.LayerNormalization:
    """Make a normalisation with its weights, [H] each, in the type of the owner's weights."""
    layer = tf_keras.layers.LayerNormalization(
        epsilon=LAYER_NORM_EPSILON, name=name, dtype=owner.variable_dtype
    )
    with tf.name_scope(name):
        layer.build((None, hidden_size))
    return layer


def product(x: tf.Tensor, layer: tf_keras.layers.Dense) -> tf.Tensor:
    """Multiply [R, I] with the kernel of a layer, in the type of `x`; the bias is not added. Returns [R, O]."""
    return tf.matmul(x, tf.cast(layer.kernel, x.dtype))


def dense(x: tf.Tensor, layer: tf_keras.layers.Dense) -> tf.Tensor:
    """Apply a layer to [R, I], in the type of `x`. Returns [R, O]."""
    return tf.nn.bias_add(product(x, layer), tf.cast(layer.bias, x.dtype))


def dense_and_activate(
    x: tf.Tensor, layer: tf_keras.layers.Dense, activation: Callable, is_training: bool
) -> tf.Tensor:
    """Apply a layer and an activation to [R, I]. Returns [R, O] in the type of `x`."""
    if not is_training:
        return activation(dense(x, layer))
    return fused_with(_add_and_activate, activation)(product(x, layer), layer.bias)


def dense_drop_add_and_norm(
    x: tf.Tensor,
    layer: tf_keras.layers.Dense,
    residual: tf.Tensor,
    norm: tf_keras.layers.LayerNormalization,
    rate: float,
    mask: Mask | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply a layer and dropout to rows, add them to others and normalise the sums.

    Args:
      x: [R, I] in the type of matrix products.
      layer: of output size H.
      residual: float32 [R, H].
      norm: of size H.
      rate: of dropout.
      mask: of dropout (see `dropout.mask_of`); None in prediction, which drops nothing.

    Returns:
      [R, H] twice: float32 for the sums, and in the type of `x` for the next matrix product.
    """
    if mask is None:
        normed = layer_norm(tf.cast(dense(x, layer), tf.float32) + residual, *norm_weights(norm))
        return normed, tf.cast(normed, x.dtype)
    drop_add_and_norm = fused_with(_drop_add_and_norm, rate)
    normed = drop_add_and_norm(product(x, layer), layer.bias, residual, norm.gamma, norm.beta, *mask)
    return normed if isinstance(normed, tuple) else (normed, normed)


def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Normalise each row of float32 [..., H] to mean 0 and variance 1, then scale and shift by float32 [H]."""
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    return centred * (tf.math.rsqrt(variance + LAYER_NORM_EPSILON) * gamma) + beta


def norm_weights(norm: tf_keras.layers.LayerNormalization) -> tuple[tf.Tensor, tf.Tensor]:
    """Return gamma and beta of a normalisation, float32 [H] each."""
    return tf.cast(norm.gamma, tf.float32), tf.cast(norm.beta, tf.float32)


def _drop_add_and_norm(rate: float, x, bias, residual, gamma, beta, *mask):
    """Map a product [R, H] and float32 [H], [R, H], [H], [H] to float32 [R, H], and to the type of `x` if narrower."""
    dropped = dropout(tf.cast(x, tf.float32) + bias, rate, *mask)
    normed = layer_norm(dropped + residual, gamma, beta)
    return normed if x.dtype == tf.float32 else (normed, tf.cast(normed, x.dtype))


def _add_and_activate(activation: Callable, x, bias):
    """Map a product [R, O] and float32 [O] to [R, O] of the type of `x`."""
    return tf.cast(activation(tf.cast(x, tf.float32) + bias), x.dtype)


@functools.cache  # layers of one description share what is compiled
def fused_with(function: Callable, description: Any) -> Callable:
    """Compile a function with its first argument, which is no tensor, filled in (see `fusion.fused`)."""
    return fused(functools.partial(function, description))
