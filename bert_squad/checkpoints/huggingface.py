"""Read the weights of a Hugging Face BERT model, under the legacy names.

Hugging Face keeps a dense kernel as [out, in], TF1 as [in, out]; LayerNorm's gamma and beta are called weight
and bias. The names below are those of `BertModel`; `BertForPreTraining` and `BertForQuestionAnswering` put
`bert.` before them.
"""

import os
import re
from collections.abc import Iterator, Mapping

import numpy as np
from safetensors import SafetensorError, safe_open

from bert_squad.errors import CheckpointError

WEIGHTS_FILE = "model.safetensors"

# (pattern over the Hugging Face name without "bert.", legacy name, transposed); the first match counts.
_NAMES = (
    (r"embeddings\.(word|position|token_type)_embeddings\.weight", r"bert/embeddings/\1_embeddings", False),
    (r"embeddings\.LayerNorm\.(\w+)", r"bert/embeddings/LayerNorm/\1", False),
    (r"encoder\.layer\.(\d+)\.attention\.self\.(\w+)\.(\w+)", r"bert/encoder/layer_\1/attention/self/\2/\3", True),
    (r"encoder\.layer\.(\d+)\.attention\.output\.(\w+)\.(\w+)", r"bert/encoder/layer_\1/attention/output/\2/\3", True),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)", r"bert/encoder/layer_\1/intermediate/dense/\2", True),
    (r"encoder\.layer\.(\d+)\.output\.(\w+)\.(\w+)", r"bert/encoder/layer_\1/output/\2/\3", True),
    (r"pooler\.dense\.(\w+)", r"bert/pooler/dense/\1", True),
    (r"qa_outputs\.weight", r"cls/squad/output_weights", False),
    (r"qa_outputs\.bias", r"cls/squad/output_bias", False),
)
_LAYER_NORM_PARTS = {"weight": "gamma", "bias": "beta", "gamma": "gamma", "beta": "beta"}
_NOT_WEIGHTS = "embeddings.position_ids"  # a buffer of old versions


def tf1_name(name: str) -> tuple[str, bool] | None:
    """Translate a Hugging Face name.

    Args:
      name: e.g. `bert.encoder.layer.0.output.dense.weight`.

    Returns:
      The legacy name and whether the array must be transposed; None when the legacy has no such variable.

    >>> tf1_name("bert.encoder.layer.0.output.dense.weight")
    ('bert/encoder/layer_0/output/dense/kernel', True)
    >>> tf1_name("embeddings.LayerNorm.bias")
    ('bert/embeddings/LayerNorm/beta', False)
    """
    plain = name.removeprefix("bert.")
    for pattern, template, may_transpose in _NAMES:
        match = re.fullmatch(pattern, plain)
        if match:
            legacy = match.expand(template)
            parent, _, part = legacy.rpartition("/")
            if parent.endswith("LayerNorm"):
                return f"{parent}/{_LAYER_NORM_PARTS.get(part, part)}", False
            if part == "weight":
                return f"{parent}/kernel", may_transpose
            return legacy, False
    return None


class HuggingFaceReader(Mapping[str, np.ndarray]):
    """Read `model.safetensors` as a mapping from legacy names to arrays.

    Args:
      path: the file.

    Raises:
      CheckpointError: when the file is missing or damaged.
    """

    kind = "Hugging Face safetensors"

    def __init__(self, path: str):
        self.path = path
        try:
            self._file = safe_open(path, framework="numpy")
            names = list(self._file.keys())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"Cannot read the Hugging Face weights {path} ({error}).") from None
        self._sources: dict[str, tuple[str, bool]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name in names:
            if name.removeprefix("bert.") == _NOT_WEIGHTS:
                continue
            legacy, transposed = tf1_name(name) or (name, False)
            shape = tuple(self._file.get_slice(name).get_shape())
            self._sources[legacy] = (name, transposed)
            self.shapes[legacy] = shape[::-1] if transposed else shape

    def __getitem__(self, name: str) -> np.ndarray:
        source, transposed = self._sources[name]
        value = self._file.get_tensor(source)
        return value.T if transposed else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def find_weights(path: str) -> str | None:
    """Return the safetensors file that a path means, or None when it is not a Hugging Face model.

    Raises:
      CheckpointError: when the directory holds only a pickle file: unpickling runs whatever code is in it.
    """
    if path.endswith(".safetensors"):
        return path
    if not os.path.isdir(path):
        return None
    if os.path.exists(os.path.join(path, WEIGHTS_FILE)):
        return os.path.join(path, WEIGHTS_FILE)
    return None
