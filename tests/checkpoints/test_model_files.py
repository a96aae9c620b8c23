import json

import pytest
import tensorflow as tf
from golden_files import golden
from minilm import minilm_directory
from tiny_models import VOCABULARY, write_huggingface

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.model_files import (
    ModelFiles,
    describe_model,
    files_beside,
    huggingface_files,
    looks_lower_cased,
    vocabulary_of_tokenizer,
)
from bert_squad.checkpoints.tokenizer_settings import TokenizerSettings
from bert_squad.errors import CheckpointError, ConfigError, DataError
from bert_squad.text.tokenization import load_vocab

TEXT = "".join(f"{piece}\n" for piece in VOCABULARY)


def write_tokenizer(path, vocab, kind="WordPiece"):
    path.write_text(json.dumps({"version": "1.0", "model": {"type": kind, "vocab": vocab}}))


def test_a_huggingface_directory(tmp_path):
    write_huggingface(tmp_path, {})
    (tmp_path / "vocab.txt").write_text(TEXT)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    found = ModelFiles(
        str(tmp_path / "config.json"),
        str(tmp_path / "vocab.txt"),
        TokenizerSettings(False, "tokenizer_config.json"),
    )
    assert huggingface_files(str(tmp_path)) == found
    assert huggingface_files(str(tmp_path / "model.safetensors")) == found
    assert files_beside(str(tmp_path / "model.safetensors")) == found


def test_what_is_not_there_is_none(tmp_path):
    assert huggingface_files(str(tmp_path)) == ModelFiles()
    assert huggingface_files(str(tmp_path / "nowhere" / "model.ckpt")) == ModelFiles()
    write_huggingface(tmp_path, {})
    assert huggingface_files(str(tmp_path)) == ModelFiles(bert_config_file=str(tmp_path / "config.json"))
    # The directory of a TF1 checkpoint is no Hugging Face one: there the legacy flags are required.
    assert huggingface_files(str(golden("model/tiny_gelu"))) == ModelFiles()


def test_beside_a_legacy_checkpoint(tmp_path):
    folder = golden("model/tiny_gelu")
    assert files_beside(str(folder / "model.ckpt")).bert_config_file == str(folder / "bert_config.json")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "bert_config.json").write_text("{}")
    assert files_beside(str(tmp_path / "m")).bert_config_file == str(tmp_path / "bert_config.json")


def test_beside_a_remote_checkpoint():
    tf.io.gfile.makedirs("ram://beside")
    with tf.io.gfile.GFile("ram://beside/vocab.txt", "w") as writer:
        writer.write(TEXT)
    assert files_beside("ram://beside/model.ckpt").vocab_file == "ram://beside/vocab.txt"


def test_damaged_settings_are_named(tmp_path):
    write_huggingface(tmp_path, {})
    for content in ("{", "[]", "\xff"):
        (tmp_path / "tokenizer_config.json").write_text(content, encoding="latin-1")
        with pytest.raises(CheckpointError, match=r"tokenizer_config\.json"):
            huggingface_files(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": "yes"}')
    assert huggingface_files(str(tmp_path)).tokenizer == TokenizerSettings()


def test_the_vocabulary_of_a_tokenizer(tmp_path):
    assert vocabulary_of_tokenizer(str(tmp_path)) is None
    write_tokenizer(
        tmp_path / "tokenizer.json", {piece: i for i, piece in reversed([*enumerate(VOCABULARY)])}
    )
    assert vocabulary_of_tokenizer(str(tmp_path)) == TEXT.encode()


def test_the_vocabulary_of_a_tokenizer_is_that_of_vocab_txt():
    path = minilm_directory()
    assert vocabulary_of_tokenizer(str(path)).rstrip(b"\n") == (path / "vocab.txt").read_bytes().rstrip(b"\n")


@pytest.mark.parametrize(
    ("vocab", "kind", "message"),
    [
        ({"a": 0}, "BPE", "does not hold the WordPiece vocabulary"),
        (["a"], "WordPiece", "does not hold the WordPiece vocabulary"),
        ({"a": 0, "b": 2}, "WordPiece", "are not 0, 1, 2 and so on"),
        ({"a": 0, "b": "1"}, "WordPiece", "are not 0, 1, 2 and so on"),
        ({"a": 0, "\ud800": 1}, "WordPiece", "has pieces that cannot be lines of a vocab.txt"),
        ({"a": 0, "b\nc": 1}, "WordPiece", "has pieces that cannot be lines of a vocab.txt"),
        ({}, "WordPiece", "is empty"),
    ],
)
def test_other_tokenizers(tmp_path, vocab, kind, message):
    write_tokenizer(tmp_path / "tokenizer.json", vocab, kind)
    with pytest.raises(CheckpointError, match=message):
        vocabulary_of_tokenizer(str(tmp_path))


def test_what_looks_lower_cased():
    assert looks_lower_cased(load_vocab(str(golden("tiny/vocab_uncased.txt"))))
    assert not looks_lower_cased(load_vocab(str(golden("tiny/vocab_cased.txt"))))


def test_the_minilm_vocabulary_looks_lower_cased():
    assert looks_lower_cased(load_vocab(str(minilm_directory() / "vocab.txt")))


def test_what_is_named_goes_before_what_lies_beside(tmp_path):
    write_huggingface(tmp_path / "model", {})
    (tmp_path / "model" / "vocab.txt").write_text(TEXT)
    (tmp_path / "model" / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    found = describe_model(str(tmp_path / "model"))
    assert (found.vocabulary, found.do_lower_case) == (TEXT.encode(), True)

    (tmp_path / "other.txt").write_text(TEXT + "Paris\n")
    (tmp_path / "other.json").write_text(json.dumps({"vocab_size": 99, "pooler_type": "first"}))
    found = describe_model(
        str(tmp_path / "model"),
        bert_config_file=str(tmp_path / "other.json"),
        vocab_file=str(tmp_path / "other.txt"),
        do_lower_case=False,
    )
    assert found.bert_config == BertConfig(vocab_size=99)
    assert found.config_json == (tmp_path / "other.json").read_bytes()  # as it is, with all its keys
    assert (found.vocabulary, found.do_lower_case) == ((TEXT + "Paris\n").encode(), False)


def test_a_huggingface_configuration_becomes_a_legacy_one(tmp_path):
    write_huggingface(tmp_path, {}, {"hidden_act": "gelu_new"})
    found = describe_model(str(tmp_path))
    assert json.loads(found.config_json) == found.bert_config.to_dict()
    assert found.bert_config.hidden_act == "gelu"


@pytest.mark.parametrize(("extra", "expected"), [("", True), ("Paris\n", False)])
def test_without_settings_the_vocabulary_tells_whether_it_is_cased(tmp_path, extra, expected):
    (tmp_path / "vocab.txt").write_text(TEXT + extra)
    assert describe_model(str(tmp_path / "model.ckpt")).do_lower_case is expected


def test_files_that_do_not_fit(tmp_path):
    write_huggingface(tmp_path, {}, {"vocab_size": 10})
    (tmp_path / "vocab.txt").write_text(TEXT)
    with pytest.raises(
        DataError, match=rf"has {len(VOCABULARY)} pieces, but .*config\.json says vocab_size 10"
    ):
        describe_model(str(tmp_path))
    (tmp_path / "vocab.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"vocab\.txt lacks \[UNK\]"):
        describe_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json is not valid JSON"):
        describe_model(str(tmp_path))
