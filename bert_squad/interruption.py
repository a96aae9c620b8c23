"""Notice SIGTERM and SIGINT without stopping in the middle of a step."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class StopRequest:
    """Tell whether a signal has asked the run to stop; `signal_number` is None until then."""

    def __init__(self) -> None:
        self.signal_number: int | None = None


@contextlib.contextmanager
def noticed_signals() -> Iterator[StopRequest]:
    """Catch the first SIGTERM or SIGINT within the block; a second one acts as it always did.

    Works in the main thread, where Python delivers signals; elsewhere no signal is noticed.
    """
    request = StopRequest()
    previous: dict[int, Any] = {}

    def notice(number, frame):
        request.signal_number = number
        signal.signal(number, previous[number])

    with contextlib.suppress(ValueError):  # not the main thread
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            previous[signal_number] = signal.signal(signal_number, notice)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
