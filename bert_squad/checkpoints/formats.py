"""The formats of checkpoints that can be opened, and which of them lies at a path.

a prefix, or a directory with a `checkpoint` file or a single prefix    TF1 or TF2 object-based
a file that ends like a table of TensorFlow                             TF1 in one file, from before 1.0 (V1)
a directory with model.safetensors (or its index), or such a file       Hugging Face
a pickle file of PyTorch                                                refused: it can run any code
"""

import os
import re
from collections.abc import Callable

import tensorflow as tf

from bert_squad import files
from bert_squad.checkpoints.bundle import is_v1_file
from bert_squad.checkpoints.directory import latest_checkpoint
from bert_squad.checkpoints.huggingface import WEIGHTS_FILE, open_huggingface
from bert_squad.checkpoints.model_garden import OBJECT_GRAPH, ModelGardenReader
from bert_squad.checkpoints.reader import CheckpointReader
from bert_squad.checkpoints.state_file import STATE_FILE
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.errors import CheckpointError, PathError

_PART_OF_TENSORFLOW = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_PICKLE_NAMES = re.compile(r"\.(bin|pt|pth|pkl)$")
_ZIP, _PICKLE, _HDF5 = b"PK\x03\x04", b"\x80", b"\x89HDF"


def open_tensorflow(path: str) -> CheckpointReader | None:
    """Open a TF1 or TF2 checkpoint by its prefix, one of its files or its directory; None for anything else."""
    prefix = _tensorflow_prefix(path)
    if prefix is None:
        return None
    reader = Tf1Reader(prefix)
    return ModelGardenReader(prefix) if OBJECT_GRAPH in reader else reader


FORMATS: tuple[Callable[[str], CheckpointReader | None], ...] = (
    open_tensorflow,
    open_huggingface,
)
"""Each is asked in turn, and opens what lies at a path when that is of its format, or else returns None."""


def open_checkpoint(path: str) -> CheckpointReader:
    """Open a checkpoint of any supported kind as a mapping from legacy names to arrays.

    Args:
      path: a TF1 or TF2 prefix (also with the end of one of its files), a TF1 checkpoint in one file, a directory, or
        a `.safetensors` file.

    Raises:
      CheckpointError: when there is none, it is not complete, or its kind is not supported; it says why.
    """
    try:
        for open_format in FORMATS:
            reader = open_format(path)
            if reader is not None:
                return reader
        raise CheckpointError(_why_not(path))
    except PathError as error:
        raise CheckpointError(str(error)) from None
    except (OSError, tf.errors.OpError) as error:
        raise CheckpointError(f"Cannot read {path} ({files.reason_of(error)}).") from None


def _tensorflow_prefix(path: str) -> str | None:
    for prefix in (path, _PART_OF_TENSORFLOW.sub("", path)):
        if files.is_file(f"{prefix}.index"):
            return prefix
    if is_v1_file(path):
        return path
    if not files.is_directory(path):
        return None
    latest = latest_checkpoint(path)
    if latest:
        return latest
    prefixes = _prefixes_in(path)
    if len(prefixes) > 1:
        raise CheckpointError(
            f"The directory {path} holds several checkpoints and no `checkpoint` file that says which one is meant: "
            f"name one of {', '.join(prefixes)}."
        )
    return prefixes[0] if prefixes else None


def _prefixes_in(directory: str) -> list[str]:
    paths = (files.join(directory, name) for name in files.names_in(directory) if name.endswith(".index"))
    return [path.removesuffix(".index") for path in paths if files.is_file(path)]


def _why_not(path: str) -> str:
    """Say why there is nothing to open, for each mistake that one can make."""
    if files.is_directory(path):
        names = files.names_in(path)
        pickles = [name for name in names if _PICKLE_NAMES.search(name)]
        if pickles:
            return _about_pickle(files.join(path, pickles[0]))
        keras = [name for name in names if name.endswith((".h5", ".keras"))]
        if keras:
            return _about_keras(files.join(path, keras[0]))
        return (
            f"The directory {path} holds no checkpoint: neither a `{STATE_FILE}` file that names one, nor "
            f"{WEIGHTS_FILE}."
        )
    if not files.exists(path):
        directory = os.path.dirname(path)
        near = _prefixes_in(directory or ".") if files.is_directory(directory or ".") else []
        near = [prefix for prefix in near if os.path.basename(prefix).startswith(os.path.basename(path))]
        advice = (
            f"did you mean {files.join(directory, os.path.basename(near[-1]))}?"
            if near
            else "check --init_checkpoint."
        )
        return f"There is no checkpoint at {path} ({path}.index does not exist); {advice}"
    start = files.read_start(path, 16)
    if start.startswith((_ZIP, _PICKLE)) or _PICKLE_NAMES.search(path):
        return _about_pickle(path)
    if start.startswith(_HDF5):
        return _about_keras(path)
    return f"{path} is not a checkpoint: neither a TensorFlow prefix ({path}.index does not exist) nor safetensors."


def _about_pickle(path: str) -> str:
    directory = os.path.dirname(path) or "."
    return (
        f"{path} is a pickle file: to read one is to run whatever code it holds, so that is not done here. Convert it "
        'once, where you trust it: python -c "from transformers import BertForPreTraining as Model; '
        f"Model.from_pretrained('{directory}').save_pretrained('{directory.rstrip('/')}-safetensors')\" (take "
        "BertForQuestionAnswering for a model that answers questions already) and name the new directory."
    )


def _about_keras(path: str) -> str:
    return (
        f"{path} is a Keras file, whose weights do not tell which variable of BERT they are; load it with the program "
        "that wrote it, and save it as safetensors (transformers: save_pretrained) or as "
        "tf.train.Checkpoint(model=encoder)."
    )
