"""Show how training goes: a bar on a terminal, a line every few seconds elsewhere."""

import contextlib
import math
import time

import tqdm
from absl import logging

from bert_squad.progress import SECONDS_BETWEEN_LINES, is_terminal
from bert_squad.training.history import Row
from bert_squad.training.loop import StepValues

_SECONDS_BETWEEN_DISPLAYS = 0.1


class TrainingProgress:
    """Report loss, learning rate, examples per second and the time left. Use it as a context manager.

    The values of a step are read from their device only when they are shown. The first step of a session, or the first
    call that does several, compiles: it does not count in the rate, and there is none before the next.

    Args:
      first_step: number of steps done before.
      num_train_steps: number of steps in all.
      batch_size: number of features in a step.
    """

    def __init__(self, first_step: int, num_train_steps: int, batch_size: int):
        self._first_step = first_step
        self._num_train_steps = num_train_steps
        self._batch_size = batch_size
        self._compiled: StepValues | None = None  # of the first step
        self._last_shown = -math.inf
        self._bar: tqdm.tqdm | None = None
        self._score = ""  # of the last evaluation, shown behind the rest

    def __enter__(self) -> "TrainingProgress":
        if is_terminal():
            self._bar = tqdm.tqdm(
                initial=self._first_step,
                total=self._num_train_steps,
                unit="step",
                dynamic_ncols=True,
                smoothing=0,  # the mean of all steps, whose clock stands still in between
            )
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.close()

    def show_scores(self, row: Row) -> None:
        """Show the F1 of an evaluation from now on."""
        self._score = f", F1 {row['f1']:.2f}"

    def update(self, values: StepValues) -> None:
        """Report one step."""
        if self._compiled is None or values.seconds <= self._compiled.seconds:
            self._compiled = values
        steps, seconds = values.step - self._compiled.step, values.seconds - self._compiled.seconds
        rate = steps * self._batch_size / seconds if steps else None
        between = SECONDS_BETWEEN_LINES if self._bar is None else _SECONDS_BETWEEN_DISPLAYS
        now = time.monotonic()
        is_shown = values.step == self._num_train_steps or now - self._last_shown >= between
        if is_shown:
            self._last_shown = now
        if self._bar is not None:
            self._update_bar(self._bar, values, rate, is_shown)
        elif is_shown:
            self._log(values, rate)

    def _update_bar(self, bar: tqdm.tqdm, values: StepValues, rate: float | None, is_shown: bool) -> None:
        try:
            if is_shown:
                shown = f"loss {float(values.loss):.4f}, lr {float(values.learning_rate):.2e}"
                shown += "" if rate is None else f", {rate:.1f} examples/s"
                bar.set_postfix_str(shown + self._score, refresh=False)
            bar.start_t = time.time() - values.seconds
            bar.update()
        except (OSError, ValueError):  # the terminal is gone, which is no reason to stop
            self._bar = None

    def _log(self, values: StepValues, rate: float | None) -> None:
        speed = ""
        if rate is not None:
            left = (self._num_train_steps - values.step) * self._batch_size / rate
            speed = f", {rate:.1f} examples/s, {tqdm.tqdm.format_interval(left)} left"
        logging.info(
            "step %d of %d: loss %.4f, learning rate %.3g, gradient norm %.3f%s",
            values.step,
            self._num_train_steps,
            float(values.loss),
            float(values.learning_rate),
            float(values.global_norm),
            speed,
        )
