import itertools
from pathlib import Path

import numpy as np
import pytest
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


def test_an_undamaged_file_passes(tmp_path):
    path = damaged(tmp_path, lambda content: content)
    batches = with_named_errors(train_batches(path, max_seq_length=LENGTH, batch_size=100, seed=1), path)
    assert len(next(batches)["unique_ids"]) == 100


@pytest.mark.parametrize("cut_padding", [False, True])
def test_batches_by_length_hold_every_window_once(tmp_path, monkeypatch, cut_padding):
    monkeypatch.setattr(batches_module, "WINDOWS_SORTED_TOGETHER", 12)
    path = str(tmp_path / "eval.tf_record")
    examples = read_squad_examples(str(golden("model/legacy_run/v1/dev.json")), False)
    tokenizer = FullTokenizer(str(golden("model/legacy_run/v1/vocab.txt")), True)
    count = write_features(path, examples, tokenizer, 384, 128, 16, False)
    whole = {}
    for batch in predict_batches(path, max_seq_length=384, batch_size=5):
        for row, unique_id in enumerate(batch["unique_ids"].numpy()):
            whole[int(unique_id)] = {name: values[row].numpy() for name, values in batch.items()}
    seen = []
    batches = list(predict_batches_by_length(path, max_seq_length=384, batch_size=5, cut_padding=cut_padding))
    longest = [int(batch["input_mask"].numpy().sum(axis=1).max()) for batch in batches]
    for batch, of_batch in zip(batches, longest, strict=True):
        size = batch["input_ids"].shape[1]
        if cut_padding:
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
