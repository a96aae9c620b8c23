"""Score every kept checkpoint of a directory, one after the other, with one model and questions prepared once."""

from typing import Any

from absl import logging

from bert_squad import files, whole_files
from bert_squad.activity import doing
from bert_squad.answers.prediction_files import (
    EVAL_RESULTS,
    NBEST_PREDICTIONS,
    NULL_ODDS,
    OFFSETS,
    PREDICTIONS,
)
from bert_squad.answers.scoring import ScoredQuestions
from bert_squad.checkpoints import directory
from bert_squad.checkpoints.tf1 import checkpoint_files
from bert_squad.errors import CheckpointError, DamagedCheckpointError, OutputError

EVALUATIONS = "evaluations"
_OWN_FILES = {PREDICTIONS, NBEST_PREDICTIONS, NULL_ODDS, OFFSETS, EVAL_RESULTS}


def kept_checkpoints(output_dir: str) -> list[str]:
    """Return the prefixes of all complete checkpoints that the `checkpoint` file of a directory names, oldest first.

    Raises:
      CheckpointError: when there are none.
    """
    prefixes = list(directory.usable_checkpoints(output_dir))[::-1]
    if not prefixes:
        raise CheckpointError(f"There is no checkpoint in {output_dir}, so there is nothing to evaluate.")
    return prefixes


def score_checkpoints(
    prefixes: list[str], folder: str, model: Any, scored: ScoredQuestions
) -> dict[int, dict[str, float]]:
    """Answer and score with one checkpoint after the other.

    Args:
      prefixes: of the checkpoints.
      folder: the files of a checkpoint go to `folder/STEP`, whole or not at all, in the place of earlier ones.
      model: a `BertForSquad`, the one that `scored` answers with.
      scored: the questions.

    Returns:
      Step → metrics. A checkpoint that turns out to be damaged, or that a training has deleted meanwhile, is passed
      over with a warning.

    Raises:
      CheckpointError: when a checkpoint does not fit the model, or none could be read.
      OutputError: when files cannot be written, or would take the place of something that is not ours.
    """
    scores: dict[int, dict[str, float]] = {}
    for number, prefix in enumerate(prefixes, start=1):
        step = _restore_if_whole(prefix, model)
        if step is None:
            continue
        with doing(f"evaluating {prefix}"):
            scores[step] = _score(files.join(folder, str(step)), scored)
        logging.info("Evaluated %s, %d of %d.", prefix, number, len(prefixes))
    if not scores:
        raise CheckpointError(f"None of {', '.join(prefixes)} can be read, so nothing was evaluated.")
    return scores


def _restore_if_whole(prefix: str, model: Any) -> int | None:
    try:
        return directory.restore(prefix, model)
    except DamagedCheckpointError as error:
        logging.warning("Passing over the checkpoint %s: %s", prefix, error)
    except CheckpointError:
        if checkpoint_files(prefix):
            raise
        logging.warning("Passing over the checkpoint %s: it has been deleted meanwhile.", prefix)
    return None


def _score(place: str, scored: ScoredQuestions) -> dict[str, float]:
    _check_ours(place)
    with whole_files.complete_directory(
        place,
        lambda temporary: whole_files.replace_directory(temporary, place),
        problem=f"Cannot write the evaluation {place}",
        advice="; what was there before is unchanged.",
    ) as temporary:
        return scored.score(temporary, lambda: None)


def _check_ours(place: str) -> None:
    """Refuse to put an evaluation in the place of what somebody else keeps there."""
    is_ours = files.is_directory(place) and _OWN_FILES.issuperset(files.names_in(place))
    if files.exists(place) and not is_ours:
        raise OutputError(
            f"{place} holds more than an evaluation, which is to be written there; move it away, and run the same "
            "command again."
        )
