"""Standard input, output and error: not files of ours, so what happens to them must not cost anybody's work."""

import contextlib
import os
import sys
from typing import TextIO

from bert_squad.errors import OutputError, first_line


class ReaderGoneError(Exception):
    """Whoever read standard output does not want more of it (`ask … | head`)."""


def make_usable() -> None:
    """Make sure that all three streams are there, and that any text can be written to two of them.

    A daemon may have closed them. Then the next file that is opened would get the number of standard error, and be
    written to by libraries that complain there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (lives as long as the process)
        elif hasattr(stream, "reconfigure"):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def print_line(text: str) -> None:
    r"""Print a line at once; what standard output cannot show is escaped, as `\xeb`.

    Raises:
      ReaderGoneError: when nobody reads it any more.
      OutputError: when it cannot be written.
    """
    encoding = output_encoding()
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        abandon(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise ReaderGoneError from None
        raise OutputError(f"Cannot write to standard output ({first_line(error)}).") from None


def print_help(text: str) -> int:
    """Print how something is used, as far as anybody reads it (`--help | head`); return the exit code, 0."""
    with contextlib.suppress(ReaderGoneError):
        print_line(text)
    return 0


def output_encoding() -> str:
    """Return the encoding of standard output."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def complain(text: str) -> None:
    """Print a line on standard error, if there is any."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


def finish() -> None:
    """Write out what is left; what cannot be written is given up."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            abandon(stream)


def abandon(stream: TextIO) -> None:
    """Lead a stream to nowhere: what could not be written would be tried again when Python ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
