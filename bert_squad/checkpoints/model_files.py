"""What a model needs besides weights: its configuration, vocabulary and whether it lower-cases. No TensorFlow.

Published models keep these beside the weights: `bert_config.json` and `vocab.txt` beside a TF1 checkpoint,
`config.json`, `vocab.txt` (or only `tokenizer.json`, as transformers 5 writes it) and `tokenizer_config.json` in a
Hugging Face directory.
"""

import dataclasses
import json
import os
from collections.abc import Iterable

from absl import logging

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.huggingface import CONFIG_FILE, read_object
from bert_squad.checkpoints.tokenizer_settings import (
    NOTHING_SAID,
    TOKENIZER_FILE,
    TokenizerSettings,
    read_tokenizer_settings,
)
from bert_squad.errors import CheckpointError, ConfigError, DataError
from bert_squad.text.tokenization import load_vocab

BERT_CONFIG_FILE = "bert_config.json"
VOCAB_FILE = "vocab.txt"
_SHARE_OF_CAPITALS = 0.01  # of the pieces; uncased vocabularies have none, or a few Roman numerals (U+2160)


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """What lies beside weights; None for what does not.

    Args:
      bert_config_file: a `bert_config.json` or a Hugging Face `config.json`.
      vocab_file: a `vocab.txt`.
      tokenizer: what its settings say.
    """

    bert_config_file: str | None = None
    vocab_file: str | None = None
    tokenizer: TokenizerSettings = NOTHING_SAID


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """What goes with the weights of one checkpoint, read; None for what was neither named nor found.

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


def huggingface_files(path: str) -> ModelFiles:
    """Return what a Hugging Face directory, or the directory of a `.safetensors` file, holds besides weights.

    Returns:
      Nothing but None when the path is something else.

    Raises:
      CheckpointError: when the tokenizer's settings cannot be read.
    """
    directory = os.path.dirname(path) if path.endswith(".safetensors") else path
    if not files.is_file(files.join(directory, CONFIG_FILE)):
        return ModelFiles()
    return files_in(directory)


def files_beside(path: str) -> ModelFiles:
    """Return what lies in the directory of a checkpoint of any kind; arguments and errors as above."""
    return files_in(_directory_of(path))


def _directory_of(path: str) -> str:
    return path if files.is_directory(path) else os.path.dirname(path)


def files_in(directory: str) -> ModelFiles:
    """Return what a directory holds; a legacy `bert_config.json` goes before a `config.json`."""

    def find(*names: str) -> str | None:
        paths = (files.join(directory, name) for name in names)
        return next((path for path in paths if files.is_file(path)), None)

    return ModelFiles(
        bert_config_file=find(BERT_CONFIG_FILE, CONFIG_FILE),
        vocab_file=find(VOCAB_FILE),
        tokenizer=read_tokenizer_settings(directory),
    )


def check_tokenizer(tokenizer: TokenizerSettings, lower_case: bool, path: str) -> None:
    """Refuse a model whose tokenizer wants what is not done here.

    Args:
      tokenizer: what its files say.
      lower_case: whether it lower-cases, as they or its vocabulary say.
      path: of the model.

    Raises:
      ConfigError: naming what, and what to do.
    """
    differences = tokenizer.differences(lower_case)
    if differences:
        raise ConfigError(
            f"The tokenizer of {path} is not the one that is used here: {', '.join(differences)}. To cut text as "
            "BERT's own tokenizer does all the same, name the vocabulary with --vocab_file."
        )


def vocabulary_of_tokenizer(directory: str) -> bytes | None:
    """Return a `vocab.txt` made from the WordPiece model in `tokenizer.json`, or None when there is none.

    Raises:
      CheckpointError: when the file holds another kind of tokenizer than BERT's, or pieces that are no lines of text.
    """
    path = files.join(directory, TOKENIZER_FILE)
    if not files.is_file(path):
        return None
    model = read_object(path).get("model")
    model = model if isinstance(model, dict) else {}
    vocab = model.get("vocab")
    if model.get("type") != "WordPiece" or not isinstance(vocab, dict):
        raise CheckpointError(f"{path} does not hold the WordPiece vocabulary of a BERT model.")
    pieces = sorted(vocab, key=lambda piece: vocab[piece] if isinstance(vocab[piece], int) else -1)
    if [vocab[piece] for piece in pieces] != list(range(len(pieces))):
        raise CheckpointError(f"The ids of the vocabulary in {path} are not 0, 1, 2 and so on.")
    try:
        lines = "".join(f"{piece}\n" for piece in pieces).encode("utf-8")
    except UnicodeEncodeError:  # JSON can hold half a character
        lines = b""
    if lines.count(b"\n") != len(pieces) or not lines:
        raise CheckpointError(
            f"The vocabulary in {path} is empty, or has pieces that cannot be lines of a {VOCAB_FILE}."
        )
    return lines


def looks_lower_cased(pieces: Iterable[str]) -> bool:
    """Guess from its pieces whether a vocabulary is of an uncased model: hardly one but special ones has capitals.

    >>> looks_lower_cased(["[CLS]", "the", "##s"]), looks_lower_cased(["[CLS]", "The"])
    (True, False)
    """
    capitals = [piece != piece.lower() and not piece.startswith("[") for piece in pieces]
    return sum(capitals) <= _SHARE_OF_CAPITALS * len(capitals)


def describe_model(
    source: str,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
) -> ModelDescription:
    """Read what goes with the weights: what is named, else what lies beside the checkpoint.

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
    config_file = bert_config_file or beside.bert_config_file
    bert_config, config_json = _read_config(config_file) if config_file else (None, None)
    vocabulary = _read_vocabulary(source, vocab_file or beside.vocab_file)
    if vocabulary is None:
        return ModelDescription(bert_config, config_json, None, do_lower_case)
    pieces = vocabulary.decode("utf-8").rstrip().split("\n")  # blank lines at the end are no pieces
    if bert_config and len(pieces) > bert_config.vocab_size:
        raise DataError(
            f"The vocabulary of {source} has {len(pieces)} pieces, but {config_file} says vocab_size "
            f"{bert_config.vocab_size}; name the vocabulary that came with the model with --vocab_file."
        )
    declared = beside.tokenizer.do_lower_case
    found = looks_lower_cased(pieces) if declared is None else declared
    if not vocab_file:
        check_tokenizer(beside.tokenizer, found, source)
    if do_lower_case is None:
        do_lower_case = found
        if declared is None:
            logging.info(
                "Taking the vocabulary for one of %s model, by its pieces; --do_lower_case says otherwise.",
                "an uncased" if found else "a cased",
            )
    return ModelDescription(bert_config, config_json, vocabulary, do_lower_case)


def _read_config(config_file: str) -> tuple[BertConfig, bytes]:
    """Read a configuration, and return it as the contents of a `bert_config.json` too."""
    bert_config = BertConfig.from_json_file(config_file)
    if "model_type" in read_object(config_file):  # a Hugging Face one: the legacy script cannot read it
        return bert_config, (json.dumps(bert_config.to_dict(), indent=2) + "\n").encode()
    return bert_config, files.read_bytes(config_file)


def _read_vocabulary(source: str, vocab_file: str | None) -> bytes | None:
    if vocab_file:
        load_vocab(vocab_file)  # refuses what is no vocabulary
        return files.read_bytes(vocab_file)
    return vocabulary_of_tokenizer(_directory_of(source))
