"""Numbers that tell whether two parts of a text are the same, without reading them.

Candidates often overlap or repeat each other: to compare what they say, character by character, takes as many steps as
they have characters together, which is far more than the passage has.
"""

import numpy as np
import tensorflow as tf

# Remainders of a polynomial in a base, as of Karp and Rabin, for two primes: 62 bits, so that a mistake among a
# million texts is less likely than one in a million. Products of two remainders fit into int64.
_PRIMES_AND_BASES = ((2147483647, 1664525019), (2147483629, 1103515247))
_KEY_SHIFT = 1 << 31
# An exponent is cut in three, and each part has a table of powers.
_PART_BITS, _LAST_PART_BITS = 11, 9


class TextKeys:
    """Keys of the parts of a text.

    Args:
      codes: int32 [N], its characters.
    """

    def __init__(self, codes: tf.Tensor):
        self._size = tf.size(codes)
        # 1 more than the code, so that no character counts as nothing.
        values = tf.cast(codes, tf.int64) + 1
        positions = tf.range(self._size)
        self._sums = [
            tf.concat([[tf.constant(0, tf.int64)], tf.cumsum(values * power(positions) % prime)], 0)
            for power, prime in _powers()
        ]

    def of(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        """Return a number for each part, int64 [Q]: the same for the same characters.

        Args:
          starts: int32 [Q], the first character.
          ends: int32 [Q], exclusive.
        """
        key = tf.zeros_like(starts, tf.int64)
        for (power, prime), sums in zip(_powers(), self._sums, strict=True):
            # As if each part began where the text ends.
            own = (tf.gather(sums, ends) - tf.gather(sums, starts)) % prime
            key = key * _KEY_SHIFT + own * power(self._size - starts) % prime
        return key


def _powers():
    for prime, base in _PRIMES_AND_BASES:
        yield _power_function(prime, base), prime


def _power_function(prime: int, base: int):
    """Return a function from exponents, int32 [N], to the powers of `base` modulo `prime`, int64 [N]."""
    tables, step = [], base
    for bits in (_PART_BITS, _PART_BITS, _LAST_PART_BITS):
        powers = [1]
        for _ in range((1 << bits) - 1):
            powers.append(powers[-1] * step % prime)
        tables.append(np.array(powers, np.int64))
        step = powers[-1] * step % prime

    def power(exponents: tf.Tensor) -> tf.Tensor:
        low = tf.gather(tables[0], exponents % (1 << _PART_BITS))
        rest = exponents // (1 << _PART_BITS)
        middle = tf.gather(tables[1], rest % (1 << _PART_BITS))
        high = tf.gather(tables[2], rest // (1 << _PART_BITS))
        return low * middle % prime * high % prime

    return power
