"""Find the candidate answers of a question in its logits, the best first.

Two stages, both in numpy: per feature the best starts and ends are paired and the impossible pairs dropped;
then the pairs of all features of the question are ranked by the sum of their logits. Equal logits do occur, so
every step keeps the order of the stable sorts of the legacy program.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.data.features import InputFeatures


class PrelimPrediction(NamedTuple):
    """A candidate: a span of one feature's sequence and its two logits.

    `feature_index` counts the features of the question from 0; `start_index` and `end_index` (inclusive) are
    positions in the input sequence (frame `seq_`). `[CLS]`, position 0, stands for "no answer".

    Source: `_PrelimPrediction` of the legacy run_squad.py.
    """

    feature_index: int
    start_index: int
    end_index: int
    start_logit: float
    end_logit: float


NOWHERE = PrelimPrediction(-1, -1, -1, 0.0, 0.0)
"""Stands for an answer that was read from no sequence."""


def ranked_candidates(
    features: Sequence[InputFeatures],
    logits: Sequence[tuple[np.ndarray, np.ndarray]],
    n_best_size: int,
    max_answer_length: int,
    null: PrelimPrediction | None = None,
) -> Iterator[PrelimPrediction]:
    """Give the candidates of one question by the sum of their logits, descending.

    Equal sums keep the order: feature, rank of the start, rank of the end, and at last `null`.

    Args:
      features: the F features of the question.
      logits: for each of them (start_logits, end_logits), float32 or float64 [S], without NaN.
      n_best_size: how many starts and ends of each feature are tried, from 1.
      max_answer_length: longest answer in WordPieces (inclusive).
      null: the candidate that means "no answer", where there is one.

    Source: the candidate loop of `write_predictions` in the legacy run_squad.py.
    Differs: a candidate is made when it is asked for; most never are.
    """
    spans = _ranked_spans(features, logits, n_best_size, max_answer_length)
    return spans if null is None else _insert_null(spans, null)


def _insert_null(spans: Iterator[PrelimPrediction], null: PrelimPrediction) -> Iterator[PrelimPrediction]:
    null_score = null.start_logit + null.end_logit
    for candidate in spans:
        if null_score > candidate.start_logit + candidate.end_logit:
            yield null
            yield candidate
            yield from spans
            return
        yield candidate
    yield null


def best_indexes(logits: np.ndarray, n_best_size: int) -> np.ndarray:
    """Return the indexes of the largest logits, descending; of equal ones the lower index comes first.

    Args:
      logits: floats [S] without NaN.
      n_best_size: how many at most, from 1.

    Source: `_get_best_indexes` of the legacy run_squad.py.
    Differs: selects before it sorts; the outcome is that of a stable sort of everything.

    >>> best_indexes(np.array([1.0, 3.0, 3.0, 2.0, 1.0]), 4).tolist()
    [1, 2, 3, 0]
    """
    descending = -logits
    if n_best_size < len(logits):
        # Of the values equal to the last one wanted a partition picks any; all of them must stand for the sort.
        last_wanted = np.partition(descending, n_best_size - 1)[n_best_size - 1]
        indexes = (descending <= last_wanted).nonzero()[0]
        return indexes[descending[indexes].argsort(kind="stable")[:n_best_size]]
    return descending.argsort(kind="stable")


def _ranked_spans(
    features: Sequence[InputFeatures],
    logits: Sequence[tuple[np.ndarray, np.ndarray]],
    n_best_size: int,
    max_answer_length: int,
) -> Iterator[PrelimPrediction]:
    parts = [
        _possible_pairs(feature_index, feature, start_logits, end_logits, n_best_size, max_answer_length)
        for feature_index, (feature, (start_logits, end_logits)) in enumerate(
            zip(features, logits, strict=True)
        )
    ]
    if not parts:
        return
    columns = parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))
    *_, start_logits, end_logits = columns
    ranking = (-(start_logits + end_logits)).argsort(kind="stable")
    # An n-best list seldom needs more than its length, so that many are made Python values at a time.
    for begin in range(0, len(ranking), n_best_size):
        chunk = ranking[begin : begin + n_best_size]
        yield from map(PrelimPrediction, *(column[chunk].tolist() for column in columns))


def _possible_pairs(
    feature_index: int,
    feature: InputFeatures,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best_size: int,
    max_answer_length: int,
) -> tuple[np.ndarray, ...]:
    """Pair the best starts of one feature with its best ends, as far as a pair is a span of the document.

    Returns:
      The fields of `PrelimPrediction` as arrays [P], in the order of start rank, then end rank. The logits are
      doubles: sums of float32 tie where the sums of the legacy program do not.
    """
    num_tokens = len(feature.tokens)
    orig_of, max_context = feature.token_to_orig_map, feature.token_is_max_context
    # LEGACY: the start must have its maximum context in this feature; the end need not.
    starts = [
        index
        for index in best_indexes(start_logits, n_best_size).tolist()
        if index in orig_of and index < num_tokens and max_context.get(index, False)
    ]
    ends = [
        index
        for index in best_indexes(end_logits, n_best_size).tolist()
        if index in orig_of and index < num_tokens
    ]
    start_indexes, end_indexes = np.array(starts, dtype=np.intp), np.array(ends, dtype=np.intp)
    length = end_indexes - start_indexes[:, None] + 1  # [starts, ends]
    start_ranks, end_ranks = ((length > 0) & (length <= max_answer_length)).nonzero()
    start_indexes, end_indexes = start_indexes[start_ranks], end_indexes[end_ranks]
    return (
        np.full(len(start_indexes), feature_index),
        start_indexes,
        end_indexes,
        start_logits[start_indexes].astype(np.float64),
        end_logits[end_indexes].astype(np.float64),
    )
