"""What the program is doing just now, in words, for the one line that it says when it is stopped or fails."""

import contextlib
from collections.abc import Iterator

_activities = ["starting"]


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what a block does, e.g. "training"; an error that leaves the block remembers it.

    >>> try:
    ...     with doing("reading dev.json"):
    ...         raise OSError
    ... except OSError as error:
    ...     activity_at(error)
    'reading dev.json'
    """
    _activities.append(what)
    try:
        yield
    except BaseException as error:
        if not hasattr(error, "activity"):
            error.activity = what  # type: ignore[attr-defined]
        raise
    finally:
        _activities.pop()


def current_activity() -> str:
    """Return what is being done now."""
    return _activities[-1]


def activity_at(error: BaseException) -> str:
    """Return what was being done when an error was raised."""
    return getattr(error, "activity", _activities[0])
