"""An explanation in words, for a terminal. No TensorFlow here."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bert_squad.explain.facts import Explanation, Label, Position, Span, WindowFacts
from bert_squad.explain.pairs import RULES
from bert_squad.explain.question import AskedQuestion

_WIDTH = 96
_LONGEST_TEXT = 60  # characters of a span
_MOST_WINDOWS = 8  # that are listed
_PLACES = {"cls": "no answer", "sep": "", "passage": ""}
NO_ANSWER = "(no answer)"
NULL = "[CLS]"


def in_words(explanation: Explanation, asked: AskedQuestion, model: str, top: int) -> str:
    """Return an explanation as text of some dozen lines, whatever the length of the passage.

    Args:
      explanation: the facts.
      asked: the question, with the right answer if it is known.
      model: what to call the model.
      top: how many rows a table has.
    """
    parts = [
        _heading(explanation, model),
        _starts_and_ends(explanation),
        _spans(explanation, top),
        _high_pairs(explanation),
        *([_windows(explanation)] if len(explanation.windows) > 1 else []),
        _no_answer(explanation),
        *([_training(explanation, asked, top)] if asked.answer is not None else []),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def shown(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return a text on one line, in quotes, its middle left out when it is long; what no terminal should see escaped.

    >>> shown("many words " * 3, 13)
    '"many w…words"'
    """
    line = " ".join(text.split())
    if len(line) > longest:
        half = (longest - 1) // 2
        line = f"{line[:half].rstrip()}…{line[-half:].lstrip()}"
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return f'"{line}"'


def shown_span(span: Span) -> str:
    """Return the text of a span, or what stands for it."""
    if span.start == span.end == 0:
        return NO_ANSWER if not span.rules or span.rules == ["other_null"] else f"{NULL} … {NULL}"
    return (
        shown(span.text)
        if "end_before_start" not in span.rules and "question" not in span.rules
        else span.text
    )


def main_window(explanation: Explanation) -> WindowFacts:
    """Return the window that the answer was read from; the first, when it was read from nowhere."""
    return explanation.windows[explanation.chosen.window if explanation.chosen else 0]


def answer_of(explanation: Explanation) -> str:
    """Return the answer as it is shown."""
    return shown(explanation.answer) if explanation.answer else NO_ANSWER


def _prose(*sentences: str) -> list[str]:
    return textwrap.wrap(" ".join(sentences), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lay out rows; columns whose head ends in a space are texts, to the left."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column].rstrip()) for row in table) for column in range(len(heads))]
    for row in table:
        cells = (
            cell.rstrip().ljust(width) if head.endswith(" ") else cell.rjust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        )
        yield ("  " + "  ".join(cells)).rstrip()


def _heading(explanation: Explanation, model: str) -> list[str]:
    return [
        f"Question: {shown(explanation.question, 200)}",
        f"Answer:   {answer_of(explanation)}",
        f"Model:    {model}",
    ]


def _starts_and_ends(explanation: Explanation) -> list[str]:
    window = main_window(explanation)
    size = len(window.start_logits)
    lines = [
        f"STARTS AND ENDS{_of_window(explanation, window)}",
        *_prose(
            f"The model gives each of the window's {size} positions two numbers: S·T_i says how well it starts the "
            "answer, E·T_j how well it ends it. A softmax over all of these positions makes them the probabilities "
            "that training works with.",
        ),
    ]
    heads = ("start i", "piece ", "S·T_i", "P_start(i)", " ", "end j", "piece ", "E·T_j", "P_end(j)", " ")
    lines += _table(
        heads,
        [(*_cells(start), *_cells(end)) for start, end in zip(window.starts, window.ends, strict=True)],
    )
    outside = {
        "cls": f"at {NULL}",
        "question": "in the question",
        "sep": "at the two [SEP]",
        "padding": "in the padding",
    }
    shares = "; ".join(
        f"{where} {window.shares[kind][0]:.4f} and {window.shares[kind][1]:.4f}"
        for kind, where in outside.items()
        if kind in window.shares
    )
    lines += _prose(f"What positions outside of the passage have of P_start and of P_end: {shares}.")
    return lines


def _cells(position: Position) -> tuple[str, ...]:
    """Return a start or an end as cells of a table."""
    return (
        str(position.position),
        shown(position.piece, 24),
        f"{position.logit:.2f}",
        f"{position.probability:.4f}",
        _PLACES.get(position.kind, position.kind),
    )


def _spans(explanation: Explanation, top: int) -> list[str]:
    window = main_window(explanation)
    listed = explanation.nbest[:top]
    several = len(explanation.windows) > 1
    lines = [
        "SPANS",
        *_prose(
            "The score of a span is S·T_i + E·T_j; the maximum scoring span wins. Within one window it is also the "
            "likeliest: ln(P_start(i)·P_end(j)) is the score less "
            f"{window.ln_start_sum:.2f} + {window.ln_end_sum:.2f}, the logarithms of the two sums under the softmax, "
            "which are the same for each of its spans.",
        ),
        *_table(
            (
                "rank",
                "score",
                "S·T_i",
                "E·T_j",
                "P_start·P_end",
                "share",
                *(["window"] if several else []),
                "text ",
            ),
            [
                (
                    str(span.rank),
                    f"{span.score:.2f}",
                    f"{span.start_logit:.2f}",
                    f"{span.end_logit:.2f}",
                    f"{span.likelihood:.4f}",
                    f"{span.nbest_probability:.4f}",
                    *([str(span.window + 1)] if several else []),
                    shown_span(span),
                )
                for span in listed
            ],
        ),
        *_prose(
            "share: the `probability` of nbest_predictions.json. It is another softmax, over the scores of the "
            f"{len(explanation.nbest)} listed texts alone, so it says how they compare with each other, not how sure "
            "the model is of their positions.",
        ),
    ]
    if not listed:
        lines += _prose(
            f"No pair of a start and an end is allowed, so the answer is {answer_of(explanation)}."
        )
    return lines


def _high_pairs(explanation: Explanation) -> list[str]:
    excluded = [pair for pair in explanation.pairs if pair.rules]
    if not excluded:
        return [
            "PAIRS THAT ARE NO ANSWERS",
            *_prose(f"The {len(explanation.pairs)} pairs of the largest sums are all in the list above."),
        ]
    best = explanation.chosen.score if explanation.chosen else float("-inf")
    above = sum(pair.score > best for pair in excluded)
    several = len(explanation.windows) > 1
    return [
        "PAIRS THAT ARE NO ANSWERS",
        *_prose(
            f"Starts and ends are scored each by itself, so rules have to say which pairs can be answers. Of the "
            f"{len(explanation.pairs)} pairs of the largest sums, {len(excluded)} "
            f"{'is' if len(excluded) == 1 else 'are'} excluded"
            + (f", and {above} of these would have won." if above else "; none of these would have won.")
        ),
        *_table(
            ("score", "i", "j", *(["window"] if several else []), "from … to ", "excluded: "),
            [
                (
                    f"{pair.score:.2f}",
                    str(pair.start),
                    str(pair.end),
                    *([str(pair.window + 1)] if several else []),
                    shown_span(pair),
                    RULES[pair.rules[0]]
                    + (f" (and {len(pair.rules) - 1} more)" if len(pair.rules) > 1 else ""),
                )
                for pair in excluded
            ],
        ),
    ]


def _windows(explanation: Explanation) -> list[str]:
    ranked = sorted(explanation.windows, key=lambda window: -(window.best.score if window.best else -1e30))
    likeliest = max(
        (window.best for window in ranked if window.best), key=lambda span: span.likelihood, default=None
    )
    rows = [
        (
            str(window.number + 1),
            f"{window.words[0] + 1}-{window.words[1] + 1}",
            f"{window.best.score:.2f}" if window.best else "-",
            f"{window.ln_start_sum + window.ln_end_sum:.2f}",
            f"{window.best.likelihood:.4f}" if window.best else "-",
            f"{window.null.score:.2f}",
            shown_span(window.best) if window.best else "(none allowed)",
        )
        for window in ranked[:_MOST_WINDOWS]
    ]
    lines = [
        f"WINDOWS ({len(ranked)}{f', the best {_MOST_WINDOWS} of them' if len(ranked) > _MOST_WINDOWS else ''})",
        *_prose(
            "The passage is too long for one window, so it is read in several that overlap, each with the whole "
            "question. An answer may only start where its window shows more of the surrounding text than the others "
            "do. The scores of all windows are compared as they are, although the sums under their softmaxes differ.",
        ),
        *_table(
            ("window", "words", "best score", "ln of sums", "P_start·P_end", f"{NULL} score", "best span "),
            rows,
        ),
    ]
    if likeliest and explanation.answer and likeliest.text != explanation.answer:
        lines += _prose(
            f"Here this matters: by P_start·P_end, the span {shown_span(likeliest)} of window {likeliest.window + 1} "
            "would have won."
        )
    return lines


def _no_answer(explanation: Explanation) -> list[str]:
    lines = ["NO ANSWER"]
    if explanation.null_odds is None:
        window = max(explanation.windows, key=lambda window: window.null.score)
        chosen = explanation.chosen
        above = chosen is not None and window.null.score > chosen.score
        return lines + _prose(
            f"This model was trained without --version_2_with_negative, so it must answer. The span ({NULL}, {NULL}) "
            f"scores {window.null.score:.2f}{_in_window(explanation, window)}, "
            f"{'more' if above else 'less'} than the answer: windows without the right answer are trained to choose "
            "it, but it is never an answer itself."
        )
    null = next((span for span in explanation.nbest if span.start == span.end == 0), None)
    score = null.score if null else min(window.null.score for window in explanation.windows)
    where = _in_window(explanation, explanation.windows[null.window]) if null else ""
    threshold = explanation.options.null_score_diff_threshold
    wins = explanation.null_odds > threshold
    return lines + _prose(
        f'"No answer" is the span ({NULL}, {NULL}). It scores {score:.2f}{where}'
        f"{', the lowest of all windows, so that it wins only where no window holds an answer' if where else ''}. Less "
        f"the score of the best text, {score - explanation.null_odds:.2f}, these are odds of "
        f"{explanation.null_odds:.2f}; the answer is empty when they are above --null_score_diff_threshold, which is "
        f"{threshold:g}. So the model {'does not answer' if wins else 'answers'}."
    )


def _training(explanation: Explanation, asked: AskedQuestion, top: int) -> list[str]:
    labels = [window for window in explanation.windows if window.label]
    main = next((window for window in labels if window.label and window.label.holds_answer), labels[0])
    assert main.label is not None
    loss = main.label.loss
    lines = ["TRAINING, IF IT SAW THIS", *_prose(*_what_is_right(explanation, asked, main.label))]
    lines += _table(
        (" ", "position", "its logit", "ln of sum", "ln P", "P"),
        [
            (
                name,
                str(position),
                f"{logits[position]:.4f}",
                f"{ln_sum:.4f}",
                f"{ln_p:.4f}",
                f"{2.718281828459045**ln_p:.4f}",
            )
            for name, position, logits, ln_sum, ln_p in (
                ("right start", loss.start, main.start_logits, main.ln_start_sum, loss.ln_p_start),
                ("right end", loss.end, main.end_logits, main.ln_end_sum, loss.ln_p_end),
            )
        ],
    )
    lines += _prose(
        f"Log-likelihood{_in_window(explanation, main)}: ln P_start + ln P_end = "
        f"{loss.ln_p_start + loss.ln_p_end:.4f}. The loss is minus half of it: {loss.loss:.4f}.",
    )
    lines += _prose(
        "Only the right positions are named in the loss, but each P is a logit less the logarithm of a sum over all "
        "positions, and there the wrong ones take part. The gradient on a logit is half of its P, and half of P - 1 at "
        "the right one; a step of training goes against it, so it raises the right logit and lowers every other by its "
        "share:",
    )
    for name, right, logits, gradient in (
        ("start", loss.start, main.start_logits, loss.start_gradient),
        ("end", loss.end, main.end_logits, loss.end_gradient),
    ):
        lines += _gradients(name, right, logits, gradient, main, min(top, 4))
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
    name: str, right: int, logits: Sequence[float], gradient: Sequence[float], window: WindowFacts, top: int
) -> Iterator[str]:
    """Yield the largest parts of a gradient, the right position first."""
    others = sorted((p for p in range(len(gradient)) if p != right), key=lambda p: -gradient[p])
    size = len(window.tokens)
    rows = [
        (
            str(position),
            shown(window.tokens[position], 24) if position < size else "[PAD]",
            f"{logits[position]:.4f}",
            f"{gradient[position]:+.6f}",
            "right: it is raised" if position == right else "wrong: it is lowered",
        )
        for position in [right, *others[:top]]
    ]
    rest = others[top:]
    if rest:
        rows.append(("", f"{len(rest)} others", "", f"{sum(gradient[p] for p in rest):+.6f}", "together"))
    yield from _table((f"{name} at", "piece ", "logit", "gradient", " "), rows)


def _other_labels(explanation: Explanation, labels: list[WindowFacts], main: WindowFacts) -> list[str]:
    if len(labels) == 1:
        return []
    told = []
    for window in [window for window in labels if window is not main][:_MOST_WINDOWS]:
        assert window.label is not None
        label = "the answer" if window.label.holds_answer else f"({NULL}, {NULL})"
        told.append(f"window {window.number + 1}: {label}, {window.label.loss.loss:.4f}")
    more = len(labels) - 1 - len(told)
    return _prose(
        f"Each window is an example of its own. One that does not hold all of the answer has the label ({NULL}, "
        f"{NULL}). The other windows, with their labels and losses: {'; '.join(told)}"
        f"{f'; and {more} more' if more else ''}. The mean of all {len(labels)} is {explanation.mean_loss:.4f}.",
    )


def _of_window(explanation: Explanation, window: WindowFacts) -> str:
    return f" (window {window.number + 1}, of the answer)" if len(explanation.windows) > 1 else ""


def _in_window(explanation: Explanation, window: WindowFacts) -> str:
    return f" in window {window.number + 1}" if len(explanation.windows) > 1 else ""
