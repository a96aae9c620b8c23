"""A damaged Hugging Face directory: its weights, and what lies beside them."""

import json
import struct

import numpy as np
import pytest
from faults.mutation import check_reader
from tiny_config import TINY
from tiny_models import VOCABULARY, tiny_model, weights, write_huggingface

from bert_squad.checkpoints.huggingface import HuggingFaceReader
from bert_squad.checkpoints.inspection import inspect_checkpoint
from bert_squad.checkpoints.model_files import describe_model, huggingface_files
from bert_squad.checkpoints.names import from_legacy
from bert_squad.errors import CheckpointError

NORMALIZER = {
    "type": "Sequence",
    "normalizers": [{"type": "BertNormalizer", "lowercase": True}, {"type": "NFD"}],
}


@pytest.fixture
def folder(tmp_path):
    tensors = {from_legacy(name).huggingface: value.T.copy() for name, value in weights(tiny_model()).items()}
    write_huggingface(tmp_path, {name: value for name, value in tensors.items() if "layer.1" not in name})
    vocabulary = {piece: number for number, piece in enumerate(VOCABULARY)}
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"normalizer": NORMALIZER, "model": {"type": "WordPiece", "vocab": vocabulary}})
    )
    (tmp_path / "tokenizer_config.json").write_text(
        '{"do_lower_case": true, "tokenizer_class": "BertTokenizer", "unk_token": {"content": "[UNK]"}}'
    )
    return tmp_path


def read_weights(path):
    reader = HuggingFaceReader(str(path))
    for name in reader:
        if from_legacy(name):
            assert reader[name].shape == reader.shapes[name]
    inspect_checkpoint(str(path))


def fuzz_weights(folder, seconds):
    path = folder / "model.safetensors"

    def read(content):
        path.unlink()  # the file that is open stays as it is, as with whoever replaces a model
        path.write_bytes(content)
        read_weights(path)

    check_reader(read, [path.read_bytes()], seconds)


def fuzz_header(folder, seconds):
    """Change the header and let its length be right."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]

    def read(header):
        path.unlink()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + size :])
        read_weights(path)

    check_reader(read, [content[8 : 8 + size]], seconds)


def fuzz_beside(folder, name, seconds):
    path = folder / name

    def read(content):
        path.write_bytes(content)
        huggingface_files(str(folder))
        describe_model(str(folder))
        HuggingFaceReader(str(folder / "model.safetensors"))

    check_reader(read, [path.read_bytes()], seconds)


def fuzz_index(folder, seconds):
    path = folder / "model.safetensors.index.json"
    weight_map = dict.fromkeys(
        HuggingFaceReader(str(folder / "model.safetensors")).own_names.values(), "model.safetensors"
    )

    def read(content):
        path.write_bytes(content)
        read_weights(path)

    check_reader(read, [json.dumps({"metadata": {}, "weight_map": weight_map}).encode()], seconds)


BESIDE = ["tokenizer.json", "tokenizer_config.json", "config.json"]


def test_weights(folder):
    fuzz_weights(folder, 0.8)


def test_header(folder):
    fuzz_header(folder, 0.8)


def test_index(folder):
    fuzz_index(folder, 0.5)


@pytest.mark.parametrize("name", BESIDE)
def test_files_beside(folder, name):
    fuzz_beside(folder, name, 0.5)


@pytest.mark.slow
def test_weights_for_long(folder):
    fuzz_weights(folder, 30)


@pytest.mark.slow
def test_header_for_long(folder):
    fuzz_header(folder, 30)


@pytest.mark.slow
def test_index_for_long(folder):
    fuzz_index(folder, 30)


@pytest.mark.slow
@pytest.mark.parametrize("name", BESIDE)
def test_files_beside_for_long(folder, name):
    fuzz_beside(folder, name, 30)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**62]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]},
        {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 8]},
        {},
        None,
        [],
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_wrong_headers(tmp_path, entry, count):
    """With two of them, the places overlap, too."""
    header = json.dumps({f"bert.pooler.dense.{number}": entry for number in range(count)}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(
        CheckpointError, match=r"Cannot read the Hugging Face weights .*model\.safetensors \("
    ):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


def test_tensors_that_share_their_place(tmp_path):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": entry, "b": entry}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(CheckpointError, match="Cannot read the Hugging Face weights"):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("size", [0, 2**63, 2**64 - 1, 10**9])
def test_a_length_of_the_header_that_cannot_be(tmp_path, size):
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", size) + b"{}" + bytes(8))
    with pytest.raises(CheckpointError, match="Cannot read the Hugging Face weights"):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


def test_a_header_of_nothing_but_brackets(tmp_path):
    header = b"[" * 100_000
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="Cannot read the Hugging Face weights"):
        HuggingFaceReader(str(tmp_path / "model.safetensors"))


def test_a_step_of_many_digits_is_no_step(tmp_path):
    from safetensors.numpy import save_file

    for number, step in enumerate(["9" * 5000, "-1", "x", "²", "7"]):
        path = tmp_path / f"{number}.safetensors"
        save_file(
            {"bert.pooler.dense.bias": np.zeros(TINY.hidden_size, np.float32)}, path, {"global_step": step}
        )
        assert HuggingFaceReader(str(path)).step == (7 if step == "7" else None)
