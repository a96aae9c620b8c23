import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden, read_json

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import CheckpointError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.optimizer import AdamWeightDecay


def golden_prefix(name: str) -> str:
    return str(golden(f"model/{name}.index")).removesuffix(".index")


@pytest.fixture
def model():
    return BertForSquad(BertConfig.from_json_file(str(golden("model/trajectory/bert_config.json"))))


def test_names_shapes_dtypes_and_slots_are_those_of_a_legacy_training_checkpoint(model, tmp_path):
    save_tf1_checkpoint(str(tmp_path / "model.ckpt-3"), model, AdamWeightDecay.for_model(model), step=3)
    written = Tf1Reader(str(tmp_path / "model.ckpt-3"))
    legacy = Tf1Reader(golden_prefix("trajectory/model.ckpt-24"))
    assert written.shapes == legacy.shapes
    assert written.dtypes == legacy.dtypes
    assert written["global_step"] == 3
    expected = {entry["name"]: entry for entry in read_json(golden("model/trajectory/variables.json"))}
    for name, entry in expected.items():
        assert list(written.shapes[name]) == entry["shape"], name
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.ckpt-3.data-00000-of-00001",
        "model.ckpt-3.index",
    ]


def test_the_tf1_saver_restores_it_by_name(model, tmp_path):
    """The reading side of the legacy script: a TF1 graph of the same names and `tf.train.Saver`."""
    optimizer = AdamWeightDecay.for_model(model)
    for name, entry in tf1_variables(model).items():
        entry.variable.assign(np.random.default_rng(len(name)).normal(size=entry.variable.shape))
        if entry.trained:
            optimizer.slots(name)[0].assign(tf.ones(entry.variable.shape) * 0.5)
    prefix = str(tmp_path / "model.ckpt-7")
    save_tf1_checkpoint(prefix, model, optimizer, step=7)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        legacy = Tf1Reader(golden_prefix("trajectory/model.ckpt-1"))
        variables = {
            name: tf.compat.v1.get_variable(name, shape, legacy.dtypes[name])
            for name, shape in legacy.shapes.items()
        }
        tf.compat.v1.train.Saver(variables).restore(session, prefix)
        restored = session.run(variables)
    assert restored["global_step"] == 7
    for name, entry in tf1_variables(model).items():
        np.testing.assert_array_equal(entry.from_checkpoint(restored[name]), entry.variable.numpy())
        if entry.trained:
            assert (restored[f"{name}/adam_m"] == 0.5).all()
            assert (restored[f"{name}/adam_v"] == 0).all()


def test_without_an_optimizer_there_are_no_slots(model, tmp_path):
    save_tf1_checkpoint(str(tmp_path / "model.ckpt"), model)
    names = set(Tf1Reader(str(tmp_path / "model.ckpt")))
    assert names == {*tf1_variables(model), "global_step"}


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"Cannot read the checkpoint .*nowhere .*\.index"):
        Tf1Reader(str(tmp_path / "nowhere"))
    (tmp_path / "model.ckpt.index").write_bytes(b"not an index")
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"The checkpoint .*model\.ckpt is damaged: its index is cut"):
        Tf1Reader(str(tmp_path / "model.ckpt"))
