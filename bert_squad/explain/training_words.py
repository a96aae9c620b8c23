"""What training would learn from a question whose right answer is known, in words. No TensorFlow here."""

import math
from collections.abc import Iterator

import numpy as np

from bert_squad.explain.facts import PADDING, Explanation, Label, WindowFacts
from bert_squad.explain.layout import MOST_WINDOWS, NULL, in_window, prose, shown, table
from bert_squad.explain.pairs import RULES
from bert_squad.explain.question import AskedQuestion

_MOST_GRADIENTS = 4  # of wrong positions


def training_in_words(explanation: Explanation, asked: AskedQuestion, top: int) -> list[str]:
    """Return the loss of the right answer and its gradient, as lines.

    Args:
      explanation: the facts, with labels.
      asked: the question with its right answer.
      top: how many wrong positions to show, if no more than `_MOST_GRADIENTS`.
    """
    labels = [window for window in explanation.windows if window.label]
    main = next((window for window in labels if window.label and window.label.holds_answer), labels[0])
    assert main.label is not None
    loss = main.label.loss
    lines = ["TRAINING, IF IT SAW THIS", *prose(*_what_is_right(explanation, asked, main.label))]
    lines += table(
        (" ", "position", "its logit", "ln of sum", "ln P", "P"),
        [
            (
                name,
                str(position),
                f"{logits[position]:.4f}",
                f"{ln_sum:.4f}",
                f"{ln_p:.4f}",
                f"{math.exp(ln_p):.4f}",
            )
            for name, position, logits, ln_sum, ln_p in (
                ("right start", loss.start, main.start_logits, main.ln_start_sum, loss.ln_p_start),
                ("right end", loss.end, main.end_logits, main.ln_end_sum, loss.ln_p_end),
            )
        ],
    )
    lines += prose(
        f"Log-likelihood{in_window(explanation, main)}: ln P_start + ln P_end = "
        f"{loss.ln_p_start + loss.ln_p_end:.4f}. The loss is minus half of it: {loss.loss:.4f}.",
    )
    lines += prose(
        "Only the right positions are named in the loss, but each P is a logit less the logarithm of a sum over all "
        "positions, and there the wrong ones take part. The gradient on a logit is half of its P, and half of P - 1 at "
        "the right one; a step of training goes against it, so it raises the right logit and lowers every other by its "
        "share:",
    )
    for name, right, logits, gradient in (
        ("start", loss.start, main.start_logits, loss.start_gradient),
        ("end", loss.end, main.end_logits, loss.end_gradient),
    ):
        lines += _gradients(name, right, logits, gradient, main, min(top, _MOST_GRADIENTS))
    return lines + _other_labels(explanation, labels, main)


def _what_is_right(explanation: Explanation, asked: AskedQuestion, label: Label) -> Iterator[str]:
    if not asked.answer:
        yield f"The right answer is none: in each window the label is ({NULL}, {NULL})."
        return
    times = asked.num_occurrences
    often = f", one of {times} places where it is" if times > 1 else ""
    yield f"The right answer is {shown(asked.answer)}, at character {asked.answer_start} of the passage{often}."
    chosen = explanation.chosen
    span = label.span
    if chosen and (span.window, span.start, span.end) == (chosen.window, chosen.start, chosen.end):
        yield "That is the span that the model answers."
    elif span.rules:
        yield f"The model does not answer it: {RULES[span.rules[0]]}. Its score is {span.score:.2f}."
    elif chosen:
        yield (
            f"Its span has rank {span.rank} in the list: a score of {span.score:.2f}, where the answer has "
            f"{chosen.score:.2f}."
        )


def _gradients(
    name: str, right: int, logits: np.ndarray, gradient: np.ndarray, window: WindowFacts, top: int
) -> Iterator[str]:
    """Yield the largest parts of a gradient, the right position first."""
    others = sorted((p for p in range(len(gradient)) if p != right), key=lambda p: -gradient[p])
    size = len(window.tokens)
    rows = [
        (
            str(position),
            shown(window.tokens[position], 24) if position < size else PADDING,
            f"{logits[position]:.4f}",
            f"{gradient[position]:+.6f}",
            "right: it is raised" if position == right else "wrong: it is lowered",
        )
        for position in [right, *others[:top]]
    ]
    rest = others[top:]
    if rest:
        rows.append(("", f"{len(rest)} others", "", f"{sum(gradient[p] for p in rest):+.6f}", "together"))
    yield from table((f"{name} at", "piece ", "logit", "gradient", " "), rows)


def _other_labels(explanation: Explanation, labels: list[WindowFacts], main: WindowFacts) -> list[str]:
    if len(labels) == 1:
        return []
    told = []
    for window in [window for window in labels if window is not main][:MOST_WINDOWS]:
        assert window.label is not None
        label = "the answer" if window.label.holds_answer else f"({NULL}, {NULL})"
        told.append(f"window {window.number + 1}: {label}, {window.label.loss.loss:.4f}")
    more = len(labels) - 1 - len(told)
    return prose(
        f"Each window is an example of its own. One that does not hold all of the answer has the label ({NULL}, "
        f"{NULL}). The other windows, with their labels and losses: {'; '.join(told)}"
        f"{f'; and {more} more' if more else ''}. The mean of all {len(labels)} is {explanation.mean_loss:.4f}.",
    )
