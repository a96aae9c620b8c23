import random

import pytest
import tensorflow as tf

from bert_squad.serving.text_keys import TextKeys, _powers


def test_powers_are_those_of_python():
    exponents = [0, 1, 2047, 2048, 2049, 1 << 22, (1 << 22) - 1, 123456789, 2**31 - 1]
    for power, prime in _powers():
        base = int(power(tf.constant([1]))[0])
        wanted = [pow(base, exponent, prime) for exponent in exponents]
        assert power(tf.constant(exponents)).numpy().tolist() == wanted


@pytest.mark.parametrize("alphabet", [[0], [0, 1], [97, 98, 32], [0x10FFFF, 0xFFFD, 0x4E00]])
def test_keys_are_the_same_for_the_same_text_and_no_other(alphabet):
    random_ = random.Random(len(alphabet))
    codes = random_.choices(alphabet, k=90)
    parts = [(start, end) for start in range(90) for end in range(start + 1, 91)]
    keys = TextKeys(tf.constant(codes)).of(*(tf.constant(column) for column in zip(*parts, strict=True)))
    texts = [tuple(codes[start:end]) for start, end in parts]
    keys = keys.numpy().tolist()
    assert len(set(keys)) == len(set(texts)) == len(set(zip(keys, texts, strict=True)))


def test_no_text():
    nothing = tf.constant([], tf.int32)
    assert TextKeys(nothing).of(nothing, nothing).shape == (0,)
