import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden, read_json
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.model.span_head import SpanHead, span_loss


def log_softmax(x):
    x = x.astype(np.float64)
    return x - x.max(-1, keepdims=True) - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))


def test_loss_is_the_mean_negative_log_likelihood_of_start_and_end():
    rng = np.random.default_rng(1)
    start_logits, end_logits = rng.normal(size=[2, 5, 9]).astype(np.float32)
    start, end = np.array([0, 3, 8, 1, 2]), np.array([0, 4, 8, 1, 7])
    rows = np.arange(5)
    expected = -(log_softmax(start_logits)[rows, start] + log_softmax(end_logits)[rows, end]).mean() / 2
    assert float(span_loss(start_logits, end_logits, start, end)) == pytest.approx(expected, rel=1e-6)


def test_every_position_counts_in_the_softmax():
    """LEGACY: padding too. With equal logits the loss is log S, whatever the padding."""
    loss = span_loss(tf.zeros([2, 48]), tf.zeros([2, 48]), tf.constant([1, 2]), tf.constant([3, 4]))
    assert float(loss) == pytest.approx(np.log(48), rel=1e-6)
    assert read_json(golden("model/trajectory/trajectory.json"))["loss"][0] == pytest.approx(
        np.log(48), abs=0.1
    )


def test_head_is_one_dense_layer_with_s_and_e_as_columns():
    head = SpanHead(4)
    hidden = np.random.default_rng(2).normal(size=[2, 3, 4]).astype(np.float32)
    start_logits, end_logits = head(hidden)
    np.testing.assert_allclose(start_logits, hidden @ head.start_vector.numpy(), atol=1e-6)
    np.testing.assert_allclose(end_logits, hidden @ head.end_vector.numpy(), atol=1e-6)


@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12), st.data())
def test_the_maximum_scoring_span_is_the_most_likely_one(start_logits, data):
    """The softmax denominators do not depend on the span, so score and likelihood order spans alike."""
    length = len(start_logits)
    end_logits = data.draw(st.lists(st.floats(-20, 20, width=32), min_size=length, max_size=length))
    start, end = np.array(start_logits), np.array(end_logits)
    spans = [(i, j) for i in range(length) for j in range(i, length)]
    scores = [start[i] + end[j] for i, j in spans]
    likelihoods = [log_softmax(start)[i] + log_softmax(end)[j] for i, j in spans]
    best = int(np.argmax(scores))
    assert likelihoods[best] == pytest.approx(max(likelihoods), abs=1e-9)
