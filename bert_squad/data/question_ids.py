"""Name questions in messages: the first few by their ids, the others by their number."""

from typing import Any

MAX_NAMED = 20
_LONGEST = 100  # characters of an id


class NamedIds:
    """Counts questions and remembers the ids of the first `MAX_NAMED`, so that any number can be reported.

    Args:
      remembers_all: remember all ids; a message still names the first ones.

    >>> ids = NamedIds()
    >>> for qas_id in ("q1", 7, None):
    ...     ids.add(qas_id)
    >>> len(ids), str(ids)
    (3, 'q1, 7, null')
    """

    def __init__(self, remembers_all: bool = False) -> None:
        self._named: list[str] = []
        self._all: list[Any] | None = [] if remembers_all else None
        self._count = 0

    def add(self, qas_id: Any) -> None:
        """Count a question."""
        self._count += 1
        if len(self._named) < MAX_NAMED:
            self._named.append(shown_id(qas_id))
        if self._all is not None:
            self._all.append(qas_id)

    @property
    def ids(self) -> list[Any]:
        """All ids, as they are; none unless they are remembered."""
        return self._all or []

    def __len__(self) -> int:
        return self._count

    def __str__(self) -> str:
        more = self._count - len(self._named)
        return ", ".join(self._named) + (f" and {more} more" if more else "")


def quoted_id(qas_id: Any) -> str:
    """Return a question id as `shown_id` does, a text in quotes, to be told from a number."""
    return f"'{shown_id(qas_id)}'" if isinstance(qas_id, str) else shown_id(qas_id)


def shown_id(qas_id: Any) -> str:
    r"""Return a question id as a message shows it: without quotes, on one line, cut when it is very long.

    >>> shown_id("q1"), shown_id(True), shown_id(None), shown_id("a\nb")
    ('q1', 'true', 'null', 'a\\nb')
    """
    if qas_id is None or isinstance(qas_id, bool):
        return {None: "null", True: "true", False: "false"}[qas_id]
    text = str(qas_id)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
