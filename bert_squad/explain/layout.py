"""How an explanation in words is laid out: lines, tables, and the texts of others. No TensorFlow here."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bert_squad.explain.facts import Explanation, Span, WindowFacts

_WIDTH = 96
_LONGEST_TEXT = 60  # characters of a span
NO_ANSWER = "(no answer)"
NULL = "[CLS]"
MOST_WINDOWS = 8  # that are listed


def shown(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return a text on one line, in quotes, its middle left out when it is long; what no terminal should see escaped.

    >>> shown("many words " * 3, 13)
    '"many w…words"'
    """
    line = " ".join(text.split())
    if len(line) > longest:
        half = (longest - 1) // 2
        line = f"{line[:half].rstrip()}…{line[-half:].lstrip()}"
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return f'"{line}"'


def shown_span(span: Span) -> str:
    """Return the text of a span, or what stands for it."""
    if span.start == span.end == 0:
        return NO_ANSWER if not span.rules or span.rules == ["other_null"] else f"{NULL} … {NULL}"
    text = shown(span.text)
    return (
        text[1:-1] if {"end_before_start", "question", "padding"} & set(span.rules) else text
    )  # its two ends


def prose(*sentences: str) -> list[str]:
    """Return sentences as lines."""
    return textwrap.wrap(" ".join(sentences), _WIDTH, break_long_words=False, break_on_hyphens=False)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lay out rows; columns whose head ends in a space are texts, to the left."""
    cells_of = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column].rstrip()) for row in cells_of) for column in range(len(heads))]
    for row in cells_of:
        cells = (
            cell.rstrip().ljust(width) if head.endswith(" ") else cell.rjust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        )
        yield ("  " + "  ".join(cells)).rstrip()


def in_window(explanation: Explanation, window: WindowFacts) -> str:
    """Return " in window 2", where there are several."""
    return f" in window {window.number + 1}" if len(explanation.windows) > 1 else ""
