"""Self-attention: the layer, and scaled dot-product attention over heads, for prediction and for training.

Training drops out probabilities and has its gradient by hand. In types narrower than float32, prediction computes
scores and their softmax in float32 all the same; training does not, because it would take twice the memory.

Shapes: B batch, S sequence, R rows that go through the layers, H hidden, N heads, D head size. Attention works on
groups of sequences (see `model.packing`), [B_g, S_g] each, K_g of whose positions are keys.

Source: `modeling.attention_layer`; Vaswani et al. 2017.
"""

import functools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.model.dropout import dropout, mask_of
from bert_squad.model.fusion import compiled, fused
from bert_squad.model.layers import BertLayer, dense, make_dense, product
from bert_squad.model.packing import Packed, Padded

MASKED_SCORE = -10000.0  # added to the scores of padded keys


@tf_keras.utils.register_keras_serializable("bert_squad")
class SelfAttention(BertLayer):
    """Let every position of a sequence attend to every other one, by each head apart.

    Args: those of `BertLayer`.

    Attributes:
      projects_wide: compute queries and keys in float32 in prediction, whatever the policy, where their weights are
        float32. The encoder sets it for its early layers.

    Source: `modeling.attention_layer`.
    """

    projects_wide = False

    def make_weights(self, bert_config: BertConfig) -> None:
        """Make the three projections."""
        hidden = bert_config.hidden_size
        self.query, self.key, self.value = (
            make_dense(self, hidden, hidden, name, bert_config.initializer_range)
            for name in ("query", "key", "value")
        )

    def call(
        self, states: tf.Tensor, input_mask: tf.Tensor, dropout_seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Attend in a batch.

        Args:
          states: float [B, S, H].
          input_mask: int32 [B, S], 1 for real positions and 0 for padding.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          [B, S, H] in the type of the policy, the heads side by side.
        """
        rows, narrow, packing, biases = as_rows(states, input_mask, self.compute_dtype)
        return packing.unpack(self.of_rows(rows, narrow, packing, biases, dropout_seed))

    def of_rows(
        self,
        rows: tf.Tensor,
        narrow: tf.Tensor,
        packing: Padded | Packed,
        score_biases: Sequence[tf.Tensor],
        dropout_seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Attend, for rows.

        Args:
          rows: float32 [R, H].
          narrow: the same in the type of the policy.
          packing: where the rows have their places in the batch.
          score_biases: for each group, as `score_biases` makes them.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          [R, H] in the type of the policy, the heads side by side.
        """
        is_training = dropout_seed is not None
        projects_wide = self.projects_wide and not is_training and self.variable_dtype == "float32"
        of_scores = rows if projects_wide else narrow
        project = product if is_training else dense
        queries = packing.to_groups(project(of_scores, self.query))
        keys = packing.keys_to_groups(project(packing.rows_of_keys(of_scores), self.key))
        values = packing.keys_to_groups(project(packing.rows_of_keys(narrow), self.value))
        attend_in_group = self._attend_in_training if is_training else self._attend
        of_groups = zip(queries, keys, values, score_biases, strict=True)
        first_indices = packing.first_indices_of_scores(self.bert_config.num_attention_heads)
        contexts = [
            attend_in_group(*of_group, mask_of(dropout_seed, 0, first_index))
            for of_group, first_index in zip(of_groups, first_indices, strict=True)
        ]
        return packing.from_groups(tuple(map(merge_heads, contexts)))

    def _attend(self, query, key, value, score_bias, _mask) -> tf.Tensor:
        """Map float [B_g, S_g, H] and twice [B_g, K_g, H], with their biases, to [B_g, N, S_g, D]."""
        heads = self.bert_config.num_attention_heads
        query, key, value = (split_heads(states, heads) for states in (query, key, value))
        return attend(query, key, value, score_bias)

    def _attend_in_training(self, query, key, value, score_bias, mask) -> tf.Tensor:
        """Map float [B_g, S_g, H] and twice [B_g, K_g, H], without biases, to [B_g, N, S_g, D]."""
        config = self.bert_config
        split = make_split_with_bias(config.num_attention_heads)
        split_and_scale = make_split_with_bias(config.num_attention_heads, 1.0 / math.sqrt(config.head_size))
        return make_training_attention(config.attention_probs_dropout_prob)(
            split_and_scale(query, self.query.bias),
            split(key, self.key.bias),
            split(value, self.value.bias),
            score_bias,
            *mask,
        )


def as_rows(
    states: tf.Tensor, input_mask: tf.Tensor, dtype: str
) -> tuple[tf.Tensor, tf.Tensor, Padded, list[tf.Tensor]]:
    """Return what `of_rows` takes, of a batch float [B, S, H] with all its padding."""
    packing = Padded(input_mask)
    rows = packing.pack(tf.cast(states, tf.float32))
    return rows, tf.cast(rows, dtype), packing, score_biases(packing, dtype)


def score_biases(packing: Padded | Packed, dtype: str) -> list[tf.Tensor]:
    """Return what is added to scores, for each group [B_g, 1, 1, K_g]: 0 for a real key, `MASKED_SCORE` for padding."""
    return [
        (1.0 - tf.cast(mask, dtype))[:, tf.newaxis, tf.newaxis, :] * MASKED_SCORE for mask in packing.masks
    ]


def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, score_bias: tf.Tensor) -> tf.Tensor:
    """Let every position attend to every other one, without dropout.

    Args:
      query: float [B, N, S, D].
      key: float [B, N, K, D].
      value: float [B, N, K, D].
      score_bias: [B, 1, 1, K], added to the scores: 0 for a real key, large and negative for padding. Its type is that
        of the product with the values.

    Returns:
      [B, N, S, D] of the type of `score_bias`.
    """
    narrow = score_bias.dtype
    # Scores are float32 whatever the type: rounded to 8 bits they would change more answers. TensorFlow does scale and
    # bias in one operation with the product when they stand in this order.
    query, key, score_bias = (tf.cast(x, tf.float32) for x in (query, key, score_bias))
    scores = tf.matmul(query, key, transpose_b=True) * (1.0 / math.sqrt(query.shape[-1])) + score_bias
    return tf.matmul(tf.cast(tf.nn.softmax(scores), narrow), tf.cast(value, narrow))


def split_heads(states: tf.Tensor, heads: int) -> tf.Tensor:
    """Reshape [B, S, H] to [B, N, S, D]."""
    shape = tf.shape(states)
    states = tf.reshape(states, [shape[0], shape[1], heads, states.shape[-1] // heads])
    return tf.transpose(states, [0, 2, 1, 3])


def merge_heads(states: tf.Tensor) -> tf.Tensor:
    """Reshape [B, N, S, D] to [B, S, H], the heads of a position side by side."""
    states = tf.transpose(states, [0, 2, 1, 3])
    shape = tf.shape(states)
    return tf.reshape(states, [shape[0], shape[1], states.shape[-2] * states.shape[-1]])


def _split_with_bias(heads: int, scale: float, states, bias):
    """Map [B, S, H] and float32 [H] to [B, N, S, D]."""
    biased = (tf.cast(states, tf.float32) + bias) * scale
    return split_heads(tf.cast(biased, states.dtype), heads)


@functools.cache
def make_split_with_bias(heads: int, scale: float = 1.0) -> Callable:
    """Return a function of (float [B, S, H], float32 [H]) that adds the second and multiplies, then splits heads."""
    return fused(functools.partial(_split_with_bias, heads, scale))


@functools.cache
def make_training_attention(rate: float) -> Callable:
    """Return attention with dropout on its probabilities.

    Args:
      rate: probability of an element to be dropped.

    Returns:
      A function like `attend`, but of queries that are scaled already, and with last arguments that say which dropout
      mask (`dropout.mask_of`). Its gradient needs no sum over the scores: with P the probabilities, M the mask
      and its scale, and O = (P∘M)·V, the sum of dO·Vᵀ∘M∘P over a row is that of dO∘O.

    Source: the sum is the one of FlashAttention (Dao et al. 2022), appendix B.2.
    """

    @compiled
    def dropped_part(probabilities, *mask):
        """Map [B, N, S, K] to the same shape."""
        return dropout(probabilities, rate, *mask)

    @compiled
    def row_sums(upstream, context):
        """Map [B, N, S, D] twice to float32 [B, N, S, 1]."""
        product = tf.cast(upstream, tf.float32) * tf.cast(context, tf.float32)
        return tf.reduce_sum(product, -1, keepdims=True)

    @compiled
    def score_gradient(probabilities, upstream, sums, *mask):
        """Map [B, N, S, K] twice and [B, N, S, 1] to [B, N, S, K]: probabilities after dropout, gradient of scores."""
        dropped = dropout(probabilities, rate, *mask)
        wide, wide_dropped, upstream = (tf.cast(x, tf.float32) for x in (probabilities, dropped, upstream))
        return dropped, tf.cast(wide_dropped * upstream - wide * sums, probabilities.dtype)

    @tf.custom_gradient
    def attend_and_drop(query, key, value, score_bias, *mask):
        """Map [B, N, S, D], [B, N, K, D] twice and [B, 1, 1, K] to [B, N, S, D]."""
        scores = tf.matmul(query, key, transpose_b=True) + score_bias
        probabilities = tf.nn.softmax(scores)
        context = tf.matmul(dropped_part(probabilities, *mask) if rate else probabilities, value)

        def gradient(upstream):
            """Map [B, N, S, D] to the gradients of query, key and value; the bias and the mask have none."""
            dropped, d_scores = score_gradient(
                probabilities,
                tf.matmul(upstream, value, transpose_b=True),
                row_sums(upstream, context),
                *mask,
            )
            return (
                tf.matmul(d_scores, key),
                tf.matmul(d_scores, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
                *[None] * (1 + len(mask)),
            )

        return context, gradient

    return attend_and_drop
