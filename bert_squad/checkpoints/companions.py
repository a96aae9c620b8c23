"""Gather what goes with the weights when a checkpoint is converted: configuration, vocabulary, lower-casing."""

import dataclasses
import json
import os

from absl import logging

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.huggingface import read_object
from bert_squad.checkpoints.model_files import (
    check_tokenizer,
    files_beside,
    looks_lower_cased,
    vocabulary_of_tokenizer,
)
from bert_squad.errors import DataError
from bert_squad.text.tokenization import load_vocab


@dataclasses.dataclass(frozen=True)
class Companions:
    """What goes with the weights of one checkpoint; None for what was neither named nor found.

    Args:
      bert_config: the configuration.
      config_json: contents of a `bert_config.json`: the file itself if there is one.
      vocabulary: contents of a `vocab.txt`.
      do_lower_case: whether the vocabulary is of an uncased model.
    """

    bert_config: BertConfig | None = None
    config_json: bytes | None = None
    vocabulary: bytes | None = None
    do_lower_case: bool | None = None


def gather_companions(
    source: str,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
) -> Companions:
    """Take what is named, else what lies beside the checkpoint.

    Args:
      source: the checkpoint.
      bert_config_file: named by the caller, or None.
      vocab_file: likewise.
      do_lower_case: likewise; without it the tokenizer's settings say it, or else the vocabulary: a cased one
        has pieces with capitals.

    Raises:
      BertSquadError: when a file is damaged, or the vocabulary is larger than the configuration says.
    """
    beside = files_beside(source)
    bert_config, config_json = None, None
    config_file = bert_config_file or beside.bert_config_file
    if config_file:
        bert_config = BertConfig.from_json_file(config_file)
        config_json = files.read_bytes(config_file)
        if "model_type" in read_object(config_file):  # a Hugging Face one: the legacy script cannot read it
            config_json = (json.dumps(bert_config.to_dict(), indent=2) + "\n").encode()
    vocabulary = _vocabulary(source, vocab_file or beside.vocab_file)
    if vocabulary is not None:
        pieces = vocabulary.decode("utf-8").rstrip().split("\n")  # blank lines at the end are no pieces
        if bert_config and len(pieces) > bert_config.vocab_size:
            raise DataError(
                f"The vocabulary of {source} has {len(pieces)} pieces, but {config_file} says vocab_size "
                f"{bert_config.vocab_size}; name the vocabulary that came with the model with --vocab_file."
            )
        declared = beside.tokenizer.do_lower_case
        looks = looks_lower_cased(pieces) if declared is None else declared
        if not vocab_file:
            check_tokenizer(beside.tokenizer, looks, source)
        do_lower_case = declared if do_lower_case is None else do_lower_case
        if do_lower_case is None:
            do_lower_case = looks
            logging.info(
                "Taking the vocabulary for one of %s model, by its pieces; --do_lower_case says otherwise.",
                "an uncased" if do_lower_case else "a cased",
            )
    return Companions(bert_config, config_json, vocabulary, do_lower_case)


def _vocabulary(source: str, vocab_file: str | None) -> bytes | None:
    if vocab_file:
        load_vocab(vocab_file)  # refuses what is no vocabulary
        return files.read_bytes(vocab_file)
    directory = source if files.is_directory(source) else os.path.dirname(source)
    return vocabulary_of_tokenizer(directory)
