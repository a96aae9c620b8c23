"""The threshold of SQuAD 2.0: searched for on questions whose answers are known, kept, and used. No TensorFlow here.

The legacy README has people predict, run the official evaluation with `--na-prob-file`, read off `best_f1_thresh`, and
predict again with `--null_score_diff_threshold`. This does the same in one.
"""

import json
import math
from typing import Any, NamedTuple

from absl import logging

from bert_squad import files, whole_files
from bert_squad.answers.metrics import evaluate
from bert_squad.answers.metrics_input import QuestionSet
from bert_squad.answers.prediction_files import (
    NBEST_PREDICTIONS,
    NULL_ODDS,
    OFFSETS,
    PREDICTIONS,
    predictions_json,
)
from bert_squad.errors import DataError
from bert_squad.json_files import read_json

THRESHOLD_FILE = "null_score_diff_threshold.json"


class TunedThreshold(NamedTuple):
    """A threshold, and what it is worth on the questions that it was searched on.

    Attributes:
      threshold: questions whose null odds are above it (exclusive) have no answer.
      tuned_on: the file of these questions.
      step: of the checkpoint that answered; None when nothing says it.
      at_zero: the official metrics at the threshold 0.
      at_threshold: the same at this one.
    """

    threshold: float
    tuned_on: str
    step: int | None
    at_zero: dict[str, float]
    at_threshold: dict[str, float]


def tune_threshold(
    questions: QuestionSet, folder: str, tuned_on: str, step: int | None, *, has_offsets: bool = False
) -> TunedThreshold:
    """Search the threshold of the best F1, and write the predictions of a folder as a run with it would have.

    Args:
      questions: to score, of version 2.
      folder: holds the three files of a run at the threshold 0.
      tuned_on: the file of the questions.
      step: see `TunedThreshold`.
      has_offsets: the run wrote predictions_offsets.json there too.

    Raises:
      DataError, OutputError: as `apply_threshold` and `evaluate`.
    """
    predictions, odds = files.join(folder, PREDICTIONS), files.join(folder, NULL_ODDS)
    at_zero = evaluate(questions, predictions, odds)
    threshold = at_zero["best_f1_thresh"]
    apply_threshold(folder, threshold, has_offsets=has_offsets)
    at_threshold = evaluate(questions, predictions, odds)
    logging.info(
        "The threshold %g has the best F1 on %s: exact %.2f, F1 %.2f; at 0 they are %.2f and %.2f. A threshold "
        "flatters the questions that it was tuned on.",
        threshold,
        tuned_on,
        at_threshold["exact"],
        at_threshold["f1"],
        at_zero["exact"],
        at_zero["f1"],
    )
    return TunedThreshold(threshold, tuned_on, step, at_zero, at_threshold)


def apply_threshold(folder: str, threshold: float, *, has_offsets: bool = False) -> None:
    """Write the predictions.json of a folder as a run with this threshold would have.

    Args:
      folder: holds predictions.json, nbest_predictions.json and null_odds.json of one run of version 2.
      threshold: see `TunedThreshold`.
      has_offsets: the run wrote predictions_offsets.json there too, and its threshold was not lower: what it said of
        answers that are none now is taken out.

    Raises:
      DataError: when the files cannot be read.
      OutputError: when a file cannot be written; it is unchanged then.
    """
    nbest: dict[str, list[dict[str, Any]]] = read_json(
        files.join(folder, NBEST_PREDICTIONS), "n-best answers"
    )
    odds: dict[str, float] = read_json(files.join(folder, NULL_ODDS), "null odds")
    predictions = {
        qas_id: ""
        if odds[qas_id] > threshold
        else next((entry["text"] for entry in entries if entry["text"]), "")
        for qas_id, entries in nbest.items()
    }
    with whole_files.open_whole(files.join(folder, PREDICTIONS)) as writer:
        writer.write(predictions_json(predictions))
    if has_offsets:
        path = files.join(folder, OFFSETS)
        places: dict[str, Any] = read_json(path, "offsets of answers")
        places = {qas_id: place if predictions[qas_id] else None for qas_id, place in places.items()}
        with whole_files.open_whole(path) as writer:
            writer.write(predictions_json(places))


def write_threshold(output_dir: str, tuned: TunedThreshold) -> None:
    """Keep a threshold for later predictions and exports of a directory.

    Raises:
      OutputError: when it cannot be written.
    """
    with whole_files.open_whole(files.join(output_dir, THRESHOLD_FILE)) as writer:
        writer.write(json.dumps(tuned._asdict(), indent=4) + "\n")


def read_threshold(output_dir: str) -> TunedThreshold | None:
    """Return the threshold that is kept in a directory; None where there is none.

    Raises:
      DataError: when its file is damaged.
    """
    path = files.join(output_dir, THRESHOLD_FILE)
    if not files.is_file(path):
        return None
    content = read_json(path, "tuned threshold")
    threshold = content.get("threshold") if isinstance(content, dict) else None
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or math.isnan(threshold):
        raise DataError(
            f"{path} has no number 'threshold'; tune it again with --tune_null_threshold, give "
            "--null_score_diff_threshold, or move the file away."
        )
    return TunedThreshold(
        float(threshold),
        str(content.get("tuned_on")),
        content.get("step"),
        content.get("at_zero") or {},
        content.get("at_threshold") or {},
    )
