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
        yield {"unique_ids": ids, "input_ids": tf.tile(ids[:, tf.newaxis], [1, 3])}


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
