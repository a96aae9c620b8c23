import gzip
import os
import resource
import subprocess
import sys
import tracemalloc

import pytest
from feature_cases import feature_case
from golden_files import golden, golden_cases, golden_input, read_json, read_json_lines
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data import passages
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.data.records import (
    feature_spec,
    open_writer,
    parse_example,
    read_records,
    serialize,
    write_features,
)
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import DataError, OutputError
from bert_squad.text.tokenization import FullTokenizer

tf = pytest.importorskip("tensorflow")

CASES = [case for case in golden_cases("features") if case.startswith("tiny-")]


def values_of(serialized):
    """Key → integers, as the protobuf library reads them."""
    example = tf.train.Example.FromString(serialized)
    assert all(feature.WhichOneof("kind") == "int64_list" for feature in example.features.feature.values())
    return {key: list(feature.int64_list.value) for key, feature in example.features.feature.items()}


def write_case(case, path):
    flags, examples, sizes = feature_case(case)
    tokenizer = FullTokenizer(str(golden_input(flags["vocab"])), flags["do_lower_case"])
    return flags, write_features(path, examples, tokenizer, WindowLengths(*sizes[:3]), sizes[3])


@pytest.mark.parametrize("case", CASES)
def test_golden_records(case, tmp_path):
    path = str(tmp_path / "ours.tf_record")
    flags, num_features = write_case(case, path)
    name = "train" if flags["is_training"] else "eval"
    legacy_path = tmp_path / "legacy.tf_record"
    legacy_path.write_bytes(gzip.decompress(golden(f"features/{case}/{name}.tf_record.gz").read_bytes()))
    legacy = [values_of(record) for record in read_records(str(legacy_path))]
    assert len(legacy) == num_features == read_json(golden(f"features/{case}/summary.json"))["num_features"]
    assert [values_of(record) for record in read_records(path)] == legacy


@pytest.mark.parametrize("case", ["tiny-train-v2-cased-48-8-12", "tiny-dev-v1-uncased-64-16-16"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_parsed_records_are_the_features(case, batch_size, tmp_path):
    path = str(tmp_path / "x.tf_record")
    flags, _ = write_case(case, path)
    is_training, length = flags["is_training"], flags["max_seq_length"]
    keys = {
        "unique_ids": "unique_id",
        "input_ids": "input_ids",
        "input_mask": "input_mask",
        "segment_ids": "segment_ids",
    }
    if is_training:
        keys |= {"start_positions": "start_position", "end_positions": "end_position"}
    dataset = tf.data.TFRecordDataset(path)
    if batch_size:
        dataset = dataset.batch(batch_size)
    dataset = dataset.map(lambda serialized: parse_example(serialized, length, is_training))
    assert {key: spec.dtype for key, spec in dataset.element_spec.items()} == dict.fromkeys(keys, tf.int32)
    if batch_size:
        dataset = dataset.unbatch()
    expected = read_json_lines(golden(f"features/{case}/features.jsonl.gz"))
    parsed = list(dataset.as_numpy_iterator())
    assert len(parsed) == len(expected)
    for ours, feature in zip(parsed, expected, strict=True):
        assert {key: value.tolist() for key, value in ours.items()} == {
            k: feature[a] for k, a in keys.items()
        }


def test_feature_spec():
    assert feature_spec(9, False) == {
        "unique_ids": tf.io.FixedLenFeature([], tf.int64),
        "input_ids": tf.io.FixedLenFeature([9], tf.int64),
        "input_mask": tf.io.FixedLenFeature([9], tf.int64),
        "segment_ids": tf.io.FixedLenFeature([9], tf.int64),
    }
    assert list(feature_spec(9, True))[4:] == ["start_positions", "end_positions"]


def feature(unique_id=1_000_000_000, ids=(2, 300, 3), start=1, end=1, is_impossible=False):
    zeros = [0] * len(ids)
    return InputFeatures(unique_id, 0, 0, [], {}, {}, list(ids), zeros, zeros, start, end, is_impossible)


int64 = st.integers(-(2**63), 2**63 - 1)


@given(int64, st.lists(int64, min_size=1, max_size=300), int64, int64, st.booleans())
def test_serialized_features_are_what_protobuf_reads(unique_id, ids, start, end, is_impossible):
    serialized = serialize(feature(unique_id, ids, start, end, is_impossible), is_training=True)
    assert values_of(serialized) == {
        "unique_ids": [unique_id],
        "input_ids": ids,
        "input_mask": [0] * len(ids),
        "segment_ids": [0] * len(ids),
        "start_positions": [start],
        "end_positions": [end],
        "is_impossible": [is_impossible],
    }
    canonical = tf.train.Example.FromString(serialized).SerializeToString(deterministic=True)
    assert len(canonical) == len(serialized), "no longer than protobuf's own encoding"


@pytest.mark.parametrize("ids", [[300, 0, 5, 0], [300, 0, 0], [0, 300, 0], [0, 300], [0, 0], [300]])
def test_zeros_that_are_no_padding(ids):
    """Some vocabularies have a word at 0."""
    assert values_of(serialize(feature(ids=ids), is_training=True))["input_ids"] == ids


def test_records_for_prediction_hold_no_answers():
    keys = set(values_of(serialize(feature(start=None, end=None), is_training=False)))
    assert keys == {"unique_ids", "input_ids", "input_mask", "segment_ids"}


# ---- whole files or none


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "train.tf_record"
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["train.tf_record"]


def test_failure_on_the_way_leaves_the_old_file(old_file, tmp_path_factory):
    vocab = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    vocab.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    examples = [SquadExample(0, "a", ["a"], "a", 0, 0), SquadExample(1, "a", ["a"])]
    with pytest.raises(DataError, match="Question 1 has no answer position"):
        write_features(str(old_file), examples, FullTokenizer(str(vocab)), WindowLengths(12, 4, 4), True)


def write_much(path, num_features):
    with open_writer(path, True) as writer:
        for _ in range(num_features):
            writer.process_feature(feature(ids=range(300)))


@pytest.fixture
def small_disk():
    """No file can grow over 50,000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("num_features", [1000, 45])  # it fails on the way; when the last buffer is written
def test_full_disk_leaves_the_old_file(old_file, num_features):
    with pytest.raises(OutputError) as error:
        write_much(str(old_file), num_features)
    assert str(error.value).startswith(f"Cannot write {old_file} (")
    assert str(error.value).endswith("); what was there before is unchanged.")
    assert "File too large" in str(error.value)


def test_missing_directory(tmp_path):
    path = str(tmp_path / "none" / "x.tf_record")
    with pytest.raises(OutputError) as error, open_writer(path, True):
        pass
    assert str(error.value).startswith(f"Cannot write {path} (")
    assert "No such file or directory" in str(error.value)


def test_writer_counts_and_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "x.tf_record"
    with open_writer(str(path), True) as writer:
        for number in range(3):
            writer.process_feature(feature(unique_id=number))
        assert not path.exists()
    assert writer.num_features == 3
    assert [values_of(record)["unique_ids"] for record in read_records(str(path))] == [[0], [1], [2]]


# ---- damaged files


@pytest.fixture
def record_file(tmp_path):
    path = tmp_path / "x.tf_record"
    with open_writer(str(path), True) as writer:
        for number in range(4):
            writer.process_feature(feature(unique_id=number))
    return path


def damage_message(path, number):
    return (
        f"The record file {path} is cut short or damaged: record {number}, counted from 0, cannot be read. "
        "Delete it, so that it is written anew."
    )


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_truncated_file(record_file, cut):
    record_file.write_bytes(record_file.read_bytes()[:-cut])
    records = read_records(str(record_file))
    assert [values_of(next(records))["unique_ids"] for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(DataError) as error:
        next(records)
    assert str(error.value) == damage_message(record_file, 3)


@pytest.mark.parametrize("offset", [2, 9, 40])  # in the length, in its checksum, in the record
def test_flipped_bit(record_file, offset):
    content = bytearray(record_file.read_bytes())
    content[len(content) // 4 + offset] ^= 4
    record_file.write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read_records(str(record_file)))
    assert str(error.value) == damage_message(record_file, 1)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "x.tf_record"
    path.write_text('{"data": []}' * 10)
    with pytest.raises(DataError) as error:
        list(read_records(str(path)))
    assert str(error.value) == damage_message(path, 0)


def test_missing_file(tmp_path):
    path = str(tmp_path / "none.tf_record")
    with pytest.raises(DataError) as error:
        list(read_records(path))
    assert str(error.value).startswith(f"Cannot read the record file {path} (")
    assert "No such file or directory" in str(error.value)


def test_module_imports_without_tensorflow():
    code = "import sys, bert_squad.data.records; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_writing_takes_no_memory_for_each_feature(tmp_path, monkeypatch):
    monkeypatch.setattr(passages, "_MAX_REMEMBERED_PASSAGES", 10)  # all that is kept, up to this bound
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    tokenizer = FullTokenizer(str(vocab))

    def peak(num_examples):
        examples = (SquadExample(number, "a", ["a"] * 50) for number in range(num_examples))
        tracemalloc.start()
        assert (
            write_features(str(tmp_path / "x"), examples, tokenizer, WindowLengths(24, 16, 4), False)
            == 3 * num_examples
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(10)
    assert peak(2000) < peak(1000) + 100_000
