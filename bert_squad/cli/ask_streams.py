"""What goes into `bert-squad ask` and comes out: a passage, lines as they arrive, answers on a terminal of any kind."""

import collections
import contextlib
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from bert_squad import files, whole_files
from bert_squad.cli import streams
from bert_squad.errors import ConfigError, DataError, OutputError
from bert_squad.json_files import decode_utf8, what_it_looks_like

STANDARD_INPUT = STANDARD_OUTPUT = "-"
_CHUNK_BYTES = 1 << 16
# Control characters that no text has; with one of them, bytes that are not UTF-8 are no text of another encoding.
_NO_TEXT = frozenset(range(32)) - set(b"\t\n\v\f\r\x1b")


class Line(NamedTuple):
    """A line of a batch file.

    Attributes:
      number: from 1, blank lines counted.
      content: its bytes.
    """

    number: int
    content: bytes


class Output(NamedTuple):
    """Where answers go: what writes a line, and the encoding that it is written in."""

    write_line: Callable[[str], object]
    encoding: str


class Input:
    """A file, or standard input for "-", to read bytes from.

    Args:
      path: the file.
      flag: that named it, for messages.

    Attributes:
      name: what to call it in a message.

    Raises:
      ConfigError: when there is no standard input.
      DataError: when the file cannot be read, also when that shows later.
    """

    def __init__(self, path: str, flag: str):
        self.name = "standard input" if path == STANDARD_INPUT else path
        self.flag = flag
        with self._reading():
            self._stream = _open(path, flag)

    def __enter__(self) -> "Input":
        return self

    def __exit__(self, *_) -> None:
        if self._stream is not getattr(sys.stdin, "buffer", None):
            self._stream.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"Cannot read {self.name} ({files.reason_of(error)}); check {self.flag}."
            ) from None

    def read_all(self) -> bytes:
        """Read to the end."""
        with self._reading():
            return self._stream.read()

    def read_some(self) -> bytes:
        """Wait until there is something to read, and read that; nothing at the end."""
        self.has_arrived(None)
        with self._reading():
            return self._stream.read1(_CHUNK_BYTES)  # type: ignore[attr-defined]

    def has_arrived(self, seconds: float | None) -> bool:
        """Wait until there is something to read, at most so long, or for ever; a file always has something."""
        try:
            return bool(select.select([self._stream.fileno()], [], [], seconds)[0])
        except (OSError, ValueError):  # nothing of the operating system
            return True


def _open(path: str, flag: str) -> BinaryIO:
    if path != STANDARD_INPUT:
        return files.open_to_read(path)
    if sys.stdin is None:
        raise ConfigError(f"There is no standard input to read from; name a file with {flag}.")
    # A notebook's standard input has text only.
    return getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode("utf-8", "replace"))


def read_passage(source: Input) -> str:
    """Read a passage: UTF-8, with or without a byte order mark, which is dropped.

    Raises:
      DataError: when it cannot be read, or is something else; it says what that looks like.
    """
    content = source.read_all()
    try:
        return decode_utf8(content, f"The passage in {source.name} ({source.flag})")
    except DataError as error:
        raise DataError(f"{error}{_advice(content)}") from None


def _advice(content: bytes) -> str:
    """Say what bytes that are not UTF-8 may be, where `decode_utf8` names only the first that is wrong."""
    if what_it_looks_like(content):
        return ""
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        if problem.end == len(content) and "end of data" in problem.reason:
            return " It ends within a character: is the file complete?"
    if not _NO_TEXT.isdisjoint(content):
        return " It looks like something that is no text."
    return (
        " It looks like text in an older encoding, Windows-1252 or Latin-1 perhaps; convert it to UTF-8 (iconv -f "
        "WINDOWS-1252 -t UTF-8)."
    )


def arriving_lines(source: Input, most: int) -> Iterator[list[Line]]:
    """Read lines, and give those that have arrived instead of waiting for others.

    Args:
      source: to read from.
      most: lines at a time.

    Yields:
      1 to `most` lines that are not blank.

    Raises:
      DataError: when it cannot be read, or is not UTF-8 from its first line on.
    """
    waiting: collections.deque[Line] = collections.deque()
    parts: list[bytes] = []  # of a line whose end is yet to come
    number, is_over = 0, False
    while not is_over:
        chunk = source.read_some()
        is_over = not chunk
        first, *others = (chunk or b"\n").split(b"\n")
        parts.append(first)
        for other in others:
            number += 1
            content = b"".join(parts)
            looks = what_it_looks_like(content) if number == 1 else None
            if looks:
                raise DataError(f"{source.name} ({source.flag}) is not UTF-8 text: it looks like {looks}.")
            if content.strip():
                waiting.append(Line(number, content))
            parts = [other]
        while len(waiting) >= most or (waiting and (is_over or not source.has_arrived(0.0))):
            yield [waiting.popleft() for _ in range(min(most, len(waiting)))]


def check_output(path: str, source: str, *, may_replace: bool, flag: str = "--output") -> None:
    """Refuse a place for answers that is known to be wrong before anything slow starts.

    Args:
      path: a file, or "-" for standard output.
      source: where the questions or their passage come from; "-" for standard input.
      may_replace: whether a file that is there may be replaced.
      flag: that named it, for messages.

    Raises:
      OutputError: saying what is wrong with it.
    """
    if path == STANDARD_OUTPUT:
        return
    folder = os.path.dirname(path) or "."
    if not files.is_remote(path) and not files.is_directory(folder):
        raise OutputError(f"There is no directory {folder} to write {path} in; check {flag}.")
    if not path or files.is_directory(path):
        raise OutputError(f"{path or folder} is a directory; name a file with {flag}.")
    if files.exists(path) and not files.is_regular(path):
        advice = "; without --output answers go to standard output" if flag == "--output" else ""
        raise OutputError(f"{path} is no plain file, so it is not replaced{advice}.")
    if files.is_same(path, "/dev/stdin" if source == STANDARD_INPUT else source):
        raise OutputError(
            f"{path} is what the questions come from, and lines without an answer would be lost; name another {flag}."
        )
    if files.exists(path) and not may_replace:
        raise OutputError(f"{path} exists already; name another {flag}, or add --overwrite to replace it.")


@contextlib.contextmanager
def open_output(path: str) -> Iterator[Output]:
    """Open standard output for "-", or a file, which appears when the block has succeeded.

    Raises:
      OutputError: when it cannot be written.
    """
    if path == STANDARD_OUTPUT:
        yield Output(streams.print_line, streams.output_encoding())
        return
    whole_files.remove_abandoned(os.path.dirname(path) or ".")
    with whole_files.open_whole(path) as writer:
        yield Output(lambda text: writer.write(f"{text}\n"), "utf-8")
