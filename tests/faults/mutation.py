"""Damage files as accidents do, and see what a reader makes of it."""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator

from bert_squad.errors import BertSquadError

_TOKENS = (
    b"\x00",
    b"\xff",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x7f",
    b'"',
    b"{",
    b"[",
    b"null",
    b"-1",
    b"1e999",
    b"\n",
)
_LONGEST_S = 60  # far more than any reader needs; what takes longer would not end


def mutations(seeds: list[bytes], seed: int) -> Iterator[bytes]:
    """Yield damaged copies of the seeds without end, always the same ones for the same `seed`.

    One to four times each, bits and bytes are flipped, and pieces cut out, inserted, doubled, swapped or overwritten;
    sometimes the end is missing.
    """
    dice = random.Random(seed)
    changes = (_flip_bit, _set_byte, _cut, _insert, _double, _swap, _truncate, _overwrite)
    while True:
        content = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            dice.choice(changes)(content, dice)
        yield bytes(content)


def _place(content: bytearray, dice: random.Random) -> int:
    """Choose a place; half of the time one near an end, where the lengths and the marks are."""
    size = len(content)
    near = dice.random()
    if near < 0.25:
        return dice.randrange(min(size, 64) + 1)
    if near < 0.5:
        return size - dice.randrange(min(size, 64) + 1)
    return dice.randrange(size + 1)


def _piece(content: bytearray, dice: random.Random) -> slice:
    start = _place(content, dice)
    return slice(start, start + dice.choice((1, 2, 4, 8, 16, 256)))


def _flip_bit(content: bytearray, dice: random.Random) -> None:
    if content:
        content[min(_place(content, dice), len(content) - 1)] ^= 1 << dice.randrange(8)


def _set_byte(content: bytearray, dice: random.Random) -> None:
    if content:
        content[min(_place(content, dice), len(content) - 1)] = dice.choice(
            (0, 1, 127, 128, 255, dice.randrange(256))
        )


def _cut(content: bytearray, dice: random.Random) -> None:
    del content[_piece(content, dice)]


def _insert(content: bytearray, dice: random.Random) -> None:
    start = _place(content, dice)
    content[start:start] = dice.choice(_TOKENS) * dice.choice((1, 1, 4, 300))


def _double(content: bytearray, dice: random.Random) -> None:
    piece = _piece(content, dice)
    content[piece.start : piece.start] = content[piece]


def _swap(content: bytearray, dice: random.Random) -> None:
    first, second = (_piece(content, dice) for _ in range(2))
    content[first], content[second] = content[second], content[first]


def _truncate(content: bytearray, dice: random.Random) -> None:
    del content[_place(content, dice) :]


def _overwrite(content: bytearray, dice: random.Random) -> None:
    piece = _piece(content, dice)
    size = len(content[piece])
    content[piece] = bytes(size) if dice.random() < 0.5 else dice.randbytes(size)


def check_reader(read: Callable[[bytes], object], seeds: list[bytes], seconds: float, seed: int = 0) -> int:
    """Give a reader damaged files for some seconds: it returns or raises a `BertSquadError`, whatever they hold.

    Args:
      read: takes the contents of a file.
      seeds: whole files; each of them has to be read without an error first.
      seconds: how long to go on.
      seed: of the damage.

    Returns:
      The number of damaged files that were refused.

    Raises:
      AssertionError: when anything else comes out, or a file takes a minute; it shows how to make that file again.
    """
    for content in seeds:
        read(content)
    refused = 0
    end = time.monotonic() + seconds
    for number, content in enumerate(mutations(seeds, seed)):
        if time.monotonic() > end:
            break
        try:
            with _time_limit():
                read(content)
        except BertSquadError:
            refused += 1
        except Exception as error:
            raise AssertionError(
                f"mutation {number} with seed {seed} raises {type(error).__name__}: {error}"
            ) from error
    assert refused, "no damage was noticed; does the reader look at what it is given?"
    return refused


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"more than {_LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
