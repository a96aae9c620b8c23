"""Draw a window: the probabilities of its starts and ends, and the scores of its spans. No TensorFlow here."""

import io
import warnings
from logging import ERROR, getLogger
from typing import Any

import numpy as np
from absl import logging

from bert_squad.errors import ConfigError
from bert_squad.explain.crop import Column, columns_of
from bert_squad.explain.facts import Explanation, Span, WindowFacts
from bert_squad.explain.layout import shown
from bert_squad.explain.likelihood import probabilities
from bert_squad.explain.words import answer_of, main_window

_START_COLOR, _END_COLOR, _BEST_COLOR, _RIGHT_COLOR = "#1f6fb4", "#d1602a", "red", "black"
_MORE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Hiragino Sans",
)
_LEFT_OUT = "⋯"
_INCHES_PER_WORD, _INCHES_BESIDE = 0.24, 2.5
_LEAST_WORDS = 16  # that the headings need room for
_LONGEST_WORD = 18
_HIGH = 0.6  # a probability from which the axis goes to 1


def import_matplotlib() -> None:
    """Make sure that pictures can be drawn.

    Raises:
      ConfigError: when Matplotlib is not installed.
    """
    # What it says of its cache of fonts is of no use to who asked for a picture.
    getLogger("matplotlib").setLevel(ERROR)
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--picture needs Matplotlib ({error}): pip install matplotlib.") from None


def draw(explanation: Explanation, window: int | None, kind: str) -> bytes:
    """Draw a window, words instead of WordPieces; of a long one the words that matter.

    Args:
      explanation: the facts.
      window: its number, from 0; None for that of the answer.
      kind: "png" or "svg".

    Returns:
      The content of the picture's file.
    """
    from matplotlib import font_manager, rc_context

    shown_window = main_window(explanation) if window is None else explanation.windows[window]
    installed = set(font_manager.get_font_names())
    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)],
        "text.parse_math": False,  # what people ask is no formula
        "svg.hashsalt": "bert_squad",  # the same facts make the same file
        "svg.fonttype": "none",
    }
    content = io.BytesIO()
    with rc_context(settings), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = _figure(explanation, shown_window)
        figure.savefig(content, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    if kind == "png" and any("missing from" in str(warning.message) for warning in caught):
        logging.warning(
            "The fonts of this machine lack letters of this text, and boxes stand for them; --picture=FILE.svg has "
            "them."
        )
    return content.getvalue()


def _figure(explanation: Explanation, window: WindowFacts) -> Any:
    from matplotlib.figure import Figure

    columns = columns_of(explanation, window)
    room = max(len(columns), _LEAST_WORDS)
    figure = Figure(
        figsize=(_INCHES_PER_WORD * room + _INCHES_BESIDE, _INCHES_PER_WORD * room + 5.2),
        layout="constrained",
    )
    top, bottom = figure.subplots(2, 1, height_ratios=[1, max(1.2, 0.1 * room)])
    _draw_probabilities(top, columns, window)
    top.set_title(_heading(explanation, window), fontsize=10, loc="left")
    image = _draw_scores(bottom, columns, explanation, window)
    bottom.set_title(_heading_of_scores(explanation, window), fontsize=10, loc="left")
    figure.colorbar(image, ax=bottom, label="score", shrink=0.6)
    return figure


def _labels(columns: list[Column]) -> list[str]:
    words = [column.word.text if column.word else _LEFT_OUT for column in columns]
    return [word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}…" for word in words]


def _draw_probabilities(axes: Any, columns: list[Column], window: WindowFacts) -> None:
    places = np.arange(len(columns))
    highest = 0.0
    for logits, shift, label, color in (
        (window.start_logits, -0.2, "P_start(i) = softmax(S·T_i)", _START_COLOR),
        (window.end_logits, 0.2, "P_end(j) = softmax(E·T_j)", _END_COLOR),
    ):
        of_all = probabilities(logits)
        heights = [
            of_all[column.word.first : column.word.last + 1].sum() if column.word else 0.0
            for column in columns
        ]
        highest = max(highest, *heights)
        axes.bar(places + shift, heights, 0.4, label=label, color=color)
    axes.set_ylim(0, 1.05 if highest > _HIGH else 1.6 * highest)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_xticks(places, _labels(columns), rotation=90, fontsize=8)
    axes.set_ylabel("probability")
    axes.legend(loc="upper left", frameon=False)


def _draw_scores(axes: Any, columns: list[Column], explanation: Explanation, window: WindowFacts) -> Any:
    size = len(columns)
    scores = np.array(
        [[_score(row, column, window, explanation) for column in columns] for row in columns], dtype=float
    )
    image = axes.imshow(scores, cmap="viridis", aspect="auto", interpolation="nearest")
    best = explanation.chosen or window.best
    right = window.label.span if window.label else None
    for span, color, marker in (
        (right if right != best else None, _RIGHT_COLOR, 11),
        (best, _BEST_COLOR, 11),
    ):
        place = _place(span, columns) if span and span.window == window.number else None
        if place:
            axes.plot(place[1], place[0], "s", ms=marker, mfc="none", mec=color, mew=2)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_xticks(range(size), _labels(columns), rotation=90, fontsize=8)
    axes.set_yticks(range(size), _labels(columns), fontsize=8)
    axes.set_xlabel("end j")
    axes.set_ylabel("start i")
    return image


def _score(row: Column, column: Column, window: WindowFacts, explanation: Explanation) -> float:
    """Return the best score of the spans from one word to another; NaN where there is none that may be an answer."""
    if not row.word or not column.word:
        return np.nan
    starts = np.arange(row.word.first, row.word.last + 1)[:, np.newaxis]
    ends = np.arange(column.word.first, column.word.last + 1)
    is_allowed = (ends >= starts) & (ends - starts < explanation.options.max_answer_length)
    if window.max_context:
        is_allowed &= (starts >= window.max_context[0]) & (starts <= window.max_context[1])
    if not is_allowed.any():
        return np.nan
    return float((window.start_logits[starts] + window.end_logits[ends])[is_allowed].max())


def _place(span: Span, columns: list[Column]) -> tuple[int, int] | None:
    """Return the row and the column of a span, when both are drawn."""
    found = []
    for position in (span.start, span.end):
        places = [
            place
            for place, column in enumerate(columns)
            if column.word and column.word.first <= position <= column.word.last
        ]
        if not places:
            return None
        found.append(places[0])
    return found[0], found[1]


def _heading(explanation: Explanation, window: WindowFacts) -> str:
    where = (
        f" (window {window.number + 1} of {len(explanation.windows)})" if len(explanation.windows) > 1 else ""
    )
    question = f"{shown(explanation.question, 90)}{where}"
    if not window.label:
        return f"{question}\nThe model's two probabilities of each word"
    loss = window.label.loss
    what = "the correct start and end" if window.label.holds_answer else "its label ([CLS], [CLS])"
    return (
        f"{question}\nTraining: the log-likelihood of {what} is\n"
        f"ln {np.exp(loss.ln_p_start):.4f} + ln {np.exp(loss.ln_p_end):.4f} = "
        f"{loss.ln_p_start + loss.ln_p_end:.4f}; the loss is minus half of it, {loss.loss:.4f}"
    )


def _heading_of_scores(explanation: Explanation, window: WindowFacts) -> str:
    lines = ["Prediction: the score S·T_i + E·T_j of every allowed span."]
    chosen = explanation.chosen
    if chosen and chosen.window == window.number and chosen.start > 0:
        lines.append(
            f"The maximum scoring span (red) is {shown(explanation.answer, 50)}, "
            f"{chosen.start_logit:.2f} + {chosen.end_logit:.2f} = {chosen.score:.2f}"
        )
    elif chosen and explanation.answer:
        lines.append(f"The answer, {shown(explanation.answer, 50)}, is read from window {chosen.window + 1}")
    else:
        lines.append(f"The answer: {answer_of(explanation)}")
    if window.label and window.label.holds_answer:
        lines[-1] += ", the right one" if window.label.span == chosen else "; the right one is black"
    return "\n".join(lines)
