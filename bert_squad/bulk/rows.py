"""A row that asks: a question, its passage and whatever else it holds; and its answer beside all of that."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_squad.errors import DataError
from bert_squad.json_files import parse_json

if TYPE_CHECKING:
    from bert_squad.serving.asking import ExportedModel

_PREDICTION = "prediction"


class Request(NamedTuple):
    """A question, its passage, and all of the row that holds them."""

    question: str
    context: str
    row: dict[str, Any]


def parse_request(content: bytes, what: str) -> Request:
    """Read a row that is a line of JSON.

    Args:
      content: the line.
      what: what to call it in a message, such as "Line 3 of x.jsonl".

    Raises:
      DataError: when it is no JSON object with a question and a context; it begins with `what`.
    """
    try:
        row = parse_json(content, what)
    except DataError as error:
        raise DataError(str(error).replace(" at line 1, column", " at column")) from None
    return request_of(row, what)


def request_of(row: Any, what: str) -> Request:
    """Return what a row asks; arguments and errors as `parse_request`."""
    for key in ("question", "context"):
        if not isinstance(row, dict) or not isinstance(row.get(key), str):
            raise DataError(f"{what} must be a JSON object with a string {key!r}.")
    return Request(row["question"], row["context"], row)


def answers(
    model: "ExportedModel", requests: Sequence[Request], nbest: int
) -> Iterator[dict[str, Any] | DataError]:
    """Yield the answer to each request, or why it has none; one that fails does not take the others along.

    Args:
      model: that is asked, all requests at a time.
      requests: what is asked.
      nbest: how many answers are in the list `nbest` of an answer, at most.
    """
    if not requests:
        return
    try:
        found = model.answer([of.question for of in requests], [of.context for of in requests])
    except DataError as error:
        if len(requests) == 1:
            yield error
        else:
            for request in requests:
                yield from answers(model, [request], nbest)
        return
    for answer in found:
        answer["nbest"] = answer["nbest"][:nbest]
        yield without_placeholder(answer)


def without_placeholder(answer: dict[str, Any]) -> dict[str, Any]:
    """Say "" where a version 1.1 model says "empty" for the lack of any answer, as a version 2 model does."""
    if answer["answer"] and answer["start_char"] < 0:
        answer.update(answer="", is_impossible=True)
        for entry in answer["nbest"]:
            entry["text"] = ""
    return answer


def beside(row: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Put an answer beside what its row holds, or under a key of its own where both have the same key.

    >>> beside({"id": 1}, {"answer": "Malaga"}), beside({"answer": "gold"}, {"answer": "Malaga"})
    ({'id': 1, 'answer': 'Malaga'}, {'answer': 'gold', 'prediction': {'answer': 'Malaga'}})
    """
    if row.keys().isdisjoint(answer):
        return {**row, **answer}
    name = _PREDICTION
    while name in row:
        name += "_"
    return {**row, name: answer}


def as_json(values: dict[str, Any], encoding: str = "utf-8") -> str:
    """Return JSON in one line, escaped where it cannot be written in an encoding; dates and the like as text."""
    text = json.dumps(values, ensure_ascii=False, default=str)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(values, default=str)
    return text
