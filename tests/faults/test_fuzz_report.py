"""Damaged files of a run: reported, or refused in a sentence."""

import contextlib
import itertools
import json
import time

import pytest
from faults.json_mutation import check_json_reader, json_mutations
from faults.mutation import mutations
from golden_files import golden
from report.report_files import entry, squad, write_json

from bert_squad.errors import BertSquadError
from bert_squad.report.report import write_report

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
QUESTIONS = [
    ("q1", "Who?", "Ann 😀 and  Bob", ["Ann"]),
    ("q2", "How many?", "Ann 😀 and  Bob", ["Bob", "and  Bob"]),
    ("q3", "Why?", "No.", []),
]
VOCABULARY = str(golden("tiny/vocab_uncased.txt"))
FILES = {
    "dev.json": squad(QUESTIONS),
    "predictions.json": {"q1": "Ann", "q2": "and Bob", "q3": ""},
    "nbest_predictions.json": {
        "q1": [entry("Ann", 0.9), entry("", 0.1)],
        "q2": [entry("and Bob", 0.6), entry("", 0.4)],
        "q3": [entry("", 1.0), entry("No", 0.0)],
    },
    "null_odds.json": {"q1": -1.5, "q2": 2, "q3": 0.0},
    "predictions_offsets.json": {"q1": {"start": 0, "end": 3}, "q2": {"start": 6, "end": 14}, "q3": None},
    "run.json": {
        "kind": "bert_squad training",
        "flags": {"max_seq_length": 16, "doc_stride": 4, "max_query_length": 4, "do_lower_case": True},
        "vocabulary": {"file": VOCABULARY},
        "sessions": [{"flags": {"predict_file": "dev.json", "max_answer_length": 3}}],
    },
    "eval_results.json": {"exact": 50.0, "f1": 50.0},
}


HISTORY = {"step": 1, "exact": 10.0, "f1": 20.0}
# Of these a report does without what is wrong.
TOLERATED = {"eval_history.jsonl": HISTORY} | {
    name: FILES[name] for name in ("predictions_offsets.json", "run.json", "eval_results.json")
}


@pytest.fixture
def write(tmp_path):
    """Write the report with one file as it is told."""
    for name, content in FILES.items():
        write_json(tmp_path / name, content)

    def write_with(name, content):
        (tmp_path / name).write_bytes(content)
        questions, folder = str(tmp_path / "dev.json"), str(tmp_path)
        write_report(folder, str(tmp_path / "report.html"), predict_file=questions, compare_with=folder)

    return write_with


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
@pytest.mark.parametrize("damaged", sorted(FILES.keys() - TOLERATED.keys()))
def test_what_a_report_needs(write, damaged, seconds):
    check_json_reader(lambda content: write(damaged, content), [FILES[damaged]], seconds)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
@pytest.mark.parametrize("damaged", sorted(TOLERATED))
def test_what_a_report_can_do_without(write, damaged, seconds):
    end = time.monotonic() + seconds
    whole = TOLERATED[damaged]
    write(damaged, json.dumps(whole).encode())
    written = 0
    changed = (json.dumps(value).encode() for value in json_mutations([whole], 0))
    for content in itertools.chain.from_iterable(
        zip(changed, mutations([json.dumps(whole).encode()], 0), strict=False)
    ):
        if time.monotonic() > end:
            break
        with contextlib.suppress(BertSquadError):
            write(damaged, content)
            written += 1
    assert written
