"""How sure a score is, and whether two runs differ. No TensorFlow here.

All of it takes questions as independent of each other, which those of one passage are not quite.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

SEED = 12345
RESAMPLES = 1000
FLIPS = 10_000
LEVEL = 0.95  # of all intervals
_Z = 1.959963984540054  # of the normal distribution, for that level
_CHUNK = 1 << 22  # random numbers at a time


class Interval(NamedTuple):
    """Bounds that hold the true value in 95 of 100 such samples."""

    low: float
    high: float


def wilson_interval(num_successes: int, total: int) -> Interval:
    """Return Wilson's score interval of a share.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not total:
        return Interval(0.0, 1.0)
    share = num_successes / total
    centre = share + _Z * _Z / (2 * total)
    half = _Z * math.sqrt(share * (1 - share) / total + _Z * _Z / (4 * total * total))
    scale = 1 + _Z * _Z / total
    # At a share of 0 or 1 the bound is just that, but for the rounding.
    low = 0.0 if num_successes == 0 else (centre - half) / scale
    high = 1.0 if num_successes == total else (centre + half) / scale
    return Interval(low, high)


def bootstrap_interval(values: Sequence[float], seed: int = SEED) -> Interval:
    """Return the percentile interval of a mean: of `RESAMPLES` samples drawn with replacement.

    Args:
      values: one for each question; at least one.
      seed: the same interval for the same seed.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), 13.3.
    """
    array = np.asarray(values, np.float64)
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            array[generator.integers(0, len(array), (count, len(array)))].mean(axis=1)
            for count in _chunks(RESAMPLES, len(array))
        ]
    )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def mcnemar_p(num_better: int, num_worse: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Args:
      num_better: questions that only the one run has right.
      num_worse: those that only the other has right.

    Returns:
      How likely so uneven a split, or a more uneven one, is when each such question falls to either side by the
      toss of a coin.

    Source: McNemar (1947), with the binomial distribution itself.

    >>> mcnemar_p(0, 5), mcnemar_p(3, 3)
    (0.0625, 1.0)
    """
    total = num_better + num_worse
    if not total:
        return 1.0
    log_half = total * math.log(2)
    tail = math.fsum(
        math.exp(math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - log_half)
        for k in range(min(num_better, num_worse) + 1)
    )
    # Rounded where the logarithms are not exact any more.
    return min(1.0, round(2 * tail, 12)) if 2 * tail > 1e-6 else 2 * tail


def sign_flip_p(differences: Sequence[float], seed: int = SEED) -> float:
    """Return the two-sided p-value of the paired permutation test for a mean difference.

    The sign of each question's difference is tossed `FLIPS` times; the p-value is the share of these sums (the
    actual one among them) that are as far from 0 as the actual one.

    Args:
      differences: one for each question.
      seed: the same value for the same seed.

    >>> sign_flip_p([0.0, 0.0])
    1.0
    """
    array = np.asarray([value for value in differences if value], np.float64)
    if not len(array):
        return 1.0
    actual = (
        abs(array.sum()) - 1e-9 * np.abs(array).sum()
    )  # so that equal sums are equal in spite of rounding
    generator = np.random.default_rng(seed)
    num_as_far = 0
    for count in _chunks(FLIPS, len(array)):
        signs = generator.integers(0, 2, (count, len(array)), dtype=np.int8)
        sums = array.sum() - 2 * (signs @ array)
        num_as_far += int((np.abs(sums) >= actual).sum())
    return (num_as_far + 1) / (FLIPS + 1)


def _chunks(total: int, size: int) -> Iterator[int]:
    """Yield numbers of rows of `size` that add up to `total`, none of them too many to hold."""
    most = max(1, _CHUNK // max(size, 1))
    for begin in range(0, total, most):
        yield min(most, total - begin)
