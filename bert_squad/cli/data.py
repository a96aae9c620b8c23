"""`bert-squad data`: check a data set, or convert it."""

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from absl import flags

from bert_squad.activity import doing
from bert_squad.cli import streams
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from bert_squad.data.checking import Report
    from bert_squad.data.conversion import Written

_USAGE = """\
Usage: {program} check DATA [--train] [--predict] [--vocab_file=FILE] [flags]
       {program} convert DATA TARGET [--to=squad|jsonl|parquet] [--overwrite]

DATA is what --train_file and --predict_file take: SQuAD JSON, rows of Hugging Face or TFDS as JSON lines or Parquet,
MRQA's .jsonl.gz; gzipped or not; a directory, a quoted pattern or a list with commas of several files.

check says everything that is wrong, by question id; the exit code is 1 when anything is.
  --train: it is to be trained on: each question needs exactly one answer, which is where answer_start says.
  --predict: it is to be answered and scored; where answers stand does not matter. Without both: what is wrong for all.
  --vocab_file: vocabulary of the model, to check what depends on WordPieces: questions that are cut, answers that are
      in no window, or too long.
  --[no]do_lower_case, --max_seq_length, --doc_stride, --max_query_length, --max_answer_length,
  --[no]version_2_with_negative, --several_answers: as for the run; defaults are the same, but for version 2: as the
      questions are marked.
  --[no]json: print JSON, with all ids.

convert writes all questions, answers, ids, titles and marks to one file, which appears whole or not at all.
  --to: squad (default), jsonl or parquet: rows as Hugging Face's squad has them. Gzipped when TARGET ends in .gz.
  --[no]overwrite: replace TARGET; else a file that is there is refused."""

_LENGTHS = {"max_seq_length": 384, "doc_stride": 128, "max_query_length": 64, "max_answer_length": 30}
_OF_CONVERT = ("to", "overwrite")
_FIRST_REASONS = 3


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_enum("to", None, ["squad", "jsonl", "parquet"], "What to write.", flag_values=flag_values)
    flags.DEFINE_boolean("overwrite", False, "Replace TARGET.", flag_values=flag_values)
    flags.DEFINE_boolean("train", False, "For training.", flag_values=flag_values)
    flags.DEFINE_boolean("predict", False, "For prediction.", flag_values=flag_values)
    flags.DEFINE_string("vocab_file", None, "Vocabulary.", flag_values=flag_values)
    flags.DEFINE_boolean("do_lower_case", True, "Lower-case the text.", flag_values=flag_values)
    for name, default in _LENGTHS.items():
        flags.DEFINE_integer(name, default, "Length.", lower_bound=0, flag_values=flag_values)
    flags.DEFINE_boolean("version_2_with_negative", None, "Version 2.", flag_values=flag_values)
    flags.DEFINE_enum(
        "several_answers", "error", ["error", "first"], "Several answers.", flag_values=flag_values
    )
    flags.DEFINE_boolean("json", False, "Print JSON.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags, takes_words=True)
def main(asked: Asked) -> int:
    """Check a data set, or convert it; the exit code is 1 when a check finds something."""
    program, flag_values = asked.program, asked.flag_values
    action, *paths = asked.others or [""]
    wanted = {"check": 1, "convert": 2}.get(action)
    if wanted is None:
        raise ConfigError(f"Unknown action {action!r}; it is check or convert. See {program} --help.")
    names = "DATA" if action == "check" else "DATA and TARGET"
    if len(paths) != wanted or not all(paths):
        given = f"{len(paths)} paths" if all(paths) else "an empty path"
        raise ConfigError(f"{action} takes {names}, not {given}. See {program} --help.")
    for name in sorted(name for name in flag_values if flag_values[name].present):
        if (name in _OF_CONVERT) != (action == "convert"):
            raise ConfigError(f"{action} takes no --{name}.")
    values = {name: flag_values[name].value for name in flag_values}
    return _check(paths[0], values) if action == "check" else _convert(paths[0], paths[1], values)


def _convert(source: str, target: str, values: dict[str, Any]) -> int:
    from bert_squad.data.conversion import write_data_set
    from bert_squad.data.sources import read_data_set

    suffix = os.path.splitext(target.removesuffix(".gz"))[1]
    if values["to"] is None and suffix in (".jsonl", ".ndjson", ".parquet"):
        raise ConfigError(
            f"{target} would be SQuAD JSON under a name of something else; add --to=jsonl or --to=parquet, or "
            "--to=squad to have it so."
        )
    with doing(f"converting {source}"):
        data = read_data_set(source, flag=None)
        written = write_data_set(data, target, values["to"] or "squad", overwrite=values["overwrite"])
    with contextlib.suppress(OutputError):  # what it says is of less worth than what was written
        _print(_summary(source, target, written))
    return 0


def _summary(source: str, target: str, written: "Written") -> str:
    dropped = f" Rows have no place for {', '.join(written.dropped_keys)}." if written.dropped_keys else ""
    return f"Converted {source} to {target}: {_number(written.num_questions, 'question')}.{dropped}"


def _number(count: int, noun: str) -> str:
    """Return a number of things.

    >>> _number(1, "file"), _number(0, "file")
    ('1 file', '0 files')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check(source: str, values: dict[str, Any]) -> int:
    from bert_squad.data.checking import CheckOptions, check_data_set
    from bert_squad.data.sources import read_data_set
    from bert_squad.text.tokenization import FullTokenizer

    lengths = WindowLengths(values["max_seq_length"], values["doc_stride"], values["max_query_length"])
    if lengths.max_seq_length <= lengths.max_query_length + 3:
        raise ConfigError(
            f"The max_seq_length ({lengths.max_seq_length}) must be greater than max_query_length "
            f"({lengths.max_query_length}) + 3"
        )
    options = CheckOptions(
        trains=values["train"],
        scores=values["predict"],
        version_2_with_negative=values["version_2_with_negative"],
        several_answers=values["several_answers"],
        max_answer_length=values["max_answer_length"],
    )
    vocab_file = values["vocab_file"]
    tokenizer = FullTokenizer(vocab_file, do_lower_case=values["do_lower_case"]) if vocab_file else None
    with doing(f"checking {source}"):
        data = read_data_set(source, flag=None)
        report = check_data_set(data, options, tokenizer, lengths)
    _print(_as_json(source, report) if values["json"] else _as_text(source, report, bool(vocab_file)))
    return 1 if report.findings else 0


def _as_json(source: str, report: "Report") -> str:
    found = [
        {
            "kind": finding.kind,
            "what": finding.what,
            "count": len(finding.questions),
            "ids": finding.questions.ids,
            "reasons": finding.reasons,
        }
        for finding in report.findings
    ]
    return json.dumps({"data": source, **report.counts, "findings": found}, indent=2)


def _as_text(source: str, report: "Report", has_vocabulary: bool) -> str:
    counts = report.counts
    lines = [
        f"{source}: version {counts['version']}, {_number(counts['files'], 'file')}, "
        f"{_number(counts['passages'], 'passage')}, {_number(counts['questions'], 'question')} "
        f"({counts['impossible']} impossible), {_number(counts['answers'], 'answer')}."
    ]
    if has_vocabulary:
        lines.append(
            f"{counts['windows']} windows; the longest question has {counts['longest_question']} WordPieces."
        )
    else:
        lines.append("What depends on WordPieces is not checked without --vocab_file.")
    for finding in report.findings:
        number = _number(len(finding.questions), "question")
        lines.append(f"{finding.what} ({number}): {finding.questions}")
        lines += [
            f"    {qas_id}: {reason}" for qas_id, reason in list(finding.reasons.items())[:_FIRST_REASONS]
        ]
    if not report.findings:
        return "\n".join([*lines, "Nothing is wrong."])
    return "\n".join([*lines, f"{_number(len(report.findings), 'thing')} to look at."])


def _print(text: str) -> None:
    """Print what the command was given for."""
    with contextlib.suppress(streams.ReaderGoneError):  # `check ... | head`
        streams.print_line(text)
