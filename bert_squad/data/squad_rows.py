"""Rows, as Hugging Face, TFDS and MRQA have questions, and SQuAD's nested JSON: one from the other.

A row of Hugging Face's `squad` and `squad_v2`, or of TFDS, is one question:

    {"id": "q1", "title": "Riga", "context": "…", "question": "…", "answers": {"text": ["…"], "answer_start": [17]}}

A row of MRQA is a passage with its questions:

    {"context": "…", "qas": [{"qid": "q1", "question": "…", "answers": ["…"],
                              "detected_answers": [{"text": "…", "char_spans": [[17, 20]]}]}]}
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bert_squad.data.question_ids import quoted_id
from bert_squad.errors import DataError

NOT_ALIGNED = -1
"""The `answer_start` of a text that the passage does not hold, or of which nobody said where."""

_ABSENT = object()


def is_row(value: Any) -> bool:
    """Say whether a JSON value is a row, not SQuAD's own."""
    if not isinstance(value, dict) or "paragraphs" in value or "data" in value:
        return False
    return "context" in value and ("question" in value or "qas" in value)


def is_header(value: Any) -> bool:
    """Say whether a JSON value is the first line of an MRQA file."""
    return isinstance(value, dict) and "header" in value and "context" not in value


class RowArticles:
    """Collects rows of one file or several as SQuAD's articles.

    Neighbours with the same title and passage become questions of one paragraph, so that the order of the questions
    stays, and each passage is held once.

    Attributes:
      articles: of the file that is being read.
      impossible_in: the file of the first row whose question has no answer: the data set is of version 2.0.
    """

    def __init__(self) -> None:
        self.articles: list[Any] = []
        self.impossible_in: str | None = None
        self._title: Any = _ABSENT
        self._path = ""
        self._answered: list[dict[str, Any]] = []  # may have to be marked in the end

    def begin(self, path: str) -> list[dict[str, Any]]:
        """Begin a file; return the list that will hold its articles."""
        self._path, self.articles, self._title = path, [], _ABSENT
        return self.articles

    def add_article(self, article: Any) -> None:
        """Take over an article of SQuAD JSON as it is."""
        self.articles.append(article)
        self._title = _ABSENT

    def add(self, row: Any, where: str) -> None:
        """Add a row.

        Args:
          row: of any of the kinds above; a header is passed over.
          where: it is, such as "line 3", for messages.

        Raises:
          DataError: naming the file and the row, and the question where it has an id.
        """
        if is_header(row):
            return
        if not isinstance(row, dict):
            raise self._error(f"{where} should be an object with 'context' and 'question', not {row!r:.40}.")
        if "qas" in row:
            self._add_passage(row, where)
            return
        if "id" not in row:
            raise self._error(f"{where} has no 'id'.")
        where = f"{where} (question {quoted_id(row['id'])})"
        qa = {"id": row["id"], "question": self._text(row, "question", where)}
        qas = self._qas(row.get("title"), self._text(row, "context", where))
        self._fill(qa, row, where)
        qas.append(qa)

    def finish(self) -> None:
        """Mark the questions with answers too, when others have none; to be called after the last file."""
        if self.impossible_in:
            for qa in self._answered:
                qa["is_impossible"] = False
        self._answered = []

    def _fill(self, qa: dict[str, Any], row: dict[str, Any], where: str) -> None:
        """Add answers and marks to a question.

        A list of answers that is empty says that there is none; one that is not there, or null, says nothing.
        """
        answers = self._answers(row, "answers", where)
        qa["answers"] = answers or []
        if row.get("is_impossible") is not None:
            qa["is_impossible"] = row["is_impossible"]
        elif answers:
            self._answered.append(qa)
        elif answers is not None:
            qa["is_impossible"] = True
            self.impossible_in = self.impossible_in or self._path
        plausible = self._answers(row, "plausible_answers", where)
        if plausible:
            qa["plausible_answers"] = plausible

    def _answers(self, row: dict[str, Any], key: str, where: str) -> list[Any] | None:
        answers = row.get(key)
        if answers is None and f"{key}/text" in row:  # TFDS, as a table
            answers = {name: row.get(f"{key}/{name}") for name in ("text", "answer_start")}
        if answers is None:
            return None
        if isinstance(answers, dict):
            texts, starts = answers.get("text"), answers.get("answer_start")
            if starts is None and isinstance(texts, list):
                starts = [NOT_ALIGNED] * len(texts)
            if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
                raise self._error(
                    f"'{key}' of {where} should hold the lists 'text' and 'answer_start', of one length."
                )
            return [_answer(text, start) for text, start in zip(texts, starts, strict=True)]
        if not isinstance(answers, list):
            raise self._error(f"'{key}' of {where} should be an object or a list.")
        return [_answer(answer, NOT_ALIGNED) if isinstance(answer, str) else answer for answer in answers]

    def _add_passage(self, row: dict[str, Any], where: str) -> None:
        """Add a row of MRQA, or a paragraph of SQuAD."""
        context = self._text(row, "context", where)
        if not isinstance(row["qas"], list):
            raise self._error(f"'qas' of {where} should be a list.")
        qas = self._qas(row.get("title"), context)
        for number, source in enumerate(row["qas"]):
            place = f"qas[{number}] of {where}"
            if not isinstance(source, dict):
                raise self._error(f"{place} should be an object.")
            key = "qid" if "qid" in source else "id"
            if key not in source:
                raise self._error(f"{place} has no 'qid'.")
            place = f"{place} (question {quoted_id(source[key])})"
            qa = {"id": source[key], "question": self._text(source, "question", place)}
            if "detected_answers" in source:
                qa["answers"] = self._detected(source, context, place)
                self._answered.append(qa)
            else:
                self._fill(qa, source, place)
            qas.append(qa)

    def _detected(self, source: dict[str, Any], context: str, where: str) -> list[dict[str, Any]]:
        """Return where an answer was found, then its other names, which count when predictions are scored."""
        answers: list[dict[str, Any]] = []
        names: list[Any] = []
        detected = source["detected_answers"]
        for found in detected if isinstance(detected, list) else [None]:
            text, spans = (
                (found.get("text"), found.get("char_spans")) if isinstance(found, dict) else (None, None)
            )
            if not isinstance(text, str) or not isinstance(spans, list) or not all(map(_is_span, spans)):
                raise self._error(
                    f"'detected_answers' of {where} should be a list of objects with a 'text' and 'char_spans', pairs "
                    "of numbers."
                )
            names.append(text)
            for first, last in spans:  # both inclusive
                there = context[first : last + 1] if first >= 0 else ""
                answers.append(_answer(_as_in_passage(text, there), first))
        names += source["answers"] if isinstance(source.get("answers"), list) else []
        known = {answer["text"] for answer in answers}
        others = dict.fromkeys(name for name in names if isinstance(name, str) and name not in known)
        return answers + [_answer(name, NOT_ALIGNED) for name in others]

    def _qas(self, title: Any, context: str) -> list[dict[str, Any]]:
        """Return the list of questions of a passage: that of the row before, or a new one."""
        if self._title is _ABSENT or title != self._title:
            self._title = title
            self.articles.append(({} if title is None else {"title": title}) | {"paragraphs": []})
        paragraphs = self.articles[-1]["paragraphs"]
        if not paragraphs or paragraphs[-1]["context"] != context:
            paragraphs.append({"context": context, "qas": []})
        return paragraphs[-1]["qas"]

    def _text(self, holder: dict[str, Any], key: str, where: str) -> str:
        if not isinstance(holder.get(key), str):
            problem = f"should have a text as '{key}'" if key in holder else f"has no '{key}'"
            raise self._error(f"{where} {problem}.")
        return holder[key]

    def _error(self, message: str) -> DataError:
        return DataError(f"In the data set {self._path}, {message}")


def _answer(text: Any, start: Any) -> dict[str, Any]:
    return {"text": text, "answer_start": start}


def _as_in_passage(text: str, there: str) -> str:
    """Return an answer as the passage writes it, if only case and spaces are others; `text` if it is another word.

    >>> _as_in_passage("new york", "New  York"), _as_in_passage("York", "Riga")
    ('New  York', 'York')
    """
    return there if text.casefold().split() == there.casefold().split() else text


def _is_span(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(type(place) is int for place in span)


class FlatQuestion(NamedTuple):
    """A question of a SQuAD data set with what stands around it."""

    title: Any
    context: str
    qa: dict[str, Any]


def questions_in(squad: Any) -> Iterator[FlatQuestion]:
    """Yield the questions of SQuAD JSON that was read without an error, in order."""
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield FlatQuestion(article.get("title"), paragraph["context"], qa)
