"""Read and check what the metrics are computed from: a SQuAD data set, predictions, null odds.

Each may be given as the path of a file or as the JSON loaded from one.
"""

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bert_squad.answers.prediction_files import json_key
from bert_squad.errors import DataError
from bert_squad.json_files import read_json


class Question(NamedTuple):
    """A question's id, as a JSON key, and the texts of its answers; none when it is unanswerable."""

    qas_id: str
    answers: list[str]


def read_questions(dataset: Any) -> tuple[list[Question], bool]:
    """Return the questions of a data set, and whether any has the key `is_impossible`.

    Raises:
      DataError: when it cannot be read, is not SQuAD, or holds no questions.
    """
    data, name = _load(dataset, "data set")
    questions: list[Question] = []
    marked = False
    for qa in _question_objects(data.get("data") if isinstance(data, Mapping) else data, name):
        answers = qa.get("answers")
        if not isinstance(answers, list) or not all(
            isinstance(answer, Mapping) and isinstance(answer.get("text"), str) for answer in answers
        ):
            raise DataError(
                f"Question {qa['id']} of the {name} should have 'answers', a list of objects with a 'text'."
            )
        questions.append(Question(json_key(qa["id"]), [answer["text"] for answer in answers]))
        marked = marked or "is_impossible" in qa
    if not questions:
        raise DataError(f"The {name} holds no questions.")
    return questions, marked


def read_predictions(predictions: Any) -> dict[str, str]:
    """Return question id → predicted text, ids as JSON keys.

    Raises:
      DataError: when they cannot be read or a prediction is not a text.
    """
    values, name = _load_object(predictions, "predictions")
    for qas_id, value in values.items():
        if not isinstance(value, str):
            raise DataError(
                f"The prediction for question {qas_id} of the {name} is not a text; give a predictions.json."
            )
    return {json_key(qas_id): value for qas_id, value in values.items()}


def read_null_odds(null_odds: Any) -> dict[str, float]:
    """Return question id → odds of no answer, ids as JSON keys.

    Raises:
      DataError: when they cannot be read or one is not a number.
    """
    values, name = _load_object(null_odds, "null odds")
    for qas_id, value in values.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise DataError(
                f"The value for question {qas_id} of the {name} is not a number; give a null_odds.json."
            )
    return {json_key(qas_id): value for qas_id, value in values.items()}


def _question_objects(articles: Any, name: str) -> Iterator[Mapping]:
    """Yield the question objects of the "data" list, each of them with an id."""
    for article_index, article in enumerate(_list(articles, f"The {name}", "the list 'data'")):
        where = f"data[{article_index}] of the {name}"
        for paragraph in _list(_field(article, "paragraphs"), where, "the list 'paragraphs'"):
            for qa in _list(_field(paragraph, "qas"), f"A paragraph in {where}", "the list 'qas'"):
                if not isinstance(_field(qa, "id"), (str, int, float)):
                    raise DataError(f"A question in {where} should have an 'id'; is this SQuAD data?")
                yield qa


def _field(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Mapping) else None


def _list(value: Any, where: str, what: str) -> list:
    if not isinstance(value, list):
        raise DataError(f"{where} should hold {what}; is this SQuAD data?")
    return value


def _load_object(source: Any, what: str) -> tuple[Mapping, str]:
    values, name = _load(source, what)
    if not isinstance(values, Mapping):
        raise DataError(f"The {name} should be an object with question ids as keys.")
    return values, name


def _load(source: Any, what: str) -> tuple[Any, str]:
    """Return JSON data, read if `source` is a path, and what to call it in a message."""
    if not isinstance(source, (str, os.PathLike)):
        return source, what
    path = os.fspath(source)
    return read_json(path, what), f"{what} {path}"
