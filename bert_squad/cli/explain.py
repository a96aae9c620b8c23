"""`bert-squad explain`: why an answer is the maximum scoring span, shown for a question of one's own."""

import contextlib
import dataclasses
import json
import os
from typing import Any

from absl import flags

from bert_squad import files, whole_files
from bert_squad.activity import doing
from bert_squad.bert_config import BertConfig
from bert_squad.cli import flags as cli_flags
from bert_squad.cli import streams
from bert_squad.cli.ask_streams import STANDARD_INPUT, Input, check_output, read_passage
from bert_squad.cli.native_logs import heed_log_level
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError
from bert_squad.explain.explaining import explain
from bert_squad.explain.facts import Explanation
from bert_squad.explain.loading import AskedModel, open_export, predict_windows
from bert_squad.explain.question import AskedQuestion, ask_question, windows_of
from bert_squad.explain.words import in_words

_USAGE = """\
Usage: {program} --model=EXPORT --question="..." [--context_file=FILE] [--answer="..."] [flags]
       {program} --output_dir=DIR [flags of the run] --question="..." [--context_file=FILE] [--answer="..."] [flags]

Show why an answer is the maximum scoring span: which starts and ends the model believes in, which pairs of them are
allowed, and with the right answer, what the loss of training would be and what it would change.

  --model: what --do_export wrote: a version directory, or the one with all versions, of which the latest is taken; or
      what `quantize` wrote. Load only what you trust: a model is a program, which can read and write files.
  --output_dir and the other flags that the run had (run_squad.py --help), --use_best too: its latest checkpoint. What
      they say of training, prediction and export is not done.
  --question: a question about the passage.
  --context_file: the passage, plain text in UTF-8; "-" is standard input (default).
  --answer: the right answer, a text of the passage; where it occurs several times, the first is meant. Empty: there is
      none (SQuAD 2.0).
  --answer_start: the first character of --answer in the passage, counted from 0 as in SQuAD's files.

  --top: how many starts, ends, spans and pairs to show (default: 8).
  --[no]json: print the facts as one JSON object, with all logits, and nothing else. Positions and windows count from 0.
  --picture: draw a window, the answer's or the one that --window names, to this file, .png or .svg.
  --html: write a page to look into every window, which needs no network.
  --window: which window --picture draws, counted from 1.
  --[no]overwrite: replace files that --picture and --html name; else those that exist are refused."""

_PICTURES = (".png", ".svg")
_MOST_ROWS = 100  # there are so many pairs, squared, to compare in each window


def _define_flags() -> flags.FlagValues:
    flag_values = cli_flags.define_flags(cli_flags.with_absl_flags())
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_string("model", None, "Exported model.", flag_values=flag_values)
    flags.DEFINE_string("question", None, "Question.", flag_values=flag_values)
    flags.DEFINE_string("context_file", STANDARD_INPUT, "Passage.", flag_values=flag_values)
    flags.DEFINE_string("answer", None, "Right answer.", flag_values=flag_values)
    flags.DEFINE_integer("answer_start", None, "Where it is.", lower_bound=0, flag_values=flag_values)
    flags.DEFINE_integer(
        "top", 8, "Rows to show.", lower_bound=1, upper_bound=_MOST_ROWS, flag_values=flag_values
    )
    flags.DEFINE_boolean("json", False, "Print JSON.", flag_values=flag_values)
    flags.DEFINE_string("picture", None, "Picture to draw.", flag_values=flag_values)
    flags.DEFINE_string("html", None, "Page to write.", flag_values=flag_values)
    flags.DEFINE_integer("window", None, "Window to draw.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_boolean("overwrite", False, "Replace files.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags)
def main(asked: Asked) -> int:
    """Explain an answer."""
    program, flag_values = asked.program, asked.flag_values
    values = {name: flag_values[name].value for name in flag_values}
    config = _check_model(program, asked.words, flag_values)
    _check_outputs(values)
    question = _read_question(values)
    model = open_export(values["model"]) if config is None else _open_run(config)
    with doing("explaining"):
        explanation = _explain(model, question, values)
    with contextlib.suppress(streams.ReaderGoneError):
        _print(explanation, question, model.name, values)
    return 0


def _check_model(program: str, words: list[str], flag_values: flags.FlagValues) -> SquadConfig | None:
    """Return the run whose model is asked; None for an exported model."""
    of_a_run = sorted(
        field.name for field in dataclasses.fields(SquadConfig) if flag_values[field.name].present
    )
    if flag_values["model"].value is not None:
        if of_a_run:
            raise ConfigError(
                f"--model brings all that it needs; leave --{of_a_run[0]} out, or --model to ask a checkpoint."
            )
        return None
    if not of_a_run:
        raise ConfigError(
            "--model is missing: name an exported model, or a run's checkpoint with the flags of the run "
            f"(--output_dir, --vocab_file, --bert_config_file, ...). See {program} --help."
        )
    config = cli_flags.parse([program, *words], flag_values)
    if config.engine != "tensorflow":
        raise ConfigError(
            f"The checkpoint of a run is asked by TensorFlow; leave --engine={config.engine} out."
        )
    return _config_of_question(config)


def _config_of_question(config: SquadConfig) -> SquadConfig:
    """Return the run without all that is not loading its model."""
    return dataclasses.replace(
        config,
        do_train=False,
        do_predict=False,
        do_eval=False,
        do_export=True,  # what has a model and needs no questions; nothing is exported
        eval_steps=0,
        early_stopping_evals=0,
        tune_null_threshold=False,
        write_offsets=False,
        use_tpu=False,
        distribution_strategy="one_device",
        num_logical_devices=1,
    )


def _check_outputs(values: dict[str, Any]) -> None:
    """Refuse files that cannot be written, before anything slow starts."""
    given = [(f"--{name}", values[name]) for name in ("picture", "html") if values[name] is not None]
    if len(given) == 2 and os.path.realpath(values["picture"]) == os.path.realpath(values["html"]):
        raise ConfigError(f"--picture and --html both name {values['html']}; give each a file of its own.")
    for flag, path in given:
        if flag == "--picture" and not path.lower().endswith(_PICTURES):
            raise ConfigError(f"--picture={path} must end in {' or '.join(_PICTURES)}.")
        _check_output(flag, path, values)
    if values["picture"] is not None:
        from bert_squad.explain.picture import import_matplotlib

        import_matplotlib()
    elif values["window"] is not None:
        raise ConfigError("--window says what --picture draws; add that.")


def _check_output(flag: str, path: str, values: dict[str, Any]) -> None:
    passage = "/dev/stdin" if values["context_file"] == STANDARD_INPUT else values["context_file"]
    for read in (passage, values["vocab_file"], values["bert_config_file"]):
        if read and files.exists(path) and files.is_same(path, read):
            raise ConfigError(f"{flag}={path} is a file that is read here; name another one.")
    check_output(path, passage, may_replace=values["overwrite"], flag=flag)
    try:
        whole_files.discard(whole_files.create_temporary(path))
    except OSError as error:
        raise files.refusal(f"Cannot write {path}", error, f"; check {flag}.") from error


def _read_question(values: dict[str, Any]) -> AskedQuestion:
    if values["question"] is None:
        raise ConfigError(
            '--question is missing: what should be answered, as in --question="Who painted it?".'
        )
    with Input(values["context_file"], "--context_file") as source:
        context = read_passage(source)
    return ask_question(values["question"], context, values["answer"], values["answer_start"])


def _open_run(config: SquadConfig) -> AskedModel:
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    config.validate(bert_config)
    config.check_input_files()
    from bert_squad import other_uses  # after the flags are known to be right: it imports TensorFlow
    from bert_squad.explain.loading import of_run

    heed_log_level()
    return of_run(*other_uses.load_run(config, bert_config))


def _explain(model: AskedModel, asked: AskedQuestion, values: dict[str, Any]) -> Explanation:
    example, features = windows_of(
        asked,
        model.tokenizer,
        model.lengths,
        version_2_with_negative=model.options.version_2_with_negative,
    )
    if values["window"] is not None and values["window"] > len(features):
        raise ConfigError(f"--window={values['window']}: the passage has {len(features)} windows.")
    results = predict_windows(model, features)
    return explain(example, features, results, model.options, values["top"])


def _print(explanation: Explanation, asked: AskedQuestion, model: str, values: dict[str, Any]) -> None:
    """Write the files, then print the facts or the words."""
    if values["picture"] is not None:
        from bert_squad.explain.picture import draw

        window = None if values["window"] is None else values["window"] - 1
        with whole_files.open_whole(values["picture"], "wb") as writer:
            writer.write(draw(explanation, window, values["picture"].lower()[-3:]))
    if values["html"] is not None:
        from bert_squad.explain.page import page

        with whole_files.open_whole(values["html"]) as writer:
            writer.write(page(explanation, asked, model, values["top"]))
    if values["json"]:
        facts = {"model": model, "right_answer": asked.answer, "right_answer_start": asked.answer_start}
        streams.print_line(json.dumps(facts | explanation.to_json()))
    else:
        for line in in_words(explanation, asked, model, values["top"]).splitlines():
            streams.print_line(line)
