"""Project a predicted answer, which is made of WordPieces, back onto the words of the passage.

WordPieces have lost case, accents and the spaces around punctuation. The passage words that they came from
have all that, but may hold more than the answer: "Steve Smith's" for the prediction "steve smith". So the
words are tokenized again, the prediction is found in the result, and its first and last character are traced
back by counting characters that are not spaces. Where any step fails, the answer is the whole words.
"""

import bisect
import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

from absl import logging

from bert_squad.text.tokenization import UNKNOWN, BasicTokenizer

_LONG = 2000  # characters: shorter stretches of a passage are projected to so quickly that there is no use in memory
_MAX_REMEMBERED_CHARACTERS = 1 << 22  # of long stretches
_MAX_REMEMBERED_PREDICTIONS = 1 << 12  # for each of them

Branch = Literal["projected", "not_found", "length_mismatch", "start_unmapped", "end_unmapped"]

_MAX_REMEMBERED_WORDS = 1 << 13  # those of neighbouring passages; a Chinese "word" may be a whole paragraph


def get_final_text(pred_text: str, orig_text: str, do_lower_case: bool, verbose_logging: bool = False) -> str:
    """Find the part of the passage that a predicted text stands for.

    Args:
      pred_text: the predicted WordPieces, joined to tokens with a space between two.
      orig_text: the passage words that these pieces came from, a space between two.
      do_lower_case: whether the tokenizer that made the pieces lower-cased.
      verbose_logging: log why a projection failed.

    Returns:
      The part of `orig_text`, or all of it when the prediction cannot be traced back.

    Source: `get_final_text` of the legacy run_squad.py.

    >>> get_final_text("steve smith", "Steve Smith's", do_lower_case=True)
    'Steve Smith'
    >>> get_final_text("smith's", "Steve Smith's", do_lower_case=True)
    "Steve Smith's"
    """
    text, branch = project_text(pred_text, orig_text, do_lower_case)
    if verbose_logging:
        _log_failure(branch, pred_text, orig_text)
    return text


class AlignedPassage:
    """The words of a passage beside their tokens: `get_final_text` at the cost of two slices and a search.

    Args:
      doc_tokens: the words; no space in any of them.
      do_lower_case: whether the tokenizer that makes the predictions lower-cases.

    >>> AlignedPassage(["By", "Steve", "Smith's", "side."], do_lower_case=True).get_final_text("smith", 1, 2)
    'Smith'
    """

    def __init__(self, doc_tokens: Sequence[str], do_lower_case: bool):
        tok_words = list(map(_word_tokenizer(do_lower_case), doc_tokens))
        self._orig_text = " ".join(doc_tokens)
        self._tok_text = " ".join(filter(None, tok_words))
        # Where each word begins, and one more. A word without tokens takes no room, not even for a space.
        self._orig_starts = list(accumulate([len(word) + 1 for word in doc_tokens], initial=0))
        self._tok_starts = list(accumulate([len(word) + 1 if word else 0 for word in tok_words], initial=0))
        self._stretches: dict[tuple[int, int], _LongStretch] = {}
        self._remembered = 0  # characters of these

    def orig_text(self, orig_start: int, orig_end: int) -> str:
        """Return the words from `orig_start` to `orig_end` (inclusive), a space between two."""
        return self._orig_text[self._orig_starts[orig_start] : self._orig_starts[orig_end + 1] - 1]

    def project_text(
        self, pred_text: str, orig_start: int, orig_end: int, *, says_why: bool = True
    ) -> tuple[str, Branch]:
        """Do what the function `project_text` does with the words from `orig_start` to `orig_end` (inclusive).

        Args:
          pred_text: as there.
          orig_start: first word.
          orig_end: last word, inclusive.
          says_why: False lets a failure be called by the name of another, which can be much quicker.
        """
        length = self._orig_starts[orig_end + 1] - self._orig_starts[orig_start]
        if length > _LONG:
            return self._stretch(orig_start, orig_end, length).project_text(pred_text, says_why)
        return _project(
            pred_text, self.orig_text(orig_start, orig_end), self._tok_text_of(orig_start, orig_end)
        )

    def projected_range(
        self, pred_text: str, orig_start: int, orig_end: int, orig_to_char_index: Sequence[int]
    ) -> tuple[int, int]:
        """Return where in the context the text that `project_text` finds begins and ends (exclusive), in characters.

        Args:
          pred_text: as there.
          orig_start: first word.
          orig_end: last word, inclusive.
          orig_to_char_index: the character of the context at which each word begins.
        """
        char_start, char_end, _ = _projected_range(
            pred_text, self.orig_text(orig_start, orig_end), self._tok_text_of(orig_start, orig_end)
        )
        words_start = self._orig_starts[orig_start]
        first, last = words_start + char_start, words_start + char_end - 1
        return self._char_of(first, orig_to_char_index), self._char_of(last, orig_to_char_index) + 1

    def _char_of(self, joined: int, orig_to_char_index: Sequence[int]) -> int:
        """Return which character of the context is that of the words with a space between two."""
        word = bisect.bisect_right(self._orig_starts, joined) - 1
        return orig_to_char_index[word] + joined - self._orig_starts[word]

    def _tok_text_of(self, orig_start: int, orig_end: int) -> str:
        tok_end = max(self._tok_starts[orig_end + 1] - 1, 0)  # exclusive; 0 when no word so far has tokens
        return self._tok_text[self._tok_starts[orig_start] : tok_end]

    def _stretch(self, orig_start: int, orig_end: int, length: int) -> "_LongStretch":
        stretch = self._stretches.get((orig_start, orig_end))
        if stretch is None:
            stretch = _LongStretch(
                self.orig_text(orig_start, orig_end), self._tok_text_of(orig_start, orig_end)
            )
            self._remembered += length
            if self._remembered > _MAX_REMEMBERED_CHARACTERS:
                self._stretches.clear()
                self._remembered = length
            self._stretches[orig_start, orig_end] = stretch
        return stretch

    def get_final_text(
        self, pred_text: str, orig_start: int, orig_end: int, verbose_logging: bool = False
    ) -> str:
        """Do what the function `get_final_text` does with the words from `orig_start` to `orig_end` (inclusive)."""
        text, branch = self.project_text(pred_text, orig_start, orig_end)
        if verbose_logging:
            _log_failure(branch, pred_text, self.orig_text(orig_start, orig_end))
        return text


class _LongStretch:
    """Many characters of a passage, such as one without spaces, of which many predictions are projected.

    It remembers what it found, since a passage that says one thing again and again, or whose words change in length
    when they are tokenized, has a few answers to very many predictions.
    """

    def __init__(self, orig_text: str, tok_text: str):
        self._orig_text = orig_text
        self._tok_text = tok_text
        self._is_of_same_length = _same_length(orig_text, tok_text)
        self._found: dict[str, tuple[str, Branch]] = {}

    def project_text(self, pred_text: str, says_why: bool) -> tuple[str, Branch]:
        if not self._is_of_same_length and not says_why:
            return self._orig_text, "length_mismatch"
        found = self._found.get(pred_text)
        if found is None:
            found = _project(pred_text, self._orig_text, self._tok_text)
            if len(self._found) >= _MAX_REMEMBERED_PREDICTIONS:
                self._found.clear()
            self._found[pred_text] = found
        return found


def _log_failure(branch: Branch, pred_text: str, orig_text: str) -> None:
    if branch != "projected":
        logging.info("%s: %r in %r", _FAILURES[branch], pred_text, orig_text)


_FAILURES: dict[Branch, str] = {
    "not_found": "Cannot find the predicted text among the tokens of the passage words",
    "length_mismatch": "The passage words change in length when they are tokenized",
    "start_unmapped": "The predicted text begins with a space, or nothing",
    "end_unmapped": "The predicted text ends with a space, or nothing",
}


def project_text(pred_text: str, orig_text: str, do_lower_case: bool) -> tuple[str, Branch]:
    """Do what `get_final_text` does, and say how it went.

    Returns:
      The text, and where it was decided: "projected" is success; each other branch gives `orig_text` back.

    >>> project_text("cafe", "Café au lait", do_lower_case=True)
    ('Café', 'projected')
    """
    tok_words = map(_word_tokenizer(do_lower_case), orig_text.split(" "))
    tok_text = " ".join(filter(None, tok_words))
    return _project(pred_text, orig_text, tok_text)


def _project(pred_text: str, orig_text: str, tok_text: str) -> tuple[str, Branch]:
    """Project a prediction, given the passage words and their tokens, each joined with spaces."""
    char_start, char_end, branch = _projected_range(pred_text, orig_text, tok_text)
    return orig_text[char_start:char_end], branch


def _projected_range(pred_text: str, orig_text: str, tok_text: str) -> tuple[int, int, Branch]:
    """Do what `_project` does, and return where in `orig_text` the text begins and ends (exclusive)."""
    # LEGACY: the first occurrence is taken, be it not the predicted one, or the inside of another token.
    # What is in brackets is not looked for: they are punctuation, so that each is a token of its own there.
    tok_start = -1 if UNKNOWN in pred_text else tok_text.find(pred_text)
    if tok_start < 0:
        return 0, len(orig_text), "not_found"
    # LEGACY: only the two lengths are compared. Changes that cancel out, such as two dropped soft hyphens here and
    # a Korean syllable that falls into three letters there, go unseen and shift the answer.
    if not _same_length(orig_text, tok_text):
        return 0, len(orig_text), "length_mismatch"
    tok_end = tok_start + len(pred_text)  # exclusive
    if tok_start == len(tok_text) or tok_text[tok_start] == " ":
        return 0, len(orig_text), "start_unmapped"
    if tok_end == 0 or tok_text[tok_end - 1] == " ":
        return 0, len(orig_text), "end_unmapped"
    char_start = _skip_characters(orig_text, tok_start - tok_text.count(" ", 0, tok_start))
    left_over = len(tok_text) - tok_end - tok_text.count(" ", tok_end)
    return char_start, _skip_characters_from_end(orig_text, left_over), "projected"


def _same_length(orig_text: str, tok_text: str) -> bool:
    return len(tok_text) - tok_text.count(" ") == len(orig_text) - orig_text.count(" ")


def _skip_characters(text: str, count: int) -> int:
    """Return the index of the first character after `count` others, spaces not counted; there must be one.

    >>> _skip_characters("ab c  d", 3)
    6
    """
    # The answer is the smallest index with exactly index - count spaces up to it. Each round is one call in C, which
    # counts what no other did; mostly there are one or two rounds, as answers tend to begin with a word.
    index = count
    num_new = text.count(" ", 0, index + 1)
    while num_new:
        counted, index = index + 1, index + num_new
        num_new = text.count(" ", counted, index + 1)
    return index


def _skip_characters_from_end(text: str, count: int) -> int:
    """Return the end, exclusive, of what is left before the last `count` characters and spaces among them.

    >>> _skip_characters_from_end("ab c  d", 1)
    4
    """
    index = len(text) - count
    num_new = text.count(" ", index - 1)
    while num_new:
        counted, index = index - 1, index - num_new
        num_new = text.count(" ", index - 1, counted)
    return index


@functools.cache
def _word_tokenizer(do_lower_case: bool) -> Callable[[str], str]:
    """Return a function with memory from a word to its tokens, a space between two; one for each case."""
    tokenize = BasicTokenizer(do_lower_case=do_lower_case).tokenize

    @functools.lru_cache(maxsize=_MAX_REMEMBERED_WORDS)
    def tokenized_word(word: str) -> str:
        return " ".join(tokenize(word))

    return tokenized_word
