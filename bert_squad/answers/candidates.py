"""Find the candidate answers of questions in their logits, the best first.

Two stages, both in numpy: the best starts and ends of each feature are paired and the impossible pairs dropped, for
many features at once; then the pairs of all features of a question are ranked by the sum of their logits. Equal
logits do occur, so every step keeps the order of the stable sorts of the legacy program.

Memory has a bound that neither the length of a passage nor `n_best_size` moves: so many pairs are looked at together,
and of a question with more than these the best are kept.
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

    @property
    def is_span(self) -> bool:
        """Whether it was read from the passage: it is neither `NOWHERE` nor "no answer"."""
        return self.start_index > 0


PAIRS_TOGETHER = 1 << 20  # are looked at; some 20 MB
_CANDIDATES_KEPT = 1 << 17  # of a question with more pairs, at first
_MOST_CANDIDATES_KEPT = 1 << 21  # each time that more are asked for, more are kept, up to this

Columns = tuple[
    np.ndarray, ...
]  # the number of a feature, and the fields of `PrelimPrediction` from `start_index` on

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
    num_pairs = sum(min(n_best_size, len(starts)) ** 2 for _, logits in questions for starts, _ in logits)
    if num_pairs > PAIRS_TOGETHER:
        return [_ranked_in_blocks(*question, n_best_size, max_answer_length) for question in questions]
    return _ranked_at_once(questions, n_best_size, max_answer_length)


def _ranked_at_once(
    questions: Sequence[tuple[Sequence[InputFeatures], Sequence[Logits]]],
    n_best_size: int,
    max_answer_length: int,
) -> list[Iterator[PrelimPrediction]]:
    features = [feature for of_question, _ in questions for feature in of_question]
    logits = [of_feature for _, of_question in questions for of_feature in of_question]
    first_rows = list(itertools.accumulate((len(of_question) for of_question, _ in questions), initial=0))
    parts = list(_possible_pairs(features, logits, n_best_size, max_answer_length))
    if not parts:
        return [iter(()) for _ in questions]
    columns = _joined(parts)
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


def _ranked_in_blocks(
    features: Sequence[InputFeatures], logits: Sequence[Logits], n_best_size: int, max_answer_length: int
) -> Iterator[PrelimPrediction]:
    """Give the candidates of one question, the best some thousand first; look at all pairs again for the next ones."""
    size = max(_CANDIDATES_KEPT, n_best_size)
    last = (-np.inf, -1)  # descending sum and number, among all pairs, of the last candidate given
    while True:
        kept: Columns = ()
        is_cut, first = False, 0
        for part in _possible_pairs(features, logits, n_best_size, max_answer_length):
            descending = -(part[3] + part[4])
            numbers = np.arange(first, first + len(descending))
            first += len(descending)
            is_next = (descending > last[0]) | ((descending == last[0]) & (numbers > last[1]))
            new = tuple(column[is_next] for column in (*part, descending, numbers))
            kept = _joined([kept, new]) if kept else new
            if len(kept[0]) > 2 * size:
                kept, is_cut = _best(kept, size), True
        is_cut = is_cut or bool(kept and len(kept[0]) > size)
        if not kept or not len(kept[0]):
            return
        kept = _best(kept, size)
        last = (kept[5][-1], kept[6][-1])
        yield from _made_in_chunks(kept[:5], np.arange(len(kept[0])), n_best_size)
        if not is_cut:
            return
        size = max(size, min(4 * size, _MOST_CANDIDATES_KEPT))


def _best(columns: Columns, size: int) -> Columns:
    """Return what has the lowest `descending`, column 5, sorted; of equals, which stand in order, the first."""
    ranking = columns[5].argsort(kind="stable")[:size]
    return tuple(column[ranking] for column in columns)


def _joined(parts: Sequence[Columns]) -> Columns:
    return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))


def _made_in_chunks(columns: Columns, places: np.ndarray, size: int) -> Iterator[PrelimPrediction]:
    for begin in range(0, len(places), size):
        yield from _made(columns, places[begin : begin + size])


def _made(columns: Columns, places: np.ndarray) -> Iterator[PrelimPrediction]:
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
    features: Sequence[InputFeatures], logits: Sequence[Logits], n_best_size: int, max_answer_length: int
) -> Iterator[Columns]:
    """Pair the best starts of each feature with its best ends, as far as a pair is a span of the passage.

    Yields:
      Columns, each of an array [P], in the order of feature, start rank, end rank; they come from no more than
      `PAIRS_TOGETHER` pairs, or those of one start. The logits are doubles: sums of float32 tie where the sums of the
      legacy program do not.
    """
    row = 0
    for (length, _, _), group in itertools.groupby(
        logits, lambda pair: (len(pair[0]), pair[0].dtype, pair[1].dtype)
    ):
        of_group = list(group)
        together = max(1, PAIRS_TOGETHER // min(n_best_size, length) ** 2)
        for begin in range(0, len(of_group), together):
            starts, ends = zip(*of_group[begin : begin + together], strict=True)
            members = features[row : row + len(starts)]
            for rows, *others in _pairs_of_features(
                members, np.stack(starts), np.stack(ends), n_best_size, max_answer_length
            ):
                yield (rows + row, *others)
            row += len(starts)


def _pairs_of_features(
    features: Sequence[InputFeatures],
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best_size: int,
    max_answer_length: int,
) -> Iterator[Columns]:
    starts, ends = best_indexes(start_logits, n_best_size), best_indexes(end_logits, n_best_size)
    num_tokens = np.array([len(feature.tokens) for feature in features])[:, np.newaxis]
    words_of = [feature.token_to_orig_map.__contains__ for feature in features]
    contexts_of = [feature.token_is_max_context.get for feature in features]
    # LEGACY: the start must have its maximum context in this feature; the end need not.
    start_is_possible = _for_each(words_of, starts) & _for_each(contexts_of, starts) & (starts < num_tokens)
    end_is_possible = _for_each(words_of, ends) & (ends < num_tokens)
    rows_of_starts, ranks = start_is_possible.nonzero()
    starts = starts[rows_of_starts, ranks]
    ends = np.where(end_is_possible, ends, -1)  # before every start
    together = max(1, PAIRS_TOGETHER // ends.shape[1])
    for begin in range(0, len(starts), together):
        rows, own_starts = rows_of_starts[begin : begin + together], starts[begin : begin + together]
        pairs, end_ranks = _fitting_ends(own_starts, ends[rows], max_answer_length)
        rows, own_starts = rows[pairs], own_starts[pairs]
        own_ends = ends[rows, end_ranks]
        yield (
            rows,
            own_starts,
            own_ends,
            start_logits[rows, own_starts].astype(np.float64),
            end_logits[rows, own_ends].astype(np.float64),
        )


def _fitting_ends(
    starts: np.ndarray, ends: np.ndarray, max_answer_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the starts [N] go with which of the ends in their rows [N, n]: two arrays of indexes."""
    distance = ends - starts[:, np.newaxis]
    is_possible = (distance >= 0) & (distance < max_answer_length)
    # `nonzero` of two dimensions takes several times as long as that of one.
    pairs, end_ranks = np.divmod(np.flatnonzero(is_possible), ends.shape[1])
    return pairs, end_ranks


def _for_each(tests, positions: np.ndarray) -> np.ndarray:
    """Apply the test of each row to the positions in it: bool, of the same shape."""
    answers = itertools.chain.from_iterable(map(map, tests, positions.tolist()))
    return np.fromiter(answers, bool, positions.size).reshape(positions.shape)
