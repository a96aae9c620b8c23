"""Read what a run left in its output directory, as far as a report needs it. No TensorFlow here."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from bert_squad import files
from bert_squad.answers.ensemble import read_nbest
from bert_squad.answers.metrics_input import read_null_odds
from bert_squad.answers.prediction_files import NBEST_PREDICTIONS, NULL_ODDS, OFFSETS, PREDICTIONS
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import ConfigError, DataError
from bert_squad.json_files import read_json
from bert_squad.run_record import RUN_RECORD, read_record

# Where a training keeps answers beside its last ones; the modules that write them load TensorFlow.
_BEST, _EVALUATIONS = "best", "evaluations"
_LEGACY_EMPTY = "empty"  # what version 1.1 answers where a window offers nothing


class RunFolder(NamedTuple):
    """The answers of a run.

    Attributes:
      path: of the directory.
      predictions: question id → answer.
      nbest: question id → entries of nbest_predictions.json, the most probable first; None without the file.
      null_odds: question id → odds of no answer; None without the file.
      offsets: question id → what predictions_offsets.json says of it; empty without the file.
      training: the directory of the training: the same, or that in whose `best` or `evaluations` this one is.
      record: run.json of the directory, else of the training; empty without one.
    """

    path: str
    predictions: dict[str, str]
    nbest: dict[str, list[dict[str, Any]]] | None
    null_odds: dict[str, float] | None
    offsets: dict[str, Any]
    training: str
    record: dict[str, Any]

    def flag(self, name: str) -> Any:
        """Return the value of a flag of the run, as its record has it; None where it says nothing."""
        return _flag_of(self.record, name)


def _flag_of(record: Mapping[str, Any], name: str) -> Any:
    sessions = record.get("sessions")
    latest = sessions[-1] if isinstance(sessions, list) and sessions else None
    of_latest = latest.get("flags") if isinstance(latest, dict) else None
    for flags in (record.get("flags"), of_latest):
        if isinstance(flags, dict) and name in flags:
            return flags[name]
    return None


def read_predictions_file(folder: str) -> dict[str, str]:
    """Return question id → answer from the predictions.json of a directory.

    Raises:
      ConfigError: when the directory, or the file, is not there; it says how to make it.
      DataError: when it is not what it should be.
    """
    path = files.join(folder, PREDICTIONS)
    if not files.is_directory(folder):
        raise ConfigError(f"{folder} is no directory; name the --output_dir of a run that has predicted.")
    if not files.is_file(path):
        raise ConfigError(
            f"There is no {PREDICTIONS} in {folder}; make it with `run_squad.py --do_predict --output_dir={folder}` "
            "and the other flags of the run."
        )
    predictions = read_json(path, "predictions")
    if not isinstance(predictions, dict):
        raise DataError(f"The predictions {path} should be an object with question ids as keys.")
    for qas_id, text in predictions.items():
        if not isinstance(text, str):
            raise DataError(
                f"The prediction for question {shown_id(qas_id)} of the predictions {path} is not a text."
            )
    return predictions


def read_run_folder(folder: str) -> RunFolder:
    """Read what a run left in a directory.

    Raises:
      ConfigError: when there are no predictions.
      DataError: when a file is not what it should be, or of another run than predictions.json.
    """
    predictions = read_predictions_file(folder)
    nbest_path, odds_path, offsets_path = (
        files.join(folder, name) for name in (NBEST_PREDICTIONS, NULL_ODDS, OFFSETS)
    )
    nbest = read_nbest(nbest_path) if files.is_file(nbest_path) else None
    null_odds = read_null_odds(odds_path) if files.is_file(odds_path) else None
    offsets = read_json(offsets_path, "offsets of predictions") if files.is_file(offsets_path) else {}
    if nbest is not None:
        _check_same_run(predictions, nbest, nbest_path)
    if null_odds is not None:
        _check_has_all(predictions, null_odds, odds_path)
    if not isinstance(offsets, dict):
        raise DataError(
            f"The offsets of predictions {offsets_path} should be an object with question ids as keys."
        )
    training = training_folder(folder)
    record = read_record(folder) or read_record(training) or {}
    return RunFolder(folder, predictions, nbest, null_odds, offsets, training, record)


def training_folder(folder: str) -> str:
    """Return the directory of the training whose answers lie in a directory.

    >>> training_folder("out"), training_folder("out/best"), training_folder("out/evaluations/1000/")
    ('out', 'out', 'out')
    """
    above, name = os.path.split(folder.rstrip("/"))
    if above and name == _BEST:
        return above
    return os.path.dirname(above) or folder if os.path.basename(above) == _EVALUATIONS else folder


def _check_has_all(predictions: Mapping[str, str], values: Mapping[str, Any], path: str) -> None:
    missing = [qas_id for qas_id in predictions if qas_id not in values]
    if missing:
        raise DataError(
            f"{path} lacks {len(missing)} of the {len(predictions)} questions of {PREDICTIONS}, {shown_id(missing[0])} "
            "among them: it is of another run, or cut. Predict again, or move it away to have a report without it."
        )


def _check_same_run(
    predictions: Mapping[str, str], nbest: Mapping[str, list[dict[str, Any]]], path: str
) -> None:
    """Refuse an n-best file that lacks questions, or that does not list what was predicted."""
    _check_has_all(predictions, nbest, path)
    for qas_id, text in predictions.items():
        if text and text != _LEGACY_EMPTY and all(entry["text"] != text for entry in nbest[qas_id]):
            raise DataError(
                f"The answer to question {shown_id(qas_id)} of {PREDICTIONS} is not in its list of {path}: the two are "
                "of different runs. Predict again, or move the latter away to have a report without it."
            )


def recorded_predict_file(run: RunFolder) -> str:
    """Return the --predict_file that the record of a run names.

    Raises:
      ConfigError: when there is none, or it is not there any more; it names the flag.
    """
    named = None
    for record in (run.record, read_record(run.training) or {}):
        scores = record.get("scores")
        of_scores = scores.get("predict_file") if isinstance(scores, dict) else None
        named = named or of_scores or _flag_of(record, "predict_file")
    if not isinstance(named, str) or not named:
        raise ConfigError(
            f"Nothing in {run.path} says which questions were answered ({RUN_RECORD} names no predict_file); give "
            "--predict_file."
        )
    return named
