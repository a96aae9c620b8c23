import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden
from safetensors.numpy import save_file
from tiny_models import tiny_model, write_huggingface

from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.huggingface import HuggingFaceReader
from bert_squad.checkpoints.model_garden import ModelGardenReader
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import CheckpointError


@pytest.fixture
def saved(tmp_path):
    """Make a folder with one TF1 checkpoint, `model.ckpt-5`, and no `checkpoint` file."""
    save_tf1_checkpoint(str(tmp_path / "model.ckpt-5"), tiny_model(), step=5)
    return tmp_path


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00001"])
def test_a_prefix_also_with_the_end_of_a_file(saved, end):
    reader = open_checkpoint(str(saved / f"model.ckpt-5{end}"))
    assert isinstance(reader, Tf1Reader)
    assert reader.step == 5


def test_the_end_of_a_meta_file():
    prefix = str(golden("model/legacy_run/v1/output/model.ckpt-24.meta"))
    assert open_checkpoint(prefix).step == 24


def test_a_directory_with_a_checkpoint_file(saved):
    save_tf1_checkpoint(str(saved / "model.ckpt-9"), tiny_model(), step=9)
    (saved / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    assert open_checkpoint(str(saved)).step == 5


def test_a_directory_with_one_checkpoint_and_no_file_that_says_so(saved):
    """As the published models are packed."""
    assert open_checkpoint(str(saved)).step == 5
    save_tf1_checkpoint(str(saved / "model.ckpt-9"), tiny_model(), step=9)
    with pytest.raises(
        CheckpointError, match=r"holds several checkpoints .* name one of .*model.ckpt-5, .*model.ckpt-9\."
    ):
        open_checkpoint(str(saved))


def test_a_directory_of_the_legacy_script():
    assert open_checkpoint(str(golden("model/legacy_run/v1/output"))).step == 24


def test_object_based_checkpoints(tmp_path):
    path = tf.train.Checkpoint(step=tf.Variable(7)).save(str(tmp_path / "ckpt"))
    reader = open_checkpoint(path)
    assert isinstance(reader, ModelGardenReader)
    assert reader.step == 7
    assert isinstance(open_checkpoint(str(tmp_path)), ModelGardenReader)


def test_safetensors_by_name_and_by_content(tmp_path):
    tensors = {"pooler.dense.bias": np.zeros(12, np.float32)}
    write_huggingface(tmp_path / "model", tensors)
    save_file(tensors, tmp_path / "weights")
    for path in (tmp_path / "model", tmp_path / "model" / "model.safetensors", tmp_path / "weights"):
        reader = open_checkpoint(str(path))
        assert isinstance(reader, HuggingFaceReader)
        assert reader.step is None


def test_a_directory_with_both_is_what_its_checkpoint_file_says(saved):
    (saved / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    write_huggingface(saved, {"pooler.dense.bias": np.zeros(12, np.float32)})
    assert isinstance(open_checkpoint(str(saved)), Tf1Reader)


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_pickle(path, bomb):
    path.write_bytes(pickle.dumps(Bomb(bomb)))


def write_torch_file(path, bomb):
    """A PyTorch file is a zip archive with a pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(bomb)))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "weights"])
@pytest.mark.parametrize("write", [write_pickle, write_torch_file])
def test_pickle_files_are_refused_and_not_run(tmp_path, write, name):
    write(tmp_path / name, tmp_path / "bomb")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(str(tmp_path / name))
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / name} is a pickle file: to read one is to run whatever code it holds"
    )
    assert f".from_pretrained('{tmp_path}').save_pretrained('{tmp_path}-safetensors')" in message
    assert not (tmp_path / "bomb").exists()


def test_a_directory_with_only_a_pickle_file_is_refused_too(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    write_torch_file(tmp_path / "pytorch_model.bin", tmp_path / "bomb")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickle file"):
        open_checkpoint(str(tmp_path))
    write_huggingface(tmp_path, {"pooler.dense.bias": np.zeros(12, np.float32)})
    assert isinstance(open_checkpoint(str(tmp_path)), HuggingFaceReader)


def test_keras_files_are_refused(tmp_path):
    (tmp_path / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for path in (tmp_path, tmp_path / "tf_model.h5"):
        with pytest.raises(CheckpointError, match=r"tf_model\.h5 is a Keras file, .* save it as safetensors"):
            open_checkpoint(str(path))


def test_nothing_there(saved):
    with pytest.raises(
        CheckpointError,
        match=r"There is no checkpoint at nowhere/model \(nowhere/model\.index does not exist\); check",
    ):
        open_checkpoint("nowhere/model")
    with pytest.raises(
        CheckpointError, match=r"model\.ckpt\.index does not exist\); did you mean .*model\.ckpt-5\?"
    ):
        open_checkpoint(str(saved / "model.ckpt"))


def test_not_a_checkpoint(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"holds no checkpoint: neither a `checkpoint` file .* nor model.safet"
    ):
        open_checkpoint(str(tmp_path))
    for content in (b"", b"hello", b"\x00" * 100):
        (tmp_path / "notes.txt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"notes\.txt is not a checkpoint"):
            open_checkpoint(str(tmp_path / "notes.txt"))
    (tmp_path / "a.safetensors").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"Cannot read the Hugging Face weights .*a\.safetensors \("):
        open_checkpoint(str(tmp_path / "a.safetensors"))


def test_an_index_without_data(saved):
    os.remove(saved / "model.ckpt-5.data-00000-of-00001")
    with pytest.raises(
        CheckpointError, match=r"model\.ckpt-5 is not complete: its data files hold 0 of \d+ bytes"
    ):
        open_checkpoint(str(saved / "model.ckpt-5"))


def test_data_without_an_index(saved):
    os.remove(saved / "model.ckpt-5.index")
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        open_checkpoint(str(saved / "model.ckpt-5"))


def test_data_cut_short(saved):
    data = saved / "model.ckpt-5.data-00000-of-00001"
    size = data.stat().st_size
    os.truncate(data, size - 1)
    with pytest.raises(CheckpointError, match=rf"its data files hold {size - 1} of {size} bytes"):
        open_checkpoint(str(saved / "model.ckpt-5"))


def test_a_checkpoint_file_that_names_nothing_complete(saved):
    (saved / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    os.remove(saved / "model.ckpt-5.data-00000-of-00001")
    shutil.copy(saved / "model.ckpt-5.index", saved / "model.ckpt-6.index")
    with pytest.raises(CheckpointError, match=r"checkpoint names 'model\.ckpt-5' \(its data files hold 0 of"):
        open_checkpoint(str(saved))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"secret")
    path.chmod(0)
    with pytest.raises(CheckpointError, match="Cannot read"):
        open_checkpoint(str(path))
