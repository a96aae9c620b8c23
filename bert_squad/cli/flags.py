"""The way from the command line to a `SquadConfig`. The only reader of flags.

Nothing here imports TensorFlow: help and wrong flags are answered at once.
"""

import contextlib
import dataclasses
import difflib
from typing import Any

from absl import flags, logging

from bert_squad import files
from bert_squad.checkpoints.model_files import check_tokenizer, huggingface_files, looks_lower_cased
from bert_squad.checkpoints.tokenizer_settings import TOKENIZER_FILE
from bert_squad.cli.flag_table import LEGACY_FLAGS, LEGACY_GROUP, NEW_FLAGS, NEW_GROUP, TPU_FLAGS
from bert_squad.config import SquadConfig, kind_of
from bert_squad.errors import BertSquadError, ConfigError, first_line
from bert_squad.text.tokenization import load_vocab

_KINDS_AND_DEFAULTS = {
    field.name: (kind_of(field), None if field.default is dataclasses.MISSING else field.default)
    for field in dataclasses.fields(SquadConfig)
}

HELP_FLAGS = ("--help", "-help", "-h", "--h", "-?", "--helpshort", "--helpfull")


def ask_for_help(words: list[str]) -> bool:
    """Say whether the words after a subcommand ask how it is used; none at all do."""
    return not words or any(word in HELP_FLAGS for word in words)


REQUIRED = ("vocab_file", "bert_config_file", "output_dir")

_DEFINERS = {
    "str": flags.DEFINE_string,
    "bool": flags.DEFINE_boolean,
    "int": flags.DEFINE_integer,
    "float": flags.DEFINE_float,
}


_ABSL_MODULES = ("absl.logging", "absl.flags")  # not `absl.app`, which is not used, but loaded by TensorFlow


def with_absl_flags() -> flags.FlagValues:
    """Return absl's own flags, such as --verbosity, at their defaults, apart from what else the process has defined.

    So the program can run several times in one process, as notebooks do, and a run starts from nothing that an earlier
    one said.
    """
    flag_values = flags.FlagValues()
    for module, of_module in flags.FLAGS.flags_by_module_dict().items():
        for flag in of_module if module in _ABSL_MODULES else ():
            flag.unparse()
            flag_values[flag.name] = flag
    return flag_values


def define_flags(flag_values: flags.FlagValues) -> flags.FlagValues:
    """Define every flag of the program.

    Returns:
      `flag_values`.
    """
    for group, table in ((LEGACY_GROUP, LEGACY_FLAGS), (NEW_GROUP, NEW_FLAGS)):
        for name, text in table:
            kind, default = _KINDS_AND_DEFAULTS[name]
            _DEFINERS[kind](name, default, text, flag_values=flag_values, module_name=group)
    return flag_values


def parse(arguments: list[str], flag_values: flags.FlagValues) -> SquadConfig:
    """Read the command line.

    Args:
      arguments: the program's name, then flags in any absl spelling.
      flag_values: from `define_flags`.

    Returns:
      The run, not validated yet.

    Raises:
      ConfigError: for an unknown flag (the nearest known one is named), a value of the wrong type, or a
        missing required flag; the texts of the last two are the legacy ones.
    """
    positional = read_flags(arguments, flag_values)
    names = {field.name for field in dataclasses.fields(SquadConfig)}
    values = {name: flag_values[name].value for name in names}
    if flag_values["null_score_diff_threshold"].present and not flag_values["use_tuned_threshold"].present:
        values["use_tuned_threshold"] = False
    _take_from_huggingface_directory(values, flag_values["do_lower_case"].present)
    missing = [name for name in REQUIRED if values[name] is None]
    if missing:
        lines = [f"flag --{name}=None: Flag --{name} must have a value other than None." for name in missing]
        raise ConfigError("\n".join(lines) + _how_to_get_a_vocabulary(values))
    _note_what_has_no_effect(positional, flag_values)
    _warn_of_capitals(values, flag_values["do_lower_case"].present)
    return SquadConfig(**values)


def read_flags(arguments: list[str], flag_values: flags.FlagValues, *, known_only: bool = False) -> list[str]:
    """Set flags from a command line, whatever they are.

    Args:
      arguments: the program's name, then flags and other words.
      flag_values: the flags that there are.
      known_only: leave unknown flags to somebody else.

    Returns:
      The words that are no flags, and those that belong to flags that are left to somebody else.

    Raises:
      ConfigError: for an unknown flag (the nearest known one is named) or a value of the wrong type.
    """
    try:
        words = flag_values(arguments, known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(_unknown_flag(error.flagname, flag_values)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file that --flagfile names cannot be read: {first_line(error)}") from None
    except (flags.Error, ValueError) as error:  # a ValueError from a flag of absl's own
        reason = first_line(error)
        # The value may be long, and the reason is at the end.
        raise ConfigError(reason if len(reason) < 500 else f"{reason[:250]}...{reason[-200:]}") from None
    given = [(f"--{name}: ", flag_values[name].value) for name in flag_values if flag_values[name].present]
    for where, value in [*given, *(("", word) for word in words)]:
        for text in value if isinstance(value, list) else [value]:
            _check_is_text(text, where)
    return words


def _check_is_text(value: Any, where: str) -> None:
    """Refuse bytes that are not UTF-8, which Python hands on as lone surrogates and TensorFlow cannot take, and NUL."""
    if "\0" in str(value):
        raise ConfigError(f"{where}{str(value)!r} holds a NUL character, which no path can.")
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{where}{str(value)!r} holds bytes that are not UTF-8; rename the file, or name it by a link."
        ) from None


def _take_from_huggingface_directory(values: dict[str, Any], do_lower_case_is_given: bool) -> None:
    """Fill the flags that were not given with what lies beside the weights of a Hugging Face model."""
    checkpoint = values["init_checkpoint"]
    absent = [name for name in ("bert_config_file", "vocab_file") if values[name] is None]
    if not checkpoint or not absent:
        return
    found = huggingface_files(checkpoint)
    for name in absent:
        if getattr(found, name):
            values[name] = getattr(found, name)
            logging.info("--%s is not given: using %s.", name, values[name])
    if "vocab_file" not in absent or not found.vocab_file:
        return
    lower_case, reason = found.tokenizer.do_lower_case, f"as {found.tokenizer.source} says"
    if lower_case is None:
        lower_case, reason = (
            looks_lower_cased(load_vocab(found.vocab_file)),
            "as the pieces of its vocabulary look",
        )
    check_tokenizer(found.tokenizer, lower_case, checkpoint)
    if not do_lower_case_is_given:
        values["do_lower_case"] = lower_case
        logging.info("--do_lower_case is not given: using %s, %s.", lower_case, reason)
    elif values["do_lower_case"] != lower_case:
        logging.warning(
            "--do_lower_case=%s is given, and goes before what belongs to %s: %s, %s.",
            values["do_lower_case"],
            checkpoint,
            lower_case,
            reason,
        )


def _warn_of_capitals(values: dict[str, Any], do_lower_case_is_given: bool) -> None:
    """Warn when the default meets a vocabulary of a cased model. LEGACY: the text is lower-cased all the same."""
    vocab_file = values["vocab_file"]
    if do_lower_case_is_given or not values["do_lower_case"]:
        return
    if files.is_remote(vocab_file) or not files.is_regular(vocab_file):  # a pipe can be read once
        return
    with contextlib.suppress(BertSquadError, OSError):  # whoever needs the vocabulary complains of it
        if not looks_lower_cased(load_vocab(vocab_file)):
            logging.warning(
                "The vocabulary %s has many pieces with capitals, as that of a cased model, but the text is "
                "lower-cased; --do_lower_case=False keeps its capitals.",
                vocab_file,
            )


def _how_to_get_a_vocabulary(values: dict[str, Any]) -> str:
    """Transformers 5 writes only a `tokenizer.json`; say how to get a `vocab.txt` out of it."""
    directory = values["init_checkpoint"]
    if values["vocab_file"] or not directory or not files.is_file(files.join(directory, TOKENIZER_FILE)):
        return ""
    return (
        f" ({directory} has its vocabulary in {TOKENIZER_FILE} only: `bert-squad checkpoint convert {directory} "
        "NEW_DIRECTORY --to=huggingface` writes it as vocab.txt.)"
    )


def _unknown_flag(name: str, flag_values: flags.FlagValues) -> str:
    known = sorted(set(flag_values))
    nearest = difflib.get_close_matches(name.removeprefix("no"), known, n=1, cutoff=0.0)
    return f"Unknown flag --{name}; the nearest known one is --{nearest[0]}. See --help for all."


def _note_what_has_no_effect(positional: list[str], flag_values: flags.FlagValues) -> None:
    if positional:
        # LEGACY: ignored there without a word, so that `--do_lower_case False` left lower-casing on.
        logging.warning(
            "Ignored on the command line: %s. A boolean flag is written --flag=False or --noflag.",
            " ".join(positional),
        )
    has_tpu = flag_values["use_tpu"].value or flag_values["distribution_strategy"].value == "tpu"
    given = [name for name in TPU_FLAGS if flag_values[name].present and not has_tpu]
    if given:
        logging.info("Without --use_tpu these flags have no effect: %s.", " ".join(f"--{n}" for n in given))


def help_text(flag_values: flags.FlagValues, program: str) -> str:
    """Return the help: the legacy flags first, then the new ones."""
    lines = [
        f"Usage: {program} --bert_config_file=... --vocab_file=... --output_dir=... [flags]",
        "",
        "Fine-tune BERT on a SQuAD file (--do_train) and answer the questions of another (--do_predict).",
    ]
    for group, table in ((LEGACY_GROUP, LEGACY_FLAGS), (NEW_GROUP, NEW_FLAGS)):
        lines += ["", f"{group}:"]
        for name, text in table:
            kind, default = _KINDS_AND_DEFAULTS[name][0], flag_values[name].default
            shown = f"--[no]{name}" if kind == "bool" else f"--{name}"
            lines.append(f"  {shown}: {text}")
            lines.append(f"      ({kind}, default: {'none' if default is None else default})")
    lines += ["", "absl's own flags, such as --flagfile and --verbosity, work too."]
    return "\n".join(lines)
