import json
import shutil

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden, read_json
from minilm import minilm_directory
from tiny_config import TINY
from tiny_models import assert_same_weights, tiny_model, weights, write_huggingface

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import directory
from bert_squad.checkpoints.loading import GELU_NOTE, check_loadable, load_checkpoint
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.names import from_legacy
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint, write_tensors
from bert_squad.errors import CheckpointError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.optimizer import AdamWeightDecay

HEAD = ("cls/squad/output_bias", "cls/squad/output_weights")


def golden_prefix(name: str) -> str:
    return str(golden(f"model/{name}.index")).removesuffix(".index")


def golden_config(name: str) -> BertConfig:
    return BertConfig.from_json_file(str(golden(f"model/{name}/bert_config.json")))


def huggingface_names(legacy):
    tensors = {}
    for name, value in legacy.items():
        variable = from_legacy(name)
        tensors[variable.huggingface] = value.T if variable.transposed else value
    return tensors


@pytest.mark.parametrize(
    ("left_out", "warns"), [("bert/embeddings/word_embeddings", True), ("bert/pooler/", False)]
)
def test_weights_of_the_encoder_that_stay_random_are_a_warning(tmp_path, warnings, left_out, warns):
    kept = {name: value for name, value in weights(tiny_model()).items() if not name.startswith(left_out)}
    write_tensors(str(tmp_path / "model.ckpt"), kept)
    load_checkpoint(tiny_model(1), str(tmp_path / "model.ckpt"))
    assert [f"missing, keeps its initial value: {left_out}" in warning for warning in warnings] == [
        True
    ] * warns


def test_a_pre_training_checkpoint_gives_what_it_gave_the_legacy_script(infos):
    legacy = read_json(golden("model/pretrain_like/initialized.json"))
    model = BertForSquad(golden_config("pretrain_like"))
    head = [entry.variable.numpy() for name, entry in tf1_variables(model).items() if name in HEAD]
    path = golden_prefix("pretrain_like/model.ckpt")
    summary = load_checkpoint(model, path)
    assert sorted(summary.matched) == sorted(legacy["initialized_from_checkpoint"])
    assert sorted(summary.missing) == sorted(legacy["not_initialized"])
    assert sorted((*summary.left_over, *summary.ignored)) == sorted(legacy["ignored_checkpoint_variables"])
    assert summary.left_over == ()
    for before, name in zip(head, [n for n in tf1_variables(model) if n in HEAD], strict=True):
        np.testing.assert_array_equal(tf1_variables(model)[name].variable, before)
    assert infos == [
        f"Loaded {path} (TF1 checkpoint): 39 variables matched, 2 missing, 0 left over (100 slots, counters and "
        "pre-training heads ignored).\n"
        "  missing, keeps its initial value: cls/squad/output_bias\n"
        "  missing, keeps its initial value: cls/squad/output_weights"
    ]


def test_every_kind_prints_the_same_summary(tmp_path, infos):
    legacy = weights(tiny_model())
    save_tf1_checkpoint(str(tmp_path / "tf1"), tiny_model())
    write_huggingface(tmp_path / "hf", huggingface_names(legacy))
    for path, kind, ignored in (
        ("tf1", "TF1 checkpoint", " (1 slots, counters and pre-training heads ignored)"),
        ("hf", "Hugging Face safetensors", ""),
    ):
        model = tiny_model(seed=1)
        summary = load_checkpoint(model, str(tmp_path / path))
        assert str(summary) == (
            f"Loaded {tmp_path / path} ({kind}): 41 variables matched, 0 missing, 0 left over{ignored}."
        )
        assert infos[-1] == str(summary)
        assert_same_weights(model, legacy)


def test_our_own_output_directory(tmp_path):
    model = tiny_model()
    optimizer = AdamWeightDecay.for_model(model)
    directory.save(str(tmp_path), model, optimizer, step=3)
    other = tiny_model(seed=1)
    summary = load_checkpoint(other, str(tmp_path))
    assert (summary.missing, summary.left_over) == ((), ())
    assert_same_weights(other, weights(model))


def test_huggingface_pre_training_heads_are_ignored(tmp_path):
    encoder = {name: value for name, value in weights(tiny_model()).items() if name not in HEAD}
    heads = {
        "cls.predictions.bias": np.zeros(40, np.float32),
        "cls.predictions.decoder.weight": np.zeros([40, 12], np.float32),
        "cls.predictions.transform.dense.weight": np.zeros([12, 12], np.float32),
        "cls.seq_relationship.weight": np.zeros([2, 12], np.float32),
    }
    extra = {"classifier.weight": np.zeros([3, 12], np.float32)}
    write_huggingface(tmp_path, {**huggingface_names(encoder), **heads, **extra})
    summary = load_checkpoint(tiny_model(seed=1), str(tmp_path))
    assert (summary.missing, summary.left_over) == (HEAD, ("classifier.weight",))
    assert len(summary.ignored) == len(heads)
    assert "  left over: classifier.weight" in str(summary)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_in_a_tensorflow_checkpoint_is_widened(tmp_path, dtype):
    narrow = {name: value.astype(dtype) for name, value in weights(tiny_model()).items()}
    write_tensors(str(tmp_path / "model.ckpt"), {name: tf.constant(value) for name, value in narrow.items()})
    model = tiny_model(seed=1)
    load_checkpoint(model, str(tmp_path / "model.ckpt"))
    assert_same_weights(model, {name: value.astype(np.float32) for name, value in narrow.items()})


def test_integers_are_no_weights(tmp_path):
    values = weights(tiny_model())
    values["bert/pooler/dense/bias"] = np.zeros(12, np.int32)
    write_tensors(str(tmp_path / "model.ckpt"), values)
    with pytest.raises(CheckpointError, match=r"bert/pooler/dense/bias in .* is of type int32"):
        load_checkpoint(tiny_model(), str(tmp_path / "model.ckpt"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hidden_size": 24},
            r"has shape \[12\] in .* but \[24\] in the model; use the bert_config.json that belongs",
        ),
        ({"intermediate_size": 8}, r"intermediate/dense/bias has shape \[20\] in .* but \[8\]"),
        ({"vocab_size": 50}, r"word_embeddings has shape \[40, 12\] in .* but \[50, 12\]"),
    ],
)
@pytest.mark.parametrize("kind", ["tf1", "huggingface"])
def test_another_architecture_is_refused_and_nothing_changes(tmp_path, change, message, kind):
    path = tmp_path / "checkpoint-of-another"
    if kind == "tf1":
        save_tf1_checkpoint(str(path), tiny_model())
    else:
        write_huggingface(path, huggingface_names(weights(tiny_model())))
    model = tiny_model(seed=1, config=BertConfig(**{**TINY.to_dict(), **change}))
    before = weights(model)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model, str(path))
    assert_same_weights(model, before)


def test_another_number_of_heads_shows_in_config_json(tmp_path):
    write_huggingface(tmp_path, huggingface_names(weights(tiny_model())), {"num_attention_heads": 4})
    with pytest.raises(
        CheckpointError, match=r"has 4 attention heads but the model has 3 \(`num_attention_heads`\)"
    ):
        load_checkpoint(tiny_model(), str(tmp_path))


def test_a_head_alone_is_no_start(tmp_path):
    """As a RoBERTa model for question answering without its config.json: only its head has a name of ours."""
    tensors = {
        "qa_outputs.weight": np.zeros([2, 12], np.float32),
        "qa_outputs.bias": np.zeros([2], np.float32),
        "roberta.embeddings.word_embeddings.weight": np.zeros([40, 12], np.float32),
    }
    write_huggingface(tmp_path, tensors)
    (tmp_path / "config.json").unlink()
    model = tiny_model()
    before = weights(model)
    with pytest.raises(
        CheckpointError, match=r"matches the encoder: it holds cls/squad/output_bias, .*roberta\."
    ):
        load_checkpoint(model, str(tmp_path))
    assert_same_weights(model, before)


def test_a_damaged_variable_changes_nothing(tmp_path):
    save_tf1_checkpoint(str(tmp_path / "model.ckpt"), tiny_model())
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[-10] ^= 1
    data.write_bytes(content)
    model = tiny_model(seed=1)
    before = weights(model)
    check_loadable(str(tmp_path / "model.ckpt"))  # the checksums are looked at when the values are read
    with pytest.raises(CheckpointError, match=r"is damaged: .* cannot be read"):
        load_checkpoint(model, str(tmp_path / "model.ckpt"))
    assert_same_weights(model, before)


@pytest.mark.parametrize(("hidden_act", "noted"), [("gelu", True), ("gelu_new", False), ("relu", False)])
def test_the_exact_gelu_is_noted(tmp_path, infos, hidden_act, noted):
    write_huggingface(tmp_path, huggingface_names(weights(tiny_model())), {"hidden_act": hidden_act})
    activation = {"gelu_new": "gelu"}.get(hidden_act, hidden_act)
    load_checkpoint(
        tiny_model(config=BertConfig(**{**TINY.to_dict(), "hidden_act": activation})), str(tmp_path)
    )
    assert (f"{tmp_path}: {GELU_NOTE}" in infos) == noted


def test_what_the_note_on_gelu_says_was_measured(monkeypatch):
    """Hidden states of the MiniLM encoder on real text, with the one and the other."""
    path = minilm_directory()
    features = np.load(golden("model/minilm/features_0_12.npz"))
    inputs = [features[name][:2] for name in ("input_ids", "input_mask", "segment_ids")]
    real = inputs[1].astype(bool)

    def hidden_states():
        model = BertForSquad(BertConfig.from_json_file(str(path / "config.json")))
        load_checkpoint(model, str(path))
        return model.bert(*inputs)[-1].numpy()[real]

    tanh = hidden_states()
    monkeypatch.setattr("bert_squad.model.encoder.activation_function", lambda name: tf.nn.gelu)
    exact = hidden_states()
    assert "about 0.1 percent" in GELU_NOTE
    assert 0.0005 < abs(tanh - exact).max() / abs(exact).max() < 0.0015


def test_the_minilm_encoder_and_the_golden_logits():
    path = minilm_directory()
    features = np.load(golden("model/minilm/features_0_12.npz"))
    head = np.load(golden("model/minilm/head.npz"))
    model = BertForSquad(BertConfig.from_json_file(str(path / "config.json")))
    summary = load_checkpoint(model, str(path))
    assert (len(summary.matched), summary.missing, summary.left_over) == (103, HEAD, ())
    tf1_variables(model)["cls/squad/output_weights"].variable.assign(head["output_weights"].T)
    tf1_variables(model)["cls/squad/output_bias"].variable.assign(head["output_bias"])
    inputs = {name: features[name][:4] for name in ("input_ids", "input_mask", "segment_ids")}
    start_logits, end_logits = model(inputs)
    np.testing.assert_allclose(start_logits, features["start_logits"][:4], atol=1e-4)
    np.testing.assert_allclose(end_logits, features["end_logits"][:4], atol=1e-4)


def test_a_huggingface_directory_of_another_model(tmp_path):
    shutil.copytree(
        write_huggingface(tmp_path / "a", huggingface_names(weights(tiny_model()))), tmp_path / "b"
    )
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps({**config, "model_type": "roberta"}))
    with pytest.raises(CheckpointError, match="describes a model of the type 'roberta'"):
        load_checkpoint(tiny_model(), str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("layers", "said", "random"),
    [
        (1, "without its layer 1", ()),
        (4, "with random weights in layers 2 to 3 of the model", ("layer_2", "layer_3")),
    ],
)
@pytest.mark.parametrize("kind", ["tf1", "huggingface"])
def test_another_number_of_layers_is_loaded_by_name_as_the_legacy_script_does(
    tmp_path, caplog, layers, said, random, kind
):
    path = tmp_path / "model"
    source = tiny_model()
    if kind == "tf1":
        save_tf1_checkpoint(str(path), source)
    else:
        write_huggingface(path, huggingface_names(weights(source)))
    model = tiny_model(seed=1, config=BertConfig(**{**TINY.to_dict(), "num_hidden_layers": layers}))
    before = weights(model)
    summary = load_checkpoint(model, str(path))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{path} has 2 layers but the model has {layers} (`num_hidden_layers`): loaded {said}."
    ]
    assert_same_weights(model, weights(source) | {name: before[name] for name in summary.missing})
    assert {name.split("/")[2] for name in summary.missing if "layer_" in name} == set(random)
