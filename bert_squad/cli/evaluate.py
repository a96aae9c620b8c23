"""`bert-squad evaluate`: score predictions that were made earlier, or every checkpoint that a run has kept."""

import contextlib
import dataclasses
import json
import math
from typing import Any

from absl import flags

from bert_squad import files, whole_files
from bert_squad.activity import doing
from bert_squad.answers.metrics import evaluate, format_checkpoints_table, format_metrics_table
from bert_squad.bert_config import BertConfig
from bert_squad.cli import flags as cli_flags
from bert_squad.cli import streams
from bert_squad.cli.native_logs import heed_log_level
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError

_USAGE = """\
Usage: {program} --predict_file=DATA --predictions=FILE [--null_odds=FILE] [--na_prob_thresh=X] [--json] [--output=FILE]
       {program} --all_checkpoints --output_dir=DIR --predict_file=DATA [flags of the run] [--json] [--output=FILE]

Score answers with the official SQuAD metrics.

  --predictions: predictions.json that was made earlier, by this program or another.
  --null_odds: null_odds.json of the same run: adds the best scores that a threshold could reach.
  --na_prob_thresh: count the answer "" where the null odds are above this.

  --all_checkpoints: predict and score with each checkpoint that the `checkpoint` file of --output_dir names; a row for
      each. The flags are those that the run had (run_squad.py --help); what they say of training and export is not
      done. The files of each go to evaluations/STEP in --output_dir, and nothing else there changes.

  --[no]json: print JSON in place of a table.
  --output: write the JSON to this file too."""

_OF_PREDICTIONS = ("predictions", "null_odds", "na_prob_thresh")
_OF_BOTH = ("predict_file", "json", "output")


def _define_flags() -> flags.FlagValues:
    flag_values = cli_flags.define_flags(cli_flags.with_absl_flags())
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_boolean("all_checkpoints", False, "Score every checkpoint.", flag_values=flag_values)
    flags.DEFINE_string("predictions", None, "Predictions to score.", flag_values=flag_values)
    flags.DEFINE_string("null_odds", None, "Null odds of the same run.", flag_values=flag_values)
    flags.DEFINE_float("na_prob_thresh", None, "Threshold of the odds.", flag_values=flag_values)
    flags.DEFINE_boolean("json", False, "Print JSON.", flag_values=flag_values)
    flags.DEFINE_string("output", None, "File for the JSON.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags)
def main(asked: Asked) -> int:
    """Score predictions, or every checkpoint of a run."""
    program, flag_values = asked.program, asked.flag_values
    if flag_values["all_checkpoints"].value:
        result, table = _score_checkpoints([program, *asked.words], flag_values)
    else:
        result, table = _score_predictions(program, flag_values)
    text = json.dumps(result, indent=4)
    if flag_values["output"].value:
        with whole_files.open_whole(flag_values["output"].value) as writer:
            writer.write(f"{text}\n")
    with contextlib.suppress(streams.ReaderGoneError):
        streams.print_line(text if flag_values["json"].value else table)
    return 0


def _score_predictions(program: str, flag_values: flags.FlagValues) -> tuple[Any, str]:
    """Return the metrics of predictions that were made earlier, and their table."""
    for name in ("predict_file", "predictions"):
        if not flag_values[name].value:
            raise ConfigError(
                f"--{name} is missing; give --predict_file and --predictions, or --all_checkpoints and the flags of "
                f"the run. See {program} --help."
            )
    names = {field.name for field in dataclasses.fields(SquadConfig)} - set(_OF_BOTH)
    of_a_run = sorted(name for name in names if flag_values[name].present)
    if of_a_run:
        raise ConfigError(f"--{of_a_run[0]} says nothing of --predictions; it is for --all_checkpoints.")
    values = {name: flag_values[name].value for name in (*_OF_PREDICTIONS, *_OF_BOTH)}
    if values["na_prob_thresh"] is not None and math.isnan(values["na_prob_thresh"]):
        raise ConfigError("--na_prob_thresh must be a number, not nan.")
    _check_output(values["output"], [values[name] for name in ("predict_file", "predictions", "null_odds")])
    with doing(f"scoring {values['predictions']}"):
        metrics = evaluate(
            values["predict_file"],
            values["predictions"],
            values["null_odds"],
            na_prob_thresh=values["na_prob_thresh"],
        )
    return metrics, format_metrics_table(metrics)


def _score_checkpoints(arguments: list[str], flag_values: flags.FlagValues) -> tuple[Any, str]:
    """Return the metrics of every checkpoint, and their table."""
    given = [name for name in _OF_PREDICTIONS if flag_values[name].present]
    if given:
        raise ConfigError(f"--all_checkpoints makes its own predictions; leave --{given[0]} out.")
    config = _config_of_prediction(cli_flags.parse(arguments, flag_values))
    if not config.predict_file:
        raise ConfigError("--predict_file is missing: the questions, with answers, to score.")
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    config.validate(bert_config)
    config.check_input_files()
    if config.strategy == "multi_worker":
        raise ConfigError("--all_checkpoints works in one process; leave --distribution_strategy out.")
    _check_output(
        flag_values["output"].value, [config.predict_file, config.bert_config_file, config.vocab_file]
    )
    from bert_squad import other_uses  # after the flags are known to be right: it imports TensorFlow

    heed_log_level()
    scores = other_uses.evaluate_checkpoints(config, bert_config)
    return [{"step": step, **metrics} for step, metrics in scores.items()], format_checkpoints_table(scores)


def _config_of_prediction(config: SquadConfig) -> SquadConfig:
    """Return the run without all that is not predicting and scoring."""
    return dataclasses.replace(
        config,
        do_train=False,
        do_predict=True,
        do_eval=True,
        do_export=False,
        eval_steps=0,
        early_stopping_evals=0,
        use_best=False,
        tune_null_threshold=False,
    )


def _check_output(path: str | None, inputs: list[str | None]) -> None:
    """Refuse to write over what is read, or where nothing can be written, before anything slow starts."""
    if not path:
        return
    whole_files.check_replaceable([path])
    for other in inputs:
        if other and files.exists(path) and files.is_same(path, other):
            raise ConfigError(f"--output={path} is a file that is read here; name another one.")
