"""What the tokenizer does to each code point, as tables: made by asking the tokenizer itself. No TensorFlow here.

The basic tokenizer treats a character by itself, with two exceptions: the lower case of "Σ" depends on its
neighbours, and Unicode normalisation orders combining marks. So all that a graph needs is, for each code point,
the text that stands for it (in which a space separates two tokens) and, for the exceptions, what part it plays in
them. Code points that are alike in all of that form a class; a million code points make some 14,000 classes.
"""

import functools
import sys
import unicodedata
from typing import NamedTuple

import numpy as np

from bert_squad.text.tokenization import BasicTokenizer

ITSELF = -1
"""In an expansion, stands for the code point that is expanded."""

SPACE = ord(" ")
CAPITAL_SIGMA = ord("Σ")
WORD_SEPARATORS = " \t\r\n\u202f"
"""Where context words split; as in `bert_squad.data.examples`, and a test compares the two."""

STOP, CASED, SKIPPED = range(3)
"""What a character means to a "Σ" that looks for the nearest letter before and behind it."""

_BLOCK = 256
_NUM_CODE_POINTS = sys.maxunicode + 1
_LAST_PROBED = 0x2FFFF  # beyond, code points without a category of their own stay as they are


class CharacterClass(NamedTuple):
    """What code points of a class have in common.

    Attributes:
      expansion: the code points that take the place of one of the class; `ITSELF` for that one.
      separates_words: context words split here.
      sigma_context: `STOP`, `CASED` or `SKIPPED`.
      ends_mark_run: combining marks before and behind are not put in order across it.
      mark_order: canonical combining class, 0 for what is no mark or is dropped; orders the marks of a run.
      holds_mark: the expansion holds a mark that has to be put in order.
    """

    expansion: tuple[int, ...]
    separates_words: bool
    sigma_context: int = STOP
    ends_mark_run: bool = True
    mark_order: int = 0
    holds_mark: bool = False


class CharacterClasses(NamedTuple):
    """All code points and their classes.

    Attributes:
      block_of: int32 [4352], for each 256 code points the number of a block.
      blocks: int32 [blocks, 256], the class of each code point of a block.
      classes: the classes, by number.
      final_sigma: the class of a "Σ" at the end of a word, which no code point belongs to by itself.
    """

    block_of: np.ndarray
    blocks: np.ndarray
    classes: list[CharacterClass]
    final_sigma: int

    def class_of(self, code_point: int) -> CharacterClass:
        """Return the class of a code point, as the graph looks it up."""
        block = self.block_of[code_point // _BLOCK]
        return self.classes[self.blocks[block, code_point % _BLOCK]]


@functools.lru_cache(maxsize=2)
def character_classes(do_lower_case: bool) -> CharacterClasses:
    """Ask `BasicTokenizer` about every code point.

    Args:
      do_lower_case: as for the tokenizer.
    """
    describe = _LowerCased() if do_lower_case else _Cased()
    numbers: dict[CharacterClass, int] = {CharacterClass((ITSELF,), False): 0}
    class_of = np.zeros(_NUM_CODE_POINTS, np.int32)
    for code_point in range(_NUM_CODE_POINTS):
        if code_point > _LAST_PROBED and unicodedata.category(chr(code_point)) in ("Cn", "Co"):
            continue
        class_of[code_point] = numbers.setdefault(describe(code_point), len(numbers))
    final_sigma = len(numbers)
    classes = [*numbers, describe(CAPITAL_SIGMA)._replace(expansion=(ord("ς"),))]
    blocks, block_of = np.unique(class_of.reshape(-1, _BLOCK), axis=0, return_inverse=True)
    return CharacterClasses(block_of.reshape(-1).astype(np.int32), blocks, classes, final_sigma)


class _Cased:
    """Describes code points for a tokenizer that leaves case and accents alone."""

    def __init__(self) -> None:
        self._tokenizer = BasicTokenizer(do_lower_case=False)

    def __call__(self, code_point: int) -> CharacterClass:
        return CharacterClass(self.expansion(code_point), chr(code_point) in WORD_SEPARATORS)

    def expansion(self, code_point: int) -> tuple[int, ...]:
        """Return what becomes of a character between two others, with a space between two tokens."""
        character = chr(code_point)
        tokens = " ".join(self._tokenizer.tokenize(f"a{character}b"))
        return tuple(ITSELF if c == character else ord(c) for c in tokens[1:-1])


class _LowerCased(_Cased):
    """Describes code points for a tokenizer that lower-cases and strips accents."""

    def __init__(self) -> None:
        self._tokenizer = BasicTokenizer(do_lower_case=True)
        self._is_kept = _Cased().expansion

    def __call__(self, code_point: int) -> CharacterClass:
        character = chr(code_point)
        expansion = self.expansion(code_point)
        is_deleted = not self._is_kept(code_point)
        decomposed = unicodedata.normalize("NFD", character.lower())
        return CharacterClass(
            expansion,
            character in WORD_SEPARATORS,
            SKIPPED if is_deleted else _sigma_context(character),
            not is_deleted and any(unicodedata.combining(c) == 0 for c in decomposed),
            _mark_order(character),
            any(_mark_order(chr(code_point if c == ITSELF else c)) for c in expansion),
        )


def _mark_order(character: str) -> int:
    # Marks of category Mn are dropped, so that their order is of no consequence.
    return 0 if unicodedata.category(character) == "Mn" else unicodedata.combining(character)


def _sigma_context(character: str) -> int:
    """Find out how `str.lower` sees a character that stands before a "Σ"."""

    def is_final(text: str) -> bool:
        return text.lower().endswith("ς")

    if is_final(f"1{character}Σ"):
        return CASED
    return SKIPPED if is_final(f"A{character}Σ") else STOP
