"""What a reader should know first, in sentences. No TensorFlow here."""

from bert_squad.report.calibration import Calibration, Depth
from bert_squad.report.groups import Grouping
from bert_squad.report.questions import Results
from bert_squad.report.thresholds import Thresholds
from bert_squad.report.window_facts import CUT, TOO_LONG

_FEWEST = 10  # questions of a group that is spoken of
_MOST_WEAK = 4
_CLEAR = 0.05  # of a probability: what is worth a sentence
_GAIN = 0.1  # of a score in percent


def findings(
    results: Results,
    groupings: list[Grouping],
    depths: list[Depth],
    calibration: Calibration | None,
    thresholds: Thresholds | None,
) -> list[str]:
    """Return sentences on what the model gets wrong, the plainest first."""
    return [
        *_weak_groups(results, groupings),
        *_out_of_reach(groupings),
        *_better_choices(results, depths),
        *_confidence(calibration),
        *_threshold(results, thresholds),
    ]


def _weak_groups(results: Results, groupings: list[Grouping]) -> list[str]:
    """Name the groups that are surely below the mean, the worst first, of each grouping one."""
    overall = results.metrics["f1"]
    weak = []
    for grouping in groupings:
        below = [
            group
            for group in grouping.groups
            if group.total >= _FEWEST
            and group.f1_interval.high < overall
            and group.label not in (CUT, TOO_LONG)
        ]
        if below:
            worst = min(below, key=lambda group: group.f1)
            weak.append(
                (worst.f1, f"{grouping.name}: {worst.label} (F1 {worst.f1:.1f}, {worst.total} questions)")
            )
    if not weak:
        return []
    listed = "; ".join(text for _, text in sorted(weak)[:_MOST_WEAK])
    return [f"Weakest against F1 {overall:.1f} of all questions, by {listed}."]


def _out_of_reach(groupings: list[Grouping]) -> list[str]:
    counts = {group.label: group.total for grouping in groupings for group in grouping.groups}
    parts = []
    if counts.get(CUT):
        parts.append(f"{counts[CUT]:,} since no window holds the whole answer")
    if counts.get(TOO_LONG):
        parts.append(f"{counts[TOO_LONG]:,} since it is longer than --max_answer_length")
    return [f"Out of reach of this run: {' and '.join(parts)}."] if parts else []


def _better_choices(results: Results, depths: list[Depth]) -> list[str]:
    if len(depths) < 2:
        return []
    last = depths[-1]
    return [
        f"A right answer is among the first {last.depth} of the n-best list for {last.exact:.1f} % of the questions; "
        f"{results.exact:.1f} % are answered exactly. The difference is what a better choice could win."
    ]


def _confidence(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return []
    mean, share = calibration.mean_probability, calibration.share_exact
    if abs(mean - share) < _CLEAR:
        return []
    word = "surer" if mean > share else "less sure"
    return [
        f"The model is {word} than it is right: its answers have a mean probability of {100 * mean:.0f} %, and "
        f"{100 * share:.0f} % are exact."
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
