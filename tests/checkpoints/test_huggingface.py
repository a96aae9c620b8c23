import json
import os

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save, save_file
from tiny_config import TINY
from tiny_models import tiny_model, weights, write_huggingface

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.huggingface import HuggingFaceReader, find_weights
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.names import from_legacy
from bert_squad.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def legacy():
    return weights(tiny_model())


def named(legacy, prefix="bert.", old=False):
    """Give tensors their Hugging Face names: with `bert.` or without, and gamma and beta in old files."""
    tensors = {}
    for name, value in legacy.items():
        variable = from_legacy(name)
        own = variable.huggingface
        if own.startswith("bert."):
            own = prefix + own.removeprefix("bert.")
        if old:
            own = own.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
        tensors[own] = value.T if variable.transposed else value
    return tensors


def assert_reads(path, legacy):
    reader = HuggingFaceReader(str(path))
    assert set(reader) == set(legacy)
    for name, value in legacy.items():
        assert reader.shapes[name] == value.shape
        assert reader[name].dtype == np.float32
        np.testing.assert_array_equal(reader[name], value, err_msg=name)


@pytest.mark.parametrize(("prefix", "old"), [("bert.", False), ("", False), ("bert.", True), ("", True)])
def test_reads_every_way_of_naming(legacy, tmp_path, prefix, old):
    write_huggingface(tmp_path, named(legacy, prefix, old))
    assert_reads(tmp_path / "model.safetensors", legacy)


def test_dense_kernels_are_transposed_and_tables_are_not(legacy, tmp_path):
    tensors = named(legacy)
    assert tensors["bert.encoder.layer.0.intermediate.dense.weight"].shape == (20, 12)
    assert tensors["bert.embeddings.word_embeddings.weight"].shape == (40, 12)
    write_huggingface(tmp_path, tensors)
    reader = HuggingFaceReader(str(tmp_path / "model.safetensors"))
    name = "bert/encoder/layer_0/intermediate/dense/kernel"
    assert (reader.shapes[name], reader.own_shape(name)) == ((12, 20), (20, 12))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(legacy, tmp_path, dtype):
    narrow = {name: value.astype(dtype) for name, value in legacy.items()}
    write_huggingface(tmp_path, named(narrow))
    assert_reads(tmp_path / "model.safetensors", {name: v.astype(np.float32) for name, v in narrow.items()})


def test_several_files_with_an_index(legacy, tmp_path):
    tensors = named(legacy)
    weight_map = {}
    for number, name in enumerate(tensors):
        weight_map[name] = f"model-{number % 3}.safetensors"
    for file in sorted(set(weight_map.values())):
        write_huggingface(tmp_path, {n: tensors[n] for n in tensors if weight_map[n] == file}, name=file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert find_weights(str(tmp_path)) == str(index)
    assert_reads(index, legacy)

    os.remove(tmp_path / "model-1.safetensors")
    with pytest.raises(CheckpointError, match=r"Cannot read the Hugging Face weights .*model-1\.safetensors"):
        HuggingFaceReader(str(index))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "index.json is not valid JSON"),
        ("[]", "must hold a JSON object, not list"),
        ("{}", "lacks its `weight_map`"),
        ('{"weight_map": {"a": 1}}', "lacks its `weight_map`"),
        ('{"weight_map": {"a": "../elsewhere.safetensors"}}', "not in its own directory"),
        ('{"weight_map": {"a": "model.safetensors"}}', "does not contain tensor a"),
    ],
)
def test_a_wrong_index(tmp_path, index, message):
    save_file({"b": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(index)
    with pytest.raises(CheckpointError, match=message):
        HuggingFaceReader(str(path))


def test_a_buffer_of_old_versions_is_no_weight(legacy, tmp_path):
    write_huggingface(tmp_path, {**named(legacy), "bert.embeddings.position_ids": np.arange(16)[None]})
    assert_reads(tmp_path / "model.safetensors", legacy)


def test_one_variable_under_two_names_is_an_error(legacy, tmp_path):
    tensors = named(legacy)
    tensors["pooler.dense.bias"] = tensors["bert.pooler.dense.bias"]
    write_huggingface(tmp_path, tensors)
    with pytest.raises(
        CheckpointError, match=r"holds bert/pooler/dense/bias twice, as .*pooler.dense.bias and as"
    ):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


def test_quantised_weights_are_refused(legacy, tmp_path):
    tensors = named(legacy)
    tensors["bert.pooler.dense.weight"] = np.zeros([12, 12], np.int8)
    write_huggingface(tmp_path, tensors)
    reader = HuggingFaceReader(str(tmp_path / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"bert\.pooler\.dense\.weight in .* is of type I8"):
        reader["bert/pooler/dense/kernel"]


@pytest.mark.parametrize("model_type", ["roberta", "distilbert", "electra"])
def test_another_model_type_is_refused(legacy, tmp_path, model_type):
    write_huggingface(tmp_path, named(legacy), {"model_type": model_type})
    with pytest.raises(
        CheckpointError, match=rf"describes a model of the type '{model_type}'; only .* 'bert'"
    ):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type` is 'relative_key'"),
        ({"layer_norm_eps": 1e-5}, "`layer_norm_eps` is 1e-05"),
        ({"is_decoder": True}, "`is_decoder` is True"),
        ({"hidden_act": "silu"}, "Unsupported activation: silu"),
        ({"hidden_size": 13}, "not a multiple of the number of attention heads"),
    ],
)
def test_a_variation_of_bert_that_is_computed_differently_is_refused(legacy, tmp_path, change, message):
    write_huggingface(tmp_path, named(legacy), change)
    with pytest.raises(CheckpointError, match=message):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    pointer = tmp_path / "model.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 437955512\n")
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors is not the weights but a pointer of Git LFS"
    ):
        HuggingFaceReader(str(pointer))


def test_a_lone_file_needs_no_configuration(legacy, tmp_path):
    save_file(named(legacy), tmp_path / "weights.safetensors")
    reader = HuggingFaceReader(str(tmp_path / "weights.safetensors"))
    assert reader.num_attention_heads is None
    assert not reader.has_exact_gelu


def test_what_its_configuration_declares(legacy, tmp_path):
    write_huggingface(tmp_path, named(legacy), {"hidden_act": "gelu"})
    reader = HuggingFaceReader(str(tmp_path / "model.safetensors"))
    assert reader.num_attention_heads == TINY.num_attention_heads
    assert reader.has_exact_gelu
    write_huggingface(tmp_path, named(legacy), {"hidden_act": "gelu_new"})
    assert not HuggingFaceReader(str(tmp_path / "model.safetensors")).has_exact_gelu


@pytest.mark.parametrize(
    ("metadata", "step"), [({"global_step": "24"}, 24), ({"global_step": "x"}, None), ({}, None)]
)
def test_the_step_in_the_metadata(tmp_path, metadata, step):
    save_file(
        {"pooler.dense.bias": np.zeros(2, np.float32)},
        tmp_path / "a.safetensors",
        {"format": "pt", **metadata},
    )
    assert HuggingFaceReader(str(tmp_path / "a.safetensors")).step == step


def test_a_configuration_that_says_little_means_what_transformers_assumes():
    transformers = pytest.importorskip("transformers")
    assumed = transformers.BertConfig()
    config = BertConfig.from_dict({"model_type": "bert"})
    for name, value in config.to_dict().items():
        assert getattr(assumed, name) == value, name


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast"])
def test_every_gelu_of_transformers_is_ours(activation):
    config = BertConfig.from_dict({"model_type": "bert", "hidden_act": activation})
    assert config.hidden_act == "gelu"
    # A file of the legacy script knows no other names.
    if activation != "gelu":
        with pytest.raises(ConfigError, match=f"Unsupported activation: {activation}"):
            BertConfig.from_dict({"vocab_size": 9, "hidden_act": activation})


@pytest.mark.parametrize(
    ("class_name", "missing"),
    [
        ("BertModel", {"cls/squad/output_weights", "cls/squad/output_bias"}),
        ("BertForPreTraining", {"cls/squad/output_weights", "cls/squad/output_bias"}),
        ("BertForQuestionAnswering", {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}),
    ],
)
@pytest.mark.parametrize("in_shards", [False, True])
def test_the_classes_of_transformers(tmp_path, class_name, missing, in_shards):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    peer = getattr(transformers, class_name)(transformers.BertConfig(**TINY.to_dict()))
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter)
    peer.save_pretrained(tmp_path, max_shard_size="12KB" if in_shards else "1GB")
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == in_shards
    model = tiny_model(seed=1)
    summary = load_checkpoint(model, str(tmp_path))
    assert (set(summary.missing), summary.left_over) == (missing, ())
    state = peer.state_dict()
    for name, value in weights(model).items():
        if name not in missing:
            variable = from_legacy(name)
            own = (
                variable.huggingface
                if class_name != "BertModel"
                else variable.huggingface.removeprefix("bert.")
            )
            np.testing.assert_array_equal(
                value.T if variable.transposed else value, state[own].numpy(), err_msg=name
            )


def test_reads_from_a_remote_file_system(legacy):
    tf.io.gfile.makedirs("ram://model")
    with tf.io.gfile.GFile("ram://model/model.safetensors", "wb") as writer:
        writer.write(save({name: np.ascontiguousarray(value) for name, value in named(legacy).items()}))
    assert find_weights("ram://model") == "ram://model/model.safetensors"
    assert_reads("ram://model/model.safetensors", legacy)
    assert isinstance(open_checkpoint("ram://model"), HuggingFaceReader)
    assert isinstance(open_checkpoint("ram://model/model.safetensors"), HuggingFaceReader)
