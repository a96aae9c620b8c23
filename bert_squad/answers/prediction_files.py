"""Write predictions.json, nbest_predictions.json and null_odds.json, with the bytes of the legacy program.

These are `json.dumps(..., indent=4)` and a line end. `PredictionFilesWriter` produces the same bytes one question
at a time, so that memory does not grow with their number. Beside them, if asked for, predictions_offsets.json, which
says where each answer is.
"""

import collections
import contextlib
import json
import math
from collections.abc import Collection, Hashable, Iterable
from json.encoder import encode_basestring_ascii
from typing import IO, Any

from bert_squad import whole_files
from bert_squad.answers.nbest import ExamplePrediction, NbestEntry
from bert_squad.errors import OutputError

PREDICTIONS = "predictions.json"
NBEST_PREDICTIONS = "nbest_predictions.json"
NULL_ODDS = "null_odds.json"
OFFSETS = "predictions_offsets.json"
EVAL_RESULTS = "eval_results.json"  # the scores of the answers in the same directory
PREDICTION_LOCK = ".bert_squad.prediction.lock"  # of whoever writes them


def predictions_json(content: Any) -> str:
    """Return one of the dicts of `Predictions` as the text of its file.

    >>> predictions_json({"q1": "Zürich"})
    '{\\n    "q1": "Z\\\\u00fcrich"\\n}\\n'
    """
    return json.dumps(content, indent=4) + "\n"


def json_key(qas_id: Any) -> str:
    """Return a question id as JSON shows it where it is a key: numbers become texts.

    >>> json_key("q1"), json_key(1), json_key(1.5)
    ('q1', '1', '1.5')
    """
    return qas_id if isinstance(qas_id, str) else next(iter(json.loads(json.dumps({qas_id: None}))))


def write_predictions(
    answers: Iterable[ExamplePrediction],
    qas_ids: Iterable[Hashable],
    *,
    predictions_file: str,
    nbest_file: str,
    null_odds_file: str | None = None,
    offsets_file: str | None = None,
) -> None:
    """Write the answers to all questions as they come.

    Args:
      answers: one for each question.
      qas_ids: the ids of all questions, known beforehand, so that repeated ones are seen in time.
      predictions_file: path of predictions.json.
      nbest_file: path of nbest_predictions.json.
      null_odds_file: path of null_odds.json; None without `version_2_with_negative`.
      offsets_file: path of predictions_offsets.json; None to do without.

    Raises:
      OutputError: when a file cannot be written.

    Source: the end of `write_predictions` of the legacy run_squad.py.
    """
    repeated_ids = {qas_id for qas_id, count in collections.Counter(qas_ids).items() if count > 1}
    with PredictionFilesWriter(
        predictions_file, nbest_file, null_odds_file, offsets_file, repeated_ids=repeated_ids
    ) as writer:
        for answer in answers:
            writer.add(answer)


class PredictionFilesWriter:
    """Write the files question by question; they appear when the `with` block ends without an error.

    Args:
      predictions_file: path of predictions.json.
      nbest_file: path of nbest_predictions.json.
      null_odds_file: path of null_odds.json; None without `version_2_with_negative`.
      offsets_file: path of predictions_offsets.json; None to do without.
      repeated_ids: the question ids that will be added more than once.

    Raises:
      OutputError: when a file cannot be written; each file is written as a whole or not at all.

    Differs: the legacy program holds all answers in dicts. Of an id that occurs twice these keep the later answer
      at the place of the earlier one; so from the first such id on, answers are held here too.
    """

    def __init__(
        self,
        predictions_file: str,
        nbest_file: str,
        null_odds_file: str | None = None,
        offsets_file: str | None = None,
        *,
        repeated_ids: Collection[Hashable] = (),
    ):
        optional = (null_odds_file, offsets_file)
        self._paths = [predictions_file, nbest_file, *(path for path in optional if path is not None)]
        self._writes_offsets = offsets_file is not None
        self._repeated_ids = repeated_ids
        self._held: dict[Hashable, list[str]] | None = None
        self._stack = contextlib.ExitStack()
        self._objects: list[_ObjectWriter] = []

    def __enter__(self) -> "PredictionFilesWriter":
        with contextlib.ExitStack() as stack:  # when one file cannot be opened, abandons the others
            self._objects = [
                _ObjectWriter(path, stack.enter_context(whole_files.open_whole(path))) for path in self._paths
            ]
            self._stack = stack.pop_all()
        return self

    def add(self, answer: ExamplePrediction) -> None:
        """Write the answer to one question.

        Raises:
          OutputError: when the file system refuses.
        """
        values = [encode_basestring_ascii(answer.text), _nbest_json(answer.nbest)]
        if answer.null_odds is not None:
            values.append(_number_json(answer.null_odds))
        if self._writes_offsets:
            values.append(_offsets_json(answer))
        if self._held is None and answer.qas_id in self._repeated_ids:
            self._held = {}
        if self._held is None:
            self._write(answer.qas_id, values)
        else:
            # LEGACY: the later answer to an id replaces the earlier one and keeps its place.
            self._held[answer.qas_id] = values

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None:
            # The error of the block goes on as it is. The files are told of another one: an OSError would make
            # them say that they cannot be written, when it may have been an input that could not be read.
            with contextlib.suppress(_AbandonedError):
                self._stack.__exit__(_AbandonedError, _AbandonedError(), None)
            return
        with self._stack:
            for qas_id, values in (self._held or {}).items():
                self._write(qas_id, values)
            for writer in self._objects:
                writer.finish()

    def _write(self, qas_id: Hashable, values: list[str]) -> None:
        key = encode_basestring_ascii(json_key(qas_id))
        for writer, value in zip(self._objects, values, strict=True):
            writer.add(key, value)


class _AbandonedError(Exception):
    pass


class _ObjectWriter:
    """Writes one JSON object to an open file, member by member."""

    def __init__(self, path: str, file: IO[str]):
        self._path = path
        self._file = file
        self._before_member = "{\n    "

    def add(self, key: str, value: str) -> None:
        self._write(f"{self._before_member}{key}: {value}")
        self._before_member = ",\n    "

    def finish(self) -> None:
        self._write("\n}\n" if self._before_member.startswith(",") else "{}\n")

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise OutputError(
                f"Cannot write {self._path} ({error.strerror or error}); what was there before is unchanged."
            ) from error


def _number_json(number: float) -> str:
    # repr() is what the json module writes, but for infinity and NaN.
    return repr(number) if math.isfinite(number) else json.dumps(number)


def _nbest_json(nbest: Iterable[NbestEntry]) -> str:
    entries = ",\n        ".join(
        f"""{{
            "text": {encode_basestring_ascii(text)},
            "probability": {_number_json(probability)},
            "start_logit": {_number_json(candidate.start_logit)},
            "end_logit": {_number_json(candidate.end_logit)}
        }}"""
        for text, probability, candidate in nbest
    )
    return f"[\n        {entries}\n    ]"


def _offsets_json(answer: ExamplePrediction) -> str:
    if answer.place is None:
        return "null"
    chosen = answer.chosen
    members = [
        *(f'"{name}": {number}' for name, number in answer.place._asdict().items()),
        f'"start_logit": {_number_json(chosen.candidate.start_logit)}',
        f'"end_logit": {_number_json(chosen.candidate.end_logit)}',
        f'"probability": {_number_json(chosen.probability)}',
    ]
    return "{\n        " + ",\n        ".join(members) + "\n    }"
