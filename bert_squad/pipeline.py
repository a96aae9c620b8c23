"""One run: train, predict, evaluate, export, as a `SquadConfig` says."""

import contextlib
import dataclasses

from absl import logging

from bert_squad import files, locks, whole_files
from bert_squad.activity import activity_at, doing
from bert_squad.answers.metrics import format_metrics_table
from bert_squad.answers.null_threshold import (
    THRESHOLD_FILE,
    tune_threshold,
    write_threshold,
)
from bert_squad.answers.prediction_files import (
    EVAL_RESULTS,
    NBEST_PREDICTIONS,
    NULL_ODDS,
    OFFSETS,
    PREDICTION_LOCK,
    PREDICTIONS,
)
from bert_squad.answers.scoring import ScoredQuestions, sample_questions, score_folder
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import directory, state_file
from bert_squad.checkpoints.loading import check_loadable
from bert_squad.config import SquadConfig
from bert_squad.devices.agreement import check_same, describe_process
from bert_squad.errors import DataError, first_line
from bert_squad.model.squad_model import BertForSquad
from bert_squad.run_parts import EVAL_RECORDS, EVAL_STEPS_RECORDS, TRAINING_LOCK, RunParts
from bert_squad.run_record import read_record, record_scores
from bert_squad.training.history import HISTORY
from bert_squad.training.session import TRAIN_RECORDS, train_model


def run(config: SquadConfig, bert_config: BertConfig | None = None) -> dict[str, float] | None:
    """Do what a command line says; files go to `config.output_dir` under the legacy names.

    Args:
      config: the run.
      bert_config: the model; read from `config.bert_config_file` when None.

    Returns:
      The metrics when `config.do_eval`, else None.

    Raises:
      BertSquadError: of the kind that says what is wrong; files that were written stay.

    Source: `main` of the legacy run_squad.py.
    """
    return _Run(config, bert_config or BertConfig.from_json_file(config.bert_config_file)).run()


class _Run(RunParts):
    """The stages of one run."""

    def needs_model(self) -> bool:
        """Say whether there is anything to do but to predict with a model that was exported before."""
        return self.config.engine_model is None or self.config.do_train or self.config.do_export

    def run(self) -> dict[str, float] | None:
        logging.info("Running on %s.", self.devices.description)
        logging.info("The model: %s.", self.bert_config.description)
        with self.devices.taking_part(), contextlib.ExitStack() as stack:
            self.check_same_in_all()
            if self.config.init_checkpoint and self.devices.is_chief:
                check_loadable(self.config.init_checkpoint)
            if self.needs_model():
                self.model = self.make_model()
            if self.devices.is_chief:
                return self.run_as_chief(stack)
            self.records_dir = stack.enter_context(whole_files.scratch_directory())
            self.run_as_helper()
            return None

    def run_as_chief(self, stack: contextlib.ExitStack) -> dict[str, float] | None:
        """Do all that the command line says; the stack keeps what is to be released in the end."""
        config = self.config
        if config.do_train or config.do_predict:
            files.make_directory(config.output_dir)
            whole_files.remove_abandoned(config.output_dir)
        if config.do_train:
            lock = stack.enter_context(contextlib.ExitStack())
            lock.enter_context(locks.exclusive(self.path(TRAINING_LOCK), "training"))
        elif config.do_predict:
            stack.enter_context(locks.exclusive(self.path(PREDICTION_LOCK), "predicting"))
        self.prepare()
        if config.do_train:
            with doing("training"):
                self.train()
            lock.close()  # whoever wants to train on may do so now
            if config.do_predict:
                stack.enter_context(locks.exclusive(self.path(PREDICTION_LOCK), "predicting", waits=True))
        if not config.do_predict:
            self.devices.leave()
        if self.needs_model() and (config.do_predict or config.do_export):
            with doing("loading the weights"):
                self.load_weights()
        if config.takes_tuned_threshold and (config.do_predict or config.do_export):
            self.take_tuned_threshold()
        return self.use_weights()

    def run_as_helper(self) -> None:
        """Do what a process does that is not the chief: compute, and write nothing but records of its own."""
        config = self.config
        if logging.get_verbosity() == logging.INFO:
            logging.set_verbosity(logging.WARNING)
        if config.do_predict or config.eval_steps:
            with doing(f"reading {config.predict_file}"):
                self.read_predict_file()
        if config.do_train:
            with doing("training"):
                self.train()
        if config.do_predict:
            with doing("loading the weights"):
                self.devices.copy_from_chief(self.model.weights)
            with doing("predicting"):
                self.prepared_questions(self.examples, EVAL_RECORDS).help_to_answer()
        self.devices.leave()

    def check_same_in_all(self) -> None:
        """Refuse processes that were not told the same."""
        if self.devices.cluster is not None:
            choices = dataclasses.asdict(self.compute)
            check_same(
                self.devices, describe_process(self.config, self.bert_config, self.tokenizer.vocab, choices)
            )

    def prepare(self) -> None:
        """Read what is to be read and try what is to be written, before anything slow starts."""
        config = self.config
        whole_files.check_replaceable(map(self.path, self.outputs()))
        if config.do_predict or config.eval_steps:
            with doing(f"reading {config.predict_file}"):
                self.read_predict_file()
        if config.do_predict and config.engine == "openvino":
            with doing("preparing OpenVINO"):
                self.prepare_engine()
        if config.do_export:
            with doing("preparing the export"):
                from bert_squad.serving.export import check_exportable  # it loads TensorFlow Text

                check_exportable(self.export_dir, config.export_signatures)

    def outputs(self) -> list[str]:
        """Return the names of the files that this run writes to `output_dir`, checkpoints apart."""
        config = self.config
        names = [TRAIN_RECORDS, state_file.STATE_FILE, directory.DROPPED_FILE] if config.do_train else []
        names += [EVAL_STEPS_RECORDS, HISTORY] if config.eval_steps else []
        names += [EVAL_RECORDS, PREDICTIONS, NBEST_PREDICTIONS] if config.do_predict else []
        names += [NULL_ODDS] if config.do_predict and config.version_2_with_negative else []
        names += [OFFSETS] if config.write_offsets else []
        names += [THRESHOLD_FILE] if config.tune_null_threshold else []
        return names + [EVAL_RESULTS] * config.do_eval

    def use_weights(self) -> dict[str, float] | None:
        """Predict, evaluate and export; one that fails does not keep the others from what they can do without it."""
        config = self.config
        failures: list[Exception] = []
        metrics = None
        try:
            if config.do_predict:
                with doing("predicting"), self.devices.naming_the_lost():
                    self.predict()
                    self.devices.leave()
            if config.do_eval:
                with doing("evaluating"):
                    metrics = self.evaluate()
        except Exception as error:
            self.devices.stop_watching()  # what is left to do is done alone
            failures.append(error)
            if config.do_export:
                logging.error("Failed while %s: %s", activity_at(error), first_line(error))
        if config.do_export:
            with doing("exporting"):
                self.export(metrics)
        if failures:
            raise failures[0]
        return metrics

    def train(self) -> None:
        train_model(
            self.config,
            self.bert_config,
            self.tokenizer,
            self.compute,
            self.model,
            self.devices,
            files.join(self.records_dir, TRAIN_RECORDS),
            self.scored_questions() if self.config.eval_steps else None,
        )

    def scored_questions(self) -> ScoredQuestions:
        """Prepare the questions by which the model is scored while it is trained."""
        config = self.config
        assert self.questions is not None
        examples, questions = sample_questions(self.examples, self.questions, config.eval_max_questions)
        return ScoredQuestions(
            self.prepared_questions(examples, EVAL_STEPS_RECORDS),
            questions if self.devices.is_chief else None,
            version_2_with_negative=config.version_2_with_negative,
        )

    def predict(self) -> None:
        prepared = self.prepared_questions(self.examples, EVAL_RECORDS, self.config.engine)
        logging.info("Writing predictions to: %s", self.path(PREDICTIONS))
        logging.info("Writing nbest to: %s", self.path(NBEST_PREDICTIONS))
        prepared.write_answers(self.config.output_dir)
        if not self.config.write_offsets and files.exists(self.path(OFFSETS)):
            logging.warning(
                "%s is of earlier predictions; --write_offsets writes it anew.", self.path(OFFSETS)
            )
        if self.config.tune_null_threshold:
            with doing("tuning the threshold"):
                self.tune_null_threshold()

    def tune_null_threshold(self) -> None:
        """Find the threshold of the best F1, apply it to the predictions, and keep it."""
        config = self.config
        assert self.questions is not None
        self.tuned = tune_threshold(
            self.questions,
            config.output_dir,
            str(config.predict_file),
            self.step,
            has_offsets=config.write_offsets,
        )
        write_threshold(config.output_dir, self.tuned)
        self.config = dataclasses.replace(config, null_score_diff_threshold=self.tuned.threshold)

    def evaluate(self) -> dict[str, float]:
        config = self.config
        if self.questions is None:
            raise DataError(str(self.unscorable))
        more = {}
        if self.tuned is not None:
            more = {"tuned_threshold": self.tuned.threshold} | {
                f"{name}_at_0": self.tuned.at_zero[name] for name in ("exact", "f1")
            }
        metrics = score_folder(
            self.questions, config.output_dir, has_null_odds=config.version_2_with_negative, more=more
        )
        logging.info("Writing metrics to: %s", self.path(EVAL_RESULTS))
        if self.place and files.is_same(self.place, config.output_dir):
            record_scores(self.place, {"step": self.step, "predict_file": config.predict_file, **metrics})
        try:
            print(format_metrics_table(metrics), flush=True)
        except (OSError, ValueError) as error:  # the reader is gone, or the disk full: the file has it all
            logging.warning("Cannot print the metrics (%s); they are in the file.", first_line(error))
        return metrics

    def export(self, metrics: dict[str, float] | None) -> None:
        from bert_squad.serving.export import (
            export_model,  # it loads TensorFlow Text, which others do without
        )

        model = self.model
        if self.devices.strategy is not None:
            model = BertForSquad(
                self.bert_config, self.compute.model_dtype, self.compute.pad_to
            ).take_weights_of(model)
        export_model(
            model,
            self.config,
            self.bert_config,
            self.tokenizer,
            metrics,
            self.export_dir,
            self.config.export_dtype,
            self.config.export_signatures,
            training=read_record(self.place) if self.place else None,
        )
