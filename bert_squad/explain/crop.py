"""What of a window a picture shows: words instead of WordPieces, of many words the best. No TensorFlow here."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.explain.facts import Explanation, WindowFacts
from bert_squad.explain.likelihood import probabilities

MOST_WORDS = 44  # that can be read on one picture
_AROUND = 2  # words on each side of one that matters
_CONTINUED = "##"


class Word(NamedTuple):
    """WordPieces that make a word: first and last position (inclusive), and what they say together."""

    first: int
    last: int
    text: str


class Column(NamedTuple):
    """What stands at one place of a picture: a word, or None where words are left out."""

    word: Word | None


def words_of(window: WindowFacts) -> list[Word]:
    """Return the words of a window's passage; a punctuation mark is one of its own, as the tokenizer cuts.

    A word whose first piece is in the window before begins with what is left of it.
    """
    words: list[Word] = []
    for position in range(window.passage[0], window.passage[1] + 1):
        piece = window.tokens[position]
        if words and piece.startswith(_CONTINUED) and len(piece) > len(_CONTINUED):
            before = words.pop()
            words.append(Word(before.first, position, before.text + piece.removeprefix(_CONTINUED)))
        else:
            words.append(Word(position, position, piece))
    return words


def columns_of(explanation: Explanation, window: WindowFacts, most: int = MOST_WORDS) -> list[Column]:
    """Return the words to draw, in order, with a gap wherever others are left out; all of them when they are few."""
    words = words_of(window)
    chosen = (
        range(len(words)) if len(words) <= most else sorted(_that_matter(explanation, window, words, most))
    )
    columns: list[Column] = []
    for before, number in zip([-1, *chosen], chosen, strict=False):
        if number != before + 1:
            columns.append(Column(None))
        columns.append(Column(words[number]))
    if chosen[-1] != len(words) - 1:
        columns.append(Column(None))
    return columns


def _that_matter(explanation: Explanation, window: WindowFacts, words: Sequence[Word], most: int) -> set[int]:
    word_of = {
        position: number for number, word in enumerate(words) for position in range(word.first, word.last + 1)
    }
    chosen: set[int] = set()
    for position in _by_importance(explanation, window):
        if position in word_of:
            number = word_of[position]
            around = set(range(max(0, number - _AROUND), min(len(words), number + _AROUND + 1)))
            if len(chosen | around) > most:
                break
            chosen |= around
    return chosen or set(range(most))


def _by_importance(explanation: Explanation, window: WindowFacts) -> Iterator[int]:
    """Yield positions: those of the right answer, of the best spans, then the likeliest starts and ends."""
    if window.label and window.label.holds_answer:
        yield from (window.label.loss.start, window.label.loss.end)
    for span in [explanation.chosen, window.best, *explanation.nbest[:3]]:
        if span and span.window == window.number:
            yield from (span.start, span.end)
    share = np.maximum(probabilities(window.start_logits), probabilities(window.end_logits))
    yield from (-share).argsort(kind="stable").tolist()
