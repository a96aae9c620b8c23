"""`bert-squad ask`: ask an exported model about a passage."""

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags

from bert_squad import files
from bert_squad.cli import flags as cli_flags
from bert_squad.errors import ConfigError, DataError

_USAGE = """\
Usage: {program} --model=DIR --question="..." [--question="..."] [--context_file=FILE] [flags]
       {program} --model=DIR --batch_file=FILE [flags]

Answer questions with a model that --do_export wrote.

  --model: a version directory, or the one with all versions, of which the latest answers.
  --question: a question about the passage; may be given several times. One line of output each.
  --context_file: the passage, plain text. Default: standard input.
  --batch_file: questions about many passages, one JSON object a line with "question" and "context"; whatever else
      it holds, such as an id, comes back. "-" is standard input. Prints one JSON object a line.
  --[no]json: print JSON for --question too.
  --nbest: how many answers to show (default: 1).
  --[no]fast: do not pad windows: quicker, and answers low in the n-best list may differ.
  --batch_size: questions answered at a time (default: 16)."""

_NO_ANSWER = "(no answer)"
_STANDARD_INPUT = "-"


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flags.DEFINE_string("model", None, "Exported model.", flag_values=flag_values)
    flags.DEFINE_multi_string("question", [], "Question.", flag_values=flag_values)
    flags.DEFINE_string("context_file", _STANDARD_INPUT, "Passage.", flag_values=flag_values)
    flags.DEFINE_string("batch_file", None, "Questions and passages.", flag_values=flag_values)
    flags.DEFINE_boolean("json", False, "Print JSON.", flag_values=flag_values)
    flags.DEFINE_integer("nbest", 1, "Answers to show.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_boolean("fast", False, "Do not pad windows.", flag_values=flag_values)
    flags.DEFINE_integer("batch_size", 16, "Questions at a time.", lower_bound=1, flag_values=flag_values)
    return flag_values


def main(program: str, words: list[str]) -> int:
    """Run the subcommand.

    Args:
      program: how it was called, for messages.
      words: of the command line after `ask`.

    Returns:
      The exit code, 0.

    Raises:
      BertSquadError: when the words are wrong, or a file or the model cannot be read.
    """
    if not words or any(word in cli_flags.HELP_FLAGS for word in words):
        _print(_USAGE.format(program=program))
        return 0
    flag_values = _define_flags()
    surplus = cli_flags.read_flags([program, *words], flag_values)
    if surplus:
        raise ConfigError(f"Do not know what to do with {surplus[0]!r}. See {program} --help.")
    if flag_values["model"].value is None:
        raise ConfigError("--model is missing: name the directory of an exported model.")
    if bool(flag_values["question"].value) == (flag_values["batch_file"].value is not None):
        raise ConfigError(f"Give either --question or --batch_file. See {program} --help.")
    if flag_values["batch_file"].value is not None:
        path = flag_values["batch_file"].value
        requests, as_json = _parse_batch(_read(path, "--batch_file"), path), True
    else:
        context = _read(flag_values["context_file"].value, "--context_file")
        requests = ({"question": question, "context": context} for question in flag_values["question"].value)
        as_json = flag_values["json"].value
    _answer(flag_values, requests, as_json)
    return 0


def _answer(flag_values: flags.FlagValues, requests: Iterator[dict[str, Any]], as_json: bool) -> None:
    from bert_squad.serving.asking import ExportedModel  # imports TensorFlow

    size, nbest = flag_values["batch_size"].value, flag_values["nbest"].value
    model = ExportedModel(
        flag_values["model"].value, "answer_fast" if flag_values["fast"].value else "answer"
    )
    while batch := list(itertools.islice(requests, size)):
        answers = model.answer(
            [request.pop("question") for request in batch], [request.pop("context") for request in batch]
        )
        for request, answer in zip(batch, answers, strict=True):
            answer["nbest"] = answer["nbest"][:nbest]
            _print(json.dumps({**request, **answer}, ensure_ascii=False) if as_json else _text(answer, nbest))


def _text(answer: dict[str, Any], nbest: int) -> str:
    if nbest == 1:
        return answer["answer"] or _NO_ANSWER
    return "\n".join(
        f"{entry['probability']:.4f}\t{entry['text'] or _NO_ANSWER}" for entry in answer["nbest"]
    )


def _read(path: str, flag: str) -> bytes:
    if path == _STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return files.read_bytes(path)
    except OSError as error:
        raise DataError(f"Cannot read {path} ({error.strerror or error}); check {flag}.") from None


def _parse_batch(content: bytes, path: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            request = json.loads(line)
        except ValueError as error:
            raise DataError(f"Line {number} of {path} is not a JSON object ({error}).") from None
        for key in ("question", "context"):
            if not isinstance(request, dict) or not isinstance(request.get(key), str):
                raise DataError(f"Line {number} of {path} must be a JSON object with a string {key!r}.")
        yield request


def _print(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # `ask ... | head`
        print(text, flush=True)
