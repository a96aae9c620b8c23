"""Damage JSON as programs do that write it: still JSON, but not what it should be."""

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from faults.mutation import check_reader

from bert_squad.errors import BertSquadError

_ODD = (
    None, True, False, 0, 1, -1, 2, 10**15, 2**63, -(10**400), 0.0, -0.0, 0.5, 1e400, -1e400, float("nan"), "", " ",
    "false", "\ud800", "a\nb", "q" * 3000, "\u00ad", "a\u0301" * 50, "[UNK]", [], [None], {}, {"text": "a"}, [[]],
)  # fmt: skip


def json_mutations(seeds: list[Any], seed: int) -> Iterator[Any]:
    """Yield changed copies of JSON values without end, always the same ones for the same `seed`.

    One to three times each a value is replaced by an odd one or by another of the same file, taken out, or doubled.
    """
    dice = random.Random(seed)
    while True:
        value = copy.deepcopy(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 2, 3))):
            places = list(_places(value))
            if not places:
                break
            holder, key = dice.choice(places)
            change = dice.randrange(5)
            if change < 2:
                holder[key] = copy.deepcopy(dice.choice(_ODD))
            elif change == 2:
                other, other_key = dice.choice(places)
                holder[key] = copy.deepcopy(other[other_key])
            elif change == 3:
                del holder[key]
            elif isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            else:
                holder[dice.choice(("id", "answers", "text", "", "q1"))] = holder[key]
        yield value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def check_json_reader(
    read: Callable[[bytes], object], seeds: list[Any], seconds: float, seed: int = 0
) -> None:
    """Do what `check_reader` does, half of the time with changed values, half with damaged bytes."""
    messages, accepted = [], 0
    end = time.monotonic() + seconds / 2
    for number, value in enumerate(json_mutations(seeds, seed)):
        if time.monotonic() > end:
            break
        content = json.dumps(value).encode()
        try:
            read(content)
            accepted += 1
        except BertSquadError as error:
            messages.append(str(error))
        except Exception as error:
            raise AssertionError(
                f"JSON mutation {number} with seed {seed}, {content[:2000]!r}, raises {type(error).__name__}: {error}"
            ) from error
    assert messages
    assert accepted
    assert not any("\n" in message or len(message) > 5000 for message in messages)
    check_reader(read, [json.dumps(value).encode() for value in seeds], seconds / 2, seed)
