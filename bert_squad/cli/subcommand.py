"""How every subcommand begins: it prints help, or reads its flags."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from absl import flags

from bert_squad.cli import flags as cli_flags
from bert_squad.cli import streams
from bert_squad.errors import ConfigError


class Asked(NamedTuple):
    """What a subcommand is asked to do.

    Attributes:
      program: how it was called, for messages.
      words: of the command line after its name.
      flag_values: its flags, read.
      others: the words that are no flags.
    """

    program: str
    words: list[str]
    flag_values: flags.FlagValues
    others: list[str]


def subcommand(
    usage: str,
    define_flags: Callable[[], flags.FlagValues],
    *,
    takes_words: bool = False,
    leaves_unknown_flags: bool = False,
) -> Callable[[Callable[[Asked], int]], Callable[[str, list[str]], int]]:
    """Make the `main` of a subcommand's module of what it does once its flags are read.

    Args:
      usage: its help; `{program}` stands for how it was called.
      define_flags: makes its flags.
      takes_words: words that are no flags, such as paths, mean something; else they are refused.
      leaves_unknown_flags: likewise flags that it does not know; they are among the words.

    Returns:
      A decorator. What it makes takes the name under which the program was called and the words after the subcommand,
      returns the exit code, and raises a `BertSquadError` when the words are wrong or the work fails.
    """

    def decorate(work: Callable[[Asked], int]) -> Callable[[str, list[str]], int]:
        @functools.wraps(work)
        def main(program: str, words: list[str]) -> int:
            if cli_flags.ask_for_help(words):
                return streams.print_help(usage.format(program=program))
            flag_values = define_flags()
            others = cli_flags.read_flags([program, *words], flag_values, known_only=leaves_unknown_flags)
            if others and not (takes_words or leaves_unknown_flags):
                raise ConfigError(f"Do not know what to do with {others[0]!r}. See {program} --help.")
            return work(Asked(program, words, flag_values, others))

        return main

    return decorate
