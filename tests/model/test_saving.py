"""Every layer is one that Keras can save, load and make again."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from model.saving import check_saving
from tiny_config import TINY
from tiny_models import random_inputs, tiny_model

from bert_squad.errors import ConfigError
from bert_squad.model.attention import SelfAttention
from bert_squad.model.encoder import BertEmbeddings, BertEncoder, TransformerLayer
from bert_squad.model.span_head import SpanHead
from bert_squad.model.squad_model import BertForSquad

FEATURES = random_inputs()
STATES = np.random.default_rng(1).normal(size=(4, 16, TINY.hidden_size)).astype(np.float32)
IDS, MASK, SEGMENTS = (FEATURES[name] for name in ("input_ids", "input_mask", "segment_ids"))
LAYERS = {
    BertEmbeddings: [IDS, SEGMENTS],
    SelfAttention: [STATES, MASK],
    TransformerLayer: [STATES, MASK],
    BertEncoder: [IDS, MASK, SEGMENTS],
}


@pytest.mark.parametrize("layer_class", LAYERS)
def test_layers_of_the_encoder(layer_class, tmp_path):
    check_saving(layer_class(TINY, dtype="mixed_bfloat16"), LAYERS[layer_class], tmp_path)


def test_the_span_head(tmp_path):
    check_saving(SpanHead(TINY.hidden_size), [STATES], tmp_path)


@pytest.mark.parametrize("options", [{}, {"compute_dtype": "bfloat16", "pad_to": "batch", "name": "mine"}])
def test_the_model(options, tmp_path):
    check_saving(BertForSquad(TINY, **options), FEATURES, tmp_path)


@pytest.mark.parametrize("layer_class", [*LAYERS, SpanHead, BertForSquad])
def test_a_policy_that_cannot_be_followed_is_refused(layer_class):
    description = TINY.hidden_size if layer_class is SpanHead else TINY
    with pytest.raises(ConfigError, match=r"policy 'float64' is not one that BERT can follow; it is one of"):
        layer_class(description, dtype="float64")


def test_a_layer_alone_computes_what_it_computes_in_the_encoder():
    encoder = tiny_model(4).bert
    states = encoder(IDS, MASK, SEGMENTS)
    np.testing.assert_array_equal(encoder.embeddings(IDS, SEGMENTS), states[0])
    for layer, before, after in zip(encoder.transformer_layers, states, states[1:], strict=False):
        np.testing.assert_array_equal(layer(before, MASK), after)


def test_names_of_variables_read_like_the_architecture():
    names = [weight.name for weight in BertForSquad(TINY).weights]
    assert len(set(names)) == len(names)
    assert names[:5] == [
        "bert/embeddings/word_embeddings:0",
        "bert/embeddings/token_type_embeddings:0",
        "bert/embeddings/position_embeddings:0",
        "bert/embeddings/layer_norm/gamma:0",
        "bert/embeddings/layer_norm/beta:0",
    ]
    for part in (
        "attention/query/kernel",
        "attention_output/bias",
        "attention_layer_norm/gamma",
        "intermediate/kernel",
        "output/bias",
        "output_layer_norm/beta",
    ):
        assert f"bert/layer_1/{part}:0" in names
    assert names[-2:] == ["span_head/dense/kernel:0", "span_head/dense/bias:0"]


def test_the_pooler_is_never_trained():
    """No loss reaches it, and Keras would warn at each step."""
    model = BertForSquad(TINY)
    model.trainable = True
    trained = [weight.name for weight in model.trainable_weights]
    assert [weight.name for weight in model.weights if weight.name not in trained] == [
        "bert/pooler/kernel:0",
        "bert/pooler/bias:0",
    ]
    assert {tf.as_dtype(weight.dtype) for weight in model.non_trainable_weights} == {tf.float32}
    model.trainable = False
    assert not model.trainable_weights
    assert len(model.weights) == len(trained) + 2


def test_a_clone_has_the_same_description_and_other_weights():
    model = BertForSquad(TINY, compute_dtype="bfloat16", pad_to="batch")
    clone = tf_keras.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert not np.array_equal(clone.span_head.dense.kernel, model.span_head.dense.kernel)


def test_what_is_frozen_stays_frozen_when_it_is_loaded(tmp_path):
    """Else who goes on to train from a saved model trains what he had frozen."""
    model = BertForSquad(TINY)
    model.bert.embeddings.trainable = False
    model.bert.transformer_layers[0].trainable = False
    trained = [weight.name for weight in model.trainable_weights]
    assert "bert/layer_0/output/kernel:0" not in trained
    model.save(tmp_path / "model.keras")
    loaded, clone = tf_keras.models.load_model(tmp_path / "model.keras"), tf_keras.models.clone_model(model)
    for other in (loaded, clone):
        assert [weight.name for weight in other.trainable_weights] == trained
    clone.trainable = True
    assert len(clone.trainable_weights) == len(BertForSquad(TINY).trainable_weights)
