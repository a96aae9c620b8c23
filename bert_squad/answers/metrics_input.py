"""Read and check what the metrics are computed from: a SQuAD data set, predictions, null odds.

Each may be given as the path of a file or as the JSON loaded from one.
"""

import math
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bert_squad.answers.prediction_files import json_key
from bert_squad.data.question_ids import NamedIds, shown_id
from bert_squad.data.sources import read_data_set
from bert_squad.errors import DataError
from bert_squad.json_files import read_json

_ID_KINDS = (str, int, float, type(None))  # what can be a key of predictions.json; to Python a bool is an int


class Question(NamedTuple):
    """A question's id, as a JSON key, and the texts of its answers; none when it is unanswerable."""

    qas_id: str
    answers: list[str]


class QuestionSet(NamedTuple):
    """The questions of a data set, all that scoring needs of it, and whether any has the key `is_impossible`."""

    questions: list[Question]
    is_version_2: bool


def read_questions(dataset: Any, name: str = "data set", most: int | None = None) -> QuestionSet:
    """Return the questions of a data set.

    Args:
      dataset: the loaded JSON, its "data" list, the path of a file, or what this function returned.
      name: what to call loaded JSON in messages, e.g. "data set dev.json".
      most: return the first so many alone; None for all.

    Raises:
      DataError: when it cannot be read, is not SQuAD, or holds no questions.
    """
    if isinstance(dataset, QuestionSet):
        return dataset._replace(questions=dataset.questions[:most])
    data, name = _load_data_set(dataset, name)
    questions: list[Question] = []
    without_answers = NamedIds()
    marked = False
    for qa in _question_objects(data.get("data") if isinstance(data, Mapping) else data, name):
        answers = qa.get("answers")
        if not isinstance(answers, list) or not all(
            isinstance(answer, Mapping) and isinstance(answer.get("text"), str) for answer in answers
        ):
            without_answers.add(qa["id"])
            answers = []
        questions.append(Question(json_key(qa["id"]), [answer["text"] for answer in answers]))
        marked = marked or "is_impossible" in qa
    if without_answers:
        raise DataError(
            f"{_subject(without_answers)} of the {name} should have 'answers', a list of objects with a 'text'."
        )
    if not questions:
        raise DataError(f"The {name} holds no questions.")
    return QuestionSet(questions[:most], marked)


def check_scorable(
    dataset: Any, *, is_version_2: bool = False, name: str = "data set", most: int | None = None
) -> str | None:
    """Say, before anything is predicted, why the predictions for a data set will not be scored.

    Args:
      dataset: as for `read_questions`.
      is_version_2: the run predicts null odds, so that questions without an answer can be scored.
      name: see there.
      most: see there.

    Returns:
      A sentence that names the questions, or None when all can be scored.

    >>> check_scorable([{"paragraphs": [{"qas": [{"id": "q", "answers": []}]}]}])
    "Question q has no answer to compare with; unanswerable questions are marked with 'is_impossible' as in SQuAD 2.0."
    """
    try:
        questions, marked = read_questions(dataset, name, most)
    except DataError as error:
        return str(error)
    return None if is_version_2 or marked else _unanswered(questions)


def check_answered(questions: Iterable[Question]) -> None:
    """Raise a DataError that names the questions without an answer, which version 1.1 cannot score."""
    problem = _unanswered(questions)
    if problem:
        raise DataError(problem)


def _unanswered(questions: Iterable[Question]) -> str | None:
    unanswered = NamedIds()
    for question in questions:
        if not question.answers:
            unanswered.add(question.qas_id)
    if not unanswered:
        return None
    return (
        f"{_subject(unanswered)} {'has' if len(unanswered) == 1 else 'have'} no answer to compare with; unanswerable "
        "questions are marked with 'is_impossible' as in SQuAD 2.0."
    )


def _subject(ids: NamedIds) -> str:
    return f"Question {ids}" if len(ids) == 1 else f"Questions {ids}"


def read_predictions(predictions: Any, asked: Container[str]) -> dict[str, str]:
    """Return question id → predicted text, ids as JSON keys.

    Args:
      predictions: the loaded JSON, or the path of a file.
      asked: the ids of the data set, as JSON keys; predictions for others are left out.

    Raises:
      DataError: when they cannot be read or a prediction is not a text.
    """
    values, name = _load_object(predictions, "predictions")
    of_asked = {key: value for qas_id, value in values.items() if (key := json_key(qas_id)) in asked}
    for qas_id, value in of_asked.items():
        if not isinstance(value, str):
            raise DataError(
                f"The prediction for question {shown_id(qas_id)} of the {name} is not a text; give a predictions.json."
            )
    return of_asked


def read_null_odds(null_odds: Any) -> dict[str, float]:
    """Return question id → odds of no answer, ids as JSON keys.

    Raises:
      DataError: when they cannot be read or one is not a number, or an integer beyond the range of floats.
    """
    values, name = _load_object(null_odds, "null odds")
    for qas_id, value in values.items():
        if not _is_number(value):
            raise DataError(
                f"The value for question {shown_id(qas_id)} of the {name} is not a number; give a null_odds.json."
            )
    return {json_key(qas_id): value for qas_id, value in values.items()}


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _question_objects(articles: Any, name: str) -> Iterator[Mapping]:
    """Yield the question objects of the "data" list, each of them with an id."""
    for article_index, article in enumerate(_list(articles, f"The {name}", "the list 'data'")):
        where = f"data[{article_index}] of the {name}"
        for paragraph in _list(_field(article, "paragraphs"), where, "the list 'paragraphs'"):
            for qa in _list(_field(paragraph, "qas"), f"A paragraph in {where}", "the list 'qas'"):
                if not isinstance(qa, Mapping) or not isinstance(qa.get("id", []), _ID_KINDS):
                    raise DataError(f"A question in {where} should have an 'id'; is this SQuAD data?")
                yield qa


def _field(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Mapping) else None


def _list(value: Any, where: str, what: str) -> list:
    if not isinstance(value, list):
        raise DataError(f"{where} should hold {what}; is this SQuAD data?")
    return value


def _load_object(source: Any, what: str) -> tuple[Mapping, str]:
    values, name = _load(source, what, what)
    if not isinstance(values, Mapping):
        raise DataError(f"The {name} should be an object with question ids as keys.")
    return values, name


def _load_data_set(source: Any, name: str) -> tuple[Any, str]:
    """Return the JSON of a data set, read if `source` names one, and what to call it in a message."""
    if not isinstance(source, (str, os.PathLike)):
        return source, name
    data = read_data_set(os.fspath(source), flag=None)
    return data.squad, f"data set {data.name}"


def _load(source: Any, what: str, name: str) -> tuple[Any, str]:
    """Return JSON data, read if `source` is a path, and what to call it in a message: `name` unless read here."""
    if not isinstance(source, (str, os.PathLike)):
        return source, name
    path = os.fspath(source)
    return read_json(path, what), f"{what} {path}"
