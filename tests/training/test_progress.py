import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest
from program import environment

from bert_squad.training import progress
from bert_squad.training.loop import StepValues
from bert_squad.training.progress import TrainingProgress


def test_lines_show_loss_rate_speed_and_time_left(monkeypatch, infos):
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with TrainingProgress(first_step=100, num_train_steps=110, batch_size=8) as bar:
        for step in range(101, 111):
            # The first step compiles. Twice as much time goes by as the steps take: the rest is saving.
            bar.update(StepValues(step, 2.5, 1e-4, 0.75, seconds=60.0 + 2.0 * (step - 101)))
    pattern = (
        r"step (\d+) of 110: loss 2\.5000, learning rate 0\.0001, gradient norm 0\.750"
        r"(?:, 4\.0 examples/s, (\d\d:\d\d) left)?"
    )
    matches = [re.fullmatch(pattern, line) for line in infos]
    # 4 seconds a step: the first, then every 10 seconds at least, and the last.
    assert [int(match.group(1)) for match in matches] == [101, 104, 107, 110]
    assert [match.group(2) for match in matches] == [None, "00:12", "00:06", "00:00"]


class Unread:
    """A value on a device that nobody may read."""

    def __float__(self):
        raise AssertionError("this was not to be shown")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_values_that_are_not_shown_are_not_read(monkeypatch, is_terminal):
    monkeypatch.setattr(progress, "is_terminal", lambda: is_terminal)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    with TrainingProgress(first_step=0, num_train_steps=4, batch_size=8) as bar:
        bar.update(StepValues(1, 2.5, 1e-4, 0.75, seconds=1.0))
        for step in (2, 3):
            bar.update(StepValues(step, Unread(), Unread(), Unread(), seconds=step))


def test_a_terminal_gets_a_bar():
    code = (
        "from bert_squad.training.loop import StepValues\n"
        "from bert_squad.training.progress import TrainingProgress\n"
        "with TrainingProgress(0, 3, 8) as bar:\n"
        "    for step in (1, 2, 3): bar.update(StepValues(step, 2.5, 1e-4, 0.75, 30.0 * step))\n"
    )
    terminal, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    shown = bytearray()

    def read():
        try:
            while chunk := os.read(terminal, 1024):
                shown.extend(chunk)
        except OSError:
            pass  # the child closed its end

    reader = threading.Thread(target=read)
    reader.start()
    subprocess.run([sys.executable, "-c", code], stderr=child, env=environment(), check=True)
    os.close(child)
    reader.join()
    os.close(terminal)
    assert b"3/3" in shown
    assert b"loss 2.5000" in shown
    assert b"0.3 examples/s" in shown
    assert b"01:30<00:00" in shown  # the time of the steps, not of the process
