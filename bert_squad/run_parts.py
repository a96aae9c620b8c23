"""What the stages of a run share: its model, questions and weights. The names of the output files live here."""

import dataclasses

import tensorflow as tf
import tf_keras
from absl import logging

from bert_squad import files
from bert_squad.answers.answering import PreparedQuestions
from bert_squad.answers.metrics_input import QuestionSet, check_scorable, read_questions
from bert_squad.answers.null_threshold import (
    THRESHOLD_FILE,
    TunedThreshold,
    read_threshold,
)
from bert_squad.answers.prediction import Predictor
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.prediction_weights import load_to_predict
from bert_squad.compute_options import choose_compute_options, engine_dtype
from bert_squad.config import SquadConfig
from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.sources import read_data_set
from bert_squad.devices.strategies import open_devices
from bert_squad.errors import ConfigError, DataError
from bert_squad.interruption import raised_afterwards
from bert_squad.model.squad_model import BertForSquad
from bert_squad.run_record import check_same_run, describe_run
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.evaluations import BEST, check_best

EVAL_RECORDS = "eval.tf_record"
EVAL_STEPS_RECORDS = "eval_steps.tf_record"  # apart, since somebody else may predict meanwhile
EXPORT = "export"
TRAINING_LOCK = ".bert_squad.training.lock"


class RunParts:
    """A run whose flags and files were checked. Nothing is read or computed before it is asked for.

    Args:
      config: the run.
      bert_config: the model.

    Raises:
      BertSquadError: of the kind that says what is wrong with the flags or files.
    """

    model: BertForSquad  # once it is made

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
        """Return a model with random weights."""
        with raised_afterwards(), self.devices.scope():
            tf_keras.utils.set_random_seed(self.config.seed)
            return BertForSquad(
                self.bert_config, compute_dtype=self.compute.model_dtype, pad_to=self.compute.pad_to
            )

    def path(self, name: str) -> str:
        """Return the path of a file in `output_dir`."""
        return files.join(self.config.output_dir, name)

    def prepare_engine(self) -> None:
        """Refuse, before anything slow starts, an engine that is not there, or a model that it cannot read."""
        from bert_squad.serving.openvino_engine import import_openvino

        import_openvino()
        if self.config.engine_model is not None:
            from bert_squad.serving.openvino_prediction import predictor_of_export

            self.engine_predict = predictor_of_export(
                self.config.engine_model, self.bert_config, self.tokenizer, engine_dtype(self.config)
            )

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
        """Write the records of questions, and have them answered by the model, or by another engine."""
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
