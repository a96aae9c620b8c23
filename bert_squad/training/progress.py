"""Show how training goes: a bar on a terminal, a line every few seconds elsewhere."""

import contextlib
import sys
import time

import tqdm
from absl import logging

SECONDS_BETWEEN_LINES = 10.0


class TrainingProgress:
    """Report loss, learning rate, examples per second and the time left. Use it as a context manager.

    Args:
      first_step: number of steps done before.
      num_train_steps: number of steps in all.
      batch_size: number of features in a step.
    """

    def __init__(self, first_step: int, num_train_steps: int, batch_size: int):
        self._first_step = first_step
        self._num_train_steps = num_train_steps
        self._batch_size = batch_size
        self._started = self._last_line = time.monotonic()
        self._bar: tqdm.tqdm | None = None

    def __enter__(self) -> "TrainingProgress":
        if _is_terminal():
            self._bar = tqdm.tqdm(
                initial=self._first_step, total=self._num_train_steps, unit="step", dynamic_ncols=True
            )
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.close()

    def update(self, step: int, loss: float, learning_rate: float, global_norm: float) -> None:
        """Report one step.

        Args:
          step: number of steps done, this one included.
          loss: of this step, before its update.
          learning_rate: that this step used.
          global_norm: of the gradients, before clipping.
        """
        now = time.monotonic()
        steps = step - self._first_step
        rate = steps * self._batch_size / max(now - self._started, 1e-9)
        if self._bar is not None:
            try:
                self._bar.set_postfix_str(
                    f"loss {loss:.4f}, lr {learning_rate:.2e}, {rate:.1f} examples/s", False
                )
                self._bar.update()
            except (OSError, ValueError):  # the terminal is gone, which is no reason to stop
                self._bar = None
        elif steps == 1 or step == self._num_train_steps or now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._num_train_steps - step) * self._batch_size / rate
            logging.info(
                "step %d of %d: loss %.4f, learning rate %.3g, gradient norm %.3f, %.1f examples/s, %s left",
                step,
                self._num_train_steps,
                loss,
                learning_rate,
                global_norm,
                rate,
                tqdm.tqdm.format_interval(left),
            )


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # a daemon has none, or has closed it
        return False
