"""`bert-squad answer`: answer any number of questions with an exported model, on Apache Beam."""

import contextlib
import difflib
import io
import os

from absl import flags

from bert_squad import files
from bert_squad.activity import doing
from bert_squad.bulk import beam
from bert_squad.cli import streams
from bert_squad.cli.engine_flags import USAGE as ENGINE_USAGE
from bert_squad.cli.engine_flags import define_engine_flags, engine_options
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError

_USAGE = """\
Usage: {program} --model=DIR --input=GLOB --output=PREFIX [flags] [options of Apache Beam]

Answer the questions of many files with a model that --do_export wrote, by as many workers as there are. Needs Apache
Beam: pip install 'bert-squad[beam]'.

  --model: a version directory, or the one with all versions, of which the latest answers.
      Load only what you trust: a model is a program, which can read and write files.
  --input: files with one JSON object a line that has "question" and "context", as `ask --batch_file` takes them; also
      packed as .gz, or .parquet with such columns. "*" stands for any part of a name; quote it.
  --output: the answers are written to PREFIX-00000-of-00004.jsonl and so on, in no order: all that a row held, and its
      answer, as `ask` prints it. A row that cannot be answered goes to PREFIX-errors-00000-of-00001.jsonl with its
      file, line and reason, and the exit code is 1 at the end. The files appear when all is answered, or not at all.
  --[no]overwrite: replace files of an earlier run with that prefix; else they are refused.
  --nbest: how many answers to show (default: 1).
{engine_flags}
  --batch_size: rows answered at a time (default: 16).
  --num_shards: how many files of answers to write (default: as Beam chooses).

Everything else goes to Beam, as --runner=DataflowRunner --project=... --region=... --temp_location=gs://...;
without --runner it runs here, in this process. With two processes here:
  --runner=FnApiRunner --direct_running_mode=multi_processing --direct_num_workers=2"""

# Beam's DirectRunner looks for a program to download first; this one is what it then falls back to.
_DEFAULT_RUNNER = "--runner=FnApiRunner"
_NEAR = 0.8  # of a flag that Beam does not know to one of ours, so that it is one of ours misspelt


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_string("model", None, "Exported model.", flag_values=flag_values)
    flags.DEFINE_string("input", None, "Files with rows.", flag_values=flag_values)
    flags.DEFINE_string("output", None, "Prefix of the files with answers.", flag_values=flag_values)
    flags.DEFINE_boolean("overwrite", False, "Replace files.", flag_values=flag_values)
    flags.DEFINE_integer("nbest", 1, "Answers to show.", lower_bound=1, flag_values=flag_values)
    define_engine_flags(flag_values)
    flags.DEFINE_integer("batch_size", 16, "Rows at a time.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_integer("num_shards", 0, "Files to write.", lower_bound=0, flag_values=flag_values)
    return flag_values


@subcommand(_USAGE.replace("{engine_flags}", ENGINE_USAGE), _define_flags, leaves_unknown_flags=True)
def main(asked: Asked) -> int:
    """Answer the rows of files; the exit code is 1 when some could not be answered."""
    program, flag_values = asked.program, asked.flag_values
    beam_words = asked.others
    for name in ("model", "input", "output"):
        if not flag_values[name].value:
            raise ConfigError(f"--{name} is missing. See {program} --help.")
    engine_options(flag_values)
    beam.import_beam()
    _check_beam_words(program, beam_words, flag_values)
    options = _options(flag_values)
    with doing(f"answering {options.input_pattern}"):
        errors = beam.answer_files(options, beam_words)
    if errors:
        streams.complain(
            f"{program}: error: Some rows could not be answered; {options.output_prefix}-errors-* says which and why."
        )
    return 1 if errors else 0


def _check_beam_words(program: str, beam_words: list[str], flag_values: flags.FlagValues) -> None:
    """Refuse what is no option, and what is one of ours misspelt, which Beam would ignore.

    An option that Beam does not know otherwise may be one that its runner knows.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    if beam_words and not beam_words[0].startswith("-"):
        raise ConfigError(f"Do not know what to do with {beam_words[0]!r}. See {program} --help.")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            given = PipelineOptions(beam_words).get_all_options(retain_unknown_options=True)
    except SystemExit:  # of argparse, which says at the end what is wrong
        reason = complaint.getvalue().strip().rsplit("error: ", 1)[-1]
        raise ConfigError(f"Beam does not take its options: {reason}.") from None
    for name in sorted(set(given) - set(PipelineOptions([]).get_all_options())):
        nearest = difflib.get_close_matches(name, list(flag_values), n=1, cutoff=_NEAR)
        if nearest:
            raise ConfigError(
                f"Unknown flag --{name}; the nearest known one is --{nearest[0]}. See {program} --help."
            )
    if given["runner"] is None:
        beam_words.append(_DEFAULT_RUNNER)


def _options(flag_values: flags.FlagValues) -> beam.BulkOptions:
    from bert_squad.serving.versions import latest_version

    values = {name: flag_values[name].value for name in flag_values}
    return beam.BulkOptions(
        # One version for all workers, also when another is exported meanwhile.
        model=_absolute(latest_version(values["model"])),
        input_pattern=_absolute(values["input"]),
        output_prefix=_absolute(values["output"]),
        **engine_options(flag_values),
        **{name: values[name] for name in ("nbest", "batch_size", "num_shards", "overwrite")},
    )


def _absolute(path: str) -> str:
    """Return a path that means the same in another process; a `/` at its end stays."""
    return path if files.is_remote(path) else os.path.join(os.getcwd(), path)
