"""Make the report of an output directory."""

from absl import logging

from bert_squad import files
from bert_squad.activity import doing
from bert_squad.answers.prediction_files import EVAL_RESULTS, NBEST_PREDICTIONS, NULL_ODDS, OFFSETS
from bert_squad.errors import BertSquadError
from bert_squad.json_files import read_json
from bert_squad.report.calibration import best_within, calibrate
from bert_squad.report.comparison import Comparison, compare
from bert_squad.report.curves import read_curves
from bert_squad.report.findings import findings, weak_groups
from bert_squad.report.groups import group_questions
from bert_squad.report.page import Facts, write_page
from bert_squad.report.questions import Results, read_results
from bert_squad.report.rows import pack
from bert_squad.report.run_folder import RunFolder, read_run_folder, recorded_predict_file
from bert_squad.report.statistics import SEED
from bert_squad.report.thresholds import sweep_thresholds
from bert_squad.report.window_facts import window_facts

_ROUNDING = 1e-6  # of a score in percent
_LARGEST = 1e12  # of what is compared


def write_report(
    output_dir: str,
    path: str,
    *,
    predict_file: str | None = None,
    most: int | None = None,
    vocab_file: str | None = None,
    compare_with: str | None = None,
) -> Results:
    """Write the report of the answers that are in a directory.

    Args:
      output_dir: holds predictions.json, and what else a run leaves.
      path: of the report; `check_report_path` has been asked.
      predict_file: the questions; None takes the one that the run's record names.
      most: take the first so many questions alone; None for all, or as the run's record says.
      vocab_file: the vocabulary; None takes the one that the record names.
      compare_with: the directory of another run over the same questions, or None.

    Returns:
      The questions and scores.

    Raises:
      BertSquadError: when something cannot be read, does not belong together, or the page cannot be written.
    """
    with doing(f"reading {output_dir}"):
        run = read_run_folder(output_dir)
        if predict_file is None:
            predict_file, most = recorded_predict_file(run), most or run.flag("max_predict_questions")
    with doing(f"reading {predict_file}"):
        results, data = read_results(run, predict_file, most or None)
    with doing("sorting the questions"):
        windows, no_windows = window_facts(results, run, vocab_file)
        groupings = group_questions(results, windows)
        depths, calibration = best_within(results.questions), calibrate(results.questions)
        thresholds, curves = sweep_thresholds(results.questions), read_curves(run.training)
    comparison = None
    if compare_with is not None:
        with doing(f"comparing with {compare_with}"):
            comparison = compare(results, compare_with)
    with doing(f"writing {path}"):
        packed = pack(results, groupings, comparison, run.offsets)
        facts = Facts(
            run,
            data,
            results,
            groupings,
            depths,
            calibration,
            thresholds,
            curves,
            comparison,
            weak_groups(results, groupings),
            findings(results, groupings, depths, calibration, thresholds),
            [*_notes(run, results, packed.num_detailed, comparison), *filter(None, [no_windows])],
        )
        for note in facts.notes:
            logging.info("%s", note)
        write_page(path, facts, packed)
    return results


def _notes(run: RunFolder, results: Results, num_detailed: int, comparison: Comparison | None) -> list[str]:
    """Say what is missing or odd, in the page and in the log."""
    total = len(results.questions)
    notes = []
    if num_detailed < total:
        notes.append(
            f"Passages and n-best lists are here for {num_detailed:,} of the {total:,} questions, drawn at random "
            f"(seed {SEED}); scores, groups and pictures are of all."
        )
    if run.nbest is None:
        notes.append(
            f"There is no {NBEST_PREDICTIONS}: no n-best lists, no probabilities and no calibration are shown."
        )
    if results.is_version_2 and run.null_odds is None:
        notes.append(f"There is no {NULL_ODDS}: nothing is said of thresholds.")
    if not run.offsets:
        notes.append(
            f"There is no {OFFSETS}: a prediction is marked where its text occurs first in the passage, which may "
            "not be where the model found it."
        )
    if results.num_foreign:
        notes.append(
            f"{results.num_foreign:,} predictions are for questions that are not in the file; they are left out."
        )
    unanswered = sum(of.prediction is None for of in results.questions)
    if unanswered:
        notes.append(f"{unanswered:,} questions have no prediction and score 0, as in the official script.")
    if comparison is not None and comparison.total < max(comparison.num_here, comparison.num_there):
        notes.append(
            f"The comparison is on the {comparison.total:,} questions that both runs answer; this run answers "
            f"{comparison.num_here:,}, the other {comparison.num_there:,}."
        )
    return notes + _other_scores(run, results)


def _other_scores(run: RunFolder, results: Results) -> list[str]:
    """Say so when eval_results.json beside the predictions has other scores than they have."""
    path = files.join(run.path, EVAL_RESULTS)
    if not files.is_file(path):
        return []
    try:
        content = read_json(path, "scores")
    except BertSquadError as error:
        return [f"{error} It is not compared with the scores here."]
    differing = [
        name
        for name, value in results.metrics.items()
        if isinstance(content, dict)
        and isinstance(content.get(name), int | float)
        and abs(content[name]) < _LARGEST
        and abs(content[name] - value) > _ROUNDING
    ]
    if not differing:
        return []
    return [
        f"{EVAL_RESULTS} has other scores ({differing[0]} {content[differing[0]]:.2f}, here "
        f"{results.metrics[differing[0]]:.2f}): it is of other predictions, or of other questions."
    ]
