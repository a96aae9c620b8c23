"""Sort questions into groups: by kind, by lengths, by windows. No TensorFlow here."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bert_squad.report.questions import QuestionResult, Results
from bert_squad.report.statistics import Interval, bootstrap_interval, wilson_interval
from bert_squad.report.window_facts import HOLDABLE, WindowFacts

_KIND = re.compile(r"\b(how (?:many|much)|how|who|whom|whose|when|where|what|which|why)\b", re.IGNORECASE)
_KINDS = ("who", "when", "where", "what", "which", "why", "how", "how many/much", "other")
REACH = "whether a window can hold the answer"  # the name of this grouping
_NO_ANSWER = "no answer"
_ANSWER_BOUNDS = (0, 1, 3, 7, 15)  # words, inclusive
_PASSAGE_BOUNDS = (100, 200, 400, 800)
_WINDOW_BOUNDS = (0, 1, 2, 3)


class Group(NamedTuple):
    """The scores of some questions, in percent, each with its interval."""

    label: str
    total: int
    exact: float
    exact_interval: Interval
    f1: float
    f1_interval: Interval


class Grouping(NamedTuple):
    """One way to sort questions.

    Attributes:
      name: what by, e.g. "kind of question".
      note: what a reader should know of it; may be "".
      groups: those that have questions, in their order.
      group_of: for each question, the index of its group.
    """

    name: str
    note: str
    groups: list[Group]
    group_of: list[int]


def kind_of(question: str) -> str:
    """Return the kind of a question, by the first question word in it.

    >>> kind_of("In what year did it end?"), kind_of("How many are there?"), kind_of("Wer war das?")
    ('what', 'how many/much', 'other')
    """
    match = _KIND.search(question)
    if not match:
        return "other"
    word = match[1].lower()
    if word in ("whom", "whose"):
        return "who"
    return "how many/much" if word.startswith("how ") else word


def group_questions(results: Results, windows: WindowFacts | None) -> list[Grouping]:
    """Sort the questions in each way that is known.

    Args:
      results: the questions.
      windows: how passages are cut; None leaves these groups out.
    """
    lengths = [len(passage.split()) for passage in results.passages]
    groupings = [
        _grouping(
            "kind of question",
            "the first question word in it",
            results,
            lambda _, q: kind_of(q.question),
            _KINDS,
        ),
        _grouping(
            "length of the answer",
            "in words; of several right answers, the shortest",
            results,
            lambda _, q: _bin(_answer_words(q), _ANSWER_BOUNDS, "word"),
            (*_bin_names(_ANSWER_BOUNDS, "word"), _NO_ANSWER),
        ),
        _grouping(
            "length of the passage",
            "in words",
            results,
            lambda _, q: _bin(lengths[q.passage], _PASSAGE_BOUNDS, "word"),
            _bin_names(_PASSAGE_BOUNDS, "word"),
        ),
    ]
    if windows is not None:
        groupings += [
            _grouping(
                "number of windows",
                "that the passage is cut into",
                results,
                lambda row, _: _bin(windows.num_windows[row], _WINDOW_BOUNDS, "window"),
                _bin_names(_WINDOW_BOUNDS, "window"),
            ),
            _grouping(
                REACH,
                "an answer that none holds, or that is longer than the run may answer, cannot be found whole",
                results,
                lambda row, _: windows.holdable[row],
                HOLDABLE,
            ),
        ]
    return groupings


def _grouping(
    name: str,
    note: str,
    results: Results,
    label_of: Callable[[int, QuestionResult], str],
    order: Sequence[str],
) -> Grouping:
    labels = [label_of(row, question) for row, question in enumerate(results.questions)]
    present = set(labels)
    shown = [label for label in order if label in present]
    index_of = {label: index for index, label in enumerate(shown)}
    members: list[list[QuestionResult]] = [[] for _ in shown]
    for label, question in zip(labels, results.questions, strict=True):
        members[index_of[label]].append(question)
    groups = [score_group(label, of_label) for label, of_label in zip(shown, members, strict=True)]
    return Grouping(name, note, groups, [index_of[label] for label in labels])


def score_group(label: str, questions: Sequence[QuestionResult]) -> Group:
    """Return the mean scores of some questions; there must be at least one."""
    total = len(questions)
    exact = sum(question.score.exact for question in questions)
    f1 = [question.score.f1 for question in questions]
    return Group(
        label,
        total,
        100.0 * exact / total,
        _percent(wilson_interval(round(exact), total)),
        100.0 * sum(f1) / total,
        _percent(bootstrap_interval(f1)),
    )


def _percent(interval: Interval) -> Interval:
    return Interval(100.0 * interval.low, 100.0 * interval.high)


def _answer_words(question: QuestionResult) -> int | None:
    return min((len(gold.text.split()) for gold in question.golds), default=None)


def _bin(value: int | None, bounds: Sequence[int], unit: str) -> str:
    if value is None:
        return _NO_ANSWER
    names = _bin_names(bounds, unit)
    return next((name for name, bound in zip(names, bounds, strict=False) if value <= bound), names[-1])


def _bin_names(bounds: Sequence[int], unit: str) -> list[str]:
    """Return the names of bins that end at bounds, inclusive, and of one behind the last.

    >>> _bin_names((1, 3, 7), "word")
    ['1 word', '2 to 3 words', '4 to 7 words', 'more than 7 words']
    >>> _bin_names((100, 200), "word")
    ['up to 100 words', '101 to 200 words', 'more than 200 words']
    """
    names = [
        f"up to {bounds[0]} {unit}s" if bounds[0] > 1 else f"{bounds[0]} {unit}" + "s" * (bounds[0] != 1)
    ]
    for before, bound in itertools.pairwise(bounds):
        alone = bound == before + 1
        names.append(f"{bound} {unit}" + "s" * (bound != 1) if alone else f"{before + 1} to {bound} {unit}s")
    return [*names, f"more than {bounds[-1]} {unit}s"]
