"""Which weights a prediction or an export uses: the latest of its directory, else those that were named."""

import os
from typing import NamedTuple

from absl import logging

from bert_squad import files
from bert_squad.checkpoints import directory, state_file
from bert_squad.checkpoints.loading import LoadSummary, load_checkpoint
from bert_squad.errors import CheckpointError


class LoadedWeights(NamedTuple):
    """Where the weights of a model come from.

    Attributes:
      directory: of the checkpoint; None for random weights.
      step: number of training steps done; None when nothing says so.
    """

    directory: str | None
    step: int | None


def load_to_predict(
    model, output_dir: str, init_checkpoint: str | None, *, allow_random_weights: bool, has_trained: bool
) -> LoadedWeights:
    """Fill a model with the latest checkpoint of a directory, else with `init_checkpoint`.

    Args:
      model: a `BertForSquad`.
      output_dir: the run's.
      init_checkpoint: as for `load_checkpoint`, or None.
      allow_random_weights: do without a checkpoint, or with one that has no span head.
      has_trained: the run has just trained, so that nobody wonders why `init_checkpoint` is not used.

    Raises:
      CheckpointError: when there is no checkpoint that can answer questions, unless random weights are allowed.
        Differs: the legacy script then predicted with random weights and said nothing.
    """
    restored = directory.restore_latest(output_dir, model)
    if restored:
        prefix, step = restored
        logging.info("Predicting with %s, step %d.", prefix, step)
        if init_checkpoint and not has_trained:
            logging.info("--init_checkpoint=%s is not used, since %s is there.", init_checkpoint, prefix)
        return LoadedWeights(os.path.dirname(prefix) or ".", step)
    unnamed = state_file.checkpoints_in(output_dir)
    if unnamed:
        logging.warning(
            "%s holds %s but no `checkpoint` file that names one of them, so none is used.",
            output_dir,
            ", ".join(unnamed),
        )
    if init_checkpoint:
        summary = load_checkpoint(model, init_checkpoint)
        _check_head(summary, allow_random_weights)
        is_directory = files.is_directory(init_checkpoint)
        place = init_checkpoint if is_directory else os.path.dirname(init_checkpoint) or "."
        return LoadedWeights(place, summary.step)
    if not allow_random_weights:
        raise CheckpointError(
            f"There is no checkpoint in {output_dir} and no --init_checkpoint, so there is nothing to "
            "predict with: train first, or name one (--allow_random_weights predicts with random weights)."
        )
    logging.warning("Predicting with random weights, as --allow_random_weights says.")
    return LoadedWeights(None, None)


def _check_head(summary: LoadSummary, allow_random_weights: bool) -> None:
    missing = [name for name in summary.missing if name.startswith("cls/squad/")]
    if missing and not allow_random_weights:
        raise CheckpointError(
            f"{summary.path} has no span head ({', '.join(missing)}): it was not trained to answer questions, and its "
            "answers would be random. Train it first with --do_train, or name one that was (--allow_random_weights "
            "predicts all the same)."
        )
    if missing:
        logging.warning("Predicting with a random span head, as --allow_random_weights says.")
