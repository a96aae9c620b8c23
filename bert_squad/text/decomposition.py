"""Unicode's canonical decomposition in time proportional to the text, whatever is in it."""

import re
import unicodedata

_SHORT = 64
"""In characters: what Python's own function sorts as quickly as anything."""
_STEP = 16
"""In characters, fewer than a run of `_SHORT` marks comes from: some 30 or more, since none falls into three marks."""


class _Decomposed(dict[int, str]):
    """Code point → its full decomposition."""

    def __missing__(self, code_point: int) -> str:
        return self.setdefault(code_point, unicodedata.normalize("NFD", chr(code_point)))


class _MarkOrNot(dict[int, str]):
    """Code point → "m" if it begins, decomposed, with one of the marks that follow a letter, else "-"."""

    def __missing__(self, code_point: int) -> str:
        return self.setdefault(code_point, "m" if unicodedata.combining(_DECOMPOSED[code_point][0]) else "-")


_DECOMPOSED = _Decomposed()
_MARK_OR_NOT = _MarkOrNot()
_MARKS = re.compile("mm+")


def decomposed(text: str) -> str:
    """Return what `unicodedata.normalize("NFD", text)` returns.

    That sorts marks that follow one another by insertion: 320,000 of two kinds in turn take it a minute.

    >>> [hex(ord(character)) for character in decomposed("\u1e69")]
    ['0x73', '0x323', '0x307']
    """
    # Most long texts have no long run of marks: a look at a few of their characters tells.
    if len(text) <= _SHORT or text.isascii() or "m" not in text[::_STEP].translate(_MARK_OR_NOT):
        return unicodedata.normalize("NFD", text)
    whole = text.translate(_DECOMPOSED)
    kinds = whole.translate(_MARK_OR_NOT)
    parts, end = [], 0
    for marks in _MARKS.finditer(kinds):
        # A stable sort: marks of the same place keep their order.
        parts += [
            whole[end : marks.start()],
            *sorted(whole[marks.start() : marks.end()], key=unicodedata.combining),
        ]
        end = marks.end()
    return "".join([*parts, whole[end:]])
