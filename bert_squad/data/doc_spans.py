"""Cut a long passage into overlapping spans, and say in which span each of its tokens has most context."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class DocSpan(NamedTuple):
    """A run of passage WordPieces that fits one input sequence.

    Attributes:
      start: position of the first WordPiece in the passage.
      length: number of WordPieces, at least 1.
    """

    start: int
    length: int


def cut_doc_spans(num_tokens: int, max_tokens_for_doc: int, doc_stride: int) -> list[DocSpan]:
    """Cut a passage into spans that overlap.

    Args:
      num_tokens: length of the passage in WordPieces.
      max_tokens_for_doc: greatest length of a span in WordPieces, inclusive; at least 1.
      doc_stride: WordPieces between the starts of two spans; at least 1. A stride longer than a span counts
        as the span's length, so that nothing is left out.

    Returns:
      The spans in order; none for an empty passage.

    Source: `convert_examples_to_features` of the legacy run_squad.py.

    >>> cut_doc_spans(10, max_tokens_for_doc=6, doc_stride=3)
    [DocSpan(start=0, length=6), DocSpan(start=3, length=6), DocSpan(start=6, length=4)]
    """
    spans = []
    start = 0
    while start < num_tokens:
        length = min(num_tokens - start, max_tokens_for_doc)
        spans.append(DocSpan(start, length))
        if start + length == num_tokens:
            break
        start += min(length, doc_stride)
    return spans


def max_context_span_indexes(spans: Sequence[DocSpan]) -> np.ndarray:
    """Find the span in which each passage WordPiece has most context.

    The context of a WordPiece in a span is the lesser of the numbers of WordPieces to its left and to its
    right there, plus 0.01 times the length of the span; among equals the first span wins.

    Args:
      spans: the spans of one passage, as `cut_doc_spans` gives them.

    Returns:
      int32 [number of passage WordPieces]: for each, the index of its span in `spans`.

    Source: `_check_is_max_context` of the legacy run_squad.py.
    Differs: one pass over the spans for all WordPieces together, not over all spans for each; the time is
      proportional to the sum of the spans' lengths.

    >>> max_context_span_indexes(cut_doc_spans(10, max_tokens_for_doc=6, doc_stride=3)).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    """
    num_tokens = spans[-1].start + spans[-1].length if spans else 0
    best_index = np.zeros(num_tokens, np.int32)
    if len(spans) < 2:
        return best_index
    best_score = np.full(num_tokens, -1.0)
    ramp = np.arange(spans[0].length)  # no span is longer than the first
    for index, (start, length) in enumerate(spans):
        left = ramp[:length]
        # In float64 and in this order, as the legacy computes it: the comparison must round alike.
        score = np.minimum(left, left[::-1]) + 0.01 * length
        covered = slice(start, start + length)
        better = score > best_score[covered]
        best_score[covered][better] = score[better]
        best_index[covered][better] = index
    return best_index
