import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from golden_files import data_file, golden, read_json
from minilm import minilm_directory
from program import environment
from safetensors import safe_open
from tiny_config import TINY
from tiny_models import (
    VOCABULARY,
    assert_same_weights,
    garden_encoder,
    random_inputs,
    tiny_model,
    weights,
    write_huggingface,
)

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import directory
from bert_squad.checkpoints.convert import KINDS, convert
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint, write_tensors
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.errors import CheckpointError, ConfigError, DataError, OutputError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.optimizer import AdamWeightDecay

FILES = ["README.md", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]


@pytest.fixture
def source(tmp_path):
    """Make a training checkpoint with slots, and beside it what goes with it."""
    folder = tmp_path / "source"
    folder.mkdir()
    model = tiny_model()
    optimizer = AdamWeightDecay.for_model(model)
    for name in optimizer.variables_by_name:
        for slot in optimizer.slots(name):
            slot.assign(np.random.default_rng(1).normal(size=slot.shape))
    save_tf1_checkpoint(str(folder / "model.ckpt-24"), model, optimizer, step=24)
    (folder / "bert_config.json").write_text(json.dumps({**TINY.to_dict(), "pooler_type": "first"}))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    return folder


def contents(prefix) -> dict[str, np.ndarray]:
    reader = Tf1Reader(str(prefix))
    return {name: reader[name] for name in reader}


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype
        assert actual[name].tobytes() == value.tobytes(), name  # bit by bit


def tensors(directory) -> dict[str, np.ndarray]:
    with safe_open(directory / "model.safetensors", framework="numpy") as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}


def without_slots(values):
    return {n: v for n, v in values.items() if not n.endswith(("/adam_m", "/adam_v"))}


def test_tf1_to_huggingface_and_back_is_bitwise(source, tmp_path):
    values = contents(source / "model.ckpt-24")
    values["bert/pooler/dense/bias"][:3] = [-0.0, np.float32(1e-42), np.float32("nan")]  # no value is special
    write_tensors(str(source / "model.ckpt-24"), values)

    summary = convert(str(source / "model.ckpt-24"), str(tmp_path / "hf"), "huggingface")
    assert sorted(os.listdir(tmp_path / "hf")) == FILES
    assert (summary.absent, summary.note) == ((), "")
    assert set(summary.written) == set(without_slots(values))
    assert set(summary.dropped) == set(values) - set(without_slots(values))
    assert str(summary) == (
        f"Converted {source}/model.ckpt-24 (TF1 checkpoint) to {tmp_path}/hf: 42 variables written, 78 dropped (78 of "
        "them slots and counters)."
    )

    back = convert(str(tmp_path / "hf"), str(tmp_path / "back" / "model.ckpt"), "tf1")
    assert back.dropped == ()
    assert_same(contents(tmp_path / "back" / "model.ckpt"), without_slots(values))
    assert (tmp_path / "back" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    assert json.loads((tmp_path / "back" / "bert_config.json").read_text()) == TINY.to_dict()

    convert(str(tmp_path / "back" / "model.ckpt"), str(tmp_path / "again"), "huggingface")
    # The card has the directory's name, and the weights' metadata has no fixed order.
    for name in set(FILES) - {"README.md", "model.safetensors"}:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "hf" / name).read_bytes(), name
    assert_same(tensors(tmp_path / "again"), tensors(tmp_path / "hf"))


def test_tf1_to_tf1_keeps_slots_and_everything_else(source, tmp_path):
    summary = convert(str(source), str(tmp_path / "copy") + "/", "tf1")
    assert sorted(os.listdir(tmp_path / "copy")) == [
        "bert_config.json",
        "checkpoint",
        "model.ckpt-24.data-00000-of-00001",
        "model.ckpt-24.index",
        "vocab.txt",
    ]
    assert (summary.target, summary.dropped) == (str(tmp_path / "copy" / "model.ckpt-24"), ())
    assert_same(contents(tmp_path / "copy" / "model.ckpt-24"), contents(source / "model.ckpt-24"))
    assert (tmp_path / "copy" / "bert_config.json").read_bytes() == (source / "bert_config.json").read_bytes()
    model = tiny_model(seed=1)
    optimizer = AdamWeightDecay.for_model(model)
    assert directory.latest_checkpoint(str(tmp_path / "copy")) == summary.target
    assert directory.restore(summary.target, model, optimizer) == 24  # training goes on from it


def test_the_record_of_the_training_goes_along(source, tmp_path):
    """There and back; where another training has its own, that stays."""
    record = '{"kind": "bert_squad training", "flags": {}, "sessions": [{"from_step": 0}]}'
    (source / "run.json").write_text(record)
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    convert(str(tmp_path / "hf"), str(tmp_path / "tf1") + "/", "tf1")
    assert (tmp_path / "hf/run.json").read_text() == (tmp_path / "tf1/run.json").read_text() == record
    (tmp_path / "tf1/run.json").write_text("mine")
    convert(str(source), str(tmp_path / "tf1/copy.ckpt"), "tf1")
    assert (tmp_path / "tf1/run.json").read_text() == "mine"
    convert(str(tmp_path / "tf1/copy.ckpt"), str(tmp_path / "hf2"), "huggingface")
    assert not (tmp_path / "hf2/run.json").exists(), "that is no record"


def test_a_pre_training_checkpoint_keeps_its_heads(tmp_path):
    """The golden one: pre-training heads, slots of all of them, and step 20000."""
    folder = golden("model/pretrain_like")
    values = contents(str(folder / "model.ckpt"))
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    summary = convert(str(folder / "model.ckpt"), str(tmp_path / "hf"), "huggingface", vocab_file=str(vocab))
    assert summary.absent == ("cls/squad/output_weights", "cls/squad/output_bias")
    assert "whoever loads it starts from random values: cls/squad/output_bias" in str(summary)
    convert(str(tmp_path / "hf"), str(tmp_path / "back"), "tf1")
    assert_same(contents(tmp_path / "back"), without_slots(values))


@pytest.mark.parametrize("class_name", ["BertEncoderV2", "BertEncoder"])
def test_from_the_model_garden(class_name, source, tmp_path):
    encoder = garden_encoder(class_name)
    path = tf.train.Checkpoint(model=encoder).write(str(tmp_path / "ckpt"))
    summary = convert(path, str(tmp_path / "tf1"), "tf1")
    convert(
        path,
        str(tmp_path / "hf"),
        "huggingface",
        bert_config_file=str(source / "bert_config.json"),
        vocab_file=str(source / "vocab.txt"),
    )
    models = [tiny_model(seed) for seed in (1, 1, 1)]
    for model, written in zip(models, (path, tmp_path / "tf1", tmp_path / "hf"), strict=True):
        load_checkpoint(model, str(written))
    assert_same_weights(models[1], weights(models[0]))
    assert_same_weights(models[2], weights(models[0]))
    assert contents(tmp_path / "tf1")["global_step"] == 0
    assert summary.dropped == ()


def test_half_precision_arrives_widened(source, tmp_path):
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    narrow = {name: value.astype(np.float16) for name, value in tensors(tmp_path / "hf").items()}
    write_huggingface(tmp_path / "half", narrow)
    convert(str(tmp_path / "half"), str(tmp_path / "wide"), "tf1")
    expected = {
        name: value.astype(np.float16).astype(np.float32)
        for name, value in without_slots(contents(source / "model.ckpt-24")).items()
        if name != "global_step"
    }
    assert_same(contents(tmp_path / "wide"), {**expected, "global_step": np.int64(0)})


def test_what_is_written_for_transformers(source, tmp_path):
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    config = read_json(tmp_path / "hf" / "config.json")
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert (config["model_type"], config["hidden_act"], config["layer_norm_eps"]) == (
        "bert",
        "gelu_new",
        1e-12,
    )
    assert {name: config[name] for name in TINY.to_dict() if name != "hidden_act"} == {
        name: value for name, value in TINY.to_dict().items() if name != "hidden_act"
    }
    # Our own program reads it as it was.
    assert BertConfig.from_json_file(str(tmp_path / "hf" / "config.json")) == TINY
    settings = read_json(tmp_path / "hf" / "tokenizer_config.json")
    assert (settings["do_lower_case"], settings["model_max_length"]) == (True, 16)
    with safe_open(tmp_path / "hf" / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt", "global_step": "24"}


def test_whether_the_model_is_cased_can_be_said(source, tmp_path):
    convert(str(source), str(tmp_path / "hf"), "huggingface", do_lower_case=False)
    assert read_json(tmp_path / "hf" / "tokenizer_config.json")["do_lower_case"] is False
    convert(str(tmp_path / "hf"), str(tmp_path / "again"), "huggingface")  # and stays so
    assert read_json(tmp_path / "again" / "tokenizer_config.json")["do_lower_case"] is False


def test_a_directory_as_transformers_5_writes_it_gets_its_vocab_txt(source, tmp_path):
    """It has no vocab.txt, only tokenizer.json."""
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    (tmp_path / "hf" / "vocab.txt").unlink()
    tokenizer = {"model": {"type": "WordPiece", "vocab": {piece: i for i, piece in enumerate(VOCABULARY)}}}
    (tmp_path / "hf" / "tokenizer.json").write_text(json.dumps(tokenizer))
    convert(str(tmp_path / "hf"), str(tmp_path / "new"), "huggingface")
    assert (tmp_path / "new" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()


def test_the_exact_gelu_is_noted(source, tmp_path):
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    config = read_json(tmp_path / "hf" / "config.json")
    (tmp_path / "hf" / "config.json").write_text(json.dumps({**config, "hidden_act": "gelu"}))
    summary = convert(str(tmp_path / "hf"), str(tmp_path / "tf1"), "tf1")
    assert "the exact form in transformers" in str(summary)


def test_what_is_missing_is_said(source, tmp_path):
    (source / "bert_config.json").unlink()
    with pytest.raises(ConfigError, match=r"needs its configuration, .* name it with --bert_config_file"):
        convert(str(source), str(tmp_path / "hf"), "huggingface")
    (source / "bert_config.json").write_text(json.dumps(TINY.to_dict()))
    (source / "vocab.txt").unlink()
    with pytest.raises(ConfigError, match=r"needs its vocabulary, .* name it with --vocab_file"):
        convert(str(source), str(tmp_path / "hf"), "huggingface")
    with pytest.raises(ConfigError, match="--to is one of tf1, huggingface, not 'onnx'"):
        convert(str(source), str(tmp_path / "hf"), "onnx")
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, "has 2 layers but the model has 3"),
        ({"hidden_size": 24}, r"has shape \[.*12.*\] in .* but \[.*24.*\] in the model"),
        ({"vocab_size": 50}, r"has shape \[40, 12\] in .* but \[50, 12\]"),
    ],
)
def test_a_configuration_of_another_model(source, tmp_path, change, message, to):
    (source / "bert_config.json").write_text(json.dumps({**TINY.to_dict(), **change}))
    with pytest.raises(CheckpointError, match=message):
        convert(str(source), str(tmp_path / "target"), to)
    assert os.listdir(tmp_path) == ["source"]


def test_a_vocabulary_of_another_model(source, tmp_path):
    (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*VOCABULARY, *"0123456789"]))
    with pytest.raises(DataError, match=r"has 44 pieces, but .* says vocab_size 40"):
        convert(str(source), str(tmp_path / "hf"), "huggingface")


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize(
    "lost", ["bert/encoder/layer_1/output/dense/bias", "bert/embeddings/word_embeddings"]
)
def test_half_an_encoder_is_refused(source, tmp_path, lost, to):
    values = contents(source / "model.ckpt-24")
    write_tensors(str(source / "model.ckpt-24"), {n: v for n, v in values.items() if n != lost})
    with pytest.raises(CheckpointError, match=f"does not hold a whole BERT encoder: {lost} is missing"):
        convert(str(source), str(tmp_path / "target"), to)
    assert os.listdir(tmp_path) == ["source"]


def test_not_bert(tmp_path):
    write_tensors(str(tmp_path / "model.ckpt"), {"w": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match="does not hold a whole BERT encoder"):
        convert(str(tmp_path / "model.ckpt"), str(tmp_path / "target"), "tf1")


def test_nothing_is_overwritten(source, tmp_path):
    (tmp_path / "hf").mkdir()
    convert(str(source), str(tmp_path / "hf"), "huggingface")  # an empty directory may be there
    before = (tmp_path / "hf" / "config.json").stat().st_mtime_ns
    with pytest.raises(OutputError, match="hf exists already; name a new directory, or delete that one"):
        convert(str(source), str(tmp_path / "hf"), "huggingface")
    assert (tmp_path / "hf" / "config.json").stat().st_mtime_ns == before

    convert(str(source), str(tmp_path / "out" / "model.ckpt"), "tf1")
    with pytest.raises(OutputError, match=r"out/model\.ckpt\.index exists already"):
        convert(str(source), str(tmp_path / "out" / "model.ckpt"), "tf1")
    convert(
        str(source), str(tmp_path / "out" / "second.ckpt"), "tf1"
    )  # the same configuration beside it is fine
    (tmp_path / "out" / "bert_config.json").write_text(
        json.dumps(TINY.to_dict())
    )  # without the key we ignore
    convert(str(source), str(tmp_path / "out") + "/also.ckpt", "tf1")
    for other in ("{", "[]", json.dumps({**TINY.to_dict(), "num_attention_heads": 4})):
        (tmp_path / "out" / "bert_config.json").write_text(other)
        with pytest.raises(OutputError, match=r"out/bert_config\.json exists already"):
            convert(str(source), str(tmp_path / "out" / "third.ckpt"), "tf1")
        assert (tmp_path / "out" / "bert_config.json").read_text() == other
    (tmp_path / "out" / "bert_config.json").unlink()
    (tmp_path / "out" / "vocab.txt").write_text("other\n")
    with pytest.raises(OutputError, match=r"out/vocab\.txt exists already"):
        convert(str(source), str(tmp_path / "out" / "third.ckpt"), "tf1")
    with pytest.raises(OutputError, match=r"source/model\.ckpt-24\.index exists already"):
        convert(str(source), str(source), "tf1")


def test_a_full_disk_leaves_nothing(source, tmp_path):
    """A limit on the size of files stands for the disk: the weights do not fit, the small files do."""
    program = """
import resource, signal, sys
from bert_squad.checkpoints.convert import convert
from bert_squad.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
for target, to in (("hf", "huggingface"), ("tf1/model.ckpt", "tf1")):
    try:
        convert("source", target, to)
    except OutputError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("Cannot write the Hugging Face directory hf (")
    assert second.startswith("Cannot write the checkpoint tf1/model.ckpt (")
    left = [path for path in tmp_path.rglob("*") if source not in (path, *path.parents) and not path.is_dir()]
    assert left == []


@pytest.mark.parametrize("end", [".index", "vocab.txt", "checkpoint"])
def test_a_file_that_cannot_be_moved_leaves_nothing(source, tmp_path, monkeypatch, end):
    moved, rename = [], files.rename

    def failing_rename(old, new):
        if new.endswith(end):
            raise OSError(28, "No space left on device")
        moved.append(new)
        rename(old, new)

    monkeypatch.setattr(files, "rename", failing_rename)
    with pytest.raises(
        OutputError, match=r"Cannot write the checkpoint .*model\.ckpt-24 \(No space left on device\)"
    ):
        convert(str(source), str(tmp_path / "out") + "/", "tf1")
    assert moved
    assert os.listdir(tmp_path / "out") == []


def test_remote_targets(source, tmp_path):
    convert(str(source), "ram://out/model.ckpt", "tf1")
    names = tf.io.gfile.listdir("ram://out")
    assert sorted(names) == [
        "bert_config.json",
        "model.ckpt.data-00000-of-00001",
        "model.ckpt.index",
        "vocab.txt",
    ]
    for name in names:  # TensorFlow's checkpoint reader does not find files in ram://
        tf.io.gfile.copy(f"ram://out/{name}", str(tmp_path / name))
    assert_same(contents(tmp_path / "model.ckpt"), contents(source / "model.ckpt-24"))
    with pytest.raises(
        OutputError, match="ram://hf is remote; write the Hugging Face directory to a local disk"
    ):
        convert(str(source), "ram://hf", "huggingface")


def load_with_transformers(path):
    transformers = pytest.importorskip("transformers")
    transformers.logging.disable_progress_bar()
    model, info = transformers.AutoModelForQuestionAnswering.from_pretrained(path, output_loading_info=True)
    return transformers, model.eval(), info


def transformers_logits(model, inputs):
    torch = pytest.importorskip("torch")
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    with torch.no_grad():
        output = model(
            **{name: torch.tensor(np.asarray(inputs[own], np.int64)) for name, own in names.items()}
        )
    return output.start_logits.numpy(), output.end_logits.numpy()


def assert_same_logits(ours, theirs, inputs, atol=1e-5):
    real = np.asarray(inputs["input_mask"]).astype(bool)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(b).max() > 0.1
        np.testing.assert_allclose(np.asarray(a)[real], b[real], atol=atol)


def test_transformers_gives_our_logits(source, tmp_path):
    pytest.importorskip("torch")
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    transformers, model, info = load_with_transformers(tmp_path / "hf")
    assert type(model).__name__ == "BertForQuestionAnswering"
    assert not info["missing_keys"]
    assert {key.split(".")[1] for key in info["unexpected_keys"]} <= {"pooler"}  # kept, for the way back
    inputs = random_inputs()
    assert_same_logits(tiny_model()(inputs), transformers_logits(model, inputs), inputs)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    ours = FullTokenizer(str(source / "vocab.txt"))
    for text in ("a B c?", "Ünïcode x.", "s as  sss"):
        assert tokenizer.tokenize(text) == ours.tokenize(text)
        assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) == ours.convert_tokens_to_ids(
            ours.tokenize(text)
        )


def test_transformers_and_back_is_bitwise(source, tmp_path):
    """Load with transformers, save with transformers, start from that."""
    pytest.importorskip("torch")
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    _, model, _ = load_with_transformers(tmp_path / "hf")
    model.save_pretrained(tmp_path / "saved")
    loaded = tiny_model(seed=1)
    summary = load_checkpoint(loaded, str(tmp_path / "saved"))
    assert summary.missing == ("bert/pooler/dense/bias", "bert/pooler/dense/kernel")
    assert_same_weights(loaded, weights(tiny_model()), but=summary.missing)


def test_the_minilm_encoder_with_a_head_in_transformers(tmp_path):
    """Real weights and real text: XQuAD questions through our tokenizer and features."""
    pytest.importorskip("torch")
    path = minilm_directory()
    head = np.load(golden("model/minilm/head.npz"))
    model = BertForSquad(BertConfig.from_json_file(str(path / "config.json")))
    load_checkpoint(model, str(path))
    tf1_variables(model)["cls/squad/output_weights"].variable.assign(head["output_weights"].T)
    save_tf1_checkpoint(str(tmp_path / "model.ckpt"), model)
    shutil.copy(path / "vocab.txt", tmp_path)
    convert(
        str(tmp_path / "model.ckpt"),
        str(tmp_path / "hf"),
        "huggingface",
        bert_config_file=str(path / "config.json"),
    )
    transformers, theirs, _ = load_with_transformers(tmp_path / "hf")
    features = np.load(golden("model/minilm/features_0_12.npz"))
    inputs = {name: features[name][:4] for name in ("input_ids", "input_mask", "segment_ids")}
    assert_same_logits(model(inputs), transformers_logits(theirs, inputs), inputs)

    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    examples = read_squad_examples(str(data_file("xquad.en.json")), is_training=False)[:40]
    ours = FullTokenizer(str(path / "vocab.txt"))
    for example in examples:
        assert tokenizer.tokenize(example.question_text) == ours.tokenize(example.question_text)
    feature = next(convert_examples_to_features(examples, ours, 384, 128, 64, is_training=False))
    encoded = tokenizer(
        examples[0].question_text, " ".join(examples[0].doc_tokens), truncation="only_second", max_length=384
    )
    length = sum(feature.input_mask)
    assert encoded["input_ids"][: length - 1] == list(feature.input_ids[: length - 1])


def test_a_signal_between_the_renames_leaves_nothing(source, tmp_path, monkeypatch):
    class Stopped(BaseException):
        pass

    def rename(old, new, rename=os.replace):
        rename(old, new)
        if new.endswith(".index"):
            raise Stopped

    (tmp_path / "new").mkdir()
    monkeypatch.setattr(os, "replace", rename)
    with pytest.raises(Stopped):
        convert(str(source), str(tmp_path / "new" / "m"), "tf1")
    assert os.listdir(tmp_path / "new") == []


def test_data_without_an_index_is_not_overwritten(source, tmp_path):
    (tmp_path / "m.data-00000-of-00001").write_text("the user's own")
    with pytest.raises(OutputError, match=r"m\.data-00000-of-00001 exists already"):
        convert(str(source), str(tmp_path / "m"), "tf1")
    assert (tmp_path / "m.data-00000-of-00001").read_text() == "the user's own"
