"""The predictor works on several batches at once; nobody is to notice."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from bert_squad.answers import prediction
from bert_squad.answers.prediction import make_predictor


def batches(count, size=2):
    for number in range(count):
        ids = tf.range(number * size, (number + 1) * size)
        rows = tf.tile(ids[:, tf.newaxis], [1, 3])
        yield {"unique_ids": ids, "input_ids": rows, "input_mask": rows, "segment_ids": rows}


def test_results_come_in_the_order_of_the_batches():
    """Even when an early batch takes longer than the next ones."""
    later_is_done = threading.Event()

    def wait_for_later(ids):
        if ids[0, 0] == 0:
            assert later_is_done.wait(60), "the second batch is not worked on beside the first"
        else:
            later_is_done.set()
        return ids.astype(np.float32)

    def model(batch, training, static_shapes):
        scores = tf.numpy_function(wait_for_later, [batch["input_ids"]], tf.float32, stateful=True)
        return scores, scores + 0.5

    results = list(make_predictor(model)(batches(5)))
    assert [result.unique_id for result in results] == list(range(10))
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result.start_logits, [number] * 3)
        np.testing.assert_array_equal(result.end_logits, [number + 0.5] * 3)


def test_batches_are_read_only_as_they_are_needed():
    taken = []

    def counted():
        for number, batch in enumerate(batches(9)):
            taken.append(number)
            yield batch

    def model(batch, training, static_shapes):
        return tf.cast(batch["input_ids"], tf.float32), tf.cast(batch["input_ids"], tf.float32)

    results = make_predictor(model)(counted())
    for number, _ in enumerate(results):
        assert len(taken) <= number // 2 + prediction.BATCHES_AT_ONCE + 1
    assert len(taken) == 9


def test_an_error_of_a_batch_is_raised():
    def fail(ids):
        if ids[0, 0] == 4:
            raise ValueError("the third batch")
        return ids.astype(np.float32)

    def model(batch, training, static_shapes):
        scores = tf.numpy_function(fail, [batch["input_ids"]], tf.float32, stateful=True)
        return scores, scores

    results, seen = make_predictor(model)(batches(9)), []
    with pytest.raises(tf.errors.OpError, match="the third batch"):
        seen.extend(result.unique_id for result in results)
    assert seen == [0, 1, 2, 3]


class Cores:
    """Two devices that compute one after the other, and know no shape but that of the first batch."""

    num_replicas, strategy, is_chief, needs_static_shapes = 2, True, True, True

    def __init__(self):
        self.seen = []

    def on_each(self, function):
        def call(batches):
            self.seen.append([tuple(batch["input_ids"].shape) for batch in batches])
            return [function(batch) for batch in batches]

        return call


def test_a_smaller_batch_is_filled_where_shapes_have_to_be_known():
    def model(batch, training, static_shapes):
        assert static_shapes
        scores = tf.cast(batch["input_ids"], tf.float32)
        return scores, scores

    def with_a_smaller_last_one():
        yield from batches(4)
        yield {name: values[:1] for name, values in next(batches(1)).items()}

    cores = Cores()
    results = list(make_predictor(model, devices=cores)(with_a_smaller_last_one()))
    assert [result.unique_id for result in results] == [*range(8), 0]
    assert cores.seen == [[(2, 3)] * 2, [(2, 3)] * 2, [(2, 3)]]
