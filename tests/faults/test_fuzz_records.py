"""Damaged record files: read, or refused in a sentence that names the file."""

import itertools
import random
import time

import numpy as np
import pytest
import tensorflow as tf
from faults.mutation import check_reader, mutations
from golden_files import golden

from bert_squad.data.batches import predict_batches_by_length, train_batches, with_named_errors
from bert_squad.data.records import read_records
from bert_squad.errors import DataError

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
LENGTH = 64


def few_records():
    return list(itertools.islice(read_records(str(golden("model/legacy_run/v1/output/train.tf_record"))), 6))


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_damaged_files(tmp_path, seconds):
    path = tmp_path / "train.tf_record"
    write(path, few_records())

    def read(content):
        path.write_bytes(content)
        list(read_records(str(path)))

    check_reader(read, [path.read_bytes()], seconds)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
@pytest.mark.parametrize("is_training", [True, False])
def test_damaged_records_with_right_checksums(tmp_path, is_training, seconds):
    """What another program wrote, or another version of this one."""
    path = str(tmp_path / "train.tf_record")
    whole, messages = few_records(), []
    end = time.monotonic() + seconds
    dice = random.Random(0)
    for record in mutations(whole, 0):
        if time.monotonic() > end:
            break
        write(path, [whole[0], record, *whole[1:]])
        if is_training:
            batches = itertools.islice(
                train_batches(path, max_seq_length=LENGTH, batch_size=4, seed=dice.randrange(9)), 3
            )
        else:
            batches = predict_batches_by_length(path, max_seq_length=LENGTH, batch_size=4)
        try:
            for batch in with_named_errors(batches, path):
                assert batch["input_ids"].dtype == np.int32
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert all(path in message and message.isprintable() for message in messages)
