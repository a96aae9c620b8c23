"""A damaged checkpoint of the Model Garden: its graph of objects, and tensors of other types and shapes."""

import numpy as np
import pytest
import tensorflow as tf
from faults.mutation import check_reader
from tiny_models import garden_encoder, tiny_model

from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.inspection import inspect_checkpoint
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_garden import OBJECT_GRAPH, ModelGardenReader
from bert_squad.checkpoints.tf1_writing import write_tensors
from bert_squad.errors import BertSquadError


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    encoder = garden_encoder("BertEncoderV2")
    path = tf.train.Checkpoint(model=encoder, step=tf.Variable(7)).write(
        str(tmp_path_factory.mktemp("whole") / "ckpt")
    )
    reader = tf.train.load_checkpoint(path)
    return {name: reader.get_tensor(name) for name, _ in tf.train.list_variables(path)}


def fuzz_graph(tensors, folder, seconds):
    path = str(folder / "ckpt")
    model = tiny_model()

    def read(content):
        write_tensors(path, tensors | {OBJECT_GRAPH: content})
        inspect_checkpoint(path)
        load_checkpoint(model, path)

    check_reader(read, [tensors[OBJECT_GRAPH]], seconds)


def test_graph(tensors, tmp_path):
    fuzz_graph(tensors, tmp_path, 1.5)


@pytest.mark.slow
def test_graph_for_long(tensors, tmp_path):
    fuzz_graph(tensors, tmp_path, 30)


ODD = [
    b"text",
    np.array([b"a", b"b"]),
    np.int32(3),
    np.zeros([0], np.float32),
    np.zeros([2, 3, 4, 5, 6], np.float32),
]
ODD += [np.ones([12, 12], bool), np.ones([12, 12], np.complex64), np.float64(1)]


@pytest.mark.parametrize("value", ODD, ids=[f"{np.asarray(v).dtype}{np.shape(v)}" for v in ODD])
def test_tensors_of_other_types(tensors, tmp_path, value):
    """Each kind of variable in turn: the model is as it was, or the error is ours; nothing else comes out."""
    ends = (
        "_query_dense/kernel",
        "_query_dense/bias",
        "attention_layer/_output_dense/kernel",
        "_embedding_layer/",
    )
    ends += ("gamma", "step", OBJECT_GRAPH)
    model = tiny_model()
    for number, end in enumerate(ends):
        key = next(key for key in tensors if end in key)
        path = str(tmp_path / f"{number}")
        write_tensors(path, tensors | {key: value})
        for read in (
            inspect_checkpoint,
            lambda path: load_checkpoint(model, path),
            lambda path: convert(path, f"{path}-converted", "tf1"),
            lambda path: list(ModelGardenReader(path).values()),
        ):
            try:
                read(path)
            except BertSquadError as error:
                assert path in str(error)  # noqa: PT017
