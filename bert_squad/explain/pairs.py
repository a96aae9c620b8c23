"""Which pairs of a start and an end score high, and by which rules they are no answers. No TensorFlow here.

`answers.candidates` drops impossible pairs many at a time and does not say why. Here each rule is asked about one pair;
a test compares both for arbitrary logits.
"""

import functools
import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.answers.candidates import best_indexes
from bert_squad.answers.nbest import NbestOptions
from bert_squad.data.features import InputFeatures

RULES = {
    "padding": "in the padding behind the text",
    "question": "not in the passage but in [CLS], the question or a [SEP]",
    "end_before_start": "ends before it starts",
    "too_long": "longer than --max_answer_length",
    "other_window": "counts in another window, which shows more around its start",
    "beyond_best_starts": "its start is not among the best --n_best_size starts",
    "beyond_best_ends": "its end is not among the best --n_best_size ends",
    "same_text": "same text as a better span",
    "list_full": "--n_best_size better texts fill the list",
    "other_null": '"no answer" is read from the window whose [CLS] scores lowest',
}
"""The rules by name, in the order in which they are asked, with what they mean."""


class Pair(NamedTuple):
    """A start and an end in one window; positions count its sequence, the end is inclusive."""

    window: int
    start: int
    end: int
    start_logit: float
    end_logit: float

    @property
    def score(self) -> float:
        """S·T_i + E·T_j."""
        return self.start_logit + self.end_logit


class WindowPairs:
    """The pairs of one window.

    Args:
      number: of the window among those of the question, from 0.
      feature: the window.
      start_logits: floats [S].
      end_logits: floats [S].
      options: how answers are chosen.
    """

    def __init__(
        self,
        number: int,
        feature: InputFeatures,
        start_logits: np.ndarray,
        end_logits: np.ndarray,
        options: NbestOptions,
    ):
        self._number, self._feature, self._options = number, feature, options
        self._start_logits, self._end_logits = start_logits, end_logits

    def pair(self, start: int, end: int) -> Pair:
        """Return a pair with its logits."""
        return Pair(self._number, start, end, float(self._start_logits[start]), float(self._end_logits[end]))

    def best(self, size: int) -> list[Pair]:
        """Return the pairs of the largest sums, best first, whether they may be answers or not."""
        # The best pairs are of the best starts and ends: any other start has as many better ones before it.
        starts, ends = (_best(logits, size) for logits in (self._start_logits, self._end_logits))
        pairs = (self.pair(start, end) for start in starts for end in ends)
        return heapq.nlargest(size, pairs, key=lambda pair: pair.score)

    def rules_against(self, start: int, end: int) -> list[str]:
        """Return the names of the rules that exclude a pair; none when it is a candidate.

        Source: the candidate loop of `write_predictions` in the legacy run_squad.py.
        """
        words = self._feature.token_to_orig_map
        num_tokens = len(self._feature.tokens)
        is_broken = {
            "padding": max(start, end) >= num_tokens,
            "question": any(position not in words and position < num_tokens for position in (start, end)),
            "end_before_start": end < start,
            "too_long": end - start >= self._options.max_answer_length,
            # LEGACY: the start alone is asked; the end need not have its maximum context here.
            "other_window": start in words and not self._feature.token_is_max_context.get(start, False),
            "beyond_best_starts": start not in self._best_starts,
            "beyond_best_ends": end not in self._best_ends,
        }
        return [rule for rule, broken in is_broken.items() if broken]

    @functools.cached_property
    def _best_starts(self) -> frozenset[int]:
        return frozenset(_best(self._start_logits, self._options.n_best_size))

    @functools.cached_property
    def _best_ends(self) -> frozenset[int]:
        return frozenset(_best(self._end_logits, self._options.n_best_size))


def best_pairs(windows: Sequence[WindowPairs], size: int) -> list[Pair]:
    """Return the pairs of the largest sums of all windows, best first.

    Of ([CLS], [CLS]), which every window has, only the best.
    """
    best = [pair for window in windows for pair in window.best(size)]
    nulls = [pair for pair in best if pair.start == pair.end == 0]
    dropped = set(sorted(nulls, key=lambda pair: -pair.score)[1:])
    return heapq.nlargest(size, (pair for pair in best if pair not in dropped), key=lambda pair: pair.score)


def _best(logits: np.ndarray, size: int) -> list[int]:
    return best_indexes(logits[np.newaxis], size)[0].tolist()
