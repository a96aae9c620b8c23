"""The BERT encoder: embeddings, Transformer layers and the pooler, as Keras layers.

Matrix products are done in the type that the layers' policy computes in, float32 by default; the sums that run through
all layers, and their normalisation, always in float32 (for attention see there).

Shapes: B batch, S sequence, R rows (the B*S positions, or fewer when padding is left out), H hidden.

Source: `modeling.BertModel`; Devlin et al. 2019, Vaswani et al. 2017.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from bert_squad.bert_config import BertConfig
from bert_squad.errors import ConfigError
from bert_squad.model.attention import SelfAttention, as_rows, score_biases
from bert_squad.model.dropout import dropout, mask_of, site_seed
from bert_squad.model.layers import (
    BertLayer,
    dense_and_activate,
    dense_drop_add_and_norm,
    fused_with,
    initializer,
    layer_norm,
    make_dense,
    make_layer_norm,
    norm_weights,
)
from bert_squad.model.packing import PACKINGS, Packed, Padded
from bert_squad.model.recomputation import recomputed


def activation_function(name: str | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the activation that a `hidden_act` names; None, "" and "linear" leave values as they are.

    Source: `modeling.get_activation`; "gelu" is the tanh approximation there.
    """
    return _ACTIVATIONS[(name or "linear").lower()]


# Each name gives the same object at every call, because `layers.fused_with` compiles once for each object.
_ACTIVATIONS = {
    "gelu": functools.partial(tf.nn.gelu, approximate=True),
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "linear": tf.identity,
}


def _norm_and_drop(rate: float, summed, gamma, beta, *mask):
    """Map float32 [B, S, H], [H], [H] to float32 [B, S, H]."""
    return dropout(layer_norm(summed, gamma, beta), rate, *mask)


@tf_keras.utils.register_keras_serializable("bert_squad")
class BertEmbeddings(BertLayer):
    """Sum the word, segment and position embeddings, normalise them and drop some.

    Args: those of `BertLayer`.

    Source: `modeling.embedding_lookup`, `modeling.embedding_postprocessor`.
    """

    def make_weights(self, bert_config: BertConfig) -> None:
        """Make the three tables and the normalisation."""

        def table(name: str, rows: int) -> tf.Variable:
            """Make a variable [rows, H]."""
            return self.add_weight(
                name=name,
                shape=(rows, bert_config.hidden_size),
                initializer=initializer(bert_config.initializer_range),
                autocast=False,  # sums are float32, whatever the policy
            )

        self.word_embeddings = table("word_embeddings", bert_config.vocab_size)
        self.token_type_embeddings = table("token_type_embeddings", bert_config.type_vocab_size)
        self.position_embeddings = table("position_embeddings", bert_config.max_position_embeddings)
        self.layer_norm = make_layer_norm(self, bert_config.hidden_size, "layer_norm")

    def call(
        self,
        input_ids: tf.Tensor,
        segment_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        first_sequence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Embed a batch.

        Args:
          input_ids: int32 [B, S], WordPiece ids.
          segment_ids: int32 [B, S], 0 for the question and padding, 1 for the passage.
          dropout_seed: int32 [2], or None for no dropout.
          first_sequence: as for `Padded`.

        Returns:
          float32 [B, S, H].

        Raises:
          ConfigError: when S, where it is known before anything is computed, exceeds `max_position_embeddings`.
        """
        self._check_length(input_ids.shape[1])
        # A gather keeps the gradient of the word embeddings in IndexedSlices, whose norm the optimizer
        # takes as the legacy one did; the two small tables have dense gradients, as there.
        words = tf.gather(self.word_embeddings, input_ids)
        segments = tf.one_hot(segment_ids, self.token_type_embeddings.shape[0], dtype=words.dtype)
        positions = self.position_embeddings[tf.newaxis, : tf.shape(input_ids)[1], :]
        summed = words + tf.matmul(segments, self.token_type_embeddings) + positions
        summed, norm = tf.cast(summed, tf.float32), norm_weights(self.layer_norm)
        first_index = None
        if first_sequence is not None:
            first_index = tf.cast(first_sequence * tf.size(summed[0]), tf.uint32)
        mask = mask_of(dropout_seed, 0, first_index)
        if mask is None:
            return layer_norm(summed, *norm)
        return fused_with(_norm_and_drop, self.bert_config.hidden_dropout_prob)(summed, *norm, *mask)

    def _check_length(self, length: int | None) -> None:
        longest = self.bert_config.max_position_embeddings
        if length is not None and length > longest:
            raise ConfigError(
                f"A sequence of {length} WordPieces is longer than the model's {longest} positions; make features with "
                f"a max_seq_length of at most {longest} (`max_position_embeddings` of its configuration)."
            )


@tf_keras.utils.register_keras_serializable("bert_squad")
class TransformerLayer(BertLayer):
    """One layer: self-attention, then a feed-forward network, each added to its input and normalised.

    Args: those of `BertLayer`.

    Source: `modeling.transformer_model`.
    """

    def make_weights(self, bert_config: BertConfig) -> None:
        """Make the parts of the layer."""
        hidden, intermediate = bert_config.hidden_size, bert_config.intermediate_size
        deviation = bert_config.initializer_range
        self.attention = SelfAttention(bert_config, name="attention", dtype=self.dtype_policy)
        self.attention_output = make_dense(self, hidden, hidden, "attention_output", deviation)
        self.attention_layer_norm = make_layer_norm(self, hidden, "attention_layer_norm")
        self.intermediate = make_dense(self, hidden, intermediate, "intermediate", deviation)
        self.output_dense = make_dense(self, intermediate, hidden, "output", deviation)
        self.output_layer_norm = make_layer_norm(self, hidden, "output_layer_norm")

    def call(
        self, states: tf.Tensor, input_mask: tf.Tensor, dropout_seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Transform a batch.

        Args:
          states: float [B, S, H].
          input_mask: int32 [B, S], 1 for real positions and 0 for padding.
          dropout_seed: int32 [2], or None for no dropout.

        Returns:
          float32 [B, S, H].
        """
        rows, narrow, packing, biases = as_rows(states, input_mask, self.compute_dtype)
        rows, _ = self.of_rows(rows, narrow, packing, biases, dropout_seed)
        return packing.unpack(rows)

    def of_rows(
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
          narrow: the same in the type of the policy.
          packing: as in `SelfAttention.of_rows`, like the next two.
          score_biases: see there.
          dropout_seed: see there.

        Returns:
          The output [R, H] in both types.
        """
        rate = self.bert_config.hidden_dropout_prob
        first_index = packing.first_index_of_rows(self.bert_config.hidden_size)
        seed = site_seed(dropout_seed, 0)
        with tf.name_scope(self.attention.name):
            context = self.attention.of_rows(rows, narrow, packing, score_biases, seed)
        attended, narrow = dense_drop_add_and_norm(
            context,
            self.attention_output,
            rows,
            self.attention_layer_norm,
            rate,
            mask_of(dropout_seed, 1, first_index),
        )
        activation = activation_function(self.bert_config.hidden_act)
        between = dense_and_activate(narrow, self.intermediate, activation, dropout_seed is not None)
        return dense_drop_add_and_norm(
            between,
            self.output_dense,
            attended,
            self.output_layer_norm,
            rate,
            mask_of(dropout_seed, 2, first_index),
        )


def _of_states(
    layer: TransformerLayer, packing, score_biases, dropout_seed, *states
) -> tuple[tf.Tensor, ...]:
    """Map what goes from layer to layer, as `_once_each` returns it, through one of them."""
    # TensorFlow adds gradients in an order that depends on the names of operations, so names decide last bits.
    with tf.name_scope(layer.name):
        return _once_each(*layer.of_rows(states[0], states[-1], packing, score_biases, dropout_seed))


def _once_each(rows: tf.Tensor, narrow: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return rows [R, H] in float32 and in the type of the policy, once if that is the same."""
    return (rows,) if narrow is rows else (rows, narrow)


@tf_keras.utils.register_keras_serializable("bert_squad")
class Pooler(tf_keras.layers.Dense):
    """A dense layer that is never trained, whatever `trainable` says: no loss of question answering reaches it."""

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """None."""
        return []

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """The kernel [H, H] and the bias [H]."""
        return [self.kernel, self.bias] if self.built else []


@tf_keras.utils.register_keras_serializable("bert_squad")
class BertEncoder(BertLayer):
    """Turn WordPiece ids into hidden states.

    Args: those of `BertLayer`.

    The pooler is held because checkpoints have it; nothing in question answering uses it.
    """

    def make_weights(self, bert_config: BertConfig) -> None:
        """Make the layers and the pooler."""
        self.embeddings = BertEmbeddings(bert_config, name="embeddings", dtype=self.dtype_policy)
        self.transformer_layers = [
            TransformerLayer(bert_config, name=f"layer_{index}", dtype=self.dtype_policy)
            for index in range(bert_config.num_hidden_layers)
        ]
        # Rounding in early layers grows on its way through the others, that of queries and keys most (BUILD_NOTES.md).
        for layer in self.transformer_layers[: bert_config.num_hidden_layers // 2]:
            layer.attention.projects_wide = True
        hidden = bert_config.hidden_size
        self.pooler = make_dense(
            self, hidden, hidden, "pooler", bert_config.initializer_range, layer_class=Pooler
        )

    def call(
        self,
        input_ids: tf.Tensor,
        input_mask: tf.Tensor,
        segment_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        packing: str = "padded",
        first_sequence: tf.Tensor | None = None,
        recompute: bool = False,
    ) -> list[tf.Tensor]:
        """Encode a batch.

        Args:
          input_ids: int32 [B, S].
          input_mask: int32 [B, S], 1 for real positions and 0 for padding.
          segment_ids: int32 [B, S].
          dropout_seed: int32 [2], or None for no dropout.
          packing: which positions the layers compute, one of `packing.PACKINGS`; those that "packed" leaves out are
            undefined in the result.
          first_sequence: as for `Padded`.
          recompute: keep nothing of a layer for the backward pass but its input, and compute it there once more.

        Returns:
          The embedding output and the output of each layer, each float32 [B, S, H]; the last is the sequence
          output.

        Raises:
          ConfigError: for sequences that are longer than `max_position_embeddings`.
        """
        embedded = self.embeddings(input_ids, segment_ids, site_seed(dropout_seed, 0), first_sequence)
        places = PACKINGS[packing](input_mask, first_sequence)
        biases = score_biases(places, self.compute_dtype)
        rows = places.pack(embedded)
        states = [_once_each(rows, tf.cast(rows, self.compute_dtype))]
        for index, layer in enumerate(self.transformer_layers):
            seed = site_seed(dropout_seed, index + 1)
            of_states: Callable = functools.partial(_of_states, layer, places, biases, seed)
            # The backward pass begins with the last layer, so that all of it is there at that time anyway.
            if recompute and layer is not self.transformer_layers[-1]:
                of_states = recomputed(of_states)
            states.append(of_states(*states[-1]))
        return [places.unpack(of_layer[0]) for of_layer in states]

    def pooled_output(self, sequence_output: tf.Tensor) -> tf.Tensor:
        """Return float [B, H]: tanh of a projection of the first position, as pre-training used it."""
        return tf.tanh(self.pooler(sequence_output[:, 0, :]))
