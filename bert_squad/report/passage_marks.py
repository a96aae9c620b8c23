"""Find texts in a passage, and count its characters as a browser does. No TensorFlow here."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

_WHITE_SPACE = "[ \t\r\n\u202f]+"  # what the legacy program joins words by, as one space

_MOST_TRIED = 1000  # occurrences of one text

FROM_FILE = "offsets"
FIRST_OCCURRENCE = "first occurrence"


class Place(NamedTuple):
    """Characters of a passage, as code points: the first one, and the one behind the last."""

    start: int
    end: int


def first_occurrence(passage: str, text: str) -> Place | None:
    """Find a text in a passage, where its spaces may stand for other white space; None when it is not there.

    The first occurrence that neither begins nor ends within a word; when there is none such, the first at all.

    >>> first_occurrence("winter in\\n Rome", "in Rome"), first_occurrence("winter", "in")
    (Place(start=7, end=15), Place(start=1, end=3))
    """
    if not text.strip():
        return None
    start, first = passage.find(text), None
    for _ in range(_MOST_TRIED):
        if start < 0:
            break
        place = Place(start, start + len(text))
        first = first or place
        if not _cuts_word(passage, place):
            return place
        start = passage.find(text, start + 1)
    if first or " " not in text:
        return first
    match = re.search(_WHITE_SPACE.join(map(re.escape, text.split(" "))), passage)
    return Place(match.start(), match.end()) if match else None


def _cuts_word(passage: str, place: Place) -> bool:
    start, end = place
    return (start > 0 and passage[start - 1].isalnum() and passage[start].isalnum()) or (
        end < len(passage) and passage[end - 1].isalnum() and passage[end].isalnum()
    )


def place_of_prediction(passage: str, text: str, offsets: Any) -> tuple[Place, str] | None:
    """Return where a prediction stands and how that is known: `FROM_FILE` or `FIRST_OCCURRENCE`; None if nowhere.

    Args:
      passage: the text.
      text: the prediction.
      offsets: what predictions_offsets.json has of the question; what does not fit the prediction is not believed.
    """
    if isinstance(offsets, Mapping):
        start, end = offsets.get("start"), offsets.get("end")
        if (
            type(start) is int
            and type(end) is int
            and 0 <= start < end <= len(passage)
            and passage[start:end].split() == text.split()
        ):
            return Place(start, end), FROM_FILE
    found = first_occurrence(passage, text)
    return (found, FIRST_OCCURRENCE) if found else None


class BrowserOffsets:
    """Turns places in a passage into JavaScript's, which counts UTF-16 units.

    >>> BrowserOffsets("😀 cat").of(Place(2, 5))
    Place(start=3, end=6)
    """

    def __init__(self, passage: str):
        is_plain = passage.isascii() or max(passage) <= "\uffff"
        self._wide = [] if is_plain else [i for i, character in enumerate(passage) if character > "\uffff"]

    def of(self, place: Place) -> Place:
        """Return a place in UTF-16 units."""
        if not self._wide:
            return place
        return Place(*(offset + bisect_left(self._wide, offset) for offset in place))
