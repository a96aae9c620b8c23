"""Show how far something long is: a bar on a terminal, a line every few seconds elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm
from absl import logging

SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BEFORE_BAR = 1.0  # what is over by then needs none

Item = TypeVar("Item")


def shown(items: Iterable[Item], done: str, total: int, unit: str) -> Iterator[Item]:
    """Pass items on, showing how many there have been and the time left.

    Args:
      items: what is worked on, one after the other.
      done: what is done with each, e.g. "predicted".
      total: how many there are.
      unit: what they are, e.g. "features".
    """
    if is_terminal():
        yield from _with_bar(items, done, total, unit)
        return
    started = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES:
            last = now
            left = tqdm.tqdm.format_interval((now - started) / count * (total - count))
            logging.info("%s %d of %d %s, %s left", done, count, total, unit, left)
        yield item


def _with_bar(items: Iterable[Item], done: str, total: int, unit: str) -> Iterator[Item]:
    bar = tqdm.tqdm(
        total=total, desc=done, unit=f" {unit}", dynamic_ncols=True, delay=_SECONDS_BEFORE_BAR, leave=False
    )
    try:
        for item in items:
            yield item
            # A terminal that is gone is no reason to stop.
            with contextlib.suppress(OSError, ValueError):
                bar.update()
    finally:
        with contextlib.suppress(OSError, ValueError):
            bar.close()


def is_terminal() -> bool:
    """Say whether standard error is a terminal."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # a daemon has none, or has closed it
        return False
