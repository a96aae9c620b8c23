"""Pack the questions for the page: columns of JSON, gzipped, as base64 text. No TensorFlow here.

What lists and filters need comes first and is small; passages and n-best lists are apart. A passage is there once; an
entry of an n-best list is a place in it where its text stands there, else the text.
"""

import base64
import gzip
import json
import math
from typing import Any, NamedTuple

import numpy as np

from bert_squad import progress
from bert_squad.report.comparison import Comparison
from bert_squad.report.groups import Grouping
from bert_squad.report.passage_marks import BrowserOffsets, Place, place_of_prediction
from bert_squad.report.questions import OUTCOMES, QuestionResult, Results
from bert_squad.report.statistics import SEED

MOST_DETAILS = 20_000  # questions with passage and n-best list; of more, a sample of so many
_COMPRESSION = 6


class PackedRows(NamedTuple):
    """The two parts as base64 text of gzipped JSON, and of how many questions the second has the details."""

    rows: str
    details: str
    num_detailed: int


def pack(
    results: Results, groupings: list[Grouping], comparison: Comparison | None, offsets: dict[str, Any]
) -> PackedRows:
    """Pack the questions.

    Args:
      results: the questions.
      groupings: by which the page filters.
      comparison: with another run, or None.
      offsets: question id → what predictions_offsets.json says of it.
    """
    chosen = sample_of(len(results.questions))
    return PackedRows(
        _packed(_columns(results, groupings, comparison)),
        _packed(_details(results, chosen, offsets)),
        len(chosen),
    )


def sample_of(total: int) -> list[int]:
    """Return the numbers of the questions that are shown with passage and n-best list, in order."""
    if total <= MOST_DETAILS:
        return list(range(total))
    chosen = np.random.default_rng(SEED).choice(total, MOST_DETAILS, replace=False)
    return sorted(chosen.tolist())


def _columns(results: Results, groupings: list[Grouping], comparison: Comparison | None) -> dict[str, Any]:
    questions = results.questions
    outcome_index = {outcome: index for index, outcome in enumerate(OUTCOMES)}
    columns: dict[str, Any] = {
        "id": [of.qas_id for of in questions],
        "question": [of.question for of in questions],
        "golds": [list(dict.fromkeys(gold.text for gold in of.golds)) for of in questions],
        "prediction": [of.prediction for of in questions],
        "exact": [int(of.score.exact) for of in questions],
        "f1": [round(100 * of.score.f1, 1) for of in questions],
        "outcome": [outcome_index[of.outcome] for of in questions],
        "probability": [_rounded(of.probability, 4) for of in questions],
        "odds": [_rounded(of.null_odds, 3) for of in questions],
        "groups": [grouping.group_of for grouping in groupings],
    }
    if comparison is not None:
        answers = comparison.answers
        columns["other"] = [None if of is None else of.prediction for of in answers]
        columns["otherF1"] = [None if of is None else round(100 * of.score.f1, 1) for of in answers]
    return columns


def _details(results: Results, chosen: list[int], offsets: dict[str, Any]) -> dict[str, Any]:
    """Return the passages, marks and n-best lists of some questions, passages numbered anew."""
    number_of: dict[int, int] = {}
    places: dict[int, BrowserOffsets] = {}
    of_rows: list[int] = []
    marks, golds, nbest = [], [], []
    for row in progress.shown(chosen, "packed", len(chosen), "questions"):
        question = results.questions[row]
        passage = results.passages[question.passage]
        if question.passage not in places:
            places[question.passage] = BrowserOffsets(passage)
        in_browser = places[question.passage]
        of_rows.append(number_of.setdefault(question.passage, len(number_of)))
        marks.append(_mark(question, passage, in_browser, offsets))
        golds.append(_gold_places(question, passage, in_browser))
        nbest.append(_entries(question, passage, in_browser))
    return {
        "rows": chosen if len(chosen) < len(results.questions) else None,
        "passages": [results.passages[index] for index in number_of],
        "passage": of_rows,
        "mark": marks,
        "golds": golds,
        "nbest": nbest,
    }


def _mark(
    question: QuestionResult, passage: str, in_browser: BrowserOffsets, offsets: dict[str, Any]
) -> list[Any] | None:
    if not question.prediction:
        return None
    found = place_of_prediction(passage, question.prediction, offsets.get(question.qas_id))
    return [*in_browser.of(found[0]), found[1]] if found else None


def _gold_places(question: QuestionResult, passage: str, in_browser: BrowserOffsets) -> list[list[int]]:
    """Return where the right answers stand, as far as the data set says so truly."""
    places = {
        Place(gold.char_start, gold.char_start + len(gold.text))
        for gold in question.golds
        if gold.char_start is not None and gold.text and passage.startswith(gold.text, gold.char_start)
    }
    return [list(in_browser.of(place)) for place in sorted(places)]


def _entries(question: QuestionResult, passage: str, in_browser: BrowserOffsets) -> list[list[Any]]:
    """Return the n-best list: [start, end or text, probability, start logit, end logit, F1, exact] of each entry."""
    entries: list[list[Any]] = []
    for entry, score in zip(question.nbest, question.nbest_scores, strict=True):
        text = entry["text"]
        start = passage.find(text) if text else -1
        place = list(in_browser.of(Place(start, start + len(text)))) if start >= 0 else [-1, text]
        numbers = [
            round(entry["probability"], 4),
            round(entry["start_logit"], 2),
            round(entry["end_logit"], 2),
        ]
        entries.append([*place, *numbers, round(100 * score.f1), int(score.exact)])
    return entries


def _rounded(value: float | None, digits: int) -> float | None:
    """Round for the page; JSON has no infinity."""
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _packed(content: Any) -> str:
    # Escaped to ASCII, so that a lone surrogate, which no UTF-8 can hold, comes through as it is.
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), _COMPRESSION, mtime=0)).decode("ascii")
