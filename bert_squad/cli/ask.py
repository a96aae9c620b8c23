"""`bert-squad ask`: ask an exported model about a passage."""

import contextlib
from typing import TYPE_CHECKING, Any

from absl import flags

from bert_squad.bulk import rows
from bert_squad.cli import streams
from bert_squad.cli.ask_streams import (
    STANDARD_INPUT,
    STANDARD_OUTPUT,
    Input,
    Output,
    arriving_lines,
    check_output,
    open_output,
    read_passage,
)
from bert_squad.cli.engine_flags import USAGE as ENGINE_USAGE
from bert_squad.cli.engine_flags import define_engine_flags, engine_options
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError, DataError

if TYPE_CHECKING:
    from bert_squad.serving.asking import ExportedModel

_USAGE = """\
Usage: {program} --model=DIR --question="..." [--question="..."] [--context_file=FILE] [flags]
       {program} --model=DIR --batch_file=FILE [--output=FILE] [flags]

Answer questions with a model that --do_export wrote.

  --model: a version directory, or the one with all versions, of which the latest answers.
      Load only what you trust: a model is a program, which can read and write files.
  --question: a question about the passage; may be given several times. One line of output each, "(no answer)" where
      there is none.
  --context_file: the passage, plain text in UTF-8. Default: standard input.
  --batch_file: questions about many passages, one JSON object a line with "question" and "context". "-" is standard
      input; lines are answered as they arrive. Prints one JSON object a line: all that the line held, and the answer.
      If it held a key that an answer has, such as "answer", all of the answer is under "prediction". A line that
      cannot be answered is named on standard error, and the exit code is 1 at the end.
  --output: write to this file instead of standard output. It appears when the last line is answered, or not at all.
  --[no]overwrite: replace the file that --output names; else one that exists is refused.
  --[no]json: print JSON for --question too.
  --nbest: how many answers to show (default: 1).
{engine_flags}
  --batch_size: questions answered at a time (default: 16)."""

_NO_ANSWER = "(no answer)"


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flags.DEFINE_string("model", None, "Exported model.", flag_values=flag_values)
    flags.DEFINE_multi_string("question", [], "Question.", flag_values=flag_values)
    flags.DEFINE_string("context_file", STANDARD_INPUT, "Passage.", flag_values=flag_values)
    flags.DEFINE_string("batch_file", None, "Questions and passages.", flag_values=flag_values)
    flags.DEFINE_string("output", STANDARD_OUTPUT, "Where the answers go.", flag_values=flag_values)
    flags.DEFINE_boolean("overwrite", False, "Replace --output.", flag_values=flag_values)
    flags.DEFINE_boolean("json", False, "Print JSON.", flag_values=flag_values)
    flags.DEFINE_integer("nbest", 1, "Answers to show.", lower_bound=1, flag_values=flag_values)
    define_engine_flags(flag_values)
    flags.DEFINE_integer("batch_size", 16, "Questions at a time.", lower_bound=1, flag_values=flag_values)
    return flag_values


@subcommand(_USAGE.replace("{engine_flags}", ENGINE_USAGE), _define_flags)
def main(asked: Asked) -> int:
    """Ask a model; the exit code is 1 when lines of a batch could not be answered."""
    with contextlib.suppress(streams.ReaderGoneError):  # `ask … | head`: that is no failure
        return _run(asked.program, asked.flag_values)
    return 0


def _run(program: str, flag_values: flags.FlagValues) -> int:
    if flag_values["model"].value is None:
        raise ConfigError("--model is missing: name the directory of an exported model.")
    if bool(flag_values["question"].value) == (flag_values["batch_file"].value is not None):
        raise ConfigError(f"Give either --question or --batch_file. See {program} --help.")
    engine_options(flag_values)  # what is wrong with them is said before anything is read
    source = flag_values["batch_file"].value or flag_values["context_file"].value
    check_output(flag_values["output"].value, source, may_replace=flag_values["overwrite"].value)
    if flag_values["batch_file"].value is not None:
        if flag_values["context_file"].present:
            raise ConfigError(
                "--context_file is for --question: each line of --batch_file holds its own passage."
            )
        return _answer_batch(program, flag_values)
    _answer_questions(program, flag_values)
    return 0


def _answer_questions(program: str, flag_values: flags.FlagValues) -> None:
    with Input(flag_values["context_file"].value, "--context_file") as source:
        context = read_passage(source)
    if not context.strip():
        streams.complain(
            f"{program}: the passage in {source.name} is blank, so it has no answers; check {source.flag}."
        )
    questions = flag_values["question"].value
    nbest, size = flag_values["nbest"].value, flag_values["batch_size"].value
    model = _load(flag_values)
    with open_output(flag_values["output"].value) as output:
        for begin in range(0, len(questions), size):
            requests = [rows.Request(question, context, {}) for question in questions[begin : begin + size]]
            for answer in rows.answers(model, requests, nbest):
                if isinstance(answer, DataError):
                    raise answer
                is_json = flag_values["json"].value
                output.write_line(rows.as_json(answer, output.encoding) if is_json else _text(answer, nbest))


def _answer_batch(program: str, flag_values: flags.FlagValues) -> int:
    with Input(flag_values["batch_file"].value, "--batch_file") as source:
        model = _load(flag_values)
        with open_output(flag_values["output"].value) as output:
            return _answer_lines(program, flag_values, source, model, output)


def _answer_lines(
    program: str, flag_values: flags.FlagValues, source: Input, model: "ExportedModel", output: Output
) -> int:
    exit_code = 0
    for lines in arriving_lines(source, flag_values["batch_size"].value):
        good, requests = [], []
        for line in lines:
            try:
                requests.append(rows.parse_request(line.content, f"Line {line.number} of {source.name}"))
                good.append(line)
            except DataError as error:
                exit_code = 1
                streams.complain(f"{program}: error: {error}")
        answers = rows.answers(model, requests, flag_values["nbest"].value)
        for line, request, answer in zip(good, requests, answers, strict=True):
            if isinstance(answer, DataError):
                exit_code = 1
                streams.complain(f"{program}: error: Line {line.number} of {source.name}: {answer}")
            else:
                output.write_line(rows.as_json(rows.beside(request.row, answer), output.encoding))
    return exit_code


def _load(flag_values: flags.FlagValues) -> "ExportedModel":
    from bert_squad.serving.asking import ExportedModel

    return ExportedModel(flag_values["model"].value, **engine_options(flag_values))


def _text(answer: dict[str, Any], nbest: int) -> str:
    if nbest == 1:
        return answer["answer"] or _NO_ANSWER
    return "\n".join(
        f"{entry['probability']:.4f}\t{entry['text'] or _NO_ANSWER}" for entry in answer["nbest"]
    )
