"""Recognise what a file of questions is, by looking at it, and make SQuAD's nested JSON of it.

SQuAD JSON comes through as it is, whatever is in it; `bert_squad.data.examples` says what is wrong there.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

from bert_squad.data import parquet
from bert_squad.data.squad_rows import RowArticles, is_header, is_row
from bert_squad.errors import DataError, first_line
from bert_squad.json_files import parse_text

_GZIP_MAGIC = b"\x1f\x8b"
_NOT_BLANK = re.compile(r"\S")


def unpacked(content: bytes, path: str) -> bytes:
    """Return the content of a file that may be gzipped.

    Raises:
      DataError: when it is, and cut short or damaged.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError:
        raise DataError(f"The data set {path} is gzip-compressed and cut short; is it complete?") from None
    except (OSError, zlib.error) as error:
        raise DataError(
            f"The data set {path} is gzip-compressed and damaged ({first_line(error)})."
        ) from None


def is_parquet(content: bytes) -> bool:
    """Say whether a file is a Parquet file, by its first bytes."""
    return content.startswith(parquet.MAGIC)


def from_parquet(content: bytes, path: str, rows: RowArticles) -> dict[str, Any]:
    """Read a Parquet file of rows; arguments and errors as `from_text`, and a ConfigError when pyarrow is not there."""
    articles = rows.begin(path)
    for number, row in enumerate(parquet.read_rows(content, path), start=1):
        if "id" in row and row["id"] is None:  # what a column lacks
            raise DataError(f"In the data set {path}, row {number} has no 'id'.")
        rows.add(row, f"row {number}")
    return {"data": articles}


def from_text(text: str, path: str, rows: RowArticles) -> Any:
    """Read JSON, or JSON lines.

    Args:
      text: of the file.
      path: of it, for messages.
      rows: makes articles of rows.

    Returns:
      What is in the file, when that is SQuAD JSON or unknown; else an object with the list "data".

    Raises:
      DataError: when it is neither, or a row is not as it should be; it names the file and the line or row.
    """
    if _is_lines(text):
        articles = rows.begin(path)
        for number, line in _lines(text):
            _add_line(line, number, path, rows)
        return {"data": articles}
    return _from_value(parse_text(text, f"The data set {path}"), path, rows)


def _from_value(value: Any, path: str, rows: RowArticles) -> Any:
    entries = value.get("data") if isinstance(value, dict) and "data" in value else value
    if is_row(entries) or is_header(entries):
        entries = [entries]
    if not (isinstance(entries, list) and entries and (is_row(entries[0]) or is_header(entries[0]))):
        return value
    articles = rows.begin(path)
    for index in range(len(entries)):
        row, entries[index] = entries[index], None  # so that rows and articles are not held together
        rows.add(row, f"row {index + 1}")
    return {"data": articles}


def _is_lines(text: str) -> bool:
    """Say whether the first line holds a value that can be one of several, and another line follows."""
    start = _NOT_BLANK.search(text)
    end = text.find("\n", start.start()) if start else -1
    if start is None or end < 0 or not _NOT_BLANK.search(text, end):
        return False
    try:
        first = json.loads(text[start.start() : end])
    except (ValueError, RecursionError):
        return False
    return is_row(first) or is_header(first) or _is_squad(first)


def _is_squad(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("data"), list)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank with their numbers, one at a time; they end at LF alone."""
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        line = text[start:end]
        if line.strip():
            yield number, line
        start = end + 1


def _add_line(line: str, number: int, path: str, rows: RowArticles) -> None:
    try:
        value = parse_text(line, f"Line {number} of the data set {path}")
    except DataError as error:
        raise DataError(str(error).replace(" at line 1, column", " at column")) from None
    if _is_squad(value):
        for article in value["data"]:
            rows.add_article(article)
    elif is_row(value) or is_header(value):
        rows.add(value, f"line {number}")
    else:
        raise DataError(
            f"In the data set {path}, line {number} should be an object with 'context' and 'question', as others are."
        )
