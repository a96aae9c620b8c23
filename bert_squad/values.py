"""Values that people give, on a command line or from a notebook: of which kind and how large they may be."""

import math
import numbers
import operator
import os
from typing import Any

from bert_squad.errors import ConfigError

LARGEST_SIZE = 2**31 - 1  # what indexes and shapes can hold

_KINDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a text or a path"}


def as_kind(value: Any, kind: str, flag: str) -> Any:
    """Return a value as Python's own type of that kind."""
    is_bool = isinstance(value, bool) or type(value).__name__ in (
        "bool_",
        "bool",
    )  # NumPy's, which is no number
    try:
        if kind == "str":
            text = os.fspath(value)
            if isinstance(text, str):
                if "\0" in text:
                    raise ConfigError(f"{flag}: {text!r} holds a NUL character, which no path can.")
                return text
        elif kind == "bool" and is_bool:
            return bool(value)
        elif kind == "int" and not is_bool:
            return operator.index(value)
        elif kind == "float" and isinstance(value, numbers.Real) and not is_bool:
            return value if isinstance(value, int | float) else float(value)
    except TypeError:
        pass
    raise ConfigError(f"{flag} must be {_KINDS[kind]}, not {shortened(value)}.")


def is_finite(value: Any, smallest: float) -> bool:
    """Say whether a value is a number from `smallest` on, neither NaN nor infinite; whole ones may be of any size."""
    if isinstance(value, int):
        return value >= smallest
    return isinstance(value, float) and math.isfinite(value) and value >= smallest


def shortened(value: Any) -> str:
    """Write a value for a message: the digits of a very large number help nobody."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of some {int(abs(value).bit_length() * math.log10(2)) + 1} digits"
    return repr(value)


def memory_size() -> int | None:
    """Return the memory of this machine in bytes, or None when it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
