"""What a reader should know first, in sentences. No TensorFlow here."""

from typing import NamedTuple

from bert_squad.report.calibration import Calibration, Depth
from bert_squad.report.groups import REACH, Grouping
from bert_squad.report.questions import Results
from bert_squad.report.thresholds import Thresholds
from bert_squad.report.window_facts import CUT, TOO_LONG

_FEWEST = 10  # questions of a group that is spoken of
_MOST_WEAK = 4
_CLEAR = 0.05  # of a probability: what is worth a sentence
_GAIN = 0.1  # of a score in percent


class WeakGroup(NamedTuple):
    """A group that is surely below the mean: its place among the groupings, and its name and scores in words."""

    grouping: int
    group: int
    text: str


def weak_groups(results: Results, groupings: list[Grouping]) -> list[WeakGroup]:
    """Return the weakest group of each grouping, the weakest first, as far as chance does not explain it.

    That is so when the interval of a group's F1 ends below the F1 of all questions. What no window can hold is told
    apart (`findings`).
    """
    weak = []
    for number, grouping in enumerate(groupings):
        below = [
            (
                group.f1,
                WeakGroup(
                    number, index, f"{grouping.name}: {group.label}, F1 {group.f1:.1f} ({group.total:,})"
                ),
            )
            for index, group in enumerate(grouping.groups)
            if grouping.name != REACH
            and group.total >= _FEWEST
            and group.f1_interval.high < results.metrics["f1"]
        ]
        if below:
            weak.append(min(below))
    return [group for _, group in sorted(weak)][:_MOST_WEAK]


def findings(
    results: Results,
    groupings: list[Grouping],
    depths: list[Depth],
    calibration: Calibration | None,
    thresholds: Thresholds | None,
) -> list[str]:
    """Return sentences on what else the model gets wrong, the plainest first."""
    return [
        *_out_of_reach(groupings),
        *_better_choices(results, depths),
        *_confidence(calibration),
        *_threshold(results, thresholds),
    ]


def _out_of_reach(groupings: list[Grouping]) -> list[str]:
    counts = {group.label: group.total for grouping in groupings for group in grouping.groups}
    reasons = ((CUT, "no window holds"), (TOO_LONG, "are longer than --max_answer_length"))
    return [
        f"Out of reach of this run: the right answers to {counts[label]:,} questions, which {reason}."
        for label, reason in reasons
        if label in counts
    ]


def _better_choices(results: Results, depths: list[Depth]) -> list[str]:
    if len(depths) < 2:
        return []
    last = depths[-1]
    return [
        f"A right answer is among the first {last.depth} of the n-best list for "
        f"{last.exact:.1f}\u00a0% of the questions; "
        f"{results.exact:.1f}\u00a0% are answered exactly. The difference is what a better choice could win."
    ]


def _confidence(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return []
    mean, share = calibration.mean_probability, calibration.share_exact
    if abs(mean - share) < _CLEAR:
        return []
    word = "surer" if mean > share else "less sure"
    return [
        f"The model is {word} than it is right: its answers have a mean probability of {100 * mean:.0f}\u00a0%, and "
        f"{100 * share:.0f}\u00a0% are exact."
    ]


def _threshold(results: Results, thresholds: Thresholds | None) -> list[str]:
    if thresholds is None:
        return []
    best = thresholds.best_f1
    if best.f1 - results.metrics["f1"] < _GAIN:
        return []
    return [
        f"With --null_score_diff_threshold={best.threshold:.4g} F1 would be {best.f1:.1f} instead of "
        f"{results.metrics['f1']:.1f} on these very questions."
    ]
