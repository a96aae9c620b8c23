"""The BERT encoder: embeddings, Transformer layers and the pooler, as Keras layers.

Weights exist as soon as a layer is made, so that a checkpoint can be loaded into a model that has not been
called. Shapes: B batch, S sequence, R rows (the B*S positions, or fewer when padding is left out), H hidden,
N heads, D head size, I intermediate.

Matrix products are done in the type of the model, float32 by default; the sums that run through all layers and their
normalisation always in float32 (for attention see there). In training what stands between matrix products is compiled
(`model.fusion`), and biases and activations are float32 too; in prediction it is left to TensorFlow, because exported
models must run where there is no compiler.

Source: `modeling.BertModel`; Devlin et al. 2019, Vaswani et al. 2017.
"""

import functools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.model.attention import (
    attend,
    make_split_with_bias,
    make_training_attention,
    merge_heads,
    split_heads,
)
from bert_squad.model.dropout import dropout, mask_key, site_seed
from bert_squad.model.fusion import fused
from bert_squad.model.packing import Packed, Padded

LAYER_NORM_EPSILON = 1e-12
MASKED_SCORE = -10000.0  # added to the scores of padded keys


def activation_function(name: str | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the activation that a `hidden_act` names; None, "" and "linear" leave values as they are.

    Source: `modeling.get_activation`; "gelu" is the tanh approximation there.
    """
    return _ACTIVATIONS[(name or "linear").lower()]


# The same object each time, by which compiled functions are found again.
_ACTIVATIONS = {
    "gelu": functools.partial(tf.nn.gelu, approximate=True),
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "linear": tf.identity,
}


def initializer(config: BertConfig) -> tf_keras.initializers.Initializer:
    """Return the initializer of every weight matrix: normal, cut at two standard deviations."""
    return tf_keras.initializers.TruncatedNormal(stddev=config.initializer_range)


def _dense(
    config: BertConfig, input_size: int, units: int, name: str, dtype: str | None = None
) -> tf_keras.layers.Dense:
    layer = tf_keras.layers.Dense(units, kernel_initializer=initializer(config), name=name, dtype=dtype)
    layer.build((None, input_size))
    return layer


def _layer_norm(config: BertConfig) -> tf_keras.layers.LayerNormalization:
    layer = tf_keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="LayerNorm")
    layer.build((None, None, config.hidden_size))
    return layer


def product(x: tf.Tensor, layer: tf_keras.layers.Dense) -> tf.Tensor:
    """Multiply float [R, _] with the kernel of a layer, in the type of `x`; the bias is not added."""
    return tf.matmul(x, tf.cast(layer.kernel, x.dtype))


def dense(x: tf.Tensor, layer: tf_keras.layers.Dense) -> tf.Tensor:
    """Apply a layer to float [R, _], in the type of `x`."""
    return tf.nn.bias_add(product(x, layer), tf.cast(layer.bias, x.dtype))


def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Normalise each row of float32 [..., H] to mean 0 and variance 1, then scale and shift by float32 [H]."""
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    return centred * (tf.math.rsqrt(variance + LAYER_NORM_EPSILON) * gamma) + beta


def _norm_and_drop(rate: float, summed, gamma, beta, key):
    return dropout(layer_norm(summed, gamma, beta), rate, key)


def _drop_add_and_norm(rate: float, x, bias, residual, gamma, beta, key):
    dropped = dropout(tf.cast(x, tf.float32) + bias, rate, key)
    normed = layer_norm(dropped + residual, gamma, beta)
    return normed if x.dtype == tf.float32 else (normed, tf.cast(normed, x.dtype))


def _wide_and_narrow(normed):
    """Return what `_drop_add_and_norm` returns as a pair: for the sums, and for the next matrix product."""
    return normed if isinstance(normed, tuple) else (normed, normed)


def _add_and_activate(activation: Callable, x, bias):
    return tf.cast(activation(tf.cast(x, tf.float32) + bias), x.dtype)


@functools.cache  # layers of one description share what is compiled
def _fused(function: Callable, description) -> Callable:
    return fused(functools.partial(function, description))


class BertEmbeddings(tf_keras.layers.Layer):
    """Sum the word, segment and position embeddings, normalise them and drop some.

    Source: `modeling.embedding_lookup`, `modeling.embedding_postprocessor`.
    """

    def __init__(self, config: BertConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._dropout_rate = config.hidden_dropout_prob
        hidden = config.hidden_size

        def table(name: str, rows: int) -> tf.Variable:
            return self.add_weight(name=name, shape=(rows, hidden), initializer=initializer(config))

        self.word_embeddings = table("word_embeddings", config.vocab_size)
        self.token_type_embeddings = table("token_type_embeddings", config.type_vocab_size)
        self.position_embeddings = table("position_embeddings", config.max_position_embeddings)
        self.layer_norm = _layer_norm(config)

    def call(self, input_ids: tf.Tensor, segment_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None):
        """Embed a batch.

        Args:
          input_ids: int32 [B, S], WordPiece ids.
          segment_ids: int32 [B, S], 0 for the question and padding, 1 for the passage.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          float32 [B, S, H].
        """
        # A gather keeps the gradient of the word embeddings in IndexedSlices, whose norm the optimizer
        # takes as the legacy one did; the two small tables have dense gradients, as there.
        words = tf.gather(self.word_embeddings, input_ids)
        segments = tf.one_hot(segment_ids, self.token_type_embeddings.shape[0], dtype=words.dtype)
        positions = self.position_embeddings[tf.newaxis, : tf.shape(input_ids)[1], :]
        summed = words + tf.matmul(segments, self.token_type_embeddings) + positions
        summed, *norm = (
            tf.cast(x, tf.float32) for x in (summed, self.layer_norm.gamma, self.layer_norm.beta)
        )
        if dropout_seed is None:
            return layer_norm(summed, *norm)
        return _fused(_norm_and_drop, self._dropout_rate)(summed, *norm, mask_key(dropout_seed, 0))


class SelfAttention(tf_keras.layers.Layer):
    """Let every position of a sequence attend to every other one.

    Args:
      config: the encoder's description.
      dense_dtype: see `BertEncoder`.
      projects_wide: in prediction compute queries and keys in float32, as scores are, whatever the type of the model,
        unless their weights are of another type.

    Source: `modeling.attention_layer`.
    """

    def __init__(
        self, config: BertConfig, dense_dtype: str | None = None, projects_wide: bool = False, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        score_dtype = None if projects_wide else dense_dtype
        self._heads, self._scale = config.num_attention_heads, 1.0 / math.sqrt(config.head_size)
        self._dropout_rate = config.attention_probs_dropout_prob
        hidden = config.hidden_size
        self.query = _dense(config, hidden, hidden, "query", score_dtype)
        self.key = _dense(config, hidden, hidden, "key", score_dtype)
        self.value = _dense(config, hidden, hidden, "value", dense_dtype)
        self._projects_wide = projects_wide and self.query.kernel.dtype == tf.float32

    def call(
        self,
        rows: tf.Tensor,
        narrow: tf.Tensor,
        packing: Padded | Packed,
        score_biases: Sequence[tf.Tensor],
        dropout_seed: tf.Tensor | None = None,
    ):
        """Attend.

        Args:
          rows: float32 [R, H].
          narrow: the same in the type of the model.
          packing: where the rows have their places in the batch.
          score_biases: for each group of the packing [B, 1, 1, K] of the type of the model, added to the scores: 0 for
            a real key, `MASKED_SCORE` for padding.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          [R, H] in the type of the model, the heads side by side.
        """
        apply, contexts = (dense if dropout_seed is None else product), []
        of_scores = rows if self._projects_wide and dropout_seed is None else narrow
        keys = packing.rows_of_keys(of_scores)
        values = keys if of_scores is narrow else packing.rows_of_keys(narrow)
        projected = [
            packing.to_groups(apply(of_scores, self.query)),
            packing.keys_to_groups(apply(keys, self.key)),
            packing.keys_to_groups(apply(values, self.value)),
        ]
        if dropout_seed is None:
            for *of_group, score_bias in zip(*projected, score_biases, strict=True):
                query, key, value = (split_heads(x, self._heads) for x in of_group)
                contexts.append(attend(query, key, value, score_bias))
        else:
            layers = (self.query, self.key, self.value)
            splits = [make_split_with_bias(self._heads, scale) for scale in (self._scale, 1.0, 1.0)]
            attend_and_drop = make_training_attention(self._dropout_rate)
            for group, (*of_group, score_bias) in enumerate(zip(*projected, score_biases, strict=True)):
                heads = [
                    split(x, layer.bias) for split, x, layer in zip(splits, of_group, layers, strict=True)
                ]
                contexts.append(attend_and_drop(*heads, score_bias, mask_key(dropout_seed, group)))
        return packing.from_groups(tuple(map(merge_heads, contexts)))


class TransformerLayer(tf_keras.layers.Layer):
    """One layer: self-attention, then a feed-forward network, each added to its input and normalised.

    Source: `modeling.transformer_model`.
    """

    def __init__(
        self, config: BertConfig, dense_dtype: str | None = None, projects_wide: bool = False, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self._dropout_rate = config.hidden_dropout_prob
        self._activation = activation_function(config.hidden_act)
        hidden, intermediate = config.hidden_size, config.intermediate_size
        self.attention = SelfAttention(config, dense_dtype, projects_wide, name="attention")
        self.attention_output = _dense(config, hidden, hidden, "attention_output", dense_dtype)
        self.attention_layer_norm = _layer_norm(config)
        self.intermediate = _dense(config, hidden, intermediate, "intermediate", dense_dtype)
        self.output_dense = _dense(config, intermediate, hidden, "output", dense_dtype)
        self.output_layer_norm = _layer_norm(config)

    def call(
        self,
        rows: tf.Tensor,
        narrow: tf.Tensor,
        packing: Padded | Packed,
        score_biases: Sequence[tf.Tensor],
        dropout_seed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Transform rows.

        Args:
          rows: float32 [R, H].
          narrow: the same in the type of the model.
          packing: as in `SelfAttention.call`, like the next two.
          score_biases: see there.
          dropout_seed: see there.

        Returns:
          The output in both types.
        """
        if dropout_seed is None:
            context = self.attention(rows, narrow, packing, score_biases)
            attended = dense(context, self.attention_output)
            attended = self._add_and_norm(attended, rows, self.attention_layer_norm)
            activated = self._activation(dense(tf.cast(attended, narrow.dtype), self.intermediate))
            output = dense(activated, self.output_dense)
            output = self._add_and_norm(output, attended, self.output_layer_norm)
            return output, tf.cast(output, narrow.dtype)
        drop_add_and_norm = _fused(_drop_add_and_norm, self._dropout_rate)
        activate = _fused(_add_and_activate, self._activation)
        context = self.attention(rows, narrow, packing, score_biases, site_seed(dropout_seed, 0))
        normed = drop_add_and_norm(
            product(context, self.attention_output),
            self.attention_output.bias,
            rows,
            self.attention_layer_norm.gamma,
            self.attention_layer_norm.beta,
            mask_key(dropout_seed, 1),
        )
        attended, narrow = _wide_and_narrow(normed)
        normed = drop_add_and_norm(
            product(activate(product(narrow, self.intermediate), self.intermediate.bias), self.output_dense),
            self.output_dense.bias,
            attended,
            self.output_layer_norm.gamma,
            self.output_layer_norm.beta,
            mask_key(dropout_seed, 2),
        )
        return _wide_and_narrow(normed)

    @staticmethod
    def _add_and_norm(x: tf.Tensor, residual: tf.Tensor, norm: tf_keras.layers.LayerNormalization):
        gamma, beta = (tf.cast(weight, tf.float32) for weight in (norm.gamma, norm.beta))
        return layer_norm(tf.cast(x, tf.float32) + residual, gamma, beta)


class BertEncoder(tf_keras.layers.Layer):
    """Turn WordPiece ids into hidden states.

    Args:
      config: sizes, rates and activation.
      compute_dtype: type of matrix products and attention.
      dense_dtype: type in which the dense layers keep their weights; None: that of the Keras policy, as all others.

    The pooler is held because checkpoints have it; nothing in question answering uses it.
    """

    def __init__(
        self, config: BertConfig, compute_dtype: str = "float32", dense_dtype: str | None = None, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self._product_dtype = tf.as_dtype(compute_dtype)
        self.embeddings = BertEmbeddings(config, name="embeddings")
        # Rounding in early layers grows on its way through the others, that of queries and keys most (BUILD_NOTES.md).
        self.transformer_layers = [
            TransformerLayer(
                config,
                dense_dtype,
                projects_wide=index < config.num_hidden_layers // 2,
                name=f"layer_{index}",
            )
            for index in range(config.num_hidden_layers)
        ]
        self.pooler = _dense(config, config.hidden_size, config.hidden_size, "pooler")

    def call(
        self,
        input_ids: tf.Tensor,
        input_mask: tf.Tensor,
        segment_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        pack: Callable[[tf.Tensor], Padded | Packed] = Padded,
    ) -> list[tf.Tensor]:
        """Encode a batch.

        Args:
          input_ids: int32 [B, S].
          input_mask: int32 [B, S], 1 for real positions and 0 for padding.
          segment_ids: int32 [B, S].
          dropout_seed: int32 [2], or None for no dropout.
          pack: which positions the layers work on (see `model.packing`); those that `Packed` leaves out are undefined.

        Returns:
          The embedding output and the output of each layer, each float32 [B, S, H]; the last is the sequence
          output.
        """
        embedded = self.embeddings(
            input_ids, segment_ids, None if dropout_seed is None else site_seed(dropout_seed, 0)
        )
        packing = pack(input_mask)
        score_biases = [
            (1.0 - tf.cast(mask, self._product_dtype))[:, tf.newaxis, tf.newaxis, :] * MASKED_SCORE
            for mask in packing.masks
        ]
        states = [packing.pack(embedded)]
        narrow = tf.cast(states[0], self._product_dtype)
        for index, layer in enumerate(self.transformer_layers):
            seed = None if dropout_seed is None else site_seed(dropout_seed, index + 1)
            rows, narrow = layer(states[-1], narrow, packing, score_biases, seed)
            states.append(rows)
        return [packing.unpack(rows) for rows in states]

    def pooled_output(self, sequence_output: tf.Tensor) -> tf.Tensor:
        """Return float [B, H]: tanh of a projection of the first position, as pre-training used it."""
        return tf.tanh(self.pooler(sequence_output[:, 0, :]))
