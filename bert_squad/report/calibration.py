"""Whether probabilities are what they say, and what a better choice within the n-best could win. No TensorFlow here."""

from collections.abc import Sequence
from typing import NamedTuple

from bert_squad.report.questions import QuestionResult

NUM_BINS = 10
_DEPTHS = (1, 2, 3, 5, 10, 20)


class Bin(NamedTuple):
    """Questions whose answers have about the same probability: from `low` (inclusive) to `high`."""

    low: float
    high: float
    total: int
    mean_probability: float
    share_exact: float


class Calibration(NamedTuple):
    """How probabilities and exact answers go together.

    Attributes:
      bins: those that have questions, of equal width.
      error: the expected calibration error, the mean over questions of |mean probability - share exact| of their bin.
      mean_probability: of all answers.
      share_exact: of all answers.
      total: number of questions whose answer has a probability.
      num_without: number of the others.
    """

    bins: list[Bin]
    error: float
    mean_probability: float
    share_exact: float
    total: int
    num_without: int


def calibrate(questions: Sequence[QuestionResult]) -> Calibration | None:
    """Compare the probabilities of answers with how often they are exact; None when there are no probabilities.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), for the error.
    """
    pairs = [(of.probability, of.score.exact) for of in questions if of.probability is not None]
    if not pairs:
        return None
    sorted_in: list[list[tuple[float, float]]] = [[] for _ in range(NUM_BINS)]
    for probability, exact in pairs:
        sorted_in[min(int(probability * NUM_BINS), NUM_BINS - 1)].append((probability, exact))
    bins = [
        Bin(index / NUM_BINS, (index + 1) / NUM_BINS, len(members), *_means(members))
        for index, members in enumerate(sorted_in)
        if members
    ]
    error = sum(of.total * abs(of.mean_probability - of.share_exact) for of in bins) / len(pairs)
    return Calibration(bins, error, *_means(pairs), len(pairs), len(questions) - len(pairs))


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(p for p, _ in pairs) / len(pairs), sum(exact for _, exact in pairs) / len(pairs)


class Depth(NamedTuple):
    """What the best choice among the first `depth` entries of each n-best list would score, in percent."""

    depth: int
    exact: float
    f1: float


def best_within(questions: Sequence[QuestionResult]) -> list[Depth]:
    """Return what better choices could win: the scores of the best of the first so many entries.

    Args:
      questions: all of them; one without an n-best list scores 0.

    Returns:
      A row for each depth, up to the longest list; none when there are no lists.
    """
    longest = max((len(question.nbest_scores) for question in questions), default=0)
    depths = [depth for depth in _DEPTHS if depth + 1 < longest] + [longest] * (longest > 0)
    rows = []
    for depth in depths:
        exact = sum(max((s.exact for s in q.nbest_scores[:depth]), default=0.0) for q in questions)
        f1 = sum(max((s.f1 for s in q.nbest_scores[:depth]), default=0.0) for q in questions)
        rows.append(Depth(depth, 100.0 * exact / len(questions), 100.0 * f1 / len(questions)))
    return rows
