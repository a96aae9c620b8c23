"""Directories whose names TensorFlow would take for a pattern, and things in the way that are no files."""

import json

import numpy as np
import pytest
from golden_files import golden
from program import run_console, run_program
from tiny_models import VOCABULARY, assert_same_weights, tiny_model, weights

from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.inspection import inspect_checkpoint
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import CheckpointError

NAMES = ["run[b]", "run?", "run*", "run\\n", "a b", "é", "new\nline", "[", "{a,b}", "-x", "%s", "#"]


def save_with_model_files(directory):
    directory.mkdir(parents=True)
    save_tf1_checkpoint(str(directory / "model.ckpt-3"), tiny_model(), step=3)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    (directory / "bert_config.json").write_text(json.dumps(tiny_model().bert_config.to_dict()))
    return directory


@pytest.mark.parametrize("name", NAMES)
def test_read_and_converted_both_ways(tmp_path, name):
    """A sibling that the pattern would match holds other weights."""
    directory = save_with_model_files(tmp_path / name)
    sibling = tmp_path / "runb"
    sibling.mkdir()
    save_tf1_checkpoint(str(sibling / "model.ckpt-3"), tiny_model(seed=5), step=3)
    for path in (directory, directory / "model.ckpt-3", directory / "model.ckpt-3.index"):
        model = tiny_model(seed=1)
        load_checkpoint(model, str(path))
        assert_same_weights(model, weights(tiny_model()))
    assert inspect_checkpoint(str(directory)).step == 3
    convert(str(directory), str(tmp_path / f"hf {name}"), "huggingface")
    convert(str(tmp_path / f"hf {name}"), str(tmp_path / f"again {name}") + "/", "tf1")
    model = tiny_model(seed=1)
    load_checkpoint(model, str(tmp_path / f"again {name}"))
    assert_same_weights(model, weights(tiny_model()))


def test_the_prefix_itself_may_have_such_a_name(tmp_path):
    save_tf1_checkpoint(str(tmp_path / "model[1].ckpt-3"), tiny_model(), step=3)
    save_tf1_checkpoint(str(tmp_path / "model1.ckpt-3"), tiny_model(seed=5), step=3)
    (tmp_path / "model[1].ckpt-3").mkdir()
    model = tiny_model(seed=1)
    load_checkpoint(model, str(tmp_path / "model[1].ckpt-3"))
    assert_same_weights(model, weights(tiny_model()))
    with pytest.raises(CheckpointError, match=r"did you mean .*model\[1\]\.ckpt-3\?"):
        open_checkpoint(str(tmp_path / "model[1].ck"))


def test_a_run_starts_from_such_a_checkpoint(tmp_path):
    directory = save_with_model_files(tmp_path / "model[1] *é")
    data = golden("model/legacy_run/v1/dev.json")
    done = run_program(
        f"--init_checkpoint={directory / 'model.ckpt-3'}",
        f"--bert_config_file={directory / 'bert_config.json'}",
        f"--vocab_file={directory / 'vocab.txt'}",
        f"--output_dir={tmp_path / 'out'}",
        "--do_predict",
        f"--predict_file={data}",
        *("--max_seq_length=16", "--doc_stride=4", "--max_query_length=6"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "predictions.json").exists()


FOLDERS = [
    "checkpoint",
    "model.ckpt.index",
    "x.index",
    "config.json",
    "model.safetensors.index.json",
    "vocab.txt",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_not_taken_for_a_file(tmp_path, folder):
    source = save_with_model_files(tmp_path / "tf1")
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    (tmp_path / "hf" / folder).unlink(missing_ok=True)
    (tmp_path / "hf" / folder).mkdir()
    assert open_checkpoint(str(tmp_path / "hf")).kind == "Hugging Face safetensors"
    (source / folder).unlink(missing_ok=True)
    (source / folder).mkdir()
    assert open_checkpoint(str(source)).step == 3


def test_a_folder_in_the_place_of_the_weights(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        open_checkpoint(str(tmp_path))


def test_the_user_sees_a_model_beside_a_folder_named_checkpoint(tmp_path):
    source = save_with_model_files(tmp_path / "tf1")
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    (tmp_path / "hf" / "checkpoint").mkdir()
    done = run_console("checkpoint", "inspect", tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert "kind: Hugging Face safetensors" in done.stdout


@pytest.mark.parametrize("path", ["s3://bucket/model.ckpt", "hdfs://host/model.ckpt", "nowhere://x"])
def test_remote_paths_that_cannot_be_reached(path):
    with pytest.raises(CheckpointError, match=f"Cannot reach {path}"):
        open_checkpoint(path)


def test_steps_of_every_kind(tmp_path):
    from bert_squad.checkpoints.tf1 import Tf1Reader
    from bert_squad.checkpoints.tf1_writing import write_tensors

    values = [
        np.int64(7),
        np.array([7], np.int32),
        np.array([[7]], np.uint8),
        np.float32(7),
        np.zeros([2], int),
        b"7",
    ]
    for number, value in enumerate(values):
        write_tensors(str(tmp_path / f"{number}"), {"global_step": value})
    steps = [Tf1Reader(str(tmp_path / f"{number}")).step for number in range(len(values))]
    assert steps == [7, 7, 7, None, None, None]
