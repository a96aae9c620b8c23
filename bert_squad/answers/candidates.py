"""Find the candidate answers of questions in their logits, the best first.

Two stages, both in numpy: the best starts and ends of each feature are paired and the impossible pairs dropped, for
many features at once; then the pairs of all features of a question are ranked by the sum of their logits. Equal
logits do occur, so every step keeps the order of the stable sorts of the legacy program.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.data.features import InputFeatures

Logits = tuple[np.ndarray, np.ndarray]  # of starts and of ends, float32 or float64 [S] without NaN


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
    questions: Sequence[tuple[Sequence[InputFeatures], Sequence[Logits]]],
    n_best_size: int,
    max_answer_length: int,
) -> list[Iterator[PrelimPrediction]]:
    """Give the candidates of each question by the sum of their logits, descending.

    Equal sums keep the order: feature, rank of the start, rank of the end.

    Args:
      questions: for each question its features, and the logits of each of them.
      n_best_size: how many starts and ends of each feature are tried, from 1.
      max_answer_length: longest answer in WordPieces (inclusive).

    Returns:
      An iterator for each question.

    Source: the candidate loop of `write_predictions` in the legacy run_squad.py.
    Differs: looks at many questions at once; makes a candidate when it is asked for, since most never are.
    """
    features = [feature for of_question, _ in questions for feature in of_question]
    logits = [of_feature for _, of_question in questions for of_feature in of_question]
    first_rows = list(itertools.accumulate((len(of_question) for of_question, _ in questions), initial=0))
    parts, row = [], 0
    for _, group in itertools.groupby(logits, lambda pair: (len(pair[0]), pair[0].dtype, pair[1].dtype)):
        starts, ends = zip(*group, strict=True)
        members = features[row : row + len(starts)]
        members_rows, *others = _possible_pairs(
            members, np.stack(starts), np.stack(ends), n_best_size, max_answer_length
        )
        parts.append((members_rows + row, *others))
        row += len(starts)
    if not parts:
        return [iter(()) for _ in questions]
    columns = parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))
    rows, _, _, start_logits, end_logits = columns
    descending = -(start_logits + end_logits)
    bounds = rows.searchsorted(first_rows).tolist()
    rankings = [
        begin + descending[begin:end].argsort(kind="stable") for begin, end in itertools.pairwise(bounds)
    ]
    columns = (rows - np.repeat(first_rows[:-1], np.diff(bounds)), *columns[1:])
    # An n-best list seldom needs more than its length. So many are made for all questions together: that is quicker.
    best = _made(columns, np.concatenate([ranking[:n_best_size] for ranking in rankings]))
    return [
        itertools.chain(
            list(itertools.islice(best, min(n_best_size, len(ranking)))),
            _made_in_chunks(columns, ranking[n_best_size:], n_best_size),
        )
        for ranking in rankings
    ]


def _made_in_chunks(
    columns: Sequence[np.ndarray], places: np.ndarray, size: int
) -> Iterator[PrelimPrediction]:
    for begin in range(0, len(places), size):
        yield from _made(columns, places[begin : begin + size])


def _made(columns: Sequence[np.ndarray], places: np.ndarray) -> Iterator[PrelimPrediction]:
    """Make candidates of what stands at some places of the columns."""
    # What `PrelimPrediction._make` does, without a step through Python for each.
    make = functools.partial(tuple.__new__, PrelimPrediction)
    return map(make, zip(*(column[places].tolist() for column in columns), strict=True))


def insert_null(spans: Iterator[PrelimPrediction], null: PrelimPrediction) -> Iterator[PrelimPrediction]:
    """Put the candidate that means "no answer" in its place by rank: behind spans of the same sum."""
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
    """Return the indexes of the largest logits of each row, descending; of equal ones the lower index comes first.

    Args:
      logits: floats [F, S] without NaN.
      n_best_size: how many at most, from 1.

    Returns:
      int [F, min(n_best_size, S)].

    Source: `_get_best_indexes` of the legacy run_squad.py.
    Differs: selects before it sorts; the outcome is that of a stable sort of everything.

    >>> best_indexes(np.array([[1.0, 3.0, 3.0, 2.0, 1.0]]), 4).tolist()
    [[1, 2, 3, 0]]
    """
    descending = -logits
    if n_best_size < logits.shape[1]:
        last_wanted = np.partition(descending, n_best_size - 1)[:, n_best_size - 1, np.newaxis]
        is_wanted = descending <= last_wanted
        if np.count_nonzero(is_wanted) == len(logits) * n_best_size:
            indexes = is_wanted.nonzero()[1].reshape(-1, n_best_size)
            order = np.take_along_axis(descending, indexes, 1).argsort(kind="stable")
            return np.take_along_axis(indexes, order, 1)
        # In some row values beyond the last one wanted equal it; only a sort of everything tells which to take.
    return descending.argsort(kind="stable")[:, :n_best_size]


def _possible_pairs(
    features: Sequence[InputFeatures],
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best_size: int,
    max_answer_length: int,
) -> tuple[np.ndarray, ...]:
    """Pair the best starts of each feature with its best ends, as far as a pair is a span of the document.

    Returns:
      Arrays [P]: the number of the feature, then the fields of `PrelimPrediction` from `start_index` on; in the order
      of feature, start rank, end rank. The logits are doubles: sums of float32 tie where the sums of the legacy
      program do not.
    """
    starts, ends = best_indexes(start_logits, n_best_size), best_indexes(end_logits, n_best_size)
    num_tokens = np.array([len(feature.tokens) for feature in features])[:, np.newaxis]
    words_of = [feature.token_to_orig_map.__contains__ for feature in features]
    contexts_of = [feature.token_is_max_context.get for feature in features]
    # LEGACY: the start must have its maximum context in this feature; the end need not.
    start_is_possible = _for_each(words_of, starts) & _for_each(contexts_of, starts) & (starts < num_tokens)
    end_is_possible = _for_each(words_of, ends) & (ends < num_tokens)
    length = ends[:, np.newaxis] - starts[:, :, np.newaxis] + 1  # [features, starts, ends]
    is_possible = (length > 0) & (length <= max_answer_length)
    is_possible &= start_is_possible[:, :, np.newaxis] & end_is_possible[:, np.newaxis]
    # `nonzero` of three dimensions takes ten times as long as that of one.
    rows, start_ranks, end_ranks = np.unravel_index(np.flatnonzero(is_possible), is_possible.shape)
    starts, ends = starts[rows, start_ranks], ends[rows, end_ranks]
    return (
        rows,
        starts,
        ends,
        start_logits[rows, starts].astype(np.float64),
        end_logits[rows, ends].astype(np.float64),
    )


def _for_each(tests, positions: np.ndarray) -> np.ndarray:
    """Apply the test of each row to the positions in it: bool, of the same shape."""
    answers = itertools.chain.from_iterable(map(map, tests, positions.tolist()))
    return np.fromiter(answers, bool, positions.size).reshape(positions.shape)
