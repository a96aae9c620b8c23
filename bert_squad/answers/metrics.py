"""Score predictions as the official SQuAD 1.1 and 2.0 evaluation scripts do. No TensorFlow here.

Data is SQuAD 2.0 when any of its questions has the key `is_impossible`, or when null odds or a
threshold are given, which mean nothing in 1.1. The `version` at the head of a file is not asked; the "data"
list alone does not have it.
"""

import collections
import os
import re
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from bert_squad.answers.metrics_input import (
    Question,
    check_answered,
    read_null_odds,
    read_predictions,
    read_questions,
)
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import DataError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)  # of ASCII alone, as in the official scripts


def evaluate(
    dataset: Any,
    predictions: Mapping[Any, str] | str | os.PathLike,
    null_odds: Mapping[Any, float] | str | os.PathLike | None = None,
    *,
    na_prob_thresh: float | None = None,
) -> dict[str, float]:
    """Score the predictions for a data set.

    Args:
      dataset: SQuAD data: the loaded JSON, its "data" list, the path of a file, or what `read_questions` made of it.
      predictions: question id → answer, or the path of predictions.json.
      null_odds: question id → odds of no answer, or the path of null_odds.json: adds the `best_*` scores.
      na_prob_thresh: score the answer "" where the odds are above this (exclusive); without odds all are 0.0.

    Returns:
      The metrics of the official script by its names; scores in percent. For SQuAD 1.1 `exact_match` and `f1`;
      a question without a prediction scores 0. For 2.0 `exact`, `f1`, `total`, the same with `HasAns_` and
      `NoAns_` where there are such questions, and with null odds `best_exact`, `best_exact_thresh`, `best_f1`
      and `best_f1_thresh`: what the best threshold would reach. A question without a prediction is left out.

    Raises:
      DataError: when the input is not SQuAD data, or predictions, or the two do not belong together.

    Source: `evaluate` of evaluate-v1.1.py; `main` of evaluate-v2.0.py.
    Differs: ids that are numbers match predictions under their JSON key; the 2.0 script thresholds at 1.0
      unless told otherwise, and crashes when a prediction is missing.

    >>> question = {"id": "q", "answers": [{"text": "the Eiffel Tower"}]}
    >>> evaluate([{"paragraphs": [{"qas": [question]}]}], {"q": "Eiffel tower!"})
    {'exact_match': 100.0, 'f1': 100.0}
    """
    questions, is_version_2 = read_questions(dataset)
    answers = read_predictions(predictions, {question.qas_id for question in questions})
    odds = None if null_odds is None else read_null_odds(null_odds)
    missing = [question.qas_id for question in questions if question.qas_id not in answers]
    if missing:
        logging.warning(
            "%d of %d questions have no prediction, the first of them %s.",
            len(missing),
            len(questions),
            shown_id(missing[0]),
        )
    if is_version_2 or odds is not None or na_prob_thresh is not None:
        return _version_2_metrics(questions, answers, odds, na_prob_thresh)
    return _version_1_metrics(questions, answers)


def format_metrics_table(metrics: Mapping[str, float]) -> str:
    """Return metrics as lines of name and value, aligned.

    >>> print(format_metrics_table({"exact": 53.60577, "total": 416, "best_exact_thresh": -0.356242}))
    exact                  53.61
    total                    416
    best_exact_thresh  -0.356242
    """
    values = [_format_value(name, value) for name, value in metrics.items()]
    name_width = max(map(len, metrics), default=0)
    value_width = max(map(len, values), default=0)
    return "\n".join(
        f"{name:<{name_width}}  {value:>{value_width}}" for name, value in zip(metrics, values, strict=True)
    )


def format_checkpoints_table(scores: Mapping[int, Mapping[str, float]]) -> str:
    """Return the metrics of several checkpoints as a table, a row for each step.

    Args:
      scores: step → metrics, the same ones for each.

    >>> print(format_checkpoints_table({500: {"exact_match": 70.1, "f1": 80.0}, 1000: {"exact_match": 71, "f1": 81.5}}))
    step  exact_match     f1
     500        70.10  80.00
    1000        71.00  81.50
    """
    rows = [["step", *next(iter(scores.values()), {})]]
    for step, metrics in scores.items():
        rows.append([str(step), *(_format_value(name, value) for name, value in metrics.items())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _format_value(name: str, value: float) -> str:
    if name.endswith("total"):
        return str(value)
    return f"{value:.6g}" if name.endswith(("_thresh", "_threshold")) else f"{value:.2f}"


class Score(NamedTuple):
    """How well one answer does.

    Attributes:
      exact: 1.0 when it is one of the right answers, else 0.0.
      f1: the harmonic mean of the precision and recall of its words, from 0 to 1.
    """

    exact: float
    f1: float


def normalized_tokens(text: str) -> list[str]:
    """Return what of an answer counts: lower case, no ASCII punctuation, no articles, cut at white space.

    >>> normalized_tokens("The  Author's An apple.")
    ['authors', 'apple']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_DELETE_PUNCTUATION)).split()


def _f1(prediction: Sequence[str], answer: Sequence[str], empty_matches_empty: bool) -> float:
    """Return the harmonic mean of precision and recall of the tokens, from 0 to 1."""
    if not prediction or not answer:
        return float(empty_matches_empty and not prediction and not answer)
    if set(prediction).isdisjoint(answer):
        return 0.0
    num_same = sum((collections.Counter(prediction) & collections.Counter(answer)).values())
    precision, recall = num_same / len(prediction), num_same / len(answer)
    return 2 * precision * recall / (precision + recall)


def score_answers(predictions: Iterable[str], answers: Sequence[str], *, is_version_2: bool) -> list[Score]:
    """Score predictions for one question, each against the answer that suits it best, for each of the two measures.

    Args:
      predictions: what is scored.
      answers: the right answers; none when the question is unanswerable, which is of version 2 alone.
      is_version_2: score as the official script of SQuAD 2.0 does.

    Returns:
      A score for each prediction.

    >>> score_answers(["the cat", "cat food", ""], ["Cat"], is_version_2=True)
    [Score(exact=1.0, f1=1.0), Score(exact=0.0, f1=0.6666666666666666), Score(exact=0.0, f1=0.0)]
    """
    golds = [normalized_tokens(answer) for answer in dict.fromkeys(answers)]
    if is_version_2:
        golds = [gold for gold in golds if gold] or [[]]

    def score(tokens: list[str]) -> Score:
        # In 1.1, unlike in 2.0, no token in common is 0 even if there are no tokens at all.
        f1 = max(_f1(tokens, gold, empty_matches_empty=is_version_2) for gold in golds)
        return Score(float(tokens in golds), f1)

    return [score(normalized_tokens(prediction)) for prediction in predictions]


def _version_1_metrics(questions: Sequence[Question], predictions: Mapping[str, str]) -> dict[str, float]:
    check_answered(question for question in questions if question.qas_id in predictions)
    exact = f1 = 0.0
    for question in questions:
        if question.qas_id in predictions:
            (score,) = score_answers([predictions[question.qas_id]], question.answers, is_version_2=False)
            exact += score.exact
            f1 += score.f1
    return {"exact_match": 100.0 * exact / len(questions), "f1": 100.0 * f1 / len(questions)}


def _version_2_metrics(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float] | None,
    na_prob_thresh: float | None,
) -> dict[str, float]:
    # Of an id that occurs twice the last question counts, once.
    answers_of = {
        question.qas_id: question.answers for question in questions if question.qas_id in predictions
    }
    if not answers_of:
        raise DataError("None of the questions has a prediction; do the predictions belong to this data set?")
    scores = {
        qas_id: score_answers([predictions[qas_id]], answers, is_version_2=True)[0]
        for qas_id, answers in answers_of.items()
    }
    odds = dict.fromkeys(predictions, 0.0) if null_odds is None else null_odds
    without = next((qas_id for qas_id in scores if qas_id not in odds), None)
    if without is not None:
        raise DataError(
            f"Question {shown_id(without)} has a prediction but no null odds; give the null_odds.json of the same run."
        )
    final = dict(scores)
    if na_prob_thresh is not None:
        for qas_id, answers in answers_of.items():
            if odds[qas_id] > na_prob_thresh:
                final[qas_id] = Score(float(not answers), float(not answers))

    metrics = _mean_scores("", final.values())
    metrics |= _mean_scores("HasAns_", [final[qas_id] for qas_id, answers in answers_of.items() if answers])
    metrics |= _mean_scores(
        "NoAns_", [final[qas_id] for qas_id, answers in answers_of.items() if not answers]
    )
    if null_odds is not None:
        for name in Score._fields:
            measure = {qas_id: getattr(score, name) for qas_id, score in scores.items()}
            best, threshold = _best_threshold(measure, answers_of, predictions, null_odds)
            metrics[f"best_{name}"] = 100.0 * best / len(scores)
            metrics[f"best_{name}_thresh"] = threshold
    return metrics


def _mean_scores(prefix: str, scores: Collection[Score]) -> dict[str, float]:
    if not scores:
        return {}
    return {
        f"{prefix}exact": 100.0 * sum(score.exact for score in scores) / len(scores),
        f"{prefix}f1": 100.0 * sum(score.f1 for score in scores) / len(scores),
        f"{prefix}total": len(scores),
    }


def _best_threshold(
    scores: Mapping[str, float],
    answers_of: Mapping[str, list[str]],
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float],
) -> tuple[float, float]:
    """Raise the threshold over one question after another, and return the highest sum of scores and where it is.

    At first all answers are "" and every question without an answer scores. The official script also looks
    between two questions of the same odds, which no threshold can part; so does this.
    """
    current = best = float(sum(not answers_of[qas_id] for qas_id in scores))
    threshold = 0.0
    for qas_id in sorted(null_odds, key=null_odds.__getitem__):
        if qas_id not in scores:
            continue
        if answers_of[qas_id]:
            current += scores[qas_id]
        elif predictions[qas_id]:
            current -= 1
        if current > best:
            best, threshold = current, null_odds[qas_id]
    return best, threshold
