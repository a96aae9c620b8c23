"""Write an explanation as one page to look into every window: no network, nothing beside it. No TensorFlow here."""

from typing import Any

import jinja2
import markupsafe

from bert_squad.explain.facts import Explanation, WindowFacts
from bert_squad.explain.pairs import RULES
from bert_squad.explain.question import AskedQuestion
from bert_squad.explain.words import answer_of, in_words, main_window

_DIGITS = 4  # of logits in the page


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
    text = template.render(
        question=explanation.question,
        answer=answer_of(explanation),
        model=model,
        words=in_words(explanation, asked, model, top).split("\n\n", 1)[1],
        num_windows=len(explanation.windows),
        first=main_window(explanation).number,
        has_label=asked.answer is not None,
        data=_data(explanation),
        style=style,
        script=script,
    )
    # What is no character, half a surrogate pair, cannot be written.
    return text.encode("utf-8", "backslashreplace").decode()


def _data(explanation: Explanation) -> dict[str, Any]:
    """Return what the page's own program computes with."""
    chosen = explanation.chosen
    return {
        "maxAnswerLength": explanation.options.max_answer_length,
        "nBestSize": explanation.options.n_best_size,
        "rules": RULES,
        "chosen": [chosen.window, chosen.start, chosen.end] if chosen else None,
        "windows": [_window(window) for window in explanation.windows],
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
