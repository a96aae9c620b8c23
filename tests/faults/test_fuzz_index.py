"""A damaged checkpoint of TensorFlow: wrong bytes, and an index with right checksums and wrong entries."""

import pytest
import tensorflow as tf
from checkpoints.tables import block_of, table_of
from faults.mutation import check_reader

from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.index_table import read_table
from bert_squad.checkpoints.tf1_writing import write_tensors

DATA = "data-00000-of-00001"


@pytest.fixture
def prefixes(tmp_path):
    """Make a TF1 checkpoint and an object-based one with strings."""
    tensors = {
        "bert/embeddings/word_embeddings": tf.ones([5, 4]),
        "a": tf.zeros([3], tf.int32),
        "z": tf.ones([]),
    }
    write_tensors(str(tmp_path / "tf1"), {**tensors, "global_step": tf.constant(7, tf.int64)})
    tf.train.Checkpoint(step=tf.Variable(7), text=tf.Variable("some")).write(str(tmp_path / "tf2"))
    return [str(tmp_path / "tf1"), str(tmp_path / "tf2")]


def read_everything(prefix):
    reader = open_checkpoint(prefix)
    for name in reader:
        assert tuple(reader[name].shape if hasattr(reader[name], "shape") else ()) == reader.shapes[name]
    assert reader.step in (None, 7)


def contents(path) -> bytes:
    with open(path, "rb") as reader:
        return reader.read()


def put(content: bytes, path) -> None:
    with open(path, "wb") as writer:
        writer.write(content)


def fuzz_bytes(prefixes, end: str, seconds: float):
    for prefix in prefixes:
        path = f"{prefix}.{end}"

        def read(content, path=path, prefix=prefix):
            put(content, path)
            read_everything(prefix)

        check_reader(read, [contents(path)], seconds / len(prefixes))


def fuzz_entries(prefixes, seconds: float):
    """Change entries as a program that goes wrong would: all checksums are right."""
    for prefix in prefixes:
        path = f"{prefix}.index"
        pairs = read_table(contents(path))
        seeds = [value for _, value in pairs]

        def read(content, path=path, prefix=prefix, pairs=pairs, seeds=seeds):
            places = [index for index, seed in enumerate(seeds) if seed == content] or range(len(pairs))
            for place in places:
                changed = [
                    (key, content if index == place else value) for index, (key, value) in enumerate(pairs)
                ]
                put(table_of(block_of(*changed), last_keys=(pairs[-1][0],)), path)
                read_everything(prefix)

        check_reader(read, seeds, seconds / len(prefixes))


@pytest.mark.parametrize("end", ["index", DATA])
def test_wrong_bytes(prefixes, end):
    fuzz_bytes(prefixes, end, 0.8)


def test_wrong_entries(prefixes):
    fuzz_entries(prefixes, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["index", DATA])
def test_wrong_bytes_for_long(prefixes, end):
    fuzz_bytes(prefixes, end, 30)


@pytest.mark.slow
def test_wrong_entries_for_long(prefixes):
    fuzz_entries(prefixes, 30)
