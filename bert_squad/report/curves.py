"""The curves of a training: its event files, and its evaluations. No TensorFlow here."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from absl import logging

from bert_squad import files
from bert_squad.errors import BertSquadError
from bert_squad.training.history import read_history
from bert_squad.values import is_finite

_EVENTS = "events.out.tfevents."
_LOSS = "loss"
_HEADER, _FOOTER = 12, 4  # bytes around a record: its length and a checksum, and another checksum
_MOST_POINTS = 400
_STEPS = range(2**53)  # what a picture can place

Curve = list[tuple[int, float]]
"""Pairs of step and value, in the order of steps."""


class TrainingCurves(NamedTuple):
    """What is known of a training's course.

    Attributes:
      loss: of the steps that were written.
      exact: of the evaluations on the way, in percent.
      f1: the same.
    """

    loss: Curve
    exact: Curve
    f1: Curve


def read_curves(folder: str) -> TrainingCurves:
    """Read the curves in a directory; those that are not there, or cannot be read, are empty."""
    try:
        history = read_history(folder)
    except BertSquadError as error:
        logging.warning("%s The report does without.", error)
        history = []
    exact, f1 = (
        [(row["step"], row[name]) for row in history if _is_score(row.get(name)) and row["step"] in _STEPS]
        for name in ("exact", "f1")
    )
    return TrainingCurves(_thinned(_read_loss(folder)), exact, f1)


def _is_score(value: Any) -> bool:
    return is_finite(value, 0) and value <= 100


def _read_loss(folder: str) -> Curve:
    """Return the loss by step; what a session wrote again counts in its later form."""
    try:
        names = [name for name in files.names_in(folder) if name.startswith(_EVENTS)]
    except OSError:
        return []
    if not names:
        return []
    from tensorboard.compat.proto import event_pb2  # no TensorFlow is loaded by it

    values: dict[int, float] = {}
    for name in names:
        try:
            content = files.read_bytes(files.join(folder, name))
            for record in _records_in(content):
                event = event_pb2.Event.FromString(record)
                if event.HasField(
                    "session_log"
                ):  # begins: what an earlier session did of these steps is void
                    values = {step: value for step, value in values.items() if step < event.step}
                for value in event.summary.value:
                    if value.tag == _LOSS and value.HasField("simple_value"):
                        values[event.step] = value.simple_value
        except Exception as error:  # protobuf's own, or of the file system: somebody else's file, or damaged
            logging.warning("%s in %s cannot be read (%s); the report does without.", name, folder, error)
    return sorted(values.items())


def _records_in(content: bytes) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; one that is cut short, as while a training writes, ends it."""
    place = 0
    while place + _HEADER <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + _HEADER + length
        if end + _FOOTER > len(content):
            return
        yield content[place + _HEADER : end]
        place = end + _FOOTER


def _thinned(curve: Curve) -> Curve:
    """Return means of neighbours where there are more points than a picture shows."""
    size = -(-len(curve) // _MOST_POINTS) if curve else 1
    if size == 1:
        return curve
    parts = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
