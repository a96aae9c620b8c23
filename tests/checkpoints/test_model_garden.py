"""Checkpoints of the real Model Garden classes, saved in the ways that people save them."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
from tiny_config import TINY
from tiny_models import assert_same_weights, garden_encoder, model_garden, random_inputs, tiny_model

from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_garden import OBJECT_GRAPH, ModelGardenReader
from bert_squad.checkpoints.tf1_writing import write_tensors
from bert_squad.errors import CheckpointError

HEAD = ("cls/squad/output_bias", "cls/squad/output_weights")


@pytest.fixture(scope="module")
def v2():
    return garden_encoder("BertEncoderV2")


@pytest.fixture(scope="module")
def v1():
    return garden_encoder("BertEncoder")


@pytest.fixture(scope="module", params=["BertEncoderV2", "BertEncoder"])
def encoder(request):
    return request.getfixturevalue("v2" if request.param == "BertEncoderV2" else "v1")


def legacy_weights(encoder) -> dict[str, np.ndarray]:
    """Take the weights from the live objects, by their attributes, into the legacy shapes."""

    def dense(name, layer, shape):
        return {
            f"{name}/kernel": layer.kernel.numpy().reshape(shape),
            f"{name}/bias": layer.bias.numpy().reshape(-1),
        }

    def norm(name, layer):
        return {f"{name}/LayerNorm/gamma": layer.gamma.numpy(), f"{name}/LayerNorm/beta": layer.beta.numpy()}

    hidden, inner = TINY.hidden_size, TINY.intermediate_size
    expected = {
        "bert/embeddings/word_embeddings": encoder._embedding_layer.embeddings.numpy(),
        "bert/embeddings/position_embeddings": encoder._position_embedding_layer._position_embeddings.numpy(),
        "bert/embeddings/token_type_embeddings": encoder._type_embedding_layer.embeddings.numpy(),
        **norm("bert/embeddings", encoder._embedding_norm_layer),
        **dense("bert/pooler/dense", encoder.pooler_layer, (hidden, hidden)),
    }
    for index, layer in enumerate(encoder.transformer_layers):
        prefix = f"bert/encoder/layer_{index}"
        attention = layer._attention_layer
        for part in ("query", "key", "value"):
            expected |= dense(
                f"{prefix}/attention/self/{part}", getattr(attention, f"_{part}_dense"), (hidden, hidden)
            )
        expected |= dense(f"{prefix}/attention/output/dense", attention._output_dense, (hidden, hidden))
        expected |= norm(f"{prefix}/attention/output", layer._attention_layer_norm)
        expected |= dense(f"{prefix}/intermediate/dense", layer._intermediate_dense, (hidden, inner))
        expected |= dense(f"{prefix}/output/dense", layer._output_dense, (inner, hidden))
        expected |= norm(f"{prefix}/output", layer._output_layer_norm)
    return expected


def assert_loads(path, encoder, left_over=(), missing=HEAD):
    model = tiny_model(seed=3)
    summary = load_checkpoint(model, str(path))
    assert (summary.missing, summary.left_over) == (missing, left_over)
    assert summary.kind == "TF2 object-based checkpoint of a Model Garden encoder"
    assert_same_weights(model, legacy_weights(encoder), but=HEAD)


def checkpoints(encoder):
    """The ways: as `model` or `encoder`, as the root itself, inside a larger object."""
    return {
        "model": tf.train.Checkpoint(model=encoder),
        "encoder": tf.train.Checkpoint(encoder=encoder),
        "root": tf.train.Checkpoint(encoder),
        "nested": tf.train.Checkpoint(task=tf.train.Checkpoint(network=encoder), step=tf.Variable(3)),
    }


@pytest.mark.parametrize("way", ["model", "encoder", "root", "nested"])
def test_every_way_of_saving_an_encoder(encoder, tmp_path, way):
    path = checkpoints(encoder)[way].write(str(tmp_path / "ckpt"))
    assert_loads(path, encoder)


def test_a_checkpoint_manager(encoder, tmp_path):
    step = tf.Variable(11, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=encoder, global_step=step), str(tmp_path), max_to_keep=2, step_counter=step
    )
    path = manager.save()
    assert_loads(tmp_path, encoder)  # the directory
    assert_loads(path, encoder)  # the prefix
    assert ModelGardenReader(path).step == 11


def test_weights_of_keras(v1, tmp_path):
    v1.save_weights(str(tmp_path / "weights"))
    assert_loads(tmp_path / "weights", v1)


def test_a_model_without_attributes(v1, tmp_path):
    """As the releases before BertEncoder saved theirs: only the layers of a functional model are in the graph."""
    bare = tf_keras.Model(v1.inputs, v1.outputs)
    path = tf.train.Checkpoint(model=bare).write(str(tmp_path / "ckpt"))
    keys = [name for name, _ in tf.train.list_variables(path)]
    assert not any("_embedding_layer" in key for key in keys)
    assert_loads(path, v1)


def span_labeler(encoder):
    labeler = model_garden("models").BertSpanLabeler(encoder)
    dense = labeler.span_labeling.layers[1]
    dense.kernel.assign(np.random.default_rng(5).normal(size=dense.kernel.shape))
    dense.bias.assign([0.25, -0.5])
    return labeler, dense


def test_a_question_answering_model_brings_its_span_head_and_the_same_logits(encoder, tmp_path):
    labeler, dense = span_labeler(encoder)
    path = tf.train.Checkpoint(model=labeler).write(str(tmp_path / "ckpt"))
    assert_loads(path, encoder, missing=())
    model = tiny_model(seed=3)
    load_checkpoint(model, path)
    np.testing.assert_array_equal(model.span_head.dense.kernel, dense.kernel)
    np.testing.assert_array_equal(model.span_head.dense.bias, [0.25, -0.5])

    inputs = random_inputs()
    garden = {
        "input_word_ids": inputs["input_ids"],
        "input_mask": inputs["input_mask"],
        "input_type_ids": inputs["segment_ids"],
    }
    real = inputs["input_mask"].astype(bool)
    for ours, theirs in zip(model(inputs), labeler(garden), strict=True):
        np.testing.assert_allclose(ours.numpy()[real], np.asarray(theirs)[real], atol=1e-5)


@pytest.mark.parametrize("optimizer", [tf_keras.optimizers.Adam, tf_keras.optimizers.legacy.Adam])
def test_optimizer_slots_are_not_taken_for_weights(encoder, tmp_path, optimizer):
    """Slots have full names that end like those of their weights."""
    adam = optimizer(0.0)
    adam.apply_gradients([(tf.ones_like(variable), variable) for variable in encoder.trainable_variables])
    path = tf.train.Checkpoint(model=encoder, optimizer=adam).write(str(tmp_path / "ckpt"))
    assert len(tf.train.list_variables(path)) > 3 * len(encoder.trainable_variables)
    assert_loads(path, encoder)


def test_other_heads_are_left_over_and_counters_are_not(encoder, tmp_path):
    head = tf_keras.layers.Dense(3)
    head.build((None, TINY.hidden_size))
    checkpoint = tf.train.Checkpoint(model=encoder, classifier=head, step=tf.Variable(1))
    assert_loads(
        checkpoint.save(str(tmp_path / "ckpt")), encoder, left_over=("classifier/bias", "classifier/kernel")
    )


def test_two_encoders_are_ambiguous(v1, v2, tmp_path):
    path = tf.train.Checkpoint(first=v1, second=v2).write(str(tmp_path / "ckpt"))
    with pytest.raises(CheckpointError, match=r"twice, as first/.* and as second/.*; save one encoder alone"):
        load_checkpoint(tiny_model(), path)


def test_an_encoder_named_twice_is_one(encoder, tmp_path):
    assert_loads(tf.train.Checkpoint(model=encoder, encoder=encoder).write(str(tmp_path / "ckpt")), encoder)


def test_no_encoder(tmp_path):
    head = tf_keras.layers.Dense(3)
    head.build((None, 4))
    path = tf.train.Checkpoint(head=head).write(str(tmp_path / "ckpt"))
    with pytest.raises(CheckpointError, match="matches the encoder: it holds head/bias, head/kernel"):
        load_checkpoint(tiny_model(), path)


def test_another_number_of_heads_shows_in_the_shapes(tmp_path):
    encoder = garden_encoder("BertEncoderV2", num_attention_heads=2)
    path = tf.train.Checkpoint(model=encoder).write(str(tmp_path / "ckpt"))
    with pytest.raises(CheckpointError, match="has 2 attention heads but the model has 3"):
        load_checkpoint(tiny_model(), path)


def test_factorised_embeddings_are_another_architecture(tmp_path):
    encoder = garden_encoder("BertEncoderV2", embedding_width=6)
    path = tf.train.Checkpoint(model=encoder).write(str(tmp_path / "ckpt"))
    with pytest.raises(CheckpointError, match=r"has shape \[6\] in .* but \[12\] in the model"):
        load_checkpoint(tiny_model(), path)


def test_a_damaged_object_graph(v2, tmp_path):
    path = tf.train.Checkpoint(model=v2).write(str(tmp_path / "ckpt"))
    reader = tf.train.load_checkpoint(path)
    tensors = {name: reader.get_tensor(name) for name, _ in tf.train.list_variables(path)}
    graph = TrackableObjectGraph.FromString(tensors[OBJECT_GRAPH])

    write_tensors(str(tmp_path / "bytes"), tensors | {OBJECT_GRAPH: b"\xff\xff\xff"})
    with pytest.raises(CheckpointError, match=r"The object graph of .* is damaged"):
        ModelGardenReader(str(tmp_path / "bytes"))

    for node in graph.nodes:
        for child in node.children:
            child.node_id += 1_000_000  # out of range: the encoder cannot be found
    write_tensors(str(tmp_path / "ids"), tensors | {OBJECT_GRAPH: graph.SerializeToString()})
    with pytest.raises(CheckpointError, match="matches the encoder"):
        load_checkpoint(tiny_model(), str(tmp_path / "ids"))

    key = next(key for key in tensors if key.endswith("_pooler_layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"))
    write_tensors(str(tmp_path / "lacks"), {name: value for name, value in tensors.items() if name != key})
    with pytest.raises(CheckpointError, match="is damaged: it lacks model/_pooler_layer/kernel"):
        ModelGardenReader(str(tmp_path / "lacks"))
