"""`bert-squad report`: one page that shows what a run gets right and wrong."""

import contextlib

from absl import flags

from bert_squad import files
from bert_squad.cli import streams
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError

_USAGE = """\
Usage: {program} OUTPUT_DIR [--predict_file=DATA] [--report=FILE] [--compare=OTHER_DIR] [flags]

Write one HTML file that shows what the predictions in OUTPUT_DIR get right and wrong: scores with intervals, by kind of
question and by lengths; the n-best lists, calibration, thresholds of SQuAD 2.0, curves of the training; and every
question with its passage. It holds all it shows; a browser opens it without a network or a server.

  --predict_file: the questions that were answered (default: as run.json in OUTPUT_DIR says).
  --max_predict_questions: as the run had it: the first so many questions alone.
  --report: the file to write (default: report.html in OUTPUT_DIR; beside it for `best` and `evaluations/STEP`, which
      are replaced as a whole). A report that is there is replaced, no other file.
  --compare: the output directory of another run over the same questions: what got better and worse, one by one.
  --vocab_file: the vocabulary of the run, for what depends on windows (default: as run.json says)."""


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_string("predict_file", None, "Questions.", flag_values=flag_values)
    flags.DEFINE_integer(
        "max_predict_questions", None, "Number of questions.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_string("report", None, "File to write.", flag_values=flag_values)
    flags.DEFINE_string("compare", None, "Directory of another run.", flag_values=flag_values)
    flags.DEFINE_string("vocab_file", None, "Vocabulary of the run.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags, takes_words=True)
def main(asked: Asked) -> int:
    """Write the report of an output directory."""
    program, flag_values = asked.program, asked.flag_values
    others = asked.others
    if len(others) != 1:
        problem = f"Do not know what to do with {others[1]!r}" if others else "OUTPUT_DIR is missing"
        raise ConfigError(f"{problem}. See {program} --help.")
    values = {name: flag_values[name].value for name in flag_values}
    empty = next((name for name, value in values.items() if value == ""), None)
    if empty or not others[0]:
        raise ConfigError(f"{f'--{empty}' if empty else 'OUTPUT_DIR'} is empty. See {program} --help.")
    from bert_squad.report.page import check_report_path, default_report_path
    from bert_squad.report.report import write_report

    path = values["report"] or default_report_path(others[0])
    if files.is_directory(others[0]) or values["report"]:
        check_report_path(path)
    results = write_report(
        others[0],
        path,
        predict_file=values["predict_file"],
        most=values["max_predict_questions"],
        vocab_file=values["vocab_file"],
        compare_with=values["compare"],
    )
    with contextlib.suppress(streams.ReaderGoneError):
        streams.print_line(
            f"{path}: {len(results.questions)} questions, exact {results.exact:.2f}, F1 {results.metrics['f1']:.2f}"
        )
    return 0
