"""The BERT encoder: embeddings, Transformer layers and the pooler, as Keras layers.

Weights exist as soon as a layer is made, so that a checkpoint can be loaded into a model that has not been
called. Shapes: B batch, S sequence, H hidden, N heads, D head size, I intermediate.

Source: `modeling.BertModel`; Devlin et al. 2019, Vaswani et al. 2017.
"""

import math
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from bert_squad.config import BertConfig
from bert_squad.model.dropout import dropout, site_seed

LAYER_NORM_EPSILON = 1e-12
MASKED_SCORE = -10000.0  # added to the scores of padded keys


def activation_function(name: str | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the activation that a `hidden_act` names; None, "" and "linear" leave values as they are.

    Source: `modeling.get_activation`; "gelu" is the tanh approximation there.
    """
    return {
        "gelu": lambda x: tf.nn.gelu(x, approximate=True),
        "relu": tf.nn.relu,
        "tanh": tf.tanh,
        "linear": tf.identity,
    }[(name or "linear").lower()]


def initializer(config: BertConfig) -> tf_keras.initializers.Initializer:
    """Return the initializer of every weight matrix: normal, cut at two standard deviations."""
    return tf_keras.initializers.TruncatedNormal(stddev=config.initializer_range)


def _dense(config: BertConfig, input_size: int, units: int, name: str) -> tf_keras.layers.Dense:
    layer = tf_keras.layers.Dense(units, kernel_initializer=initializer(config), name=name)
    layer.build((None, input_size))
    return layer


def _layer_norm(config: BertConfig) -> tf_keras.layers.LayerNormalization:
    layer = tf_keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="LayerNorm")
    layer.build((None, None, config.hidden_size))
    return layer


class BertEmbeddings(tf_keras.layers.Layer):
    """Sum the word, segment and position embeddings, normalise them and drop some.

    Source: `modeling.embedding_lookup`, `modeling.embedding_postprocessor`.
    """

    def __init__(self, config: BertConfig, **kwargs):
        super().__init__(**kwargs)
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
          float [B, S, H].
        """
        # A gather keeps the gradient of the word embeddings in IndexedSlices, whose norm the optimizer
        # takes as the legacy one did; the two small tables have dense gradients, as there.
        words = tf.gather(self.word_embeddings, input_ids)
        segments = tf.one_hot(segment_ids, self.token_type_embeddings.shape[0], dtype=words.dtype)
        positions = self.position_embeddings[tf.newaxis, : tf.shape(input_ids)[1], :]
        summed = words + tf.matmul(segments, self.token_type_embeddings) + positions
        return dropout(self.layer_norm(summed), self._dropout_rate, dropout_seed)


class SelfAttention(tf_keras.layers.Layer):
    """Let every position of a sequence attend to every other one.

    Source: `modeling.attention_layer`.
    """

    def __init__(self, config: BertConfig, **kwargs):
        super().__init__(**kwargs)
        self._heads, self._head_size = config.num_attention_heads, config.head_size
        self._dropout_rate = config.attention_probs_dropout_prob
        hidden = config.hidden_size
        self.query = _dense(config, hidden, hidden, "query")
        self.key = _dense(config, hidden, hidden, "key")
        self.value = _dense(config, hidden, hidden, "value")

    def call(self, hidden_states: tf.Tensor, score_bias: tf.Tensor, dropout_seed: tf.Tensor | None = None):
        """Attend.

        Args:
          hidden_states: float [B, S, H].
          score_bias: float [B, 1, 1, S], added to the scores: 0 for a real key, `MASKED_SCORE` for padding.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          float [B, S, H], the heads side by side.
        """
        query, key, value = (
            self._split(dense(hidden_states)) for dense in (self.query, self.key, self.value)
        )
        scores = tf.matmul(query * (1.0 / math.sqrt(self._head_size)), key, transpose_b=True)
        probabilities = dropout(tf.nn.softmax(scores + score_bias), self._dropout_rate, dropout_seed)
        context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])
        return tf.reshape(context, tf.shape(hidden_states))

    def _split(self, states: tf.Tensor) -> tf.Tensor:
        """Reshape [B, S, H] to [B, N, S, D]."""
        shape = tf.shape(states)
        states = tf.reshape(states, [shape[0], shape[1], self._heads, self._head_size])
        return tf.transpose(states, [0, 2, 1, 3])


class TransformerLayer(tf_keras.layers.Layer):
    """One layer: self-attention, then a feed-forward network, each added to its input and normalised.

    Source: `modeling.transformer_model`.
    """

    def __init__(self, config: BertConfig, **kwargs):
        super().__init__(**kwargs)
        self._dropout_rate = config.hidden_dropout_prob
        self._activation = activation_function(config.hidden_act)
        hidden, intermediate = config.hidden_size, config.intermediate_size
        self.attention = SelfAttention(config, name="attention")
        self.attention_output = _dense(config, hidden, hidden, "attention_output")
        self.attention_layer_norm = _layer_norm(config)
        self.intermediate = _dense(config, hidden, intermediate, "intermediate")
        self.output_dense = _dense(config, intermediate, hidden, "output")
        self.output_layer_norm = _layer_norm(config)

    def call(self, hidden_states: tf.Tensor, score_bias: tf.Tensor, dropout_seed: tf.Tensor | None = None):
        """Transform float [B, S, H] to float [B, S, H]; arguments as in `SelfAttention.call`."""
        attended = self.attention(hidden_states, score_bias, site_seed(dropout_seed, 0))
        attended = dropout(self.attention_output(attended), self._dropout_rate, site_seed(dropout_seed, 1))
        attended = self.attention_layer_norm(attended + hidden_states)
        output = self.output_dense(self._activation(self.intermediate(attended)))
        output = dropout(output, self._dropout_rate, site_seed(dropout_seed, 2))
        return self.output_layer_norm(output + attended)


class BertEncoder(tf_keras.layers.Layer):
    """Turn WordPiece ids into hidden states.

    Args:
      config: sizes, rates and activation.

    The pooler is held because checkpoints have it; nothing in question answering uses it.
    """

    def __init__(self, config: BertConfig, **kwargs):
        super().__init__(**kwargs)
        self.embeddings = BertEmbeddings(config, name="embeddings")
        self.transformer_layers = [
            TransformerLayer(config, name=f"layer_{index}") for index in range(config.num_hidden_layers)
        ]
        self.pooler = _dense(config, config.hidden_size, config.hidden_size, "pooler")

    def call(
        self,
        input_ids: tf.Tensor,
        input_mask: tf.Tensor,
        segment_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
    ) -> list[tf.Tensor]:
        """Encode a batch.

        Args:
          input_ids: int32 [B, S].
          input_mask: int32 [B, S], 1 for real positions and 0 for padding.
          segment_ids: int32 [B, S].
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          The embedding output and the output of each layer, each float [B, S, H]; the last is the sequence
          output.
        """
        states = [self.embeddings(input_ids, segment_ids, site_seed(dropout_seed, 0))]
        padding = 1.0 - tf.cast(input_mask, states[0].dtype)
        score_bias = padding[:, tf.newaxis, tf.newaxis, :] * MASKED_SCORE
        for index, layer in enumerate(self.transformer_layers):
            states.append(layer(states[-1], score_bias, site_seed(dropout_seed, index + 1)))
        return states

    def pooled_output(self, sequence_output: tf.Tensor) -> tf.Tensor:
        """Return float [B, H]: tanh of a projection of the first position, as pre-training used it."""
        return tf.tanh(self.pooler(sequence_output[:, 0, :]))
