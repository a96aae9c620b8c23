"""Write an explanation as one page to look into every window: no network, nothing beside it. No TensorFlow here."""

from typing import Any

import jinja2
import markupsafe

from bert_squad.explain.facts import Explanation, WindowFacts
from bert_squad.explain.pairs import RULES
from bert_squad.explain.question import AskedQuestion
from bert_squad.explain.words import answer_of, in_words, main_window

_DIGITS = 4  # of logits in the page
_MOST_WINDOWS = 64  # in the page: some 8 kB each


def page(explanation: Explanation, asked: AskedQuestion, model: str, top: int) -> str:
    """Return the page.

    Args:
      explanation: the facts.
      asked: the question, with the right answer if it is known.
      model: what to call the model.
      top: as for `in_words`.

    Returns:
      HTML. Texts of others are shown as texts, whatever they hold.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bert_squad", "explain"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("explain.html.j2")
    style, script = (
        markupsafe.Markup(environment.loader.get_source(environment, name)[0])  # type: ignore[union-attr]
        for name in ("explain.css", "explain.js")
    )
    windows = _shown_windows(explanation)
    text = template.render(
        question=explanation.question,
        answer=answer_of(explanation),
        model=model,
        words=in_words(explanation, asked, model, top).split("\n\n", 1)[1],
        numbers=[window.number for window in windows],
        num_windows=len(explanation.windows),
        first=main_window(explanation).number,
        has_label=asked.answer is not None,
        data=_data(explanation, windows),
        style=style,
        script=script,
    )
    # What is no character, half a surrogate pair, cannot be written.
    return text.encode("utf-8", "backslashreplace").decode()


def _shown_windows(explanation: Explanation) -> list[WindowFacts]:
    """Return all windows, or of very many those with the answer, the right answer and the best scores."""

    def rank(window: WindowFacts) -> tuple[bool, float]:
        holds_answer = window.label is not None and window.label.holds_answer
        must_be_there = holds_answer or window is main_window(explanation)
        return must_be_there, window.best.score if window.best else float("-inf")

    best = sorted(explanation.windows, key=rank, reverse=True)[:_MOST_WINDOWS]
    return sorted(best, key=lambda window: window.number)


def _data(explanation: Explanation, windows: list[WindowFacts]) -> dict[str, Any]:
    """Return what the page's own program computes with."""
    chosen = explanation.chosen
    return {
        "maxAnswerLength": explanation.options.max_answer_length,
        "nBestSize": explanation.options.n_best_size,
        "rules": RULES,
        "chosen": [chosen.window, chosen.start, chosen.end] if chosen else None,
        "windows": {window.number: _window(window) for window in windows},
    }


def _window(window: WindowFacts) -> dict[str, Any]:
    label = window.label
    return {
        "tokens": window.tokens,
        "passage": window.passage,
        "maxContext": window.max_context,
        "starts": window.start_logits.astype(float).round(_DIGITS).tolist(),
        "ends": window.end_logits.astype(float).round(_DIGITS).tolist(),
        "best": [window.best.start, window.best.end] if window.best else None,
        "label": [label.loss.start, label.loss.end] if label else None,
    }
