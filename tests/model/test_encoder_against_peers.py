"""Our encoder against the Model Garden's and transformers', same weights, random and real inputs with padding."""

import json

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden
from minilm import minilm_directory
from tiny_config import TINY
from tiny_models import garden_encoder, random_inputs, tiny_model, weights

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.names import from_legacy
from bert_squad.model.squad_model import BertForSquad

LARGER = BertConfig(
    vocab_size=300,
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=256,
    max_position_embeddings=96,
    type_vocab_size=2,
)
CASES = [(TINY, (16, 11, 5, 1)), (LARGER, (96, 95, 40, 17, 2))]


@pytest.fixture(scope="module")
def real_text():
    """Four features of XQuAD, 384 positions, up to half of them padding."""
    features = np.load(golden("model/minilm/features_0_12.npz"))
    inputs = {name: features[name][:4] for name in ("input_ids", "input_mask", "segment_ids")}
    assert 0.3 < inputs["input_mask"].mean() < 1
    return inputs


def our_states(model, inputs):
    """Return the embeddings and the output of every layer, [L + 1, B, S, H], and the pooled output [B, H]."""
    states = model.bert(*(tf.constant(inputs[name]) for name in ("input_ids", "input_mask", "segment_ids")))
    return np.stack(states), model.bert.pooled_output(states[-1]).numpy()


def assert_same_states(ours, theirs, inputs, atol=1e-5):
    """Compare at real positions: what stands at padded ones is nobody's business and masks differ there."""
    real = inputs["input_mask"].astype(bool)
    assert np.abs(ours[0][:, real]).max() > 1  # so that the tolerance means something
    np.testing.assert_allclose(ours[0][-len(theirs[0]) :, real], theirs[0][:, real], atol=atol)
    np.testing.assert_allclose(ours[1], theirs[1], atol=atol)


# The Model Garden


def garden_states(encoder, inputs):
    output = encoder(
        {
            "input_word_ids": tf.constant(inputs["input_ids"]),
            "input_mask": tf.constant(inputs["input_mask"]),
            "input_type_ids": tf.constant(inputs["segment_ids"]),
        }
    )
    if isinstance(output, dict):
        return np.stack(output["encoder_outputs"]), output["pooled_output"].numpy()
    return np.asarray(output[0])[np.newaxis], np.asarray(output[1])  # BertEncoder: the last layer alone


@pytest.mark.parametrize("class_name", ["BertEncoderV2", "BertEncoder"])
@pytest.mark.parametrize(("config", "lengths"), CASES)
def test_random_weights_and_inputs_in_the_model_garden(class_name, config, lengths, tmp_path):
    encoder = garden_encoder(class_name, config)
    model = BertForSquad(config)
    load_checkpoint(model, tf.train.Checkpoint(model=encoder).write(str(tmp_path / "ckpt")))
    for seed in range(3):
        inputs = random_inputs(seed, lengths, config)
        assert_same_states(our_states(model, inputs), garden_states(encoder, inputs), inputs)


def fill_garden_encoder(encoder, model):
    """Assign our weights to a BertEncoderV2 by its attributes: not by way of the checkpoint reader."""
    values = weights(model)

    def dense(layer, name):
        layer.kernel.assign(values[f"{name}/kernel"].reshape(layer.kernel.shape))
        layer.bias.assign(values[f"{name}/bias"].reshape(layer.bias.shape))

    def norm(layer, name):
        layer.gamma.assign(values[f"{name}/LayerNorm/gamma"])
        layer.beta.assign(values[f"{name}/LayerNorm/beta"])

    encoder._embedding_layer.embeddings.assign(values["bert/embeddings/word_embeddings"])
    encoder._type_embedding_layer.embeddings.assign(values["bert/embeddings/token_type_embeddings"])
    encoder._position_embedding_layer._position_embeddings.assign(
        values["bert/embeddings/position_embeddings"]
    )
    norm(encoder._embedding_norm_layer, "bert/embeddings")
    for index, layer in enumerate(encoder.transformer_layers):
        prefix = f"bert/encoder/layer_{index}"
        for part in ("query", "key", "value"):
            dense(getattr(layer._attention_layer, f"_{part}_dense"), f"{prefix}/attention/self/{part}")
        dense(layer._attention_layer._output_dense, f"{prefix}/attention/output/dense")
        norm(layer._attention_layer_norm, f"{prefix}/attention/output")
        dense(layer._intermediate_dense, f"{prefix}/intermediate/dense")
        dense(layer._output_dense, f"{prefix}/output/dense")
        norm(layer._output_layer_norm, f"{prefix}/output")
    dense(encoder.pooler_layer, "bert/pooler/dense")


def test_real_weights_and_text_in_the_model_garden(real_text):
    path = minilm_directory()
    config = BertConfig.from_json_file(str(path / "config.json"))
    model = BertForSquad(config)
    load_checkpoint(model, str(path))
    encoder = garden_encoder("BertEncoderV2", config)
    fill_garden_encoder(encoder, model)
    assert_same_states(our_states(model, real_text), garden_states(encoder, real_text), real_text)


# Transformers


def transformers_model(config: BertConfig, hidden_act: str):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    return transformers.BertModel(
        transformers.BertConfig(**{**config.to_dict(), "hidden_act": hidden_act})
    ).eval()


def fill_transformers_model(peer, model):
    torch = pytest.importorskip("torch")
    state = {}
    for name, value in weights(model).items():
        variable = from_legacy(name)
        if name.startswith("bert/"):
            value = value.T if variable.transposed else value
            state[variable.huggingface.removeprefix("bert.")] = torch.tensor(np.ascontiguousarray(value))
    missing, unexpected = peer.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("position_ids" in name or "token_type_ids" in name for name in missing)


def transformers_states(peer, inputs):
    torch = pytest.importorskip("torch")
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    with torch.no_grad():
        output = peer(
            **{name: torch.tensor(inputs[own].astype(np.int64)) for name, own in names.items()},
            output_hidden_states=True,
        )
    return np.stack([state.numpy() for state in output.hidden_states]), output.pooler_output.numpy()


@pytest.mark.parametrize(("config", "lengths"), CASES)
def test_random_weights_and_inputs_in_transformers(config, lengths):
    model = tiny_model(config=config)
    peer = transformers_model(config, "gelu_new")
    fill_transformers_model(peer, model)
    for seed in range(3):
        inputs = random_inputs(seed, lengths, config)
        assert_same_states(our_states(model, inputs), transformers_states(peer, inputs), inputs)


@pytest.mark.parametrize("hidden_act", ["relu", "tanh", "linear"])
def test_other_activations_in_transformers(hidden_act):
    config = BertConfig(**{**TINY.to_dict(), "hidden_act": hidden_act})
    model = tiny_model(config=config)
    peer = transformers_model(config, hidden_act)
    fill_transformers_model(peer, model)
    inputs = random_inputs()
    assert_same_states(our_states(model, inputs), transformers_states(peer, inputs), inputs)


def test_real_weights_and_text_in_transformers(real_text, tmp_path):
    """Transformers reads its own file; only the activation is set to the form that we have."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    transformers.logging.disable_progress_bar()
    path = minilm_directory()
    config = json.loads((path / "config.json").read_text())
    model = BertForSquad(BertConfig.from_dict(config))
    load_checkpoint(model, str(path))
    peer = transformers.BertModel.from_pretrained(
        path, config=transformers.BertConfig(**{**config, "hidden_act": "gelu_new"})
    ).eval()
    assert_same_states(our_states(model, real_text), transformers_states(peer, real_text), real_text)
