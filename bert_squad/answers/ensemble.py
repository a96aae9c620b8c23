"""Combine the n-best lists of several runs over the same questions. No TensorFlow here.

An answer's probability is the mean of what the runs give to its text, and the odds of no answer are the mean of
theirs (google-research/bert #337 asks how to).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bert_squad.answers.candidates import NOWHERE
from bert_squad.answers.metrics_input import read_null_odds
from bert_squad.answers.nbest import ExamplePrediction, NbestEntry
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import ConfigError, DataError
from bert_squad.json_files import read_json

_NUMBERS = ("probability", "start_logit", "end_logit")
_ROUNDING = 1e-6  # that a mean of probabilities of 1 may be above 1


class RunAnswers(NamedTuple):
    """The answers of one run.

    Attributes:
      name: of its file, for messages.
      nbest: question id → entries of nbest_predictions.json, checked.
      null_odds: question id → odds of no answer; None for a run of version 1.1.
    """

    name: str
    nbest: dict[str, list[dict[str, Any]]]
    null_odds: dict[str, float] | None


def read_run(nbest_file: str, null_odds_file: str | None) -> RunAnswers:
    """Read the files of one run.

    Args:
      nbest_file: path of nbest_predictions.json.
      null_odds_file: path of null_odds.json, or None.

    Raises:
      DataError: when a file cannot be read or is something else; it names the file and the question.
    """
    nbest = read_nbest(nbest_file, "--nbest")
    odds = None if null_odds_file is None else read_null_odds(null_odds_file)
    if odds is not None:
        infinite = next((qas_id for qas_id, value in odds.items() if math.isinf(value)), None)
        if infinite is not None:
            raise DataError(
                f"The value for question {shown_id(infinite)} of the null odds {null_odds_file} is infinite, and "
                "has no mean with others."
            )
        _check_same_questions(nbest, nbest_file, odds, str(null_odds_file))
    return RunAnswers(nbest_file, nbest, odds)


def read_nbest(nbest_file: str, flag: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return question id → entries of nbest_predictions.json, with finite numbers and at least one entry each.

    Args:
      nbest_file: its path.
      flag: that named it, for messages.

    Raises:
      DataError: when it cannot be read or is something else; it names the file and the question.
    """
    nbest = read_json(nbest_file, "n-best answers", flag=flag)
    if not isinstance(nbest, dict):
        raise DataError(f"The n-best answers {nbest_file} should be an object with question ids as keys.")
    for qas_id, entries in nbest.items():
        if not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
            raise DataError(
                f"Question {shown_id(qas_id)} of the n-best answers {nbest_file} should have a list of objects with "
                "'text', 'probability' (0 to 1), 'start_logit' and 'end_logit'; give a nbest_predictions.json."
            )
    return nbest


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        return False
    numbers: list[Any] = [entry.get(name) for name in _NUMBERS]
    are_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    try:
        return are_numbers and all(map(math.isfinite, numbers)) and 0 <= numbers[0] <= 1 + _ROUNDING
    except OverflowError:  # an integer of hundreds of digits
        return False


def _check_same_questions(
    ones: Mapping[str, Any], name: str, others: Mapping[str, Any], other_name: str
) -> None:
    for has, has_name, lacks, lacks_name in (
        (ones, name, others, other_name),
        (others, other_name, ones, name),
    ):
        missing = [qas_id for qas_id in has if qas_id not in lacks]
        if missing:
            raise DataError(
                f"{lacks_name} lacks {len(missing)} of the {len(has)} questions of {has_name}, {shown_id(missing[0])} "
                "among them; all files have to be of the same questions."
            )


def check_weights(weights: Sequence[float], num_runs: int) -> list[float]:
    """Return the share of each run in a mean; they add up to 1.

    Args:
      weights: one for each run; none at all for equal shares.
      num_runs: number of runs.

    Raises:
      ConfigError: when there is not one positive number for each run.

    >>> check_weights([3, 1], 2), check_weights([], 2)
    ([0.75, 0.25], [0.5, 0.5])
    """
    weights = list(weights) or [1.0] * num_runs
    if len(weights) != num_runs:
        raise ConfigError(f"--weights has {len(weights)} numbers for {num_runs} --nbest; give one for each.")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights) or math.isinf(sum(weights)):
        raise ConfigError(f"--weights should be finite numbers above 0, not {weights}.")
    return [weight / sum(weights) for weight in weights]


def combine_answers(
    runs: Sequence[RunAnswers], shares: Sequence[float], *, n_best_size: int, null_score_diff_threshold: float
) -> Iterator[ExamplePrediction]:
    """Answer each question by the mean of several runs, in the order of the first.

    Args:
      runs: at least one; all with null odds, or none.
      shares: of each run in the means, from `check_weights`.
      n_best_size: longest n-best list; with null odds, "" is listed beyond it if need be, as in a prediction.
      null_score_diff_threshold: with null odds, answer "" when the mean odds are above this (exclusive).

    Yields:
      The answer to each question. A text that a run does not list has probability 0 there; of equal ones that which
      an earlier run lists first comes first. Logits are the mean over the runs that list the text. Probabilities are
      not scaled to add up to 1 when a list is cut.

    Raises:
      DataError: when the runs are not of the same questions, or some lack null odds.
    """
    first = runs[0]
    for run in runs[1:]:
        _check_same_questions(first.nbest, first.name, run.nbest, run.name)
    for qas_id in first.nbest:
        entries = _combined([run.nbest[qas_id] for run in runs], shares)
        odds = [run.null_odds[qas_id] for run in runs if run.null_odds is not None]
        if not odds:
            nbest = entries[:n_best_size]
            yield ExamplePrediction(qas_id, nbest[0].text, nbest, None)
            continue
        nbest = entries[:n_best_size] + [entry for entry in entries[n_best_size:] if not entry.text]
        null_odds = math.fsum(share * of_run for share, of_run in zip(shares, odds, strict=True))
        best_text = next((entry.text for entry in entries if entry.text), "")
        yield ExamplePrediction(
            qas_id, "" if null_odds > null_score_diff_threshold else best_text, nbest, null_odds
        )


def _combined(lists: Sequence[list[dict[str, Any]]], shares: Sequence[float]) -> list[NbestEntry]:
    """Return the n-best list of one question, the most probable text first."""
    listed: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for share, entries in zip(shares, lists, strict=True):
        for entry in entries:
            listed.setdefault(entry["text"], []).append((share, entry))
    combined = [_mean_entry(text, of_text) for text, of_text in listed.items()]
    return sorted(combined, key=lambda entry: -entry.probability)


def _mean_entry(text: str, of_text: list[tuple[float, dict[str, Any]]]) -> NbestEntry:
    total = math.fsum(share for share, _ in of_text)

    def weighted_sum(name: str) -> float:
        return math.fsum(share * entry[name] for share, entry in of_text)

    candidate = NOWHERE._replace(
        start_logit=weighted_sum("start_logit") / total, end_logit=weighted_sum("end_logit") / total
    )
    return NbestEntry(text, weighted_sum("probability"), candidate)
