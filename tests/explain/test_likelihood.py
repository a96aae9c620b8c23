"""The loss and its gradient are those of the model's own `span_loss`."""

import numpy as np
import pytest
import tensorflow as tf

from bert_squad.explain.likelihood import label_loss, log_of_sum, probabilities
from bert_squad.model.span_head import span_loss

S = 40


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 8.0), (2, 60.0)])
@pytest.mark.parametrize(("start", "end"), [(3, 7), (0, 0), (S - 1, S - 1)])
def test_the_gradient_on_every_logit_is_that_of_the_tape(seed, scale, start, end):
    logits = np.random.default_rng(seed).normal(size=[2, 1, S]) * scale
    starts, ends = (tf.Variable(values, dtype=tf.float32) for values in logits)
    with tf.GradientTape() as tape:
        loss = span_loss(starts, ends, [start], [end])
    of_starts, of_ends = (gradient.numpy()[0] for gradient in tape.gradient(loss, [starts, ends]))
    ours = label_loss(starts.numpy()[0], ends.numpy()[0], start, end)
    assert ours.loss == pytest.approx(float(loss), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(ours.start_gradient, of_starts, atol=1e-6)
    np.testing.assert_allclose(ours.end_gradient, of_ends, atol=1e-6)


def test_wrong_positions_are_lowered_by_as_much_as_the_right_one_is_raised():
    logits = np.random.default_rng(3).normal(size=[2, S])
    loss = label_loss(*logits, 4, 9)
    for gradient, right in ((loss.start_gradient, 4), (loss.end_gradient, 9)):
        assert gradient.sum() == pytest.approx(0, abs=1e-12)
        assert gradient[right] < 0
        assert (np.delete(gradient, right) > 0).all()
    assert loss.start_gradient[4] == pytest.approx((probabilities(logits[0])[4] - 1) / 2)
    assert loss.ln_p_start == pytest.approx(logits[0][4] - log_of_sum(logits[0]))


def test_padding_with_the_lowest_number_has_no_share():
    """OpenVINO's engine marks padding so."""
    logits = np.array([1.0, 2.0, np.finfo(np.float32).min], np.float32)
    assert probabilities(logits).tolist() == [*probabilities(logits[:2]).tolist(), 0.0]
