import gc
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden

from bert_squad.data import batches as batches_module
from bert_squad.data.batches import (
    LENGTHS_ROUNDED_TO,
    predict_batches,
    predict_batches_by_length,
    train_batches,
    with_named_errors,
)
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.records import write_features
from bert_squad.data.windows import WindowLengths
from bert_squad.devices.replicas import Share
from bert_squad.errors import DataError
from bert_squad.text.tokenization import FullTokenizer

LENGTH = 64


def train_file():
    return str(golden("model/legacy_run/v1/output/train.tf_record"))


def ids(batches, count):
    return np.stack([batch["unique_ids"].numpy() for batch in batches.take(count)])


def test_shapes_and_types():
    batch = next(iter(train_batches(train_file(), max_seq_length=LENGTH, batch_size=4, seed=1)))
    shapes = {key: (tuple(value.shape), value.dtype.name) for key, value in batch.items()}
    assert shapes == {
        "input_ids": ((4, LENGTH), "int32"),
        "input_mask": ((4, LENGTH), "int32"),
        "segment_ids": ((4, LENGTH), "int32"),
        "start_positions": ((4,), "int32"),
        "end_positions": ((4,), "int32"),
        "unique_ids": ((4,), "int32"),
    }


def test_the_seed_decides_the_order():
    def order(seed):
        return ids(train_batches(train_file(), max_seq_length=LENGTH, batch_size=4, seed=seed), 40)

    np.testing.assert_array_equal(order(1), order(1))
    assert (order(1) != order(2)).any()


def test_repeats_then_shuffles_then_batches():
    """Batches run across the end of an epoch, and within a buffer of 100 features epochs mix, as in the legacy."""
    features = 117
    seen = ids(train_batches(train_file(), max_seq_length=LENGTH, batch_size=8, seed=3), 60).ravel()
    assert set(seen) == set(range(1_000_000_000, 1_000_000_000 + features))
    assert len(seen) == 480
    # The n-th draw comes from the first n + 100 features of the repeated file.
    first = {}
    for position, unique_id in enumerate(seen):
        first.setdefault(unique_id, position)
    for unique_id, position in first.items():
        assert unique_id - 1_000_000_000 < position + 100
    assert len(set(seen[:features])) < features


@pytest.mark.parametrize("first_step", [1, 15, 31])
def test_a_continued_run_sees_what_it_would_have_seen(first_step):
    whole = ids(train_batches(train_file(), max_seq_length=LENGTH, batch_size=4, seed=5), 40)
    rest = train_batches(train_file(), max_seq_length=LENGTH, batch_size=4, seed=5, first_step=first_step)
    np.testing.assert_array_equal(ids(rest, 40 - first_step), whole[first_step:])


@pytest.mark.parametrize(("num_processes", "per_process"), [(1, 2), (1, 4), (2, 1), (2, 2), (4, 1)])
def test_shares_are_the_rows_of_whole_batches(num_processes, per_process):
    size, steps, num_rows = 8, 5, 8 // num_processes
    options = {"max_seq_length": LENGTH, "batch_size": size, "seed": 5, "first_step": 3}
    whole = ids(train_batches(train_file(), **options), steps)
    of_processes = []
    for process in range(num_processes):
        share = Share(process * num_rows, num_rows, num_rows // per_process)
        batches = train_batches(train_file(), **options, share=share)
        assert batches.element_spec["input_ids"].shape == (num_rows // per_process, LENGTH)
        of_processes.append(ids(batches, steps * per_process).reshape(steps, num_rows))
    np.testing.assert_array_equal(np.concatenate(of_processes, axis=1), whole)


def test_prediction_reads_once_in_order_and_keeps_the_rest():
    path = str(golden("model/legacy_run/v1/output/eval.tf_record"))
    batches = list(predict_batches(path, max_seq_length=LENGTH, batch_size=8))
    sizes = [len(batch["unique_ids"]) for batch in batches]
    assert sizes == [8] * 9 + [4]
    order = np.concatenate([batch["unique_ids"] for batch in batches])
    np.testing.assert_array_equal(order, np.arange(1_000_000_000, 1_000_000_076))
    assert set(batches[0]) == {"unique_ids", "input_ids", "input_mask", "segment_ids"}


def damaged(tmp_path, change):
    path = tmp_path / "train.tf_record"
    path.write_bytes(change(Path(train_file()).read_bytes()))
    return str(path)


@pytest.mark.parametrize(
    ("change", "length"),
    [
        (lambda content: content[:-7], LENGTH),
        (lambda content: content[:5000] + b"\x00\xff" + content[5002:], LENGTH),
        (lambda content: content, LENGTH + 1),
    ],
    ids=["cut short", "overwritten", "another length"],
)
def test_a_damaged_file_is_named(tmp_path, change, length):
    path = damaged(tmp_path, change)
    batches = with_named_errors(train_batches(path, max_seq_length=length, batch_size=100, seed=1), path)
    with pytest.raises(DataError, match=r"The record file .*train\.tf_record is damaged or of another run"):
        list(itertools.islice(batches, 3))


def read_errors(path, **sizes):
    batches = with_named_errors(
        predict_batches(path, **{"max_seq_length": 4, "batch_size": 2, **sizes}), path
    )
    with pytest.raises(DataError) as error:
        list(batches)
    return str(error.value)


def test_a_record_whose_error_text_is_not_utf8(tmp_path):
    path = str(tmp_path / "eval.tf_record")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"\xff\xfe\n" * 300)
    message = read_errors(path)
    assert message.startswith(
        f"The record file {path} is damaged or of another run (Could not parse example input, value: "
    )
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda path: None, "No such file or directory"), (Path.mkdir, "Is a directory")],
    ids=["missing", "a directory"],
)
def test_a_file_that_cannot_be_read(tmp_path, make, reason):
    path = tmp_path / "eval.tf_record"
    make(path)
    message = read_errors(str(path))
    assert message.startswith(f"Cannot read the record file {path} (")
    assert reason in message
    assert "/proc" not in message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(5, "Input/output error"), DataError),
        (tf.errors.UnknownError(None, None, "x; Input/output error"), DataError),
        (tf.errors.PermissionDeniedError(None, None, "no"), DataError),
        (tf.errors.ResourceExhaustedError(None, None, "no memory"), tf.errors.ResourceExhaustedError),
    ],
)
def test_read_errors_name_the_file_and_lack_of_memory_is_none(error, kind):
    def failing():
        yield {}
        raise error

    with pytest.raises(kind) as raised:
        list(with_named_errors(failing(), "train.tf_record"))
    assert kind is not DataError or "Cannot read the record file train.tf_record (" in str(raised.value)


@pytest.mark.parametrize("change", [os.remove, os.replace])
def test_another_file_in_its_place_is_not_read(tmp_path, change):
    """Another process writes its own records and renames them; or they are removed."""
    path = str(tmp_path / "train.tf_record")
    shutil.copy(train_file(), path)
    expected = ids(train_batches(train_file(), max_seq_length=LENGTH, batch_size=8, seed=3), 60)
    batches = iter(train_batches(path, max_seq_length=LENGTH, batch_size=8, seed=3))
    gc.collect()
    seen = [next(batches)["unique_ids"].numpy()]
    if change is os.remove:
        os.remove(path)
    else:
        other = str(tmp_path / "other")
        with tf.io.TFRecordWriter(other) as writer:
            writer.write(b"of another run")
        os.replace(other, path)
    seen += [batch["unique_ids"].numpy() for batch in itertools.islice(batches, 59)]
    np.testing.assert_array_equal(np.stack(seen), expected)


def test_files_are_closed_with_their_datasets():
    def held():
        names = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum(os.path.realpath(name) == os.path.realpath(train_file()) for name in names)

    batches = train_batches(train_file(), max_seq_length=LENGTH, batch_size=8, seed=3)
    assert held() == 1
    del batches
    gc.collect()
    assert held() == 0


def test_a_name_that_is_not_utf8(tmp_path):
    path = os.fsencode(str(tmp_path)) + b"/\xff[a].tf_record"
    shutil.copy(train_file(), path)
    batches = train_batches(os.fsdecode(path), max_seq_length=LENGTH, batch_size=8, seed=3)
    assert len(ids(batches, 2)) == 2


def test_an_undamaged_file_passes(tmp_path):
    path = damaged(tmp_path, lambda content: content)
    batches = with_named_errors(train_batches(path, max_seq_length=LENGTH, batch_size=100, seed=1), path)
    assert len(next(batches)["unique_ids"]) == 100


@pytest.mark.parametrize("pad_to", ["max", "batch"])
def test_batches_by_length_hold_every_window_once(tmp_path, monkeypatch, pad_to):
    monkeypatch.setattr(batches_module, "WINDOWS_SORTED_TOGETHER", 12)
    path = str(tmp_path / "eval.tf_record")
    examples = read_squad_examples(str(golden("model/legacy_run/v1/dev.json")), False)
    tokenizer = FullTokenizer(str(golden("model/legacy_run/v1/vocab.txt")), True)
    count = write_features(path, examples, tokenizer, WindowLengths(384, 128, 16), False)
    whole = {}
    for batch in predict_batches(path, max_seq_length=384, batch_size=5):
        for row, unique_id in enumerate(batch["unique_ids"].numpy()):
            whole[int(unique_id)] = {name: values[row].numpy() for name, values in batch.items()}
    seen = []
    batches = list(predict_batches_by_length(path, max_seq_length=384, batch_size=5, pad_to=pad_to))
    longest = [int(batch["input_mask"].numpy().sum(axis=1).max()) for batch in batches]
    for batch, of_batch in zip(batches, longest, strict=True):
        size = batch["input_ids"].shape[1]
        if pad_to == "batch":
            assert of_batch <= size <= min(384, of_batch + LENGTHS_ROUNDED_TO - 1)
        else:
            assert size == 384
        for row, unique_id in enumerate(batch["unique_ids"].numpy()):
            seen.append(int(unique_id))
            for name in ("input_ids", "input_mask", "segment_ids"):
                np.testing.assert_array_equal(batch[name][row], whole[seen[-1]][name][:size])
                assert not whole[seen[-1]][name][size:].any()
    assert min(longest) < 384, "else there was nothing to cut off"
    assert sorted(seen) == sorted(whole)
    assert len(seen) == count
    assert longest[0] <= longest[1]
    assert set(seen[:10]) == set(sorted(seen)[:10]), "ten windows, two batches, are sorted at a time"
