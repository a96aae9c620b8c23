"""SQuAD 2.0: the scores as the threshold of null odds moves, and the odds of both kinds of question. No TensorFlow."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.answers.metrics import Score
from bert_squad.report.questions import QuestionResult

_MOST_POINTS = 240
_NUM_BINS = 30
_TRIMMED = 0.005  # of the odds at either end, that a histogram counts in its outermost bins


class Point(NamedTuple):
    """The scores when all questions whose null odds are above `threshold` are answered by "", in percent."""

    threshold: float
    exact: float
    f1: float


class Thresholds(NamedTuple):
    """What the threshold of null odds does.

    Attributes:
      curve: points in the order of thresholds, thinned out for a picture; its first answers every question by "".
      best_exact: the point of the most exact answers, of all.
      best_f1: that of the best F1.
      at_zero: the point of the threshold 0.
      edges: of the bins of both histograms, one more than bins.
      answerable: number of questions in each bin that have an answer.
      unanswerable: number of those that have none.
      uses_nbest: what is answered below a threshold is the best text of the n-best list; else the prediction.
    """

    curve: list[Point]
    best_exact: Point
    best_f1: Point
    at_zero: Point
    edges: list[float]
    answerable: list[int]
    unanswerable: list[int]
    uses_nbest: bool


def sweep_thresholds(questions: Sequence[QuestionResult]) -> Thresholds | None:
    """Move the threshold over all null odds; None when there are none.

    With n-best lists the scores at a threshold are those of a run with this --null_score_diff_threshold.
    """
    rated = [question for question in questions if question.null_odds is not None]
    if not rated or len(rated) < len(questions):
        return None
    uses_nbest = all(question.nbest for question in rated)
    odds = np.asarray([question.null_odds for question in rated], np.float64)
    order = np.argsort(odds, kind="stable")
    answered = np.asarray([_answered(question, uses_nbest) for question in rated])[order]
    empty = np.asarray([[float(not question.golds)] * 2 for question in rated])[order]
    # Row k: the k questions with the lowest odds are answered, the others are not.
    gained = np.concatenate([[[0.0, 0.0]], np.cumsum(answered - empty, axis=0)])
    scores = 100.0 * (empty.sum(axis=0) + gained) / len(rated)
    ordered = odds[order]
    # No threshold parts questions of the same odds.
    rows = [0, *(k for k in range(1, len(rated) + 1) if k == len(rated) or ordered[k] > ordered[k - 1])]
    below = float(np.nextafter(ordered[0], -math.inf))
    points = [Point(float(ordered[k - 1]) if k else below, *map(float, scores[k])) for k in rows]
    at_zero = [point for point in points if point.threshold <= 0] or points[:1]
    edges, answerable, unanswerable = _histograms(rated)
    return Thresholds(
        _thinned(points),
        max(points, key=lambda point: point.exact),
        max(points, key=lambda point: point.f1),
        at_zero[-1],
        edges,
        answerable,
        unanswerable,
        uses_nbest,
    )


def _answered(question: QuestionResult, uses_nbest: bool) -> Score:
    """Return the score of a question when its odds are below the threshold."""
    if not uses_nbest:
        return question.score
    for entry, score in zip(question.nbest, question.nbest_scores, strict=True):
        if entry["text"]:
            return score
    return Score(*[float(not question.golds)] * 2)  # nothing but "" is listed


def _thinned(points: list[Point]) -> list[Point]:
    """Return so many points that a picture can show, among them the first and the last."""
    if len(points) <= _MOST_POINTS:
        return points
    places = np.unique(np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int))
    return [points[place] for place in places]


def _histograms(questions: Sequence[QuestionResult]) -> tuple[list[float], list[int], list[int]]:
    """Return the edges of bins and the counts of answerable and of unanswerable questions in them."""
    odds = np.asarray([question.null_odds for question in questions], np.float64)
    has_answer = np.asarray([bool(question.golds) for question in questions])
    finite = odds[np.isfinite(odds)]
    low, high = np.quantile(finite, [_TRIMMED, 1 - _TRIMMED]) if len(finite) else (-1.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 1.0, high + 1.0
    edges = np.linspace(low, high, _NUM_BINS + 1)
    clipped = np.clip(odds, low, high)
    counts = [np.histogram(clipped[mask], edges)[0].tolist() for mask in (has_answer, ~has_answer)]
    return edges.tolist(), counts[0], counts[1]
