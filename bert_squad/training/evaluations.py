"""Scores on the way: each is kept in the history, the best checkpoint in `best`, and training may end by them."""

import json
from collections.abc import Callable
from typing import Any, Protocol

from absl import logging

from bert_squad import files, whole_files
from bert_squad.activity import doing
from bert_squad.checkpoints import directory, state_file
from bert_squad.config import SquadConfig
from bert_squad.devices.replicas import Devices
from bert_squad.errors import CheckpointError, ConfigError
from bert_squad.interruption import noticed_signal
from bert_squad.json_files import read_json
from bert_squad.run_record import write_record
from bert_squad.training.history import (
    HISTORY,
    Row,
    add_to_history,
    evaluations_since_best,
    read_history,
    row_of,
)

BEST = "best"
BEST_RECORD = "best.json"
_CHECKPOINT = (state_file.STATE_FILE, f"{state_file.PREFIX}-")


class Scorer(Protocol):
    """Answers the questions that are scored on the way.

    Attributes:
      questions: which ones they are, as values of JSON; scores of other questions cannot be compared.
    """

    questions: dict[str, Any]

    def score(self, folder: str, before_batch: Callable[[], None]) -> dict[str, float]:
        """Answer with the model's present weights.

        Args:
          folder: where the prediction files and eval_results.json are written.
          before_batch: is called before each batch, in every process; ends the evaluation by raising.

        Returns:
          The metrics; none in a process that is not the chief of several.
        """
        ...


class _StoppedError(Exception):
    """A signal has come in the middle of an evaluation."""


class Evaluations:
    """Evaluate the model that is trained, as an action of `training.loop.train`.

    Args:
      config: the run.
      scorer: answers and scores.
      model: is evaluated.
      optimizer: its slots are kept with the best checkpoint.
      devices: compute; the chief alone writes.
      this_run: the description of the run, which is kept with the best checkpoint.

    Attributes:
      listeners: each is told of every row.
    """

    def __init__(
        self,
        config: SquadConfig,
        scorer: Scorer,
        model,
        optimizer,
        devices: Devices,
        this_run: dict[str, Any],
    ):
        self._config, self._scorer, self._model, self._optimizer = config, scorer, model, optimizer
        self._devices, self._this_run = devices, this_run
        self.listeners: list[Callable[[Row], object]] = []
        self._best_dir = files.join(config.output_dir, BEST)

    def is_missing(self, step: int, num_train_steps: int) -> bool:
        """Say whether the evaluation of a step, that training goes on from, was broken off before its end."""
        is_due = step > 0 and (step % self._config.eval_steps == 0 or step == num_train_steps)
        rows = read_history(self._config.output_dir) if is_due and self._devices.is_chief else []
        return self._devices.from_chief(is_due and all(row["step"] != step for row in rows))

    def are_over(self, step: int) -> bool:
        """Say whether training has ended at a step since nothing got better."""
        config = self._config
        if not config.early_stopping_evals:
            return False
        rows: list[Row] = read_history(config.output_dir) if self._devices.is_chief else []
        done = [row for row in rows if row["step"] <= step]
        is_over = evaluations_since_best(done, config.best_metric) >= config.early_stopping_evals
        return self._devices.from_chief(is_over)

    def __call__(self, step: int) -> bool:
        """Evaluate after a step; return whether training ends now.

        A signal in the middle of it is heeded before the next batch; it is made again when training goes on.

        Raises:
          BertSquadError: when it cannot be made, or kept.
        """
        with doing(f"evaluating after step {step}"), whole_files.scratch_directory() as folder:
            try:
                metrics = self._scorer.score(folder, self._stop_if_asked)
            except _StoppedError:
                logging.info("The evaluation after step %d is broken off; it is made again first.", step)
                return False
            if self._devices.is_chief:
                self._keep(row_of(step, metrics), folder)
        if not self.are_over(step):
            return False
        logging.info(
            "Training ends after step %d: %d evaluations in a row brought no better %s "
            "(--early_stopping_evals).",
            step,
            self._config.early_stopping_evals,
            self._config.best_metric,
        )
        return True

    def _stop_if_asked(self) -> None:
        if self._devices.agree_to_stop(noticed_signal()):
            raise _StoppedError

    def _keep(self, row: Row, folder: str) -> None:
        metric, best = self._config.best_metric, self._read_best()
        is_better = (
            best is None
            or row[metric] > best[metric]
            or (row[metric] == best[metric] and row["step"] <= best["step"])
        )
        if is_better:
            self._save_best(row, folder)
        # The row comes last: an evaluation without one is made again.
        add_to_history(self._config.output_dir, row)
        logging.info(
            "Evaluation after step %d: exact %.2f, F1 %.2f; %s",
            row["step"],
            row["exact"],
            row["f1"],
            f"the best so far is kept in {self._best_dir}"
            if best is None or is_better
            else f"the best {metric} is {best[metric]:.2f}, of step {best['step']}",
        )
        for listener in self.listeners:
            listener(row)

    def _save_best(self, row: Row, folder: str) -> None:
        with whole_files.complete_directory(
            self._best_dir,
            lambda temporary: whole_files.replace_directory(temporary, self._best_dir, _names_of_ours),
            problem=f"Cannot save the best checkpoint in {self._best_dir}",
            advice="; what was there before is unchanged. Free some space or restore write permission, then run the "
            "same command again to continue.",
        ) as temporary:
            for name in files.names_in(folder):
                files.write_bytes(files.join(temporary, name), files.read_bytes(files.join(folder, name)))
            directory.save(temporary, self._model, self._optimizer, row["step"], keep_max=1)
            write_record(temporary, self._this_run, 0)
            names = [*files.names_in(temporary), BEST_RECORD]
            record = {"questions": self._scorer.questions, "scores": row, "files": names}
            files.write_bytes(
                files.join(temporary, BEST_RECORD), (json.dumps(record, indent=4) + "\n").encode()
            )

    def _read_best(self) -> Row | None:
        record = read_best_record(self._config.output_dir)
        return record["scores"] if record else None

    def check_begin(self, is_fresh: bool) -> None:
        """Refuse to mix what is kept with what another training, or evaluations of other questions, left.

        Args:
          is_fresh: training begins, and goes on from no checkpoint of its directory.

        Raises:
          ConfigError: naming what is to be moved away.
        """
        output_dir = self._config.output_dir
        record = read_best_record(output_dir)
        if is_fresh and files.exists(files.join(output_dir, HISTORY)):
            raise ConfigError(
                f"{files.join(output_dir, HISTORY)} is of another training, since there is no checkpoint to go on "
                "from; move it away, or choose another --output_dir."
            )
        if record and record.get("questions") != self._scorer.questions:
            raise ConfigError(
                f"The best checkpoint, in {self._best_dir}, was chosen by other questions than --predict_file and "
                f"--eval_max_questions give now; move it and {files.join(output_dir, HISTORY)} away, or give what they "
                "were."
            )
        if record and self._config.best_metric not in record["scores"]:
            raise ConfigError(
                f"The best checkpoint, in {self._best_dir}, has no score {self._config.best_metric!r} to compare with "
                "(--best_metric); move it away, or choose another metric."
            )


def _names_of_ours(best_dir: str) -> list[str]:
    """Return what a best checkpoint consists of; people keep other things beside it, such as an export of it."""
    path = files.join(best_dir, BEST_RECORD)
    record = read_json(path, "record of the best checkpoint") if files.is_file(path) else {}
    names = record.get("files") if isinstance(record, dict) else None
    if isinstance(names, list):
        return [name for name in names if isinstance(name, str)]
    # It was written before there were names in the record.
    return [
        name for name in files.names_in(best_dir) if name.endswith(".json") or name.startswith(_CHECKPOINT)
    ]


def check_no_other_best(output_dir: str, *, is_to_be_kept: bool) -> None:
    """Refuse to train afresh beside the best checkpoint of another training, which would be taken for its own.

    Args:
      output_dir: the run's.
      is_to_be_kept: this training keeps a best checkpoint, so that there may be nothing of that name at all.

    Raises:
      ConfigError: naming it.
    """
    best_dir = files.join(output_dir, BEST)
    whole_files.finish_replacing(best_dir, _names_of_ours)
    if files.exists(best_dir if is_to_be_kept else files.join(best_dir, BEST_RECORD)):
        raise ConfigError(
            f"{best_dir} is of another training, since there is no checkpoint in {output_dir} to go on from; move it "
            "away, or choose another --output_dir."
        )


def read_best_record(output_dir: str) -> dict[str, Any] | None:
    """Return which questions the best checkpoint was chosen by, `questions`, and its row, `scores`.

    Returns:
      None where there is no best checkpoint.

    Raises:
      ConfigError: when it is there and cannot be read.
    """
    best_dir = files.join(output_dir, BEST)
    path = files.join(best_dir, BEST_RECORD)
    if not files.exists(best_dir):
        return None
    record = read_json(path, "record of the best checkpoint") if files.is_file(path) else None
    scores = record.get("scores") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(scores, dict) or "step" not in scores:
        raise ConfigError(f"{best_dir} holds no best checkpoint of this program ({path}); move it away.")
    return record


def check_best(output_dir: str) -> None:
    """Refuse to take the best checkpoint of a directory that has none (--use_best).

    Raises:
      CheckpointError: saying how there comes to be one.
    """
    whole_files.finish_replacing(files.join(output_dir, BEST), _names_of_ours)
    if read_best_record(output_dir) is None:
        raise CheckpointError(
            f"There is no best checkpoint in {output_dir}; train with --eval_steps, or leave --use_best out."
        )
