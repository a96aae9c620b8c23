"""Training curves for TensorBoard, where the legacy script wrote them and under its names."""

import os
import socket
import time
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from bert_squad import files
from bert_squad.errors import first_line
from bert_squad.training.history import Row
from bert_squad.training.loop import StepValues

EVENTS = "events.out.tfevents"
_SECONDS_BETWEEN_FLUSHES = 10.0


class TrainingSummaries:
    """Write the values of every so many steps to an event file. Use it as a context manager.

    The file begins with the mark of a new session, at which TensorBoard forgets what an earlier one, that was killed,
    had written of the same steps. A file that cannot be written is no reason to stop a training: there is one warning.

    Args:
      directory: the file is in it, named `events.out.tfevents.` and the time, machine and process.
      first_step: number of steps done before.
      batch_size: number of features in a step.
      summary_steps: the first step of the session is written, and each that is a multiple of so many after it, with
        `loss`, `learning_rate` and `global_norm`, and, since the one before it, `global_step/sec` and `examples/sec`.

    Source: the events that `tf.estimator.tpu.TPUEstimator` wrote for the legacy script.
    Differs: it wrote the rates after every step, and neither the learning rate nor the norm.
    """

    def __init__(self, directory: str, first_step: int, batch_size: int, summary_steps: int):
        self._path = files.join(directory, _new_name(directory))
        self._first_step, self._batch_size, self._summary_steps = first_step, batch_size, summary_steps
        self._writer: tf.io.TFRecordWriter | None = None
        self._before: StepValues | None = None  # that was written last
        self._last_flush = time.monotonic()

    def __enter__(self) -> "TrainingSummaries":
        try:
            self._writer = tf.io.TFRecordWriter(self._path)
        except tf.errors.OpError as error:
            self._give_up(error)
        self._write(file_version="brain.Event:2")
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._write(step=self._first_step + 1, session_log=start)
        return self

    def __exit__(self, *_) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except tf.errors.OpError as error:
                self._give_up(error)

    def update(self, values: StepValues) -> None:
        """Write one step, if it is one of those that are written."""
        if (values.step - self._first_step - 1) % self._summary_steps:
            return
        scalars = {
            "loss": float(values.loss),
            "learning_rate": float(values.learning_rate),
            "global_norm": float(values.global_norm),
        }
        before, self._before = self._before, values
        if before is not None and values.seconds > before.seconds:
            rate = (values.step - before.step) / (values.seconds - before.seconds)
            scalars |= {"global_step/sec": rate, "examples/sec": rate * self._batch_size}
        self.add_scalars(values.step, scalars)
        if time.monotonic() - self._last_flush > _SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write values of a step, by tag."""
        values = [tf.compat.v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(step=step, summary=tf.compat.v1.Summary(value=values))

    def add_scores(self, row: Row) -> None:
        """Write the scores of an evaluation, `eval/f1` and so on."""
        self.add_scalars(
            row["step"], {f"eval/{name}": score for name, score in row.items() if name != "step"}
        )

    def flush(self) -> None:
        """Hand what was written to the file system, for those who look."""
        self._last_flush = time.monotonic()
        if self._writer is not None:
            try:
                self._writer.flush()
            except tf.errors.OpError as error:
                self._give_up(error)

    def _write(self, **content) -> None:
        if self._writer is not None:
            event = tf.compat.v1.Event(wall_time=time.time(), **content)
            try:
                self._writer.write(event.SerializeToString())
            except tf.errors.OpError as error:
                self._give_up(error)

    def _give_up(self, error: tf.errors.OpError) -> None:
        self._writer = None
        logging.warning(
            "Cannot write %s (%s), so the curves for TensorBoard end here; training goes on.",
            self._path,
            first_line(error),
        )


def _new_name(directory: str) -> str:
    """Return a name for an event file: `events.out.tfevents.SECONDS.MACHINE.PROCESS`.

    TensorBoard reads files in the order of their names. So the seconds are later than those of the files that are
    there, even if another machine wrote them, whose clock was ahead.
    """
    names = [name for name in _names_in(directory) if name.startswith(f"{EVENTS}.")]
    seconds = [name.removeprefix(f"{EVENTS}.").split(".")[0] for name in names]
    later = max((int(each) + 1 for each in seconds if each.isdecimal()), default=0)
    return f"{EVENTS}.{max(int(time.time()), later):010d}.{socket.gethostname()}.{os.getpid()}"


def _names_in(directory: str) -> list[str]:
    try:
        return files.names_in(directory)
    except OSError:
        return []  # to write there will fail too, and say why
