import numpy as np
import pytest
import tensorflow as tf

from bert_squad.model.dropout import dropout, keep_mask, site_seed

SEED = tf.constant([1, 2])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_share_and_scale(rate):
    x = tf.ones([999, 101])
    y = dropout(x, rate, SEED).numpy()
    assert (y == 0).mean() == pytest.approx(rate, abs=0.005)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_both_halves_of_a_random_word_are_independent_and_unbiased():
    mask = keep_mask(tf.constant([2_000_000]), 0.1, SEED).numpy().reshape(-1, 2)
    assert mask[:, 0].mean() == pytest.approx(0.9, abs=0.001)
    assert mask[:, 1].mean() == pytest.approx(0.9, abs=0.001)
    assert np.corrcoef(mask.T)[0, 1] == pytest.approx(0.0, abs=0.004)


def test_no_seed_and_no_rate_change_nothing():
    x = tf.random.normal([5, 7])
    assert dropout(x, 0.1, None) is x
    assert dropout(x, 0.0, SEED) is x


def test_gradient_passes_through_kept_elements_only():
    x = tf.Variable(tf.ones([64]))
    with tf.GradientTape() as tape:
        y = dropout(x, 0.5, SEED)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), y.numpy())


def test_places_and_steps_get_different_masks():
    masks = [
        keep_mask(tf.constant([256]), 0.5, site_seed(tf.constant([0, step]), site)).numpy()
        for step in range(3)
        for site in range(3)
    ]
    assert len({mask.tobytes() for mask in masks}) == 9
    assert site_seed(None, 3) is None
