"""Read and write name-based TF1 checkpoints, as `tf.train.Saver` made them.

A checkpoint is a prefix, such as `output/model.ckpt-1000`, with an `.index` file and data files beside it.
`tf1_variables` states once which variable of the model has which legacy name.
"""

import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_squad import files
from bert_squad.checkpoints.apart import try_apart
from bert_squad.checkpoints.bundle import is_v1_file, read_bundle
from bert_squad.errors import CheckpointError, DamagedCheckpointError

GLOBAL_STEP = "global_step"
SLOT_NAMES = ("adam_m", "adam_v")
# What TensorFlow's reader raises when an index or a data file is missing, damaged or cut short.
READ_ERRORS = (tf.errors.OpError, OSError, ValueError, TypeError, RuntimeError, IndexError)
_FILE_ENDS = re.compile(r"(|\.index|\.meta|\.data-\d{5}-of-\d{5})")


@dataclasses.dataclass(frozen=True)
class NamedVariable:
    """A variable of the model under its legacy name.

    Args:
      name: legacy name, e.g. `bert/pooler/dense/kernel`.
      variable: the variable itself.
      transposed: whether the checkpoint holds the transpose of the variable.
      trained: whether the loss reaches it; the optimizer keeps slots for these alone.
    """

    name: str
    variable: tf.Variable
    transposed: bool = False
    trained: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the checkpoint."""
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.transposed else shape

    def to_checkpoint(self, value: tf.Tensor) -> tf.Tensor:
        """Turn a value in the shape of the variable into that of the checkpoint."""
        return tf.transpose(value) if self.transposed else tf.convert_to_tensor(value)

    def from_checkpoint(self, value: np.ndarray) -> np.ndarray:
        """Turn a value in the shape of the checkpoint into that of the variable."""
        return value.T if self.transposed else value


def tf1_variables(model) -> dict[str, NamedVariable]:
    """Name every variable of a `BertForSquad` as the legacy script did, in its order.

    Source: the variable names that `modeling.BertModel` and `run_squad.create_model` make.
    """
    encoder = model.bert
    named = list(_embeddings("bert/embeddings", encoder.embeddings))
    for index, layer in enumerate(encoder.transformer_layers):
        prefix = f"bert/encoder/layer_{index}"
        for part in ("query", "key", "value"):
            named += _dense(f"{prefix}/attention/self/{part}", getattr(layer.attention, part))
        named += _dense(f"{prefix}/attention/output/dense", layer.attention_output)
        named += _layer_norm(f"{prefix}/attention/output/LayerNorm", layer.attention_layer_norm)
        named += _dense(f"{prefix}/intermediate/dense", layer.intermediate)
        named += _dense(f"{prefix}/output/dense", layer.output_dense)
        named += _layer_norm(f"{prefix}/output/LayerNorm", layer.output_layer_norm)
    named += [
        dataclasses.replace(entry, trained=False) for entry in _dense("bert/pooler/dense", encoder.pooler)
    ]
    head = model.span_head.dense
    named.append(NamedVariable("cls/squad/output_weights", head.kernel, transposed=True))
    named.append(NamedVariable("cls/squad/output_bias", head.bias))
    return {entry.name: entry for entry in named}


def _embeddings(prefix: str, embeddings) -> Iterator[NamedVariable]:
    for table in ("word_embeddings", "token_type_embeddings", "position_embeddings"):
        yield NamedVariable(f"{prefix}/{table}", getattr(embeddings, table))
    yield from _layer_norm(f"{prefix}/LayerNorm", embeddings.layer_norm)


def _dense(prefix: str, layer) -> Iterator[NamedVariable]:
    yield NamedVariable(f"{prefix}/kernel", layer.kernel)
    yield NamedVariable(f"{prefix}/bias", layer.bias)


def _layer_norm(prefix: str, layer) -> Iterator[NamedVariable]:
    yield NamedVariable(f"{prefix}/beta", layer.beta)
    yield NamedVariable(f"{prefix}/gamma", layer.gamma)


def checkpoint_files(prefix: str) -> list[str]:
    """Return the paths of the files of one checkpoint, sorted, and of no other: index, data, graph, or the V1 file.

    Raises:
      OSError: when the directory cannot be read.
    """
    directory, name = os.path.split(prefix)
    return [
        files.join(directory, other)
        for other in files.names_in(directory or ".")
        if other.startswith(name) and _FILE_ENDS.fullmatch(other[len(name) :])
        if other != name or is_v1_file(prefix)
    ]


class Tf1Reader(Mapping[str, np.ndarray]):
    """Read a TF1 checkpoint as a mapping from names to arrays; shapes are known without reading data.

    Args:
      prefix: path without `.index`, or the path of a checkpoint in the one file that TensorFlow before 1.0 wrote (V1).

    Raises:
      CheckpointError: when the files are missing or not to be read; here or when an array is read.
      DamagedCheckpointError: when they are damaged; likewise.
    """

    kind = "TF1 checkpoint"

    def __init__(self, prefix: str):
        self.prefix = prefix
        bundle = None if is_v1_file(prefix) else read_bundle(prefix)
        try:
            readable = os.fsencode(files.without_pattern(prefix, owner=self))
            if bundle is None or not bundle.vouched:
                try_apart(prefix, readable)
            self._reader = tf.compat.v1.train.NewCheckpointReader(readable)
            shapes, dtypes = (
                (bundle.shapes, bundle.dtypes)
                if bundle
                else (self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map())
            )
        except READ_ERRORS as error:
            raise CheckpointError(
                f"Cannot read the checkpoint {prefix} ({_first_line(error)}); name a prefix that has .index and "
                ".data files, or a directory with a `checkpoint` file."
            ) from None
        self.shapes = {name: tuple(shapes[name]) for name in sorted(shapes)}
        self.dtypes = {name: dtypes[name] for name in self.shapes}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.shapes:
            raise KeyError(name)
        try:
            return self._reader.get_tensor(name)
        except MemoryError:
            raise CheckpointError(
                f"There is not enough memory for {name} {list(self.shapes[name])} of the checkpoint {self.prefix}."
            ) from None
        except READ_ERRORS as error:
            reason = _first_line(error)
            if "not supported" in reason:  # a partitioned variable in a checkpoint of one file, for one
                raise CheckpointError(
                    f"{name} in the checkpoint {self.prefix} cannot be read ({reason})."
                ) from None
            raise DamagedCheckpointError(
                f"The checkpoint {self.prefix} is damaged: {name} cannot be read ({reason}).",
                f"{name} cannot be read ({reason})",
            ) from None

    @property
    def step(self) -> int | None:
        """The number of training steps done, or None when it does not say."""
        return step_in(self, GLOBAL_STEP)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes  # without reading the array, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def step_in(reader: Tf1Reader, name: str) -> int | None:
    """Return a counter of steps: a single whole number of any type and shape; None when it is something else."""
    if name not in reader or not reader.dtypes[name].is_integer or math.prod(reader.shapes[name]) != 1:
        return None
    return int(reader[name].item())


def check_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...], path: str) -> None:
    """Refuse a variable of another shape.

    Raises:
      CheckpointError: naming the variable, the checkpoint and both shapes.
    """
    if tuple(found) != tuple(wanted):
        raise CheckpointError(
            f"{name} has shape {list(found)} in {path} but {list(wanted)} in the model; use the "
            "bert_config.json that belongs to the checkpoint."
        )


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).strip().split("\n")[0]


def save_tf1_checkpoint(path: str, model, optimizer: Any = None, step: int = 0) -> None:
    """Write a checkpoint that the legacy script can restore by name.

    Args:
      path: prefix; `path.index` and `path.data-00000-of-00001` are written.
      model: a `BertForSquad`.
      optimizer: an `AdamWeightDecay` whose slots are stored as `<name>/adam_m` and `<name>/adam_v`, or None.
      step: number of training steps done, stored as `global_step`, int64.

    Raises:
      OSError: when the files cannot be written (through TensorFlow: `tf.errors.OpError`).

    Source: `tf.train.Saver` over the variables of `run_squad.model_fn_builder`.
    """
    tensors: dict[str, tf.Tensor] = {}
    for name, entry in tf1_variables(model).items():
        tensors[name] = entry.to_checkpoint(entry.variable)
        if optimizer is not None and entry.trained:
            for slot, value in zip(SLOT_NAMES, optimizer.slots(name), strict=True):
                tensors[f"{name}/{slot}"] = entry.to_checkpoint(value)
    tensors[GLOBAL_STEP] = tf.constant(step, tf.int64)
    write_tensors(path, tensors)


def write_tensors(path: str, tensors: Mapping[str, tf.Tensor]) -> None:
    """Write tensors by name as one TF1 checkpoint with the prefix `path`; float32 is expected of floats."""
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.convert_to_tensor(tensors[name]) for name in names],
    )
