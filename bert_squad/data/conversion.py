"""Write a data set in another form: SQuAD's nested JSON, JSON lines of Hugging Face's rows, or Parquet."""

import contextlib
import gzip
import json
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from bert_squad import files, whole_files
from bert_squad.data import parquet
from bert_squad.data.examples import squad_examples
from bert_squad.data.question_ids import quoted_id
from bert_squad.data.sources import DataSet
from bert_squad.data.squad_rows import NOT_ALIGNED, FlatQuestion, questions_in
from bert_squad.errors import ConfigError, DataError, OutputError

_OF_A_ROW = {"id", "question", "answers", "is_impossible", "plausible_answers"}


class Written(NamedTuple):
    """What was written: how many questions, and which keys of questions a row has no place for."""

    num_questions: int
    dropped_keys: list[str]


def write_data_set(data: DataSet, target: str, to: str, *, overwrite: bool = False) -> Written:
    """Write a data set, whole or not at all.

    Args:
      data: it; all of its questions are there afterwards, with answers, ids, titles and marks.
      target: the file, local or remote; gzipped when its name ends in `.gz`.
      to: "squad", "jsonl" or "parquet".
      overwrite: replace a file that is there.

    Raises:
      ConfigError: when Parquet is to be gzipped, or pyarrow is not there.
      DataError: when the data set is not SQuAD data, or cannot be in such a file; it names the question.
      OutputError: when there is a file already, or it cannot be written.
    """
    is_packed = target.endswith(".gz")
    if is_packed and to == "parquet":
        raise ConfigError(f"Parquet files are packed by themselves; take the .gz from {target}.")
    if files.is_directory(target):
        raise OutputError(f"{target} is a directory; name a file.")
    if files.exists(target) and not overwrite:
        raise OutputError(f"{target} exists already; name another file, or add --overwrite to replace it.")
    # What is read without an error has the structure that is walked through below.
    num_questions = len(squad_examples(data.squad, data.name, is_training=False, members=data.members))
    dropped: set[str] = set()
    writers: dict[str, Callable[[IO[bytes]], None]] = {
        "squad": lambda stream: _write_json(stream, data),
        "jsonl": lambda stream: _write_lines(stream, _rows(data, dropped)),
        "parquet": lambda stream: parquet.write_rows(stream, _rows(data, dropped)),
    }
    with whole_files.open_whole(target, "wb") as writer, _packed(writer, is_packed) as stream:
        writers[to](stream)
    return Written(num_questions, sorted(dropped))


@contextlib.contextmanager
def _packed(writer: IO[bytes], is_packed: bool) -> Iterator[Any]:
    """Give what to write to; the same data set gives the same bytes, so without a name and a time."""
    if not is_packed:
        yield writer
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=writer, mtime=0) as stream:
        yield stream


def _write_json(stream: IO[bytes], data: DataSet) -> None:
    squad = data.squad
    if "version" not in squad:
        marked = any("is_impossible" in question.qa for question in questions_in(squad))
        squad = {"version": "v2.0" if marked else "1.1", **squad}
    # All keys but the longest value at once, that one article by article.
    head = json.dumps({key: value for key, value in squad.items() if key != "data"})
    stream.write(f'{head[:-1]}, "data": ['.encode())
    for number, article in enumerate(squad["data"]):
        stream.write((", " * (number > 0) + json.dumps(article)).encode())
    stream.write(b"]}\n")


def _write_lines(stream: IO[bytes], rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        stream.write(f"{json.dumps(row)}\n".encode())


def _rows(data: DataSet, dropped: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set, and note the keys of its questions that rows do not have."""
    for question in questions_in(data.squad):
        dropped |= question.qa.keys() - _OF_A_ROW
        yield _row(question, data.name)


def _row(question: FlatQuestion, name: str) -> dict[str, Any]:
    title, context, qa = question
    where = f"question {quoted_id(qa['id'])}"
    row = {"id": qa["id"], "context": context, "question": qa["question"]}
    if title is not None:
        if not isinstance(title, str):
            raise DataError(f"In the data set {name}, the 'title' around {where} should be a string.")
        row["title"] = title
    if qa.get("is_impossible", None) is not None:
        row["is_impossible"] = _mark(qa["is_impossible"], where, name)
    for key in ("answers", "plausible_answers"):
        answers = qa.get(key)
        # A row with a list that is empty is of an impossible question; nothing says nothing.
        if answers or (answers is not None and key == "answers" and row.get("is_impossible") is not None):
            row[key] = _columns(answers, f"'{key}' of {where}", name)
    return row


def _columns(answers: Any, where: str, name: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"text": [], "answer_start": []}
    for answer in answers if isinstance(answers, list) else [None]:
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            raise DataError(f"In the data set {name}, {where} should be a list of objects with a 'text'.")
        start = answer.get("answer_start", NOT_ALIGNED)
        if not isinstance(start, int):
            raise DataError(f"In the data set {name}, 'answer_start' in {where} should be an integer.")
        columns["text"].append(answer["text"])
        columns["answer_start"].append(int(start))
    return columns


def _mark(value: Any, where: str, name: str) -> bool:
    if isinstance(value, str) and value.strip().lower() not in ("", "true"):
        raise DataError(
            f"In the data set {name}, 'is_impossible' of {where} should be true or false, not a string."
        )
    return bool(value)
