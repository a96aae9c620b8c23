"""Tokenize passages, and find answers among their WordPieces."""

import collections
import functools
import itertools
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from bert_squad.data.examples import SquadExample

# Together some 30 MB. Tokenizing a passage anew takes little: its words are remembered by the tokenizer.
_MAX_REMEMBERED_PASSAGES = 4096
_MAX_REMEMBERED_PIECES = 1 << 19
_PLAIN_SEARCH = 1 << 12  # WordPieces compared: up to so many a plain search is as quick as any


class Tokenizer(Protocol):
    """What is asked of a tokenizer; `FullTokenizer` is one."""

    def tokenize(self, text: str) -> list[str]:
        """Return the WordPieces of a text."""
        ...

    def tokenize_words(self, words: Iterable[str]) -> list[tuple[str, ...]]:
        """Return the WordPieces of each word."""
        ...

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each WordPiece."""
        ...


class TokenizedPassage:
    """The WordPieces of a passage, their ids, and where its words lie among them."""

    def __init__(self, doc_tokens: list[str], tokenizer: Tokenizer):
        self.doc_tokens = doc_tokens
        pieces_of_words = tokenizer.tokenize_words(doc_tokens)
        self.tokens = list(itertools.chain.from_iterable(pieces_of_words))
        self.ids = tokenizer.convert_tokens_to_ids(self.tokens)
        self._num_pieces = list(map(len, pieces_of_words))

    @functools.cached_property
    def tok_to_orig_index(self) -> list[int]:
        """The word of each WordPiece."""
        return np.repeat(np.arange(len(self._num_pieces)), self._num_pieces).tolist()

    @functools.cached_property
    def orig_to_tok_index(self) -> list[int]:
        """The first WordPiece of each word."""
        return list(itertools.accumulate(self._num_pieces[:-1], initial=0))

    def tok_answer(self, example: SquadExample, answer_tokens: list[str]) -> tuple[int, int]:
        """Return the first and last WordPiece of an example's answer, inclusive.

        These are all WordPieces of its words, or, when the answer's own WordPieces are found among them, just
        those: the answer 1895 in the word "(1895-1943)."

        LEGACY: a word that tokenizes to nothing, such as a lone soft hyphen, ends before it starts.
        """
        assert example.start_position is not None
        assert example.end_position is not None
        start = self.orig_to_tok_index[example.start_position]
        if example.end_position < len(self.doc_tokens) - 1:
            end = self.orig_to_tok_index[example.end_position + 1] - 1
        else:
            end = len(self.tokens) - 1
        return narrow_answer(self.tokens, start, end, answer_tokens)


def narrow_answer(
    tokens: list[str], tok_start: int, tok_end: int, answer_tokens: list[str]
) -> tuple[int, int]:
    """Find the WordPieces of an answer within those of its words.

    Args:
      tokens: WordPieces of the passage.
      tok_start: first WordPiece to look at.
      tok_end: last WordPiece to look at, inclusive.
      answer_tokens: WordPieces of the answer's text.

    Returns:
      The first and last WordPiece, inclusive, of the first occurrence; `tok_start` and `tok_end` if there is none.

    Source: `_improve_answer_span` of the legacy run_squad.py.
    Differs: the length of a match is known, so that each start is tried once, not with every end.

    >>> narrow_answer(["(", "1895", "-", "1943", ")", "."], 0, 5, ["1895"])
    (1, 1)
    """
    length = len(answer_tokens)
    num_starts = tok_end - length - tok_start + 2
    if not length or num_starts < 1:
        return tok_start, tok_end
    if num_starts * length > _PLAIN_SEARCH:
        start = _find(tokens, answer_tokens, tok_start, tok_end + 1)
        return (start, start + length - 1) if start >= 0 else (tok_start, tok_end)
    for start in range(tok_start, tok_end - length + 2):
        if tokens[start : start + length] == answer_tokens:
            return start, start + length - 1
    return tok_start, tok_end


def _find(tokens: list[str], wanted: list[str], begin: int, end: int) -> int:
    """Return where `wanted` occurs first in `tokens[begin:end]`, or -1, in time proportional to their lengths."""
    # A character stands for each WordPiece, so that Python's search for a text can be used, which has no bad cases.
    character_of = {token: chr(number) for number, token in enumerate(dict.fromkeys(wanted), start=1)}
    text = "".join(character_of.get(token, "\0") for token in itertools.islice(tokens, begin, end))
    place = text.find("".join(map(character_of.__getitem__, wanted)))
    return begin + place if place >= 0 else -1


class PassageMemory:
    """Tokenizes a passage once as long as its questions come close together.

    Examples of a passage share one `doc_tokens` list, so its identity is the key; the remembered passage
    holds the list, so that no other can take its identity. The longest unused are forgotten first.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._passages: collections.OrderedDict[int, TokenizedPassage] = collections.OrderedDict()
        self._num_pieces = 0

    def tokenized(self, doc_tokens: list[str]) -> TokenizedPassage:
        """Return a passage, tokenized now or remembered."""
        key = id(doc_tokens)
        if key in self._passages:
            self._passages.move_to_end(key)
            return self._passages[key]
        passage = self._passages[key] = TokenizedPassage(doc_tokens, self._tokenizer)
        self._num_pieces += len(passage.ids)
        while len(self._passages) > 1 and (
            self._num_pieces > _MAX_REMEMBERED_PIECES or len(self._passages) > _MAX_REMEMBERED_PASSAGES
        ):
            self._num_pieces -= len(self._passages.popitem(last=False)[1].ids)
        return passage
