"""Write a model as a Hugging Face directory, a `BertForQuestionAnswering` that transformers loads.

    config.json             the configuration; our "gelu" is their "gelu_new", the tanh approximation
    model.safetensors       the weights, float32; the step is kept in its metadata
    vocab.txt               the vocabulary, byte by byte
    tokenizer_config.json   whether the tokenizer lower-cases, and the special tokens
    README.md               the model card
    run.json                what the training was, if that is known

The directory appears whole under its name, or not at all.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from bert_squad import files, whole_files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.huggingface import CONFIG_FILE, STEP_KEY, WEIGHTS_FILE
from bert_squad.checkpoints.model_card import CARD_FILE
from bert_squad.checkpoints.model_files import VOCAB_FILE
from bert_squad.checkpoints.names import from_legacy
from bert_squad.checkpoints.tokenizer_settings import TOKENIZER_CONFIG_FILE
from bert_squad.errors import OutputError
from bert_squad.model.layers import LAYER_NORM_EPSILON
from bert_squad.run_record import RUN_RECORD


def write_huggingface_directory(
    directory: str,
    weights: Mapping[str, np.ndarray],
    bert_config: BertConfig,
    vocabulary: bytes,
    do_lower_case: bool,
    card: str,
    step: int | None = None,
    record: bytes | None = None,
) -> None:
    """Write a Hugging Face model.

    Args:
      directory: must not exist, or be empty.
      weights: by legacy name, in the legacy shapes; every name must be one that `names.from_legacy` knows.
      bert_config: the model's.
      vocabulary: contents of `vocab.txt`.
      do_lower_case: whether the tokenizer lower-cases.
      card: contents of `README.md`.
      step: number of training steps done, or None.
      record: contents of `run.json`, or None.

    Raises:
      OutputError: when the directory is there already or cannot be written; nothing is left of it then.
    """
    check_writable_target(directory)
    place = os.path.realpath(directory)  # where a link leads, and without a `.` at the end
    whole_files.remove_abandoned(os.path.dirname(place))
    with whole_files.complete_directory(
        place,
        lambda temporary: files.rename(temporary, place),  # an empty directory is replaced
        problem=f"Cannot write the Hugging Face directory {directory}",
    ) as temporary:
        _write_json(files.join(temporary, CONFIG_FILE), huggingface_config(bert_config))
        _write_json(
            files.join(temporary, TOKENIZER_CONFIG_FILE), tokenizer_config(bert_config, do_lower_case)
        )
        files.write_bytes(files.join(temporary, VOCAB_FILE), vocabulary)
        files.write_bytes(files.join(temporary, CARD_FILE), card.encode())
        if record is not None:
            files.write_bytes(files.join(temporary, RUN_RECORD), record)
        _write_weights(files.join(temporary, WEIGHTS_FILE), weights, step)


def check_writable_target(directory: str) -> None:
    """Refuse a place where a Hugging Face directory cannot appear.

    Raises:
      OutputError: when something is there already, or the path is a remote one.
    """
    if files.is_remote(directory):
        raise OutputError(
            f"{directory} is remote; write the Hugging Face directory to a local disk and copy it."
        )
    if files.is_directory(directory) and os.path.samefile(directory, "."):
        raise OutputError(f"{directory} is the current directory, which cannot be replaced; name a new one.")
    if files.is_directory(directory) and not files.names_in(directory):
        return
    if os.path.lexists(directory):
        raise OutputError(f"{directory} exists already; name a new directory, or delete that one.")


def _write_weights(path: str, weights: Mapping[str, np.ndarray], step: int | None) -> None:
    metadata = {"format": "pt"} | ({} if step is None else {STEP_KEY: str(step)})
    try:
        save_file(_huggingface_weights(weights), path, metadata)
    except SafetensorError as error:  # the library's own, for a full disk too
        raise OSError(str(error)) from None


def _huggingface_weights(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    translated = {}
    for name, value in weights.items():
        variable = from_legacy(name)
        assert variable is not None, name
        value = value.T if variable.transposed else value
        translated[variable.huggingface] = np.ascontiguousarray(value)
    return translated


def huggingface_config(bert_config: BertConfig) -> dict[str, Any]:
    """Return the `config.json` of a model.

    >>> huggingface_config(BertConfig(vocab_size=100))["hidden_act"]
    'gelu_new'
    """
    activation = (bert_config.hidden_act or "linear").lower()
    return {
        "architectures": ["BertForQuestionAnswering"],
        "model_type": "bert",
        **bert_config.to_dict(),
        "hidden_act": "gelu_new" if activation == "gelu" else activation,
        "layer_norm_eps": LAYER_NORM_EPSILON,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "dtype": "float32",
    }


def tokenizer_config(bert_config: BertConfig, do_lower_case: bool) -> dict[str, Any]:
    """Return the `tokenizer_config.json` of a model."""
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": do_lower_case,
        "do_basic_tokenize": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,  # as do_lower_case says
        "model_max_length": bert_config.max_position_embeddings,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }


def _write_json(path: str, values: dict[str, Any]) -> None:
    files.write_bytes(path, (json.dumps(values, indent=2) + "\n").encode())
