"""Training in other types, compiled, and without padding: close to the exact run, and exact where it claims to be."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tiny_config import TINY
from tiny_models import VOCABULARY, tiny_model

from bert_squad.model.squad_model import BertForSquad
from bert_squad.training import loop
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

LENGTHS = [16, 5, 9, 12]
SCHEDULE = {"learning_rate": 1e-3, "num_train_steps": 10, "num_warmup_steps": 0, "seed": 3}


def batch(positions=((3, 1, 7, 5), (5, 4, 8, 5))):
    rng = np.random.default_rng(0)
    mask = (np.arange(16) < np.array(LENGTHS)[:, None]).astype(np.int32)
    return {
        "input_ids": tf.constant(rng.integers(1, len(VOCABULARY), mask.shape).astype(np.int32) * mask),
        "input_mask": tf.constant(mask),
        "segment_ids": tf.constant(mask * (np.arange(16) > 2)),
        "start_positions": tf.constant(positions[0]),
        "end_positions": tf.constant(positions[1]),
    }


def trained(steps=3, step_options=None, **model_options):
    """Return the losses of some steps, the norms, and the weights after them."""
    model = BertForSquad(TINY, **model_options)
    model.set_weights(tiny_model(2).get_weights())
    step = make_train_step(model, AdamWeightDecay.for_model(model), **SCHEDULE, **(step_options or {}))
    outputs = [[float(value) for value in step(tf.constant(number), batch())] for number in range(steps)]
    losses, _, norms = zip(*outputs, strict=True)
    return losses, norms, np.concatenate([np.ravel(weight) for weight in model.get_weights()])


@pytest.fixture(scope="module")
def exact():
    return trained()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_types_are_close(exact, dtype):
    losses, norms, weights = trained(step_options={"scales_loss": dtype == "float16"}, compute_dtype=dtype)
    assert losses != exact[0]
    np.testing.assert_allclose(losses, exact[0], rtol=0.02)
    np.testing.assert_allclose(norms, exact[1], rtol=0.05)
    # Adam's first steps have the size of the learning rate, whatever the gradient's: only its sign is to agree.
    moved = np.abs(weights - exact[2]) > 2e-3
    assert moved.mean() < 0.01


def test_a_compiled_step_is_the_same_but_for_rounding(exact):
    losses, norms, weights = trained(step_options={"jit_compile": True})
    np.testing.assert_allclose(losses, exact[0], rtol=1e-5)
    np.testing.assert_allclose(norms, exact[1], rtol=1e-4)
    assert (np.abs(weights - exact[2]) > 1e-4).mean() < 0.01


def test_without_padding_the_loss_is_that_of_the_real_positions():
    losses, _, _ = trained(steps=1, pad_to="batch")
    model = tiny_model(2)
    of_batch = batch()
    start_logits, end_logits = (logits.numpy() for logits in model(of_batch))
    log_likelihood = 0.0
    for row, length in enumerate(LENGTHS):
        for logits, positions in ((start_logits, "start_positions"), (end_logits, "end_positions")):
            real = logits[row, :length].astype(float)
            log_likelihood += real[of_batch[positions][row]] - np.log(np.exp(real).sum())
    assert losses[0] == pytest.approx(-log_likelihood / 2 / len(LENGTHS), rel=1e-5)


def test_loss_scaling_changes_nothing_but_rounding(exact):
    losses, norms, weights = trained(step_options={"scales_loss": True})
    np.testing.assert_allclose(losses, exact[0], rtol=1e-5)
    np.testing.assert_allclose(norms, exact[1], rtol=1e-4)
    assert (np.abs(weights - exact[2]) > 1e-4).mean() < 0.01


class Recorded(tuple):
    """Loss scales that remember which of them were taken up."""

    def __iter__(self):
        self.tried = []
        for scale in tuple.__iter__(self):
            self.tried.append(scale)
            yield scale


@pytest.mark.parametrize(("largest", "attempts"), [(2.0**20, 1), (2.0**12, 2), (2.0**6, 3), (2.0, 4)])
def test_the_first_scale_that_does_not_overflow_is_taken(exact, largest, attempts, monkeypatch):
    """Gradients overflow here where the scale is above `largest`; the step is that of the first scale that fits."""
    divided = loop._divided
    scales = Recorded(loop.LOSS_SCALES)

    def overflowing(gradient, divisor):
        if isinstance(gradient, tf.IndexedSlices):
            return divided(gradient, divisor)
        return tf.where(divisor > largest, float("inf"), divided(gradient, divisor))

    monkeypatch.setattr(loop, "_divided", overflowing)
    monkeypatch.setattr(loop, "LOSS_SCALES", scales)
    losses, norms, _ = trained(steps=1, step_options={"scales_loss": True})
    assert scales.tried == [2.0**15, 2.0**10, 2.0**5, 1.0][:attempts]
    assert losses[0] == pytest.approx(exact[0][0], rel=1e-5)
    assert norms[0] == pytest.approx(exact[1][0], rel=1e-4)


def test_when_all_scales_overflow_nothing_is_updated(monkeypatch):
    monkeypatch.setattr(loop, "_divided", lambda gradient, divisor: tf.zeros([]) + float("nan"))
    _, norms, weights = trained(steps=1, step_options={"scales_loss": True})
    assert not math.isfinite(norms[0])
    np.testing.assert_array_equal(
        weights, np.concatenate([np.ravel(weight) for weight in tiny_model(2).get_weights()])
    )
