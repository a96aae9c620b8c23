"""`bert-squad ensemble`: combine the n-best files of several runs."""

import math

from absl import flags, logging

from bert_squad import files, locks, whole_files
from bert_squad.activity import doing
from bert_squad.answers.ensemble import check_weights, combine_answers, read_run
from bert_squad.answers.prediction_files import (
    NBEST_PREDICTIONS,
    NULL_ODDS,
    OFFSETS,
    PREDICTION_LOCK,
    PREDICTIONS,
    write_predictions,
)
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError

_USAGE = """\
Usage: {program} --nbest=A --nbest=B ... [--null_odds=A0 --null_odds=B0 ...] --output_dir=DIR [flags]

Combine what several runs answered to the same questions: a text's probability is the mean of those that the runs give
it, and the odds of no answer are the mean of theirs. Writes predictions.json and nbest_predictions.json, and with
--null_odds null_odds.json, as a run does; `bert-squad evaluate` scores them.

  --nbest: nbest_predictions.json of a run; once for each.
  --null_odds: null_odds.json of a run of SQuAD 2.0; none, or once for each --nbest, in the same order.
  --output_dir: the directory to write to.
  --weights: the weights of the runs in the means, as in --weights=2,1,1 (default: equal ones).
  --null_score_diff_threshold: with --null_odds, answer nothing when the mean odds exceed this (default: 0).
  --n_best_size: longest list in nbest_predictions.json (default: 20).
  --[no]overwrite: replace files that are there; else they are refused."""


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_multi_string("nbest", [], "N-best answers of a run.", flag_values=flag_values)
    flags.DEFINE_multi_string("null_odds", [], "Null odds of a run.", flag_values=flag_values)
    flags.DEFINE_string("output_dir", None, "Directory to write to.", flag_values=flag_values)
    flags.DEFINE_list("weights", [], "Weights of the runs.", flag_values=flag_values)
    flags.DEFINE_float("null_score_diff_threshold", 0.0, "Threshold of the odds.", flag_values=flag_values)
    flags.DEFINE_integer("n_best_size", 20, "Longest list.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_boolean("overwrite", False, "Replace files.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags)
def main(asked: Asked) -> int:
    """Combine the n-best files of several runs."""
    program, flag_values = asked.program, asked.flag_values
    nbest_files, odds_files = flag_values["nbest"].value, flag_values["null_odds"].value
    output_dir, threshold = flag_values["output_dir"].value, flag_values["null_score_diff_threshold"].value
    _check(program, flag_values)
    shares = check_weights(_numbers(flag_values["weights"].value), len(nbest_files))
    runs = []
    for nbest_file, odds_file in zip(nbest_files, odds_files or [None] * len(nbest_files), strict=True):
        with doing(f"reading {nbest_file}"):
            runs.append(read_run(nbest_file, odds_file))
    n_best_size = flag_values["n_best_size"].value
    with doing("combining"):
        # In a list, so that all that is wrong with the files is known before anything is written.
        answers = list(
            combine_answers(runs, shares, n_best_size=n_best_size, null_score_diff_threshold=threshold)
        )
    files.make_directory(output_dir)
    whole_files.remove_abandoned(output_dir)
    with doing("writing"), locks.exclusive(files.join(output_dir, PREDICTION_LOCK), "predicting"):
        _check_places(output_dir, flag_values)
        write_predictions(
            answers,
            (answer.qas_id for answer in answers),
            predictions_file=files.join(output_dir, PREDICTIONS),
            nbest_file=files.join(output_dir, NBEST_PREDICTIONS),
            null_odds_file=files.join(output_dir, NULL_ODDS) if odds_files else None,
        )
    logging.info("Combined %d runs on %d questions; see %s.", len(runs), len(answers), output_dir)
    return 0


def _check(program: str, flag_values: flags.FlagValues) -> None:
    """Refuse flags that do not go together, and an output directory with files, before anything is read."""
    nbest_files, odds_files = flag_values["nbest"].value, flag_values["null_odds"].value
    output_dir = flag_values["output_dir"].value
    if not nbest_files or not all(nbest_files):
        raise ConfigError(f"--nbest is missing; name it once for each run. See {program} --help.")
    if not output_dir:
        raise ConfigError(f"--output_dir is missing. See {program} --help.")
    if odds_files and len(odds_files) != len(nbest_files):
        raise ConfigError(
            f"There are {len(odds_files)} --null_odds for {len(nbest_files)} --nbest; give one for each, or none."
        )
    if flag_values["null_score_diff_threshold"].present and not odds_files:
        raise ConfigError("--null_score_diff_threshold is for SQuAD 2.0: give --null_odds too.")
    if math.isnan(flag_values["null_score_diff_threshold"].value):
        raise ConfigError("--null_score_diff_threshold must be a number, not nan.")
    _check_places(output_dir, flag_values)


def _check_places(output_dir: str, flag_values: flags.FlagValues) -> None:
    """Refuse to write over what is read; over other files without --overwrite; and beside another run's null odds."""
    odds_files = flag_values["null_odds"].value
    places = [files.join(output_dir, name) for name in (PREDICTIONS, NBEST_PREDICTIONS, NULL_ODDS)]
    whole_files.check_replaceable(places)
    offsets = files.join(output_dir, OFFSETS)
    if files.exists(offsets):
        raise ConfigError(
            f"{offsets} says where other answers are; move it away, or choose another --output_dir."
        )
    for place in filter(files.exists, places):
        if any(files.is_same(place, read) for read in (*flag_values["nbest"].value, *odds_files)):
            raise ConfigError(f"{place} is one of the files to combine; choose another --output_dir.")
        if not flag_values["overwrite"].value:
            raise ConfigError(f"{place} is there already; choose another --output_dir, or add --overwrite.")
        if place == places[-1] and not odds_files:
            raise ConfigError(
                f"{place} would be left beside answers that have no null odds; move it away, or give --null_odds."
            )


def _numbers(words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ConfigError(f"--weights should be numbers, as in 2,1,1, not {','.join(words)}.") from None
