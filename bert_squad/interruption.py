"""Stop when a signal asks for it: at once where nothing is lost by that, and after the step or save in hand elsewhere.

Python runs a signal's handler in the main thread, between two of its own instructions. That thread may be in the middle
of a long call into TensorFlow, or in one that swallows what a handler raises. So a second thread hears of signals too,
and ends the process when the first does not react in time, or when a second signal says that it is urgent.
"""

import contextlib
import dataclasses
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bert_squad import locks, whole_files
from bert_squad.activity import current_activity

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SECONDS_TO_REACT = 0.8
_SECONDS_OF_ONE_REQUEST = (
    0.1  # `timeout` and the like send a signal twice at once: to the process, and to its group
)


class StopSignal(KeyboardInterrupt):
    """A signal asked the program to stop. No `Exception`, so that nothing on its way takes it for a failure.

    Args:
      signal_number: e.g. 15.
    """

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


class StopRequest:
    """Tell whether a signal has asked the run to stop; `signal_number` is None until then."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.is_deferred = False  # whoever is in the block looks for the signal and stops
        self.is_held = False  # it is raised at the end of the block


@dataclasses.dataclass
class _Stopping:
    """What `stopping_on_signals` has set up, within it."""

    request: StopRequest
    handle: Callable[[int, Any], None]
    numbers: list[signal.Signals]
    say: Callable[[str], None]


_stopping: _Stopping | None = None
_noticing: StopRequest | None = None  # of the `noticed_signals` that the program is in
_ending = threading.Lock()  # held by the thread that ends the process, for ever: there is one line to say


@contextlib.contextmanager
def stopping_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Let SIGTERM, SIGINT and SIGHUP raise a `StopSignal` within the block; a whole program is such a block.

    SIGHUP says that the terminal is gone. When the block does not end soon after the first signal, or at once after a
    second one, temporary files are deleted and the process ends with 128 + the signal's number. Does nothing outside
    the main thread, where Python does not deliver signals.

    Args:
      say: shows one line.

    Yields:
      What tells of a signal also when a library has swallowed the `StopSignal`, or made another error of it.
    """
    global _stopping
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread() or _stopping is not None:
        yield request
        return

    def handle(number: int, frame: Any) -> None:
        if request.signal_number is None:
            request.signal_number = number
            if not request.is_deferred and not request.is_held:
                raise StopSignal(number)

    is_over = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _stopping = _Stopping(request, handle, _heeded(), say)
    previous = {number: signal.signal(number, handle) for number in _stopping.numbers}
    previous_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, request, is_over, say), daemon=True).start()
    try:
        yield request
    finally:
        is_over.set()
        signal.set_wakeup_fd(previous_writer)
        for number, handler in previous.items():
            signal.signal(number, handler)
        _stopping = None
        os.close(writer)  # the watching thread reads the end of the pipe, and closes the other one


def _heeded() -> list[signal.Signals]:
    """Return the signals to heed: under `nohup` the end of the terminal is none of them."""
    return [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]


def heed_signals_again() -> None:
    """Heed signals as before, when a library has put a handler of its own over that of `stopping_on_signals`.

    TensorFlow does that to SIGTERM when a process joins a cluster: it waits for a notice that a machine is taken away,
    and swallows the signal. Python does not see such a handler. Does nothing outside of `stopping_on_signals` and of
    the main thread.
    """
    if _stopping is not None and threading.current_thread() is threading.main_thread():
        for number in _stopping.numbers:
            signal.signal(number, _stopping.handle)


def end_process(sentence: str, code: int = 1) -> None:
    """End the process from any thread, as an error would, when the main thread cannot; never returns.

    Args:
      sentence: what went wrong; it is shown as the message of an error is.
      code: the exit code.
    """
    say = _say_to_stderr if _stopping is None else _stopping.say
    _end(code, f"error: {sentence}", say)


def _say_to_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def ignore_signals() -> None:
    """Take no signal for a wish to stop any more, since the process is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _watch(reader: int, request: StopRequest, is_over: threading.Event, say: Callable[[str], None]) -> None:
    """End the process when the main thread does not."""
    first: float | None = None  # when the first signal came
    deadline = 0.0
    while not is_over.is_set():
        ready, _, _ = select.select([reader], [], [], None if first is None else 0.05)
        now = time.monotonic()
        if ready:
            numbers = os.read(reader, 64)
            if not numbers:
                break
            wanted = [number for number in numbers if number in SIGNALS]
            if not wanted:
                continue
            if first is None:
                first, deadline = now, now + SECONDS_TO_REACT
            elif now - first > _SECONDS_OF_ONE_REQUEST and not is_over.is_set():
                _end_by_signal(wanted[-1], "stopped at once by a second signal", say)
        elif first is not None:
            if request.is_deferred:
                deadline = now + SECONDS_TO_REACT
            elif now > deadline and not is_over.is_set():
                _end_by_signal(request.signal_number or signal.SIGTERM, "stopped", say)
    os.close(reader)


def _end_by_signal(number: int, how: str, say: Callable[[str], None]) -> None:
    line = f"{how} while {current_activity()} (signal {number}); nothing half-written is left."
    _end(128 + number, line, say)


def _end(code: int, line: str, say: Callable[[str], None]) -> None:
    with _ending:
        try:
            whole_files.discard_all()
            say(line)
            locks.release_all()  # last: who waits for one begins at once
        finally:
            os._exit(code)


@contextlib.contextmanager
def noticed_signals() -> Iterator[StopRequest]:
    """Only notice SIGTERM, SIGINT and SIGHUP within the block, which looks at the request and stops when it is safe.

    Works in the main thread, where Python delivers signals; elsewhere no signal is noticed. Outside of
    `stopping_on_signals` a second signal acts as it did before the block.
    """
    global _noticing
    if _stopping is not None and threading.current_thread() is threading.main_thread():
        _noticing = request = _stopping.request
        request.is_deferred = True
        try:
            yield request
        finally:
            request.is_deferred, _noticing = False, None
        if request.signal_number is not None:  # it came after the last look
            raise StopSignal(request.signal_number)
        return
    request = StopRequest()
    previous: dict[int, Any] = {}

    def notice(number, frame):
        request.signal_number = number
        signal.signal(number, previous[number])

    with contextlib.suppress(ValueError):  # not the main thread
        for signal_number in _heeded():
            previous[signal_number] = signal.signal(signal_number, notice)
    _noticing = request
    try:
        yield request
    finally:
        _noticing = None
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def raised_afterwards() -> Iterator[None]:
    """Let a signal raise its `StopSignal` at the end of the block, and not in the middle of it.

    For what makes TensorFlow call Python back from C++, as it does when it makes a model: there an exception is lost,
    or comes out as another one. When the block does not end soon after the signal, the process ends without it, as
    ever.
    """
    stopping = _stopping if threading.current_thread() is threading.main_thread() else None
    if stopping is None or stopping.request.is_deferred or stopping.request.is_held:
        yield
        return
    request = stopping.request
    request.is_held = True
    try:
        yield
    finally:
        request.is_held = False
    if request.signal_number is not None:
        raise StopSignal(request.signal_number)


def noticed_signal() -> int | None:
    """Return the signal that `noticed_signals`, somewhere around, has noticed; for what takes long within its block."""
    return None if _noticing is None else _noticing.signal_number
