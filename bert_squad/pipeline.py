"""One run: train, predict, evaluate, export, as a `SquadConfig` says. The names of the output files live here."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from absl import logging

from bert_squad import files, locks, whole_files
from bert_squad.activity import activity_at, doing
from bert_squad.answers.metrics import evaluate, format_metrics_table
from bert_squad.answers.metrics_input import QuestionSet, check_scorable, read_questions
from bert_squad.answers.nbest import NbestOptions, stream_predictions
from bert_squad.answers.prediction import make_predictor
from bert_squad.answers.prediction_files import write_predictions
from bert_squad.checkpoints import directory, state_file
from bert_squad.checkpoints.loading import check_loadable, load_checkpoint
from bert_squad.checkpoints.tf1 import tf1_variables
from bert_squad.config import BertConfig, SquadConfig
from bert_squad.data.batches import predict_batches_by_length, train_batches, with_named_errors
from bert_squad.data.examples import (
    SquadExample,
    left_out_note,
    read_squad_json,
    shuffle_examples,
    squad_examples,
)
from bert_squad.data.features import InputFeatures
from bert_squad.data.question_ids import NamedIds
from bert_squad.data.records import write_features
from bert_squad.data.windows import make_windows
from bert_squad.errors import CheckpointError, ConfigError, DataError, first_line
from bert_squad.json_files import parse_json, read_content
from bert_squad.model.squad_model import BertForSquad
from bert_squad.run_record import check_same_run, describe_run, write_record
from bert_squad.speed import speed_of
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.loop import make_train_step, train
from bert_squad.training.optimizer import AdamWeightDecay

TRAIN_RECORDS = "train.tf_record"
EVAL_RECORDS = "eval.tf_record"
PREDICTIONS = "predictions.json"
NBEST_PREDICTIONS = "nbest_predictions.json"
NULL_ODDS = "null_odds.json"
EVAL_RESULTS = "eval_results.json"
EXPORT = "export"
TRAINING_LOCK = ".bert_squad.training.lock"
PREDICTION_LOCK = ".bert_squad.prediction.lock"


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


class _Run:
    """What the stages of one run share."""

    def __init__(self, config: SquadConfig, bert_config: BertConfig):
        if not tf.executing_eagerly():
            raise ConfigError(
                "TensorFlow is in graph mode in this process (disable_v2_behavior or disable_eager_execution was "
                "called), where nothing can be run; start in a process of its own."
            )
        self.config = config
        self.bert_config = bert_config
        config.validate(bert_config)
        config.check_input_files()
        self.speed = speed_of(config)
        self.tokenizer = FullTokenizer(config.vocab_file, do_lower_case=config.do_lower_case)
        config.validate_vocabulary(self.bert_config, self.tokenizer.highest_id + 1)
        if config.init_checkpoint:
            check_loadable(config.init_checkpoint)
        self.examples: list[SquadExample] = []  # of --predict_file, like the questions to score
        self.questions: QuestionSet | None = None
        self.unscorable: str | None = None  # why they cannot be scored
        self.export_dir = config.export_dir or self.path(EXPORT)
        tf_keras.utils.set_random_seed(config.seed)
        self.model = BertForSquad(
            self.bert_config, self.speed.dtype, leave_out_padding=self.speed.pad_to == "batch"
        )

    def path(self, name: str) -> str:
        return files.join(self.config.output_dir, name)

    def run(self) -> dict[str, float] | None:
        config = self.config
        with contextlib.ExitStack() as stack:
            if config.do_train or config.do_predict:
                files.make_directory(config.output_dir)
                whole_files.remove_abandoned(config.output_dir)
            if config.do_train:
                stack.enter_context(locks.exclusive(self.path(TRAINING_LOCK), "training"))
            elif config.do_predict:
                stack.enter_context(locks.exclusive(self.path(PREDICTION_LOCK), "predicting"))
            self.prepare()
            logging.info("Running on %s.", _devices())
            if config.do_train:
                with doing("training"):
                    self.train()
                stack.close()  # whoever wants to train on may do so now
                if config.do_predict:
                    stack.enter_context(locks.exclusive(self.path(PREDICTION_LOCK), "predicting", waits=True))
            if config.do_predict or config.do_export:
                with doing("loading the weights"):
                    self.load_weights()
            return self.use_weights()

    def prepare(self) -> None:
        """Read what is to be read and try what is to be written, before anything slow starts."""
        config = self.config
        whole_files.check_replaceable(map(self.path, self.outputs()))
        if config.do_predict:
            with doing(f"reading {config.predict_file}"):
                self.read_predict_file()
        if config.do_export:
            with doing("preparing the export"):
                from bert_squad.serving.export import check_exportable  # it loads TensorFlow Text

                check_exportable(self.export_dir)

    def outputs(self) -> list[str]:
        """Return the names of the files that this run writes to `output_dir`, checkpoints apart."""
        config = self.config
        names = [TRAIN_RECORDS, state_file.STATE_FILE, directory.DROPPED_FILE] if config.do_train else []
        names += [EVAL_RECORDS, PREDICTIONS, NBEST_PREDICTIONS] if config.do_predict else []
        names += [NULL_ODDS] if config.do_predict and config.version_2_with_negative else []
        return names + [EVAL_RESULTS] * config.do_eval

    def read_predict_file(self) -> None:
        """Read the questions to answer and, to score, their answers; once, since the file may be a pipe."""
        config = self.config
        dataset = read_squad_json(str(config.predict_file), flag="--predict_file")
        self.examples = squad_examples(
            dataset,
            str(config.predict_file),
            is_training=False,
            version_2_with_negative=config.version_2_with_negative,
        )
        if not config.do_eval:
            return
        name = f"data set {config.predict_file}"
        self.unscorable = check_scorable(dataset, is_version_2=config.version_2_with_negative, name=name)
        if self.unscorable:
            logging.error("The predictions will not be scored, and --do_eval will fail: %s", self.unscorable)
        else:
            self.questions = read_questions(dataset, name)

    def use_weights(self) -> dict[str, float] | None:
        """Predict, evaluate and export; one that fails does not keep the others from what they can do without it."""
        config = self.config
        failures: list[Exception] = []
        metrics = None
        try:
            if config.do_predict:
                with doing("predicting"):
                    self.predict()
            if config.do_eval:
                with doing("evaluating"):
                    metrics = self.evaluate()
        except Exception as error:
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
        config = self.config
        content = read_content(str(config.train_file), "data set", flag="--train_file")
        left_out = NamedIds()
        examples = squad_examples(
            parse_json(content, f"The data set {config.train_file}"),
            str(config.train_file),
            is_training=True,
            version_2_with_negative=config.version_2_with_negative,
            left_out=left_out,
        )
        num_train_steps = config.num_train_steps(len(examples))
        if num_train_steps < 1:
            raise ConfigError(
                f"{config.train_file} has {len(examples)} questions to train on{left_out_note(left_out)}: with "
                f"--train_batch_size={config.train_batch_size} and --num_train_epochs={config.num_train_epochs} that "
                "is not one step."
            )
        this_run = self.description(content)
        del content
        optimizer = AdamWeightDecay(
            {name: entry.variable for name, entry in tf1_variables(self.model).items() if entry.trained}
        )
        directory.finish_dropping(config.output_dir)
        state_file.check_all_named(config.output_dir)
        if files.is_file(self.path(state_file.STATE_FILE)):
            allowed = config.allow_changed_run
            check_same_run(config.output_dir, this_run, allow_changed_run=allowed, trains=True)
        first_step, latest = 0, None
        restored = directory.restore_latest(config.output_dir, self.model, optimizer)
        if restored:
            latest, first_step = restored
            logging.info("Continuing from %s, step %d.", latest, first_step)
            if config.init_checkpoint:
                logging.info(
                    "--init_checkpoint=%s is not used, since %s is there.", config.init_checkpoint, latest
                )
        elif config.init_checkpoint:
            load_checkpoint(self.model, config.init_checkpoint)
        else:
            logging.info("Training starts from random weights, since there is no --init_checkpoint.")
        if first_step >= num_train_steps:
            logging.info(
                "Skipping training since max_steps has already saved. %s is at step %d of %d; to train on, raise "
                "--num_train_epochs; to train afresh, choose another --output_dir.",
                latest,
                first_step,
                num_train_steps,
            )
            return
        # LEGACY: pre-shuffled with a fixed seed, whatever --seed says.
        shuffle_examples(examples)
        num_features = self.write_records(TRAIN_RECORDS, examples, is_training=True)
        if num_features == 0:
            raise ConfigError(
                f"The passages of {config.train_file} hold no text, so there is nothing to train on."
            )
        write_record(config.output_dir, this_run, first_step)
        self.log_header("training", len(examples), num_features, config.train_batch_size)
        logging.info("  Num steps = %d", num_train_steps)
        train(
            make_train_step(
                self.model,
                optimizer,
                learning_rate=config.learning_rate,
                num_train_steps=num_train_steps,
                num_warmup_steps=int(num_train_steps * config.warmup_proportion),
                seed=config.seed,
                scales_loss=self.speed.dtype == "float16",
                jit_compile=self.speed.jit_compile,
            ),
            with_named_errors(
                train_batches(
                    self.path(TRAIN_RECORDS),
                    max_seq_length=config.max_seq_length,
                    batch_size=config.train_batch_size,
                    seed=config.seed,
                    first_step=first_step,
                ),
                self.path(TRAIN_RECORDS),
            ),
            first_step=first_step,
            num_train_steps=num_train_steps,
            batch_size=config.train_batch_size,
            save_steps=config.save_checkpoints_steps,
            save=lambda step: directory.save(
                config.output_dir, self.model, optimizer, step, config.keep_checkpoint_max
            ),
            resumed_from=latest,
        )

    def description(self, train_data: bytes | None = None) -> dict[str, Any]:
        """Describe this run for its record."""
        return describe_run(
            self.config, self.bert_config, self.tokenizer.vocab, dataclasses.asdict(self.speed), train_data
        )

    def predict(self) -> None:
        config, examples = self.config, self.examples
        num_features = self.write_records(EVAL_RECORDS, examples, is_training=False)
        self.log_header("predictions", len(examples), num_features, config.predict_batch_size)
        results = make_predictor(self.model.for_prediction(), jit_compile=self.speed.jit_compile)(
            with_named_errors(
                predict_batches_by_length(
                    self.path(EVAL_RECORDS),
                    max_seq_length=config.max_seq_length,
                    batch_size=min(config.predict_batch_size, max(1, num_features)),
                    cut_padding=self.speed.pad_to == "batch",
                ),
                self.path(EVAL_RECORDS),
            ),
        )
        answers = stream_predictions(
            examples,
            self.features(examples),
            self.reported(results, num_features),
            NbestOptions(
                n_best_size=config.n_best_size,
                max_answer_length=config.max_answer_length,
                do_lower_case=config.do_lower_case,
                version_2_with_negative=config.version_2_with_negative,
                null_score_diff_threshold=config.null_score_diff_threshold,
                verbose_logging=config.verbose_logging,
            ),
        )
        logging.info("Writing predictions to: %s", self.path(PREDICTIONS))
        logging.info("Writing nbest to: %s", self.path(NBEST_PREDICTIONS))
        write_predictions(
            answers,
            (example.qas_id for example in examples),
            predictions_file=self.path(PREDICTIONS),
            nbest_file=self.path(NBEST_PREDICTIONS),
            null_odds_file=self.path(NULL_ODDS) if config.version_2_with_negative else None,
        )

    def evaluate(self) -> dict[str, float]:
        config = self.config
        if self.questions is None:
            raise DataError(str(self.unscorable))
        metrics = evaluate(
            self.questions,
            self.path(PREDICTIONS),
            self.path(NULL_ODDS) if config.version_2_with_negative else None,
        )
        with whole_files.open_whole(self.path(EVAL_RESULTS)) as writer:
            writer.write(json.dumps(metrics, indent=4) + "\n")
        logging.info("Writing metrics to: %s", self.path(EVAL_RESULTS))
        try:
            print(format_metrics_table(metrics), flush=True)
        except (OSError, ValueError) as error:  # the reader is gone, or the disk full: the file has it all
            logging.warning("Cannot print the metrics (%s); they are in the file.", first_line(error))
        return metrics

    def export(self, metrics: dict[str, float] | None) -> None:
        from bert_squad.serving.export import (
            export_model,  # it loads TensorFlow Text, which others do without
        )

        export_model(
            self.model,
            self.config,
            self.bert_config,
            self.tokenizer,
            metrics,
            self.export_dir,
            self.config.export_dtype,
        )

    def load_weights(self) -> None:
        """Restore the latest checkpoint of `output_dir`, else `init_checkpoint`.

        Raises:
          CheckpointError: when there is neither, unless random weights are allowed. Differs: the legacy script
            then predicted with random weights and said nothing.
        """
        config = self.config
        restored = directory.restore_latest(config.output_dir, self.model)
        if restored:
            logging.info("Predicting with %s, step %d.", *restored)
            if config.init_checkpoint and not config.do_train:
                logging.info(
                    "--init_checkpoint=%s is not used, since %s is there.",
                    config.init_checkpoint,
                    restored[0],
                )
            self.check_same_run(os.path.dirname(restored[0]))
            return
        lying = state_file.checkpoints_in(config.output_dir)
        if lying:
            logging.warning(
                "%s holds %s but no `checkpoint` file that names one of them, so none is used.",
                config.output_dir,
                ", ".join(lying),
            )
        if config.init_checkpoint:
            summary = load_checkpoint(self.model, config.init_checkpoint)
            head = [name for name in summary.missing if name.startswith("cls/squad/")]
            if head and not config.allow_random_weights:
                raise CheckpointError(
                    f"{config.init_checkpoint} has no span head ({', '.join(head)}): it was not trained to answer "
                    "questions, and its answers would be random. Train it first with --do_train, or name one that was "
                    "(--allow_random_weights predicts all the same)."
                )
            if head:
                logging.warning("Predicting with a random span head, as --allow_random_weights says.")
            path = config.init_checkpoint
            self.check_same_run(path if files.is_directory(path) else os.path.dirname(path))
        elif config.allow_random_weights:
            logging.warning("Predicting with random weights, as --allow_random_weights says.")
        else:
            raise CheckpointError(
                f"There is no checkpoint in {config.output_dir} and no --init_checkpoint, so there is nothing to "
                "predict with: train first, or name one (--allow_random_weights predicts with random weights)."
            )

    def check_same_run(self, where: str) -> None:
        """Compare this prediction with the training whose checkpoint lies in a directory."""
        if not self.config.do_train:
            allowed = self.config.allow_changed_run
            check_same_run(where or ".", self.description(), allow_changed_run=allowed, trains=False)

    def features(self, examples: list[SquadExample]) -> Iterator[InputFeatures]:
        """Make the features of the records again, one at a time: that is quicker than to keep them all."""
        config = self.config
        windows = make_windows(
            examples,
            self.tokenizer,
            config.max_seq_length,
            config.doc_stride,
            config.max_query_length,
            is_training=False,
        )
        return map(InputFeatures.from_window, windows)

    def write_records(self, name: str, examples: list[SquadExample], is_training: bool) -> int:
        config = self.config
        return write_features(
            self.path(name),
            examples,
            self.tokenizer,
            max_seq_length=config.max_seq_length,
            doc_stride=config.doc_stride,
            max_query_length=config.max_query_length,
            is_training=is_training,
        )

    @staticmethod
    def log_header(what: str, num_examples: int, num_features: int, batch_size: int) -> None:
        logging.info("***** Running %s *****", what)
        logging.info("  Num orig examples = %d", num_examples)
        logging.info("  Num split examples = %d", num_features)
        logging.info("  Batch size = %d", batch_size)

    @staticmethod
    def reported(results, num_features: int):
        """Yield the results, logging every ten seconds how far they are."""
        last = time.monotonic()
        for count, result in enumerate(results, start=1):
            if time.monotonic() - last > 10:
                last = time.monotonic()
                logging.info("predicted %d of %d features", count, num_features)
            yield result


def _devices() -> str:
    """Return what the run computes on, for the log."""
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return ", ".join(names) or f"the CPU ({os.cpu_count()} cores)"
