import numpy as np
import pytest
import tensorflow as tf

from bert_squad.model.dropout import dropout, keep_mask, mask_key, site_seed

SEED = tf.constant([1, 2])
KEY = mask_key(SEED, 0)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_share_and_scale(rate):
    x = tf.ones([999, 101])
    y = dropout(x, rate, KEY).numpy()
    assert (y == 0).mean() == pytest.approx(rate, abs=0.005)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("distance", [1, 2, 384, 4096])
def test_elements_are_independent_of_their_neighbours(distance):
    mask = keep_mask(tf.constant([4_000_000]), 0.1, KEY).numpy()
    assert mask.mean() == pytest.approx(0.9, abs=0.0006)  # four standard deviations
    assert np.corrcoef(mask[distance:], mask[:-distance])[0, 1] == pytest.approx(0.0, abs=0.002)


def test_all_positions_are_dropped_alike():
    """Chi-squared of 4,000 random keys over 64 positions."""
    keys = tf.random.stateless_uniform([4000, 2], SEED, minval=None, maxval=None, dtype=tf.uint32)
    dropped = np.sum([~keep_mask(tf.constant([64]), 0.5, key).numpy() for key in keys], axis=0)
    chi_squared = ((dropped - 2000) ** 2 / 1000).sum()
    assert 32 < chi_squared < 106  # 64 degrees of freedom, one in a thousand on either side


def test_a_rate_of_nothing_changes_nothing():
    x = tf.random.normal([5, 7])
    assert dropout(x, 0.0, KEY) is x


def test_gradient_passes_through_kept_elements_only():
    x = tf.Variable(tf.ones([64]))
    with tf.GradientTape() as tape:
        y = dropout(x, 0.5, KEY)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), y.numpy())


def test_places_and_steps_get_independent_masks():
    masks = np.array(
        [
            keep_mask(tf.constant([100_000]), 0.5, mask_key(site_seed(tf.constant([0, step]), layer), site))
            for step in range(2)
            for layer in range(2)
            for site in range(3)
        ]
    )
    correlation = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(correlation).max() < 0.014


def test_a_key_gives_one_mask_compiled_or_not():
    compiled = tf.function(keep_mask, jit_compile=True)
    shape = tf.constant([3, 5, 7])
    np.testing.assert_array_equal(compiled(shape, 0.3, KEY), keep_mask(shape, 0.3, KEY))
