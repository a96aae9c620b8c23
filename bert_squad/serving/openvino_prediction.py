"""Let OpenVINO predict for `--do_predict`: with the weights of the run, or with a model that was exported before."""

import tensorflow as tf
from absl import logging

from bert_squad import files, whole_files
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.serving.export_settings import read_settings
from bert_squad.serving.openvino_answers import Predictor
from bert_squad.serving.openvino_engine import SIGNATURE, OpenVinoEncoder, compile_saved_model, read_model
from bert_squad.serving.signatures import ServedModel
from bert_squad.serving.versions import latest_version
from bert_squad.text.tokenization import FullTokenizer


def predictor_of_run(
    model: BertForSquad, config: SquadConfig, bert_config: BertConfig, tokenizer: FullTokenizer, dtype: str
) -> Predictor:
    """Have OpenVINO predict with the weights that a model has now.

    Args:
      model: with its weights loaded.
      config: the run.
      bert_config: describes the model.
      tokenizer: the run's.
      dtype: see `OpenVinoEncoder`.

    Raises:
      ConfigError: when OpenVINO is not installed, or cannot read the model.
      OutputError: when there is no room for the model in the directory of temporary files.
    """
    with whole_files.scratch_directory() as scratch:
        served = ServedModel(model.with_all_in("float32"), config, bert_config, tokenizer, "features")
        try:
            tf.saved_model.save(served, scratch, signatures={SIGNATURE: served.functions[SIGNATURE]})
        except (OSError, tf.errors.OpError) as error:
            raise files.refusal(f"Cannot write the model to {scratch}", error) from error
        return compile_saved_model(scratch, dtype).predict


def predictor_of_export(
    path: str, bert_config: BertConfig, tokenizer: FullTokenizer, dtype: str
) -> Predictor:
    """Have OpenVINO predict with a model that was exported or quantized.

    Args:
      path: its version directory, or that of all versions.
      bert_config: of the run; the model must be of these sizes.
      tokenizer: of the run; the model must have been exported with it.
      dtype: see `OpenVinoEncoder`.

    Raises:
      ConfigError: when it cannot be read, or belongs to another run.
    """
    version_dir = latest_version(path, "--engine_model")
    settings = read_settings(version_dir)
    if settings.tokenizer.vocab_content != tokenizer.vocab_content:
        raise ConfigError(
            f"{tokenizer.vocab_file} is not the vocabulary that the model {version_dir} was exported with; check "
            "--vocab_file and --engine_model."
        )
    if settings.options.do_lower_case != tokenizer.basic_tokenizer.do_lower_case:
        raise ConfigError(
            f"The model {version_dir} was exported with --do_lower_case={settings.options.do_lower_case}; add that, "
            "or check --engine_model."
        )
    if settings.bert_config.to_dict() != bert_config.to_dict():
        raise ConfigError(
            f"The model {version_dir} is not the one that --bert_config_file describes; check that and --engine_model."
        )
    encoder = OpenVinoEncoder(read_model(version_dir, settings), dtype)
    logging.info("Predicting with the model %s.", version_dir)
    return encoder.predict
