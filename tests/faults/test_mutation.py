import itertools
import json

import pytest
from faults.mutation import check_reader, mutations

from bert_squad.errors import DataError

SEEDS = [b'{"a": [1, 2, 3]}' * 10, b"\x00\x01" * 40]


def test_the_same_seed_damages_in_the_same_way():
    first, second, other = (list(itertools.islice(mutations(SEEDS, seed), 200)) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert len(set(first)) > 150


def test_an_empty_seed_is_no_trouble():
    assert len(list(itertools.islice(mutations([b""], 0), 200))) == 200


def test_a_reader_that_raises_something_else_fails():
    with pytest.raises(AssertionError, match=r"mutation .* with seed 0 raises .*Error"):
        check_reader(json.loads, [b"[1]"], seconds=5)


def test_a_reader_that_notices_nothing_fails():
    with pytest.raises(AssertionError, match="no damage was noticed"):
        check_reader(bytes, SEEDS, seconds=0.05)


def test_refusals_are_counted():
    def read(content):
        if content not in SEEDS:
            raise DataError("damaged")

    assert check_reader(read, SEEDS, seconds=0.05) > 0
