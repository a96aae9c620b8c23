"""The pictures of a report: which numbers they show, and what is said for those who cannot see them."""

from markupsafe import Markup

from bert_squad.report.calibration import Calibration
from bert_squad.report.curves import Curve, TrainingCurves
from bert_squad.report.svg import Axis, Series, axis_of, line_chart, mirrored_histogram
from bert_squad.report.thresholds import Thresholds


def calibration_picture(calibration: Calibration) -> Markup:
    """Draw the share of exact answers over their mean probability."""
    points = [(100 * of.mean_probability, 100 * of.share_exact) for of in calibration.bins]
    return line_chart(
        "Calibration",
        "Share of exact answers over their mean probability: "
        + ", ".join(f"{exact:.0f} % at {probability:.0f} %" for probability, exact in points),
        [
            Series("as it should be", "c3", [(0, 0), (100, 100)]),
            Series("this run", "c1", points, has_dots=True),
        ],
        Axis("mean probability of the answer, %", 0, 100),
        Axis("exact, %", 0, 100),
    )


def threshold_picture(thresholds: Thresholds) -> Markup:
    """Draw exact and F1 over the threshold of null odds."""
    edges, best, zero = thresholds.edges, thresholds.best_f1, thresholds.at_zero
    curve = [point for point in thresholds.curve if edges[0] <= point.threshold <= edges[-1]]
    scores = [score for point in curve for score in point[1:]]
    return line_chart(
        "Scores by threshold",
        f"F1 is best, {best.f1:.1f}, at {best.threshold:.4g}; at 0 it is {zero.f1:.1f}",
        [
            Series("exact", "c2", [(point.threshold, point.exact) for point in curve]),
            Series("F1", "c1", [(point.threshold, point.f1) for point in curve]),
        ],
        Axis("threshold of null odds", edges[0], edges[-1]),
        axis_of("%", [*scores, best.f1]),
        [(best.threshold, "best F1"), (0.0, "0")],
    )


def odds_picture(thresholds: Thresholds) -> Markup:
    """Draw the histograms of null odds."""
    up, down = (list(enumerate(counts)) for counts in (thresholds.answerable, thresholds.unanswerable))
    above = [
        sum(count for edge, count in zip(thresholds.edges, counts, strict=False) if edge >= 0)
        for counts in (thresholds.answerable, thresholds.unanswerable)
    ]
    return mirrored_histogram(
        "Null odds of answerable and unanswerable questions",
        f"Answerable questions upwards, {above[0]} of them in bins above 0; unanswerable ones downwards, {above[1]} of "
        "them above 0",
        thresholds.edges,
        Series("answerable", "c1", up),
        Series("unanswerable", "c2", down),
        "null odds (above the threshold: no answer)",
    )


def loss_picture(curves: TrainingCurves) -> Markup:
    """Draw the loss over steps."""
    (first, at_first), (last, at_last) = curves.loss[0], curves.loss[-1]
    return line_chart(
        "Training loss",
        f"Loss {at_first:.3g} at step {first}, {at_last:.3g} at step {last}",
        [Series("", "c1", curves.loss)],
        _steps(curves.loss),
        axis_of("loss", [value for _, value in curves.loss if abs(value) < 1e30], low=0.0),
    )


def scores_picture(curves: TrainingCurves) -> Markup:
    """Draw the scores of evaluations over steps."""
    values = [value for curve in (curves.exact, curves.f1) for _, value in curve]
    last, f1 = curves.f1[-1]
    return line_chart(
        "Scores on the way",
        f"{len(curves.f1)} evaluations; F1 is {f1:.1f} after step {last}",
        [Series("exact", "c2", curves.exact, has_dots=True), Series("F1", "c1", curves.f1, has_dots=True)],
        _steps(curves.f1),
        axis_of("%", values, high=min(100.0, max(values) * 1.1)),
    )


def _steps(curve: Curve) -> Axis:
    return axis_of("step", [float(step) for step, _ in curve], low=0.0)
