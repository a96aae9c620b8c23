"""Damaged files of rows: read, checked, converted, or refused in a sentence."""

import gzip
import json

import pytest
from absl import logging
from data.row_files import flat, mrqa, qa, squad_of, write_parquet
from faults.json_mutation import check_json_reader, json_mutations
from faults.mutation import check_reader

from bert_squad.answers.metrics_input import check_scorable
from bert_squad.data.checking import CheckOptions, check_data_set
from bert_squad.data.conversion import write_data_set
from bert_squad.data.sources import read_data_set
from bert_squad.errors import BertSquadError

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
SQUAD = squad_of(qa("q1"), qa("q2", "Riga", 15), title="t")
SEEDS = [flat(SQUAD), mrqa(SQUAD), {"version": "1", "data": flat(SQUAD)}]


@pytest.fixture(autouse=True)
def quiet():
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    yield
    logging.set_verbosity(before)


@pytest.fixture
def use(tmp_path):
    """Do with a file what can be done with a data set."""
    path = tmp_path / "x"

    def use(content):
        path.write_bytes(content)
        data = read_data_set(str(path))
        check_data_set(data, CheckOptions(trains=True))
        check_data_set(data, CheckOptions(scores=True))
        check_scorable(data.squad)
        write_data_set(data, str(tmp_path / "y"), "jsonl", overwrite=True)

    return use


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_json(use, seconds):
    check_json_reader(use, SEEDS, seconds)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_json_lines(use, seconds):
    lines = ["".join(f"{json.dumps(row)}\n" for row in rows).encode() for rows in SEEDS[:2]]
    check_reader(use, lines, seconds / 2)
    check_reader(use, list(map(gzip.compress, lines)), seconds / 2)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_parquet(use, tmp_path, seconds):
    pytest.importorskip("pyarrow")
    content = write_parquet(tmp_path / "seed", flat(SQUAD)).read_bytes()
    check_reader(use, [content], seconds)


def test_squad_that_is_odd_is_converted_or_refused(use):
    """What the fuzz of rows seldom reaches: nested JSON with odd values in it."""
    messages = []
    for _, squad in zip(range(500), json_mutations([SQUAD], 0), strict=False):
        try:
            use(json.dumps(squad).encode())
        except BertSquadError as error:
            messages.append(str(error))
    assert 50 < len(messages) < 450
    assert not any("\n" in message for message in messages)
