"""The one reader of JSON: it knows what people give it instead, and says so in one sentence. No TensorFlow here."""

import json
from typing import Any

from bert_squad import files
from bert_squad.errors import BertSquadError, DataError

# What a file begins with that is something else than JSON text. The longer ones first: UTF-32 begins like UTF-16.
_SIGNATURES = (
    (b"\x1f\x8b", "gzip-compressed data; unpack it first (gunzip)"),
    (b"BZh", "bzip2-compressed data; unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "xz-compressed data; unpack it first (unxz)"),
    (b"PK\x03\x04", "a zip archive; unpack it first (unzip)"),
    (b"\xff\xfe\x00\x00", "UTF-32 text; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)"),
    (b"\x00\x00\xfe\xff", "UTF-32 text; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)"),
    (b"\xff\xfe", "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (b"\xfe\xff", "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"),
)

_SAMPLE = 1 << 12  # bytes
_BELOW_TEXT = bytes(range(ord("\t")))


def what_it_looks_like(content: bytes) -> str | None:
    """Say what a file is that is not UTF-8 text, by its first bytes, and what to do; None when they do not tell.

    >>> what_it_looks_like("é".encode("utf-16"))
    'UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)'
    """
    for signature, description in _SIGNATURES:
        if content.startswith(signature):
            return description
    for order, first in (("LE", 1), ("BE", 0)):
        if _has_high_bytes(content[first:_SAMPLE:2]) and not _has_high_bytes(
            content[1 - first : _SAMPLE : 2]
        ):
            return f"UTF-16 text without a mark; convert it to UTF-8 (iconv -f UTF-16{order} -t UTF-8)"
    return None


def _has_high_bytes(every_other: bytes) -> bool:
    """Say whether bytes look like the upper halves of UTF-16: 0 for Latin, 4 for Cyrillic letters.

    As UTF-8 they are control characters, of which a text has hardly any.
    """
    count = len(every_other) - len(every_other.translate(None, _BELOW_TEXT))
    return len(every_other) > 1 and (every_other[0] == 0 or 4 * count >= 3 * len(every_other))


def decode_utf8(content: bytes, what: str, error: type[BertSquadError] = DataError) -> str:
    """Decode UTF-8 text, with or without a byte order mark, which is dropped.

    Args:
      content: the bytes of a file.
      what: that file in a message, e.g. "The data set dev.json".
      error: the kind of error to raise.

    Raises:
      BertSquadError: of the kind `error`, when it is something else; it says what, or which byte is wrong.
    """
    looks = what_it_looks_like(content)
    if looks:
        raise error(f"{what} is not UTF-8 text: it looks like {looks}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{what} is not UTF-8 text (byte {problem.start}).") from None


def parse_json(content: bytes, what: str, error: type[BertSquadError] = DataError) -> Any:
    """Parse JSON; arguments and errors as `decode_utf8`.

    >>> parse_json(b'{"data": []}', "The data set dev.json")
    {'data': []}
    >>> parse_json(b'{"data": [}', "The data set dev.json")
    Traceback (most recent call last):
    ...
    bert_squad.errors.DataError: The data set dev.json is not valid JSON: Expecting value at line 1, column 11.
    """
    return parse_text(decode_utf8(content, what, error), what, error)


def parse_text(text: str, what: str, error: type[BertSquadError] = DataError) -> Any:
    """Parse JSON that is decoded already; arguments and errors as `parse_json`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{what} {_complaint(text, problem)}") from None
    except RecursionError:
        raise error(f"{what} is nested too deeply to be what it should be.") from None
    except ValueError:  # Python's own limit; a JSONDecodeError was caught above
        raise error(f"{what} holds a number of thousands of digits, which cannot be right.") from None


def _complaint(text: str, problem: json.JSONDecodeError) -> str:
    if not text.strip():
        return "is empty."
    place = f"at line {problem.lineno}, column {problem.colno}"
    if problem.msg == "Extra data":
        first_line = text.split("\n", 1)[0]
        try:
            json.loads(first_line)
        except (ValueError, RecursionError):
            return f"is not valid JSON: something follows its end {place}."
        return (
            f"holds more than one JSON value, the second {place}: it looks like JSON lines, one value a line, where a "
            "single value is wanted."
        )
    complaint = problem.msg.removesuffix(" at")
    at_end = problem.pos >= len(text.rstrip()) or problem.msg.startswith("Unterminated")
    hint = " Is it complete?" if at_end else ""
    return f"is not valid JSON: {complaint} {place}.{hint}"


def read_content(
    path: str, what: str, *, flag: str | None = None, error: type[BertSquadError] = DataError
) -> bytes:
    """Read a file; arguments and errors as `read_json`."""
    try:
        return files.read_bytes(path)
    except OSError as problem:
        advice = f"; check {flag}" if flag else ""
        raise error(f"Cannot read the {what} {path} ({files.reason_of(problem)}){advice}.") from None


def read_json(
    path: str, what: str, *, flag: str | None = None, error: type[BertSquadError] = DataError
) -> Any:
    """Read a JSON file.

    Args:
      path: the file, local or remote.
      what: what it is, e.g. "data set", for messages.
      flag: the flag that named it, e.g. "--predict_file", for messages.
      error: the kind of error to raise.

    Raises:
      BertSquadError: of the kind `error`, when it cannot be read or is no JSON; it names the file and the problem.
    """
    return parse_json(read_content(path, what, flag=flag, error=error), f"The {what} {path}", error)
