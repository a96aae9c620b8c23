"""Read the weights of a Hugging Face BERT model, under the legacy names.

A model is a directory with `config.json` and `model.safetensors` (or several files and a
`model.safetensors.index.json`), or a lone `.safetensors` file. The format has no checksums: a file that is cut
short or has a damaged header is refused, but a changed weight cannot be told from a right one.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes  # noqa: F401  (gives NumPy its bfloat16)
import numpy as np
from safetensors import SafetensorError, safe_open

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.names import from_huggingface
from bert_squad.errors import CheckpointError, ConfigError
from bert_squad.json_files import read_json

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
STEP_KEY = "global_step"  # in the metadata of the files that we write

_NOT_WEIGHTS = ("embeddings.position_ids", "bert.embeddings.position_ids")  # a buffer of old versions
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class HuggingFaceReader(Mapping[str, np.ndarray]):
    """Read safetensors weights as a mapping from legacy names to float32 arrays.

    Tensors without a legacy name keep the name they have.

    Args:
      path: a `.safetensors` file or a `model.safetensors.index.json`.

    Raises:
      CheckpointError: when a file is missing or damaged, or the `config.json` beside it describes another kind
        of model than BERT.
    """

    kind = "Hugging Face safetensors"

    def __init__(self, path: str):
        self.path = path
        self.declared = _declared_config(files.join(os.path.dirname(path), CONFIG_FILE))
        self.names: dict[str, str] = {}  # legacy name -> the file's own
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self.step: int | None = None
        self._files: dict[str, Any] = {}  # legacy name -> open file
        self._transposed: set[str] = set()
        for name, file in _tensors(path):
            if name not in _NOT_WEIGHTS:
                self._add(name, file)

    def _add(self, name: str, file: Any) -> None:
        variable = from_huggingface(name)
        legacy = variable.legacy if variable else name
        if legacy in self.names:
            raise CheckpointError(
                f"{self.path} holds {legacy} twice, as {self.names[legacy]} and as {name}; delete one of them."
            )
        values = _guarded(self.path, lambda: file.get_slice(name))
        shape = tuple(values.get_shape())
        if variable and variable.transposed:
            self._transposed.add(legacy)
            shape = shape[::-1]
        self.names[legacy], self.shapes[legacy] = name, shape
        self.dtypes[legacy] = _DTYPE_NAMES.get(values.get_dtype(), values.get_dtype())
        self._files[legacy] = file
        step = (file.metadata() or {}).get(STEP_KEY, "")
        if step.isdecimal() and len(step) <= 18:
            self.step = int(step)

    @property
    def num_attention_heads(self) -> int | None:
        """The one size that shapes do not tell, from `config.json`."""
        return self.declared.get("num_attention_heads")

    @property
    def has_exact_gelu(self) -> bool:
        """Whether `config.json` says "gelu", by which transformers means the exact form, x Phi(x)."""
        return bool(self.declared) and self.declared.get("hidden_act", "gelu") == "gelu"

    def own_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape in the file itself."""
        return self.shapes[name][::-1] if name in self._transposed else self.shapes[name]

    def __getitem__(self, name: str) -> np.ndarray:
        file = self._files[name]
        if self.dtypes[name] not in _DTYPE_NAMES.values():
            raise CheckpointError(
                f"{self.names[name]} in {self.path} is of type {self.dtypes[name]}; only floating-point weights can "
                "be loaded, no quantised ones."
            )
        value = _guarded(self.path, lambda: file.get_tensor(self.names[name])).astype(np.float32, copy=False)
        return value.T if name in self._transposed else value

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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
    if not files.is_remote(path):
        return _guarded(path, lambda: safe_open(path, framework="numpy"))
    # safe_open maps a file into memory, so that it may be deleted afterwards.
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as local:
        local.write(files.read_bytes(path))
        local.flush()
        return _guarded(path, lambda: safe_open(local.name, framework="numpy"))


def _guarded(path: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MemoryError:
        raise CheckpointError(f"There is not enough memory for the weights in {path}.") from None
    # The library reports damage by its own error and, depending on where it is, by several built-in ones.
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"Cannot read the Hugging Face weights {path} ({_reason(error)}); get the file again."
        ) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().split("\n")[0]
