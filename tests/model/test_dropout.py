import numpy as np
import pytest
import tensorflow as tf

from bert_squad.model.dropout import drawn_bits, dropout, keep_mask, mask_key, site_seed

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


def hashed(index: np.ndarray, key) -> np.ndarray:
    """The bits of elements, in NumPy: two rounds of MurmurHash3's finalizer, with one half of the key before each."""

    def mixed(word):
        for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
            word = (word ^ (word >> np.uint32(shift))) * np.uint32(multiplier)
        return word ^ (word >> np.uint32(16))

    first, second = key.numpy()
    return mixed(mixed(index.astype(np.uint32) + first) ^ second)


def test_masks_are_those_of_earlier_versions():
    """A run that one version began is continued by another to the same weights."""
    mask = keep_mask(tf.constant([7, 11]), 0.25, KEY)
    np.testing.assert_array_equal(mask, hashed(np.arange(77).reshape(7, 11), KEY) >= 2**30)


@pytest.fixture(params=["hashed", "drawn"])
def each_way(request, monkeypatch):
    """Masks as without a GPU, and as with one."""
    monkeypatch.setattr("bert_squad.model.dropout.has_gpu", lambda: request.param == "drawn")


@pytest.mark.parametrize("rows", [(0, 2), (1, 4), (5, 6), (2, 7)])
def test_a_part_has_its_slice_of_the_whole_mask(each_way, rows):
    begin, end = rows
    whole = keep_mask(tf.constant([7, 3, 5]), 0.5, KEY)
    part = keep_mask(tf.constant([end - begin, 3, 5]), 0.5, KEY, tf.constant(begin * 15, tf.uint32))
    np.testing.assert_array_equal(part, whole[begin:end])


def test_rows_have_their_places_of_the_whole_mask(each_way):
    """With a GPU too, rows that do not run on are hashed."""
    whole = hashed(np.arange(105).reshape(21, 5), KEY) >= 2**31
    rows = np.array([3, 0, 20, 7])
    first_index = tf.constant(rows[:, np.newaxis] * 5, tf.uint32)
    np.testing.assert_array_equal(keep_mask(tf.constant([4, 5]), 0.5, KEY, first_index), whole[rows])


def test_keys_decide(each_way):
    masks = [
        keep_mask(tf.constant([1000]), 0.5, key, first_index).numpy()
        for key in (KEY, mask_key(SEED, 1), mask_key(SEED + 1, 0))
        for first_index in (None, tf.constant(5000, tf.uint32))
    ]
    correlation = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(correlation).max() < 0.14


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_generator_draws_a_slice_compiled_or_not(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def drawn(first_index):
        return drawn_bits(tf.constant([31]), KEY, first_index)

    whole = tf.function(lambda: drawn_bits(tf.constant([100]), KEY), jit_compile=jit_compile)()
    for first in (0, 1, 6, 7, 64, 69):
        np.testing.assert_array_equal(drawn(tf.constant(first, tf.uint32)), whole[first : first + 31])
