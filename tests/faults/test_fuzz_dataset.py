"""Damaged data sets: read, converted, scored, or refused in a sentence."""

import json

import pytest
from absl import logging
from faults.json_mutation import check_json_reader

from bert_squad.answers.metrics import evaluate
from bert_squad.answers.metrics_input import check_scorable, read_questions
from bert_squad.data.examples import read_squad_examples, shuffle_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.data.records import serialize
from bert_squad.errors import BertSquadError
from bert_squad.text.tokenization import FullTokenizer

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
CONTEXT = "Isaac Reed bought a house\u00a0in Riga, and d\u00ed\u0301ed in  M\u00e1laga."


def question(qas_id, text="Riga", start=29, **more):
    return {
        "id": qas_id,
        "question": "where d\u00edd he?",
        "answers": [{"text": text, "answer_start": start}],
        **more,
    }


SEEDS = [
    {"version": "1.1", "data": [{"title": "t", "paragraphs": [
        {"context": CONTEXT, "qas": [question("q1"), question(2, "Isaac", 0)]},
        {"context": "a b", "qas": [question("q3", "b", 2)]},
    ]}]},
    {"version": "v2.0", "data": [{"paragraphs": [
        {"context": CONTEXT, "qas": [question("q1", is_impossible=False),
                                     {"id": "q4", "question": "", "answers": [], "is_impossible": True}]},
    ]}, {"paragraphs": []}]},
]  # fmt: skip


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "vocab.txt"
    letters = "abcdefghijklmnopqrstuvwxyz"
    path.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), ","]))
    return FullTokenizer(str(path))


@pytest.fixture(autouse=True)
def quiet():
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    yield
    logging.set_verbosity(before)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
@pytest.mark.parametrize("is_training", [True, False])
def test_reading_and_converting(tmp_path, tokenizer, is_training, seconds):
    path = tmp_path / "set.json"
    whole = [json.dumps(value).encode() for value in SEEDS]  # each fits one of the two versions

    def read(content):
        path.write_bytes(content)
        problem = None
        for version_2 in (False, True):
            try:
                examples = read_squad_examples(str(path), is_training, version_2_with_negative=version_2)
                shuffle_examples(examples)
                for feature in convert_examples_to_features(examples, tokenizer, 24, 4, 8, is_training):
                    serialize(feature, is_training)
            except BertSquadError as error:
                problem = error
        if problem and content not in whole:
            raise problem

    check_json_reader(read, SEEDS, seconds)


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_scoring(tmp_path, seconds):
    path = tmp_path / "set.json"
    predictions = {"q1": "Riga", "2": "x", "q3": "", "q4": ""}
    odds = dict.fromkeys(predictions, -1.0)

    def read(content):
        path.write_bytes(content)
        problem = check_scorable(str(path))
        questions = read_questions(str(path))
        if problem is None:
            evaluate(questions, predictions)
        evaluate(questions, predictions, odds)

    check_json_reader(read, SEEDS, seconds)
