"""Score answers that are in a folder, under the legacy names; and answer and score again and again, on the way."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_squad import files, whole_files
from bert_squad.answers.answering import PreparedQuestions
from bert_squad.answers.metrics import evaluate
from bert_squad.answers.metrics_input import QuestionSet
from bert_squad.answers.prediction_files import EVAL_RESULTS, NULL_ODDS, PREDICTIONS, json_key
from bert_squad.data.examples import SquadExample


def score_folder(
    questions: QuestionSet, folder: str, *, has_null_odds: bool, more: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Score predictions.json of a folder, and write eval_results.json beside it.

    Args:
      questions: from `read_questions`.
      folder: holds the predictions, and null_odds.json if `has_null_odds`.
      has_null_odds: the run is one of version 2.
      more: is written, and returned, after the metrics.

    Returns:
      The metrics, as `evaluate` does.

    Raises:
      BertSquadError: when they cannot be scored, or the file not be written.
    """
    odds = files.join(folder, NULL_ODDS) if has_null_odds else None
    metrics = evaluate(questions, files.join(folder, PREDICTIONS), odds) | dict(more or {})
    with whole_files.open_whole(files.join(folder, EVAL_RESULTS)) as writer:
        writer.write(json.dumps(metrics, indent=4) + "\n")
    return metrics


class ScoredQuestions:
    """Questions that a model answers and is scored by, whenever it is asked to; a `training.evaluations.Scorer`.

    Args:
      prepared: the questions, to answer.
      questions: the same, to score; None in a process that is not the chief of several.
      version_2_with_negative: the run's.
    """

    def __init__(
        self, prepared: PreparedQuestions, questions: QuestionSet | None, *, version_2_with_negative: bool
    ):
        self._prepared, self._questions = prepared, questions
        self._is_version_2 = version_2_with_negative
        told = json.dumps([list(question) for question in questions.questions] if questions else [])
        self.questions: dict[str, Any] = {
            "total": len(questions.questions) if questions else 0,
            "sha256": hashlib.sha256(told.encode()).hexdigest(),
        }

    def score(self, folder: str, before_batch: Callable[[], None]) -> dict[str, float]:
        """Answer with the model's present weights; see `Scorer`."""
        if self._questions is None:
            self._prepared.help_to_answer(before_batch)
            return {}
        self._prepared.write_answers(folder, before_batch)
        return score_folder(self._questions, folder, has_null_odds=self._is_version_2)


def sample_questions(
    examples: Sequence[SquadExample], questions: QuestionSet, most: int
) -> tuple[list[SquadExample], QuestionSet]:
    """Choose so many questions at most, spread evenly over the file: the same ones each time.

    Args:
      examples: all questions, to answer.
      questions: all, to score.
      most: how many; 0 for all.
    """
    if not most or len(examples) <= most:
        return list(examples), questions
    chosen = [examples[number] for number in np.linspace(0, len(examples) - 1, most).astype(int)]
    ids = {json_key(example.qas_id) for example in chosen}
    return chosen, questions._replace(
        questions=[question for question in questions.questions if question.qas_id in ids]
    )
