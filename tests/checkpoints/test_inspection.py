import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from golden_files import golden
from tiny_config import TINY
from tiny_models import garden_encoder, tiny_model, weights, write_huggingface

from bert_squad.checkpoints.inspection import InspectedVariable, inspect_checkpoint
from bert_squad.checkpoints.names import from_legacy
from bert_squad.checkpoints.tf1_writing import write_tensors
from bert_squad.errors import CheckpointError

SIZES = {
    "num_hidden_layers": 2,
    "vocab_size": 40,
    "hidden_size": 12,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}


def test_a_legacy_training_checkpoint():
    path = str(golden("model/trajectory/model.ckpt-24.index")).removesuffix(".index")
    found = inspect_checkpoint(path)
    assert (found.kind, found.step, found.slots, len(found.variables)) == ("TF1 checkpoint", 24, 78, 120)
    name = "bert/encoder/layer_1/intermediate/dense/kernel"
    assert InspectedVariable(name, (32, 64), "float32", name) in found.variables
    assert InspectedVariable(f"{name}/adam_v", (32, 64), "float32", None) in found.variables
    lines = str(found).split("\n")
    assert lines[:7] == [
        path,
        "kind: TF1 checkpoint",
        "step: 24",
        "encoder: num_hidden_layers 2, vocab_size 600, hidden_size 32, intermediate_size 64, "
        "max_position_embeddings 128, type_vocab_size 2",
        "span head: yes",
        "optimizer slots: yes, 78",
        "variables: 120",
    ]
    assert len(lines) == 7 + 120
    assert lines[-1].split() == ["global_step", "int64", "[]"]


def test_a_huggingface_directory(tmp_path):
    tensors = {}
    for name, value in weights(tiny_model()).items():
        variable = from_legacy(name)
        tensors[variable.huggingface] = (value.T if variable.transposed else value).astype(np.float16)
    write_huggingface(tmp_path, tensors)
    found = inspect_checkpoint(str(tmp_path))
    assert (found.kind, found.step, found.slots) == ("Hugging Face safetensors", None, 0)
    assert found.sizes == SIZES
    expected = InspectedVariable(
        "bert.encoder.layer.0.intermediate.dense.weight",
        (20, 12),
        "float16",
        "bert/encoder/layer_0/intermediate/dense/kernel",
    )
    assert expected in found.variables
    text = str(found)
    assert "step: not recorded\n" in text
    assert "optimizer slots: no\n" in text
    assert "[20, 12]  = bert/encoder/layer_0/intermediate/dense/kernel" in text


@pytest.mark.parametrize("optimizer", [tf_keras.optimizers.Adam, tf_keras.optimizers.legacy.Adam])
def test_a_model_garden_checkpoint_with_an_optimizer(tmp_path, optimizer):
    encoder = garden_encoder("BertEncoderV2")
    adam = optimizer(0.0)
    adam.apply_gradients([(tf.ones_like(variable), variable) for variable in encoder.trainable_variables])
    path = tf.train.Checkpoint(model=encoder, optimizer=adam).write(str(tmp_path / "ckpt"))
    found = inspect_checkpoint(path)
    assert (found.sizes, found.step) == (SIZES, 1)
    assert found.slots >= 2 * len(encoder.trainable_variables)
    query = next(
        v for v in found.variables if v.legacy_name == "bert/encoder/layer_0/attention/self/query/kernel"
    )
    assert (
        query.name
        == "model/_transformer_layers/0/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    )
    assert query.shape == (12, TINY.num_attention_heads, 4)  # as it is in the file
    assert "span head: no" in str(found)


def test_what_is_not_bert_is_described_all_the_same(tmp_path):
    write_tensors(
        str(tmp_path / "model.ckpt"), {"w": np.zeros([3, 2], np.float32), "global_step": np.int64([1, 2])}
    )
    text = str(inspect_checkpoint(str(tmp_path / "model.ckpt")))
    assert "encoder: none of BERT\n" in text
    assert "step: not recorded\n" in text
    assert text.endswith("  w            float32  [3, 2]")
    path = tf.train.Checkpoint(v=tf.Variable([1.0])).write(str(tmp_path / "ckpt"))
    text = str(inspect_checkpoint(path))
    assert "kind: TF2 object-based checkpoint\n" in text
    assert "encoder: none of BERT\n" in text


def test_nothing_to_inspect(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        inspect_checkpoint(str(tmp_path))
