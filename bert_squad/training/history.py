"""The scores of a training, evaluation by evaluation: `eval_history.jsonl`. No TensorFlow here."""

import json
from collections.abc import Sequence
from typing import Any

from absl import logging

from bert_squad import files, whole_files
from bert_squad.errors import BertSquadError, DataError
from bert_squad.json_files import parse_json

HISTORY = "eval_history.jsonl"

Row = dict[str, Any]
"""`step`, the number of steps done; `exact` and `f1`, in percent; and whatever else `eval_results.json` has."""


def row_of(step: int, metrics: dict[str, float]) -> Row:
    """Make a row; version 1.1's `exact_match` is `exact` too.

    >>> row_of(200, {"exact_match": 50.0, "f1": 60.0})
    {'step': 200, 'exact': 50.0, 'f1': 60.0, 'exact_match': 50.0}
    """
    exact = metrics["exact"] if "exact" in metrics else metrics["exact_match"]
    return {"step": step, "exact": exact, "f1": metrics["f1"]} | metrics


def read_history(directory: str) -> list[Row]:
    """Return the rows of a directory's history, in the order of steps; none where there is no such file.

    A last line that is cut short is left out, with a warning.

    Raises:
      DataError: when another line is no row; it names file and line.
    """
    path = files.join(directory, HISTORY)
    if not files.is_file(path):
        return []
    lines = files.read_bytes(path).splitlines()
    rows: dict[int, Row] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line, f"Line {number} of {path}")
            if not isinstance(row, dict) or type(row.get("step")) is not int:
                raise DataError(f"Line {number} of {path} is no evaluation: it has no whole number 'step'.")
            rows[row["step"]] = row
        except BertSquadError as error:
            if number < len(lines):
                raise DataError(
                    f"{error} Mend the file or move it away, then run the same command again."
                ) from None
            logging.warning("%s It is cut short, and left out.", error)
    return [rows[step] for step in sorted(rows)]


def add_to_history(directory: str, row: Row) -> list[Row]:
    """Write a row after those of earlier steps, and return all; later ones were of a training that was killed.

    Raises:
      DataError: as `read_history`.
      OutputError: when it cannot be written; what was there before is unchanged.
    """
    rows = [*(old for old in read_history(directory) if old["step"] < row["step"]), row]
    with whole_files.open_whole(files.join(directory, HISTORY)) as writer:
        writer.writelines(json.dumps(of) + "\n" for of in rows)
    return rows


def evaluations_since_best(rows: Sequence[Row], metric: str) -> int:
    """Return how many of the last rows in a row brought nothing better than what was before them.

    >>> evaluations_since_best([{"f1": 1.0}, {"f1": 3.0}, {"f1": 3.0}, {"f1": 2.0}], "f1")
    2
    """
    scores = [row[metric] for row in rows if metric in row]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0
