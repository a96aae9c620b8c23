"""Project a predicted answer, which is made of WordPieces, back onto the words of the passage.

WordPieces have lost case, accents and the spaces around punctuation. The passage words that they came from
have all that, but may hold more than the answer: "Steve Smith's" for the prediction "steve smith". So the
words are tokenized again, the prediction is found in the result, and its first and last character are traced
back by counting characters that are not spaces. Where any step fails, the answer is the whole words.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

from absl import logging

from bert_squad.text.tokenization import BasicTokenizer

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
        # How many characters, spaces not counted, the tokens before each word have.
        self._tok_letters = list(accumulate([len(word) - word.count(" ") for word in tok_words], initial=0))

    def orig_text(self, orig_start: int, orig_end: int) -> str:
        """Return the words from `orig_start` to `orig_end` (inclusive), a space between two."""
        return self._orig_text[self._orig_starts[orig_start] : self._orig_starts[orig_end + 1] - 1]

    def project_text(self, pred_text: str, orig_start: int, orig_end: int) -> tuple[str, Branch]:
        """Do what the function `project_text` does with the words from `orig_start` to `orig_end` (inclusive)."""
        behind = orig_end + 1  # the next word
        orig_first, orig_last = self._orig_starts[orig_start], self._orig_starts[behind] - 1
        # At the end of a passage there may be words without tokens.
        tok_first = min(self._tok_starts[orig_start], len(self._tok_text))
        tok_last = max(self._tok_starts[behind] - 1, tok_first)
        num_letters = orig_last - orig_first - (orig_end - orig_start)
        has_same_length = self._tok_letters[behind] - self._tok_letters[orig_start] == num_letters
        return _project(
            pred_text,
            self._orig_text,
            orig_first,
            orig_last,
            self._tok_text,
            tok_first,
            tok_last,
            has_same_length,
        )

    def get_final_text(
        self, pred_text: str, orig_start: int, orig_end: int, verbose_logging: bool = False
    ) -> str:
        """Do what the function `get_final_text` does with the words from `orig_start` to `orig_end` (inclusive)."""
        text, branch = self.project_text(pred_text, orig_start, orig_end)
        if verbose_logging:
            _log_failure(branch, pred_text, self.orig_text(orig_start, orig_end))
        return text


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
    has_same_length = len(tok_text) - tok_text.count(" ") == len(orig_text) - orig_text.count(" ")
    return _project(pred_text, orig_text, 0, len(orig_text), tok_text, 0, len(tok_text), has_same_length)


def _project(
    pred_text: str,
    orig_text: str,
    orig_start: int,
    orig_end: int,
    tok_text: str,
    tok_start: int,
    tok_end: int,
    has_same_length: bool,
) -> tuple[str, Branch]:
    """Project a prediction, given the passage words and their tokens, each a part of a text.

    Args:
      pred_text: the prediction.
      orig_text: holds the words, a space between two.
      orig_start: where they start.
      orig_end: where they end (exclusive).
      tok_text: holds their tokens, a space between two.
      tok_start: where they start.
      tok_end: where they end (exclusive).
      has_same_length: whether both parts have as many characters, spaces not counted.
    """
    # LEGACY: the first occurrence is taken, be it not the predicted one, or the inside of another token.
    pred_start = tok_text.find(pred_text, tok_start, tok_end)
    if pred_start < 0:
        return orig_text[orig_start:orig_end], "not_found"
    # LEGACY: only the two lengths are compared. Changes that cancel out, such as two dropped soft hyphens here and
    # a Korean syllable that falls into three letters there, go unseen and shift the answer.
    if not has_same_length:
        return orig_text[orig_start:orig_end], "length_mismatch"
    pred_end = pred_start + len(pred_text)  # exclusive
    if pred_start == tok_end or tok_text[pred_start] == " ":
        return orig_text[orig_start:orig_end], "start_unmapped"
    if pred_end == tok_start or tok_text[pred_end - 1] == " ":
        return orig_text[orig_start:orig_end], "end_unmapped"
    before = pred_start - tok_start - tok_text.count(" ", tok_start, pred_start)
    behind = tok_end - pred_end - tok_text.count(" ", pred_end, tok_end)
    return (
        orig_text[
            _skip_characters(orig_text, orig_start, before) : _skip_characters_from_end(
                orig_text, orig_end, behind
            )
        ],
        "projected",
    )


def _skip_characters(text: str, start: int, count: int) -> int:
    """Return the index of the first character after `count` others from `start` on, spaces not counted.

    There must be one.

    >>> _skip_characters("ab c  d", 0, 3)
    6
    """
    first = index = start + count
    # The answer is the smallest index with exactly index - first spaces up to it. Each round is one call in C;
    # mostly there are one or two rounds, as answers tend to begin with a word.
    while (next_index := first + text.count(" ", start, index + 1)) != index:
        index = next_index
    return index


def _skip_characters_from_end(text: str, end: int, count: int) -> int:
    """Return the end, exclusive, of what is left of `text[:end]` before its last `count` characters and their spaces.

    >>> _skip_characters_from_end("ab c  d", 7, 1)
    4
    """
    last = index = end - count
    while (next_index := last - text.count(" ", index - 1, end)) != index:
        index = next_index
    return index


@functools.cache
def _word_tokenizer(do_lower_case: bool) -> Callable[[str], str]:
    """Return a function with memory from a word to its tokens, a space between two; one for each case."""
    tokenize = BasicTokenizer(do_lower_case=do_lower_case).tokenize

    @functools.lru_cache(maxsize=_MAX_REMEMBERED_WORDS)
    def tokenized_word(word: str) -> str:
        return " ".join(tokenize(word))

    return tokenized_word
