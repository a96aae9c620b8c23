"""Intervals and tests of differences, by value."""

import math
from fractions import Fraction

import numpy as np
import pytest

from bert_squad.report.statistics import bootstrap_interval, mcnemar_p, sign_flip_p, wilson_interval


@pytest.mark.parametrize("num_right", [0, 1, 40, 99, 100])
def test_wilson_bounds_are_where_the_normal_test_just_rejects(num_right):
    z = 1.959963984540054
    share = num_right / 100
    for bound in wilson_interval(num_right, 100):
        if 1e-9 < bound < 1 - 1e-9:
            assert abs(share - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / 100))
        else:
            assert bound in (0.0, 1.0)
            assert bound == share


def test_the_bootstrap_has_the_width_of_the_normal_distribution():
    values = np.random.default_rng(1).random(2000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / math.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_bootstrap_is_the_same_again_and_of_its_seed():
    values = [0.0, 1.0, 0.5, 0.25] * 25
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=2)
    assert bootstrap_interval([0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (0, 5), (7, 3), (40, 61), (300, 260)])
def test_mcnemar_is_the_binomial_distribution_itself(better, worse):
    total = better + worse
    tail = sum(Fraction(math.comb(total, k), 2**total) for k in range(min(better, worse) + 1))
    assert mcnemar_p(better, worse) == pytest.approx(min(1.0, float(2 * tail)), rel=1e-6)
    assert mcnemar_p(better, worse) == mcnemar_p(worse, better)


def test_sign_flips_agree_with_all_of_them():
    differences = [3.0, -1.0, 2.0, 2.5, 0.0, -0.5, 4.0, 1.0]
    moving = [value for value in differences if value]
    sums = [
        abs(sum(value if number >> bit & 1 else -value for bit, value in enumerate(moving)))
        for number in range(2 ** len(moving))
    ]
    exact = sum(value >= abs(sum(moving)) for value in sums) / len(sums)
    assert sign_flip_p(differences) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p(differences) != sign_flip_p(differences, seed=2)
