"""What a program needs to know of an exported model to tokenize, cut windows and choose answers by itself.

A model knows features only; the rest is in `export.json` and `assets.extra/vocab.txt` beside it. No TensorFlow here.
"""

import hashlib
from typing import Any, NamedTuple

from bert_squad import files
from bert_squad.answers.nbest import NbestOptions
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import BertSquadError, ConfigError
from bert_squad.json_files import read_json
from bert_squad.serving.versions import ASSETS_EXTRA, EXPORT_JSON, VOCABULARY, check_version
from bert_squad.text.tokenization import FullTokenizer

_FLAGS = (
    "max_seq_length",
    "doc_stride",
    "max_query_length",
    "n_best_size",
    "max_answer_length",
    "do_lower_case",
    "version_2_with_negative",
    "null_score_diff_threshold",
)


class ExportSettings(NamedTuple):
    """What was built into a model when it was exported.

    Attributes:
      lengths: of its windows.
      options: how its answers are chosen.
      tokenizer: the run's.
      bert_config: describes the model.
      dtype: of its weights, one of `EXPORT_DTYPES`.
      description: all of `export.json`.
    """

    lengths: WindowLengths
    options: NbestOptions
    tokenizer: FullTokenizer
    bert_config: BertConfig
    dtype: str
    description: dict[str, Any]


def read_settings(version_dir: str) -> ExportSettings:
    """Read what goes with a model, after its files were compared with those that were exported.

    Args:
      version_dir: of an export, or of a quantized model.

    Raises:
      ConfigError: when there is nothing to read, it is damaged, or the vocabulary is not the model's.
    """
    check_version(version_dir)
    path = files.join(version_dir, EXPORT_JSON)
    if not files.exists(path):
        raise ConfigError(
            f"The model {version_dir} has no {EXPORT_JSON}, which says how its windows are made; give one that was "
            "exported with --do_export."
        )
    description = read_json(path, "description of a model", flag="--model", error=ConfigError)
    try:
        flags = {name: description["flags"][name] for name in _FLAGS}
        config = SquadConfig(bert_config_file="", vocab_file="", output_dir="", **flags)
        bert_config = BertConfig.from_dict(description["bert_config"])
        dtype, sha256 = description["export_dtype"], description["vocabulary"]["sha256"]
        lengths = WindowLengths(config.max_seq_length, config.doc_stride, config.max_query_length)
        options = NbestOptions(
            config.n_best_size,
            config.max_answer_length,
            config.do_lower_case,
            config.version_2_with_negative,
            config.null_score_diff_threshold,
        )
    except (AttributeError, BertSquadError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged: it does not describe a model ({files.reason_of(error)}); export it again with "
            "--do_export."
        ) from None
    tokenizer = _read_vocabulary(version_dir, sha256, config.do_lower_case)
    return ExportSettings(lengths, options, tokenizer, bert_config, dtype, description)


def _read_vocabulary(version_dir: str, sha256: str, do_lower_case: bool) -> FullTokenizer:
    path = files.join(version_dir, ASSETS_EXTRA, VOCABULARY)
    if not files.is_file(path):
        raise ConfigError(
            f"The model {version_dir} is not whole: {ASSETS_EXTRA}/{VOCABULARY} is missing; export it again with "
            "--do_export."
        )
    try:
        tokenizer = FullTokenizer(path, do_lower_case=do_lower_case)
    except BertSquadError as error:
        raise ConfigError(str(error)) from None
    if hashlib.sha256(tokenizer.vocab_content).hexdigest() != sha256:
        raise ConfigError(
            f"The vocabulary {path} is not the one that the model was exported with, so that every answer would be "
            "wrong; export it again with --do_export."
        )
    return tokenizer
