"""Read the weights of a Hugging Face BERT model, under the legacy names.

A model is a directory with `config.json` and `model.safetensors` (or several files and a
`model.safetensors.index.json`), or a lone `.safetensors` file. The format has no checksums: a file that is cut
short or has a damaged header is refused, but a changed weight cannot be told from a right one.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes  # noqa: F401  (gives NumPy its bfloat16)
import numpy as np
from safetensors import SafetensorError, safe_open

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.names import from_huggingface
from bert_squad.checkpoints.reader import CheckpointReader
from bert_squad.errors import CheckpointError, ConfigError
from bert_squad.json_files import read_json

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
STEP_KEY = "global_step"  # in the metadata of the files that we write

_NOT_WEIGHTS = ("embeddings.position_ids", "bert.embeddings.position_ids")  # a buffer of old versions
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class HuggingFaceReader(CheckpointReader):
    """Read safetensors weights as a mapping from legacy names to float32 arrays.

    Args:
      path: a `.safetensors` file or a `model.safetensors.index.json`.

    Raises:
      CheckpointError: when a file is missing or damaged, or the `config.json` beside it describes another kind
        of model than BERT.
    """

    kind = "Hugging Face safetensors"

    def __init__(self, path: str):
        super().__init__(path, {}, {})
        self._config = _declared_config(files.join(os.path.dirname(path), CONFIG_FILE))
        self._step: int | None = None
        self._files: dict[str, Any] = {}  # legacy name -> open file
        self._transposed: set[str] = set()
        for name, file in _tensors(path):
            if name not in _NOT_WEIGHTS:
                self._add(name, file)

    def _add(self, name: str, file: Any) -> None:
        variable = from_huggingface(name)
        legacy = variable.legacy if variable else name
        if legacy in self:
            raise CheckpointError(
                f"{self.path} holds {legacy} twice, as {self.own_names[legacy]} and as {name}; delete one of them."
            )
        values = _guarded(self.path, lambda: file.get_slice(name))
        shape = tuple(values.get_shape())
        if variable and variable.transposed:
            self._transposed.add(legacy)
            shape = shape[::-1]
        self.own_names[legacy], self.shapes[legacy] = name, shape
        self.dtypes[legacy] = _DTYPE_NAMES.get(values.get_dtype(), values.get_dtype())
        self._files[legacy] = file
        step = (file.metadata() or {}).get(STEP_KEY, "")
        if step.isdecimal() and len(step) <= 18:
            self._step = int(step)

    @property
    def step(self) -> int | None:
        """From the metadata that `huggingface_export` writes."""
        return self._step

    @property
    def num_attention_heads(self) -> int | None:
        """From `config.json`."""
        return self._config.get("num_attention_heads")

    @property
    def has_exact_gelu(self) -> bool:
        """Whether `config.json` says "gelu", by which transformers means the exact form, x Phi(x)."""
        return bool(self._config) and self._config.get("hidden_act", "gelu") == "gelu"

    def own_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape in the file itself."""
        return self.shapes[name][::-1] if name in self._transposed else self.shapes[name]

    def __getitem__(self, name: str) -> np.ndarray:
        file, own_name = self._files[name], self.own_names[name]
        if self.dtypes[name] not in _DTYPE_NAMES.values():
            raise CheckpointError(
                f"{own_name} in {self.path} is of type {self.dtypes[name]}; only floating-point weights can be loaded, "
                "no quantised ones."
            )
        value = _guarded(self.path, lambda: file.get_tensor(own_name)).astype(np.float32, copy=False)
        return value.T if name in self._transposed else value


def open_huggingface(path: str) -> HuggingFaceReader | None:
    """Open a directory of a Hugging Face model, or a file of its weights; None for anything else."""
    if files.is_directory(path):
        weights = find_weights(path)
    else:
        weights = path if files.exists(path) and _is_safetensors(path) else None
    return HuggingFaceReader(weights) if weights else None


def _is_safetensors(path: str) -> bool:
    """Look at the name and at the start: the length of a JSON header, then the header."""
    return path.endswith((".safetensors", INDEX_FILE)) or files.read_start(path, 9)[8:] == b"{"


def find_weights(path: str) -> str | None:
    """Return the weights that a Hugging Face directory holds, one file or the index of several, or None."""
    candidates = (files.join(path, name) for name in (WEIGHTS_FILE, INDEX_FILE))
    return next((candidate for candidate in candidates if files.is_file(candidate)), None)


def read_object(path: str) -> dict[str, Any]:
    """Read a JSON object that belongs to a checkpoint.

    Raises:
      CheckpointError: when it cannot be read or is something else.
    """
    values = read_json(path, "file", error=CheckpointError)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} must hold a JSON object, not {type(values).__name__}.")
    return values


def _declared_config(config_file: str) -> dict[str, Any]:
    """Read the model's own configuration; empty when there is none, or one of another program."""
    values = read_object(config_file) if files.is_file(config_file) else {}
    if "model_type" not in values:
        return {}
    try:
        BertConfig.from_dict(values, source=config_file)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    return values


def _tensors(path: str) -> Iterator[tuple[str, Any]]:
    """Yield the name of each tensor and the open file that holds it."""
    if not path.endswith(".json"):
        file = _open(path)
        for name in _guarded(path, file.keys):
            yield name, file
        return
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise CheckpointError(f"{path} lacks its `weight_map` from tensors to files.")
    opened: dict[str, Any] = {}
    for name, file_name in weight_map.items():
        if file_name != os.path.basename(file_name):
            raise CheckpointError(f"{path} names the file {file_name!r}, which is not in its own directory.")
        if file_name not in opened:
            opened[file_name] = _open(files.join(os.path.dirname(path), file_name))
        yield name, opened[file_name]


def _open(path: str) -> Any:
    if _guarded(path, lambda: files.read_start(path, len(_LFS_POINTER))) == _LFS_POINTER:
        raise CheckpointError(
            f"{path} is not the weights but a pointer of Git LFS to them; get them with `git lfs pull`."
        )
    # safe_open maps a file into memory, so that it may be deleted afterwards.
    with files.local_copy(path) as local:
        return _guarded(path, lambda: safe_open(local, framework="numpy"))


def _guarded(path: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MemoryError:
        raise CheckpointError(f"There is not enough memory for the weights in {path}.") from None
    # The library reports damage by its own error and, depending on where it is, by several built-in ones.
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"Cannot read the Hugging Face weights {path} ({files.reason_of(error)}); get the file again."
        ) from None
