"""One run: train, predict, evaluate, export, as a `SquadConfig` says. The names of the output files live here."""

import contextlib
import dataclasses
from typing import NamedTuple

import tensorflow as tf
import tf_keras
from absl import logging

from bert_squad import files, locks, whole_files
from bert_squad.activity import activity_at, doing
from bert_squad.answers.answering import PreparedQuestions
from bert_squad.answers.checkpoint_scores import EVALUATIONS, kept_checkpoints, score_checkpoints
from bert_squad.answers.metrics import format_metrics_table
from bert_squad.answers.metrics_input import QuestionSet, check_scorable, read_questions
from bert_squad.answers.null_threshold import (
    THRESHOLD_FILE,
    TunedThreshold,
    read_threshold,
    tune_threshold,
    write_threshold,
)
from bert_squad.answers.prediction import Predictor, make_predictor
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
from bert_squad.checkpoints.prediction_weights import load_to_predict
from bert_squad.compute_options import choose_compute_options, engine_dtype
from bert_squad.config import SquadConfig
from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.sources import read_data_set
from bert_squad.devices.agreement import check_same, describe_process
from bert_squad.devices.strategies import open_devices
from bert_squad.errors import ConfigError, DataError, first_line
from bert_squad.model.squad_model import BertForSquad
from bert_squad.run_record import check_same_run, describe_run, read_record, record_scores
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.evaluations import BEST, check_best
from bert_squad.training.history import HISTORY
from bert_squad.training.session import TRAIN_RECORDS, train_model

EVAL_RECORDS = "eval.tf_record"
EVAL_STEPS_RECORDS = "eval_steps.tf_record"  # apart, since somebody else may predict meanwhile
EXPORT = "export"
TRAINING_LOCK = ".bert_squad.training.lock"


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


def evaluate_checkpoints(
    config: SquadConfig, bert_config: BertConfig | None = None
) -> dict[int, dict[str, float]]:
    """Predict and score with every checkpoint that the `checkpoint` file of `config.output_dir` names.

    The files of each go to `evaluations/STEP` there; those of a prediction with the latest are not touched.

    Args:
      config: the run, with `do_predict` and `do_eval`; one process alone can do it.
      bert_config: as for `run`.

    Returns:
      Step → metrics, the earliest first.

    Raises:
      BertSquadError: of the kind that says what is wrong; the files of checkpoints that were scored stay.
    """
    return _Run(
        config, bert_config or BertConfig.from_json_file(config.bert_config_file)
    ).evaluate_checkpoints()


class LoadedRun(NamedTuple):
    """What a run would predict with.

    Attributes:
      config: the run, with the threshold that it would use.
      tokenizer: its tokenizer.
      predict: see `make_predictor`.
      place: directory of the checkpoint; None for random weights.
      step: number of training steps done; None when nothing says so.
    """

    config: SquadConfig
    tokenizer: FullTokenizer
    predict: Predictor
    place: str | None
    step: int | None


def load_run(config: SquadConfig, bert_config: BertConfig) -> LoadedRun:
    """Load what a run would predict with, and do nothing else.

    Args:
      config: the run, with `do_predict` or `do_export`; one process alone can do it.
      bert_config: the model.

    Raises:
      BertSquadError: of the kind that says what is wrong.
    """
    return _Run(config, bert_config).load()


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
        self.compute = choose_compute_options(config)
        self.tokenizer = FullTokenizer(config.vocab_file, do_lower_case=config.do_lower_case)
        config.validate_vocabulary(self.bert_config, self.tokenizer.highest_id + 1)
        self.examples: list[SquadExample] = []  # of --predict_file, like the questions to score
        self.questions: QuestionSet | None = None
        self.unscorable: str | None = None  # why they cannot be scored
        self.export_dir = config.export_dir or self.path(EXPORT)
        self.tuned: TunedThreshold | None = None  # by this run
        self.place: str | None = None  # of the checkpoint that is used
        self.step: int | None = None  # of its weights, if anything says it
        self.devices = open_devices(config, self.compute)
        self.records_dir = config.output_dir
        self.engine_predict: Predictor | None = None  # instead of the model

    def make_model(self) -> BertForSquad:
        tf_keras.utils.set_random_seed(self.config.seed)
        with self.devices.scope():
            return BertForSquad(
                self.bert_config, compute_dtype=self.compute.dtype, pad_to=self.compute.pad_to
            )

    def path(self, name: str) -> str:
        return files.join(self.config.output_dir, name)

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

    def prepare_engine(self) -> None:
        """Refuse, before anything slow starts, an engine that is not there, or a model that it cannot read."""
        from bert_squad.serving.openvino_engine import import_openvino

        import_openvino()
        if self.config.engine_model is not None:
            from bert_squad.serving.openvino_prediction import predictor_of_export

            self.engine_predict = predictor_of_export(
                self.config.engine_model, self.bert_config, self.tokenizer, engine_dtype(self.config)
            )

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

    def read_predict_file(self, *, must_be_scorable: bool = False) -> None:
        """Read the questions to answer and, to score, their answers; once, since the file may be a pipe."""
        config = self.config
        data = read_data_set(str(config.predict_file), "--predict_file")
        self.examples = squad_examples(
            data.squad,
            data.name,
            is_training=False,
            version_2_with_negative=config.version_2_with_negative,
            located=config.write_offsets,
            members=data.members,
        )
        most = config.max_predict_questions or len(self.examples)
        self.examples = self.examples[:most]
        if not (config.do_eval or config.eval_steps or config.tune_null_threshold):
            return
        name = f"data set {data.name}"
        self.unscorable = check_scorable(
            data.squad, is_version_2=config.version_2_with_negative, name=name, most=most
        )
        if self.unscorable and must_be_scorable:
            raise DataError(self.unscorable)
        if self.unscorable and config.eval_steps:
            raise DataError(f"{self.unscorable} (--eval_steps scores the answers while it trains.)")
        if self.unscorable and config.tune_null_threshold:
            raise DataError(f"{self.unscorable} (--tune_null_threshold scores the answers.)")
        if self.unscorable:
            logging.error("The predictions will not be scored, and --do_eval will fail: %s", self.unscorable)
        else:
            self.questions = read_questions(data.squad, name, most)

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

    def load_weights(self) -> None:
        """Load what is predicted with and exported."""
        config = self.config
        if config.use_best:
            check_best(config.output_dir)
        self.place, self.step = load_to_predict(
            self.model,
            self.path(BEST) if config.use_best else config.output_dir,
            config.init_checkpoint,
            allow_random_weights=config.allow_random_weights,
            has_trained=config.do_train,
        )
        if config.do_predict:
            self.devices.copy_from_chief(self.model.weights)
        if self.place and not config.do_train:  # else it was compared before training
            self.check_trained_alike(self.place)

    def check_trained_alike(self, place: str) -> None:
        """Refuse weights that mean nothing with this vocabulary and model, by the record beside them."""
        config, choices = self.config, dataclasses.asdict(self.compute)
        this_run = describe_run(config, self.bert_config, self.tokenizer.vocab, choices, train_data=None)
        check_same_run(place, this_run, allow_changed_run=config.allow_changed_run, trains=False)

    def take_tuned_threshold(self) -> None:
        """Let an earlier run's threshold be this one's."""
        tuned = read_threshold(self.config.output_dir)
        if tuned is not None:
            logging.info(
                "The threshold %g, which was tuned on %s, is used (%s).",
                tuned.threshold,
                tuned.tuned_on,
                self.path(THRESHOLD_FILE),
            )
            self.config = dataclasses.replace(self.config, null_score_diff_threshold=tuned.threshold)

    def prepared_questions(
        self, examples: list[SquadExample], records_name: str, engine: str = "tensorflow"
    ) -> PreparedQuestions:
        records = files.join(self.records_dir, records_name)
        compute = self.compute
        if engine == "openvino":
            compute = dataclasses.replace(compute, pad_to="batch")
            if self.engine_predict is None:
                from bert_squad.serving.openvino_prediction import predictor_of_run

                self.engine_predict = predictor_of_run(
                    self.model, self.config, self.bert_config, self.tokenizer, engine_dtype(self.config)
                )
        return PreparedQuestions(
            self.config,
            examples,
            self.tokenizer,
            compute,
            self.model if engine == "tensorflow" else None,
            records,
            self.devices,
            None if engine == "tensorflow" else self.engine_predict,
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
            model = BertForSquad(self.bert_config, self.compute.dtype, self.compute.pad_to).take_weights_of(
                model
            )
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

    def load(self) -> LoadedRun:
        """Load what is predicted with; see `load_run`."""
        self.model = self.make_model()
        with doing("loading the weights"):
            self.load_weights()
        if self.config.takes_tuned_threshold:
            self.take_tuned_threshold()
        predict = make_predictor(self.model, jit_compile=self.compute.jit_compile)
        return LoadedRun(self.config, self.tokenizer, predict, self.place, self.step)

    def evaluate_checkpoints(self) -> dict[int, dict[str, float]]:
        """Score all kept checkpoints; see the function of this name."""
        config = self.config
        logging.info("Running on %s.", self.devices.description)
        kept_checkpoints(config.output_dir)
        whole_files.remove_abandoned(self.path(EVALUATIONS))
        with locks.exclusive(self.path(PREDICTION_LOCK), "predicting"):
            with doing(f"reading {config.predict_file}"):
                self.read_predict_file(must_be_scorable=True)
            self.check_trained_alike(config.output_dir)
            if config.takes_tuned_threshold:
                self.take_tuned_threshold()
            self.model = self.make_model()
            files.make_directory(self.path(EVALUATIONS))
            scored = ScoredQuestions(
                self.prepared_questions(self.examples, files.join(EVALUATIONS, EVAL_RECORDS)),
                self.questions,
                version_2_with_negative=config.version_2_with_negative,
            )
            # Asked for once more: a training may have saved others meanwhile.
            prefixes = kept_checkpoints(config.output_dir)
            return score_checkpoints(prefixes, self.path(EVALUATIONS), self.model, scored)
