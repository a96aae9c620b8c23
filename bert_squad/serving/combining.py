"""Requests that wait for each other are answered together. No TensorFlow here."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class _Call(Generic[Request, Result]):
    """What one thread asks, and what comes of it."""

    def __init__(self, requests: Sequence[Request]):
        self.requests = requests
        self.results: list[Result] = []
        self.error: BaseException | None = None
        self.is_taken = False  # by a thread that answers it
        self.is_done = False


class CombinedCalls(Generic[Request, Result]):
    """Call a function for several threads, some of them at a time.

    A thread that finds nobody at work is at work at once, and alone; so who asks from one thread notices nothing. While
    others are at work it waits, and the next to be free takes along what waits by then.

    Args:
      function: of requests, returns a result for each.
      at_once: how many threads may be at work.
      most: how many requests are taken together; a call that has more is taken alone.
    """

    def __init__(self, function: Callable[[Sequence[Request]], list[Result]], at_once: int, most: int):
        self._function, self._at_once, self._most = function, at_once, most
        self._waiting: list[_Call[Request, Result]] = []
        self._at_work = 0
        self._changed = threading.Condition()

    def __call__(self, requests: Sequence[Request]) -> list[Result]:
        """Return what the function does for these requests; what it raises for them comes out here."""
        call: _Call[Request, Result] = _Call(requests)
        with self._changed:
            self._waiting.append(call)
            self._changed.wait_for(lambda: call.is_taken or self._at_work < self._at_once)
            together = [] if call.is_taken else self._take(call)
            self._at_work += bool(together)
        if together:
            try:
                self._answer(together)
            finally:
                with self._changed:
                    self._at_work -= 1
                    for answered in together:
                        answered.is_done = True
                    self._changed.notify_all()
        else:
            with self._changed:
                self._changed.wait_for(lambda: call.is_done)
        if call.error is not None:
            raise call.error
        return call.results

    def _take(self, first: _Call) -> list[_Call]:
        """Take a call, and those that wait with it as far as there is room, in their order."""
        together, size = [first], len(first.requests)
        for call in self._waiting:
            if call is not first and size + len(call.requests) <= self._most:
                together.append(call)
                size += len(call.requests)
        for call in together:
            call.is_taken = True
        self._waiting = [call for call in self._waiting if not call.is_taken]
        return together

    def _answer(self, calls: list[_Call]) -> None:
        """Answer calls together; when that fails, one by one, so that nobody pays for what another one asks."""
        try:
            results = self._function([request for call in calls for request in call.requests])
        except BaseException as error:
            if len(calls) > 1 and isinstance(error, Exception):
                for call in calls:
                    self._answer([call])
                return
            for call in calls:
                call.error = error
            return
        begin = 0
        for call in calls:
            call.results = results[begin : begin + len(call.requests)]
            begin += len(call.requests)
