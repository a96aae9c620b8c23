"""What else is done with a run's flags: all kept checkpoints are scored, or its model is loaded to be asked."""

from typing import NamedTuple

from absl import logging

from bert_squad import files, locks, whole_files
from bert_squad.activity import doing
from bert_squad.answers.checkpoint_scores import EVALUATIONS, kept_checkpoints, score_checkpoints
from bert_squad.answers.prediction import Predictor, make_predictor
from bert_squad.answers.prediction_files import PREDICTION_LOCK
from bert_squad.answers.scoring import ScoredQuestions
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.run_parts import EVAL_RECORDS, RunParts
from bert_squad.text.tokenization import FullTokenizer


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
    parts = RunParts(config, bert_config or BertConfig.from_json_file(config.bert_config_file))
    logging.info("Running on %s.", parts.devices.description)
    kept_checkpoints(config.output_dir)
    whole_files.remove_abandoned(parts.path(EVALUATIONS))
    with locks.exclusive(parts.path(PREDICTION_LOCK), "predicting"):
        with doing(f"reading {config.predict_file}"):
            parts.read_predict_file(must_be_scorable=True)
        parts.check_trained_alike(config.output_dir)
        if config.takes_tuned_threshold:
            parts.take_tuned_threshold()
        parts.model = parts.make_model()
        files.make_directory(parts.path(EVALUATIONS))
        scored = ScoredQuestions(
            parts.prepared_questions(parts.examples, files.join(EVALUATIONS, EVAL_RECORDS)),
            parts.questions,
            version_2_with_negative=config.version_2_with_negative,
        )
        # Asked for once more: a training may have saved others meanwhile.
        prefixes = kept_checkpoints(config.output_dir)
        return score_checkpoints(prefixes, parts.path(EVALUATIONS), parts.model, scored)


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
    parts = RunParts(config, bert_config)
    parts.model = parts.make_model()
    with doing("loading the weights"):
        parts.load_weights()
    if config.takes_tuned_threshold:
        parts.take_tuned_threshold()
    predict = make_predictor(parts.model, jit_compile=parts.compute.jit_compile)
    return LoadedRun(parts.config, parts.tokenizer, predict, parts.place, parts.step)
