"""An explanation in words, for a terminal. No TensorFlow here."""

from bert_squad.explain.facts import Explanation, Position, WindowFacts
from bert_squad.explain.layout import (
    MOST_WINDOWS,
    NO_ANSWER,
    NULL,
    in_window,
    prose,
    shown,
    shown_span,
    table,
)
from bert_squad.explain.pairs import RULES
from bert_squad.explain.question import AskedQuestion
from bert_squad.explain.training_words import training_in_words

_LONGEST_ANSWER = 300  # characters, of a question too
_PLACES = {"cls": "no answer", "sep": "", "passage": ""}


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
        *([training_in_words(explanation, asked, top)] if asked.answer is not None else []),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def main_window(explanation: Explanation) -> WindowFacts:
    """Return the window that the answer was read from; the first, when it was read from nowhere."""
    return explanation.windows[explanation.chosen.window if explanation.chosen else 0]


def answer_of(explanation: Explanation) -> str:
    """Return the answer as it is shown."""
    return shown(explanation.answer, _LONGEST_ANSWER) if explanation.answer else NO_ANSWER


def _heading(explanation: Explanation, model: str) -> list[str]:
    return [
        f"Question: {shown(explanation.question, _LONGEST_ANSWER)}",
        f"Answer:   {answer_of(explanation)}",
        f"Model:    {model}",
    ]


def _starts_and_ends(explanation: Explanation) -> list[str]:
    window = main_window(explanation)
    size = len(window.start_logits)
    lines = [
        f"STARTS AND ENDS{_of_window(explanation, window)}",
        *prose(
            f"The model gives each of the window's {size} positions two numbers: S·T_i says how well it starts the "
            "answer, E·T_j how well it ends it. A position holds a piece, a word or a part of one (##s goes on "
            "with the piece before). A softmax over all positions, in the passage or not, makes the probabilities "
            "that training works with.",
        ),
    ]
    heads = ("start i", "piece ", "S·T_i", "P_start(i)", " ", "end j", "piece ", "E·T_j", "P_end(j)", " ")
    lines += table(
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
    lines += prose(f"What positions outside of the passage have of P_start and of P_end: {shares}.")
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
    if not listed:
        said = f"No pair of a start and an end is allowed, so the answer is {answer_of(explanation)}."
        return ["SPANS", *prose(said)]
    lines = [
        "SPANS",
        *prose(
            "The score of a span is S·T_i + E·T_j; the maximum scoring span wins. Within one window it is also the "
            "likeliest: ln(P_start(i)·P_end(j)) is the score less "
            f"{window.ln_start_sum:.2f} + {window.ln_end_sum:.2f}, the logarithms of the two sums under the softmax, "
            "which are the same for each of its spans.",
        ),
        *table(
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
        *prose(
            "share: the `probability` of nbest_predictions.json. It is another softmax, over the scores of the "
            f"{len(explanation.nbest)} listed texts alone, so it says how they compare with each other, not how sure "
            "the model is of their positions.",
        ),
    ]
    return lines


def _high_pairs(explanation: Explanation) -> list[str]:
    excluded = [pair for pair in explanation.pairs if pair.rules]
    if not excluded:
        return [
            "PAIRS THAT ARE NO ANSWERS",
            *prose(f"The {len(explanation.pairs)} pairs of the largest sums are all in the list above."),
        ]
    best = explanation.chosen.score if explanation.chosen else float("-inf")
    above = sum(pair.score > best and pair.rules != ["other_null"] for pair in excluded)
    several = len(explanation.windows) > 1
    return [
        "PAIRS THAT ARE NO ANSWERS",
        *prose(
            f"Starts and ends are scored each by itself, so rules have to say which pairs can be answers. Of the "
            f"{len(explanation.pairs)} pairs of the largest sums, {len(excluded)} "
            f"{'is' if len(excluded) == 1 else 'are'} excluded"
            + (f", and {above} of these would have won." if above else "; none of these would have won.")
        ),
        *table(
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
        for window in ranked[:MOST_WINDOWS]
    ]
    lines = [
        f"WINDOWS ({len(ranked)}{f', the best {MOST_WINDOWS} of them' if len(ranked) > MOST_WINDOWS else ''})",
        *prose(
            "The passage is too long for one window, so it is read in several that overlap, each with the whole "
            "question. An answer may only start where its window shows more of the surrounding text than the others "
            "do. The scores of all windows are compared as they are, although the sums under their softmaxes differ.",
        ),
        *table(
            ("window", "words", "best score", "ln of sums", "P_start·P_end", f"{NULL} score", "best span "),
            rows,
        ),
    ]
    if likeliest and explanation.answer and likeliest.text != explanation.answer:
        lines += prose(
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
        return lines + prose(
            f"This model was trained without --version_2_with_negative, so it must answer. The span ({NULL}, {NULL}) "
            f"scores {window.null.score:.2f}{in_window(explanation, window)}, "
            f"{'more' if above else 'less'} than the answer: windows without the right answer are trained to choose "
            "it, but it is never an answer itself."
        )
    null = next((span for span in explanation.nbest if span.start == span.end == 0), None)
    score = null.score if null else min(window.null.score for window in explanation.windows)
    where = in_window(explanation, explanation.windows[null.window]) if null else ""
    threshold = explanation.options.null_score_diff_threshold
    wins = explanation.null_odds > threshold
    return lines + prose(
        f'"No answer" is the span ({NULL}, {NULL}). It scores {score:.2f}{where}'
        f"{', the lowest of all windows, so that it wins only where no window holds an answer' if where else ''}. Less "
        f"the score of the best text, {score - explanation.null_odds:.2f}, these are odds of "
        f"{explanation.null_odds:.2f}; the answer is empty when they are above --null_score_diff_threshold, which is "
        f"{threshold:g}. So the model {'does not answer' if wins else 'answers'}."
    )


def _of_window(explanation: Explanation, window: WindowFacts) -> str:
    return f" (window {window.number + 1}, of the answer)" if len(explanation.windows) > 1 else ""
