"""Read name-based TF1 checkpoints, as `tf.train.Saver` made them.

A checkpoint is a prefix, such as `output/model.ckpt-1000`, with an `.index` file and data files beside it.
"""

import math
import os
import re

import numpy as np
import tensorflow as tf

from bert_squad import files, links
from bert_squad.checkpoints.bundle import is_v1_file, read_bundle, unreadable
from bert_squad.checkpoints.child_process import try_in_child
from bert_squad.checkpoints.names import GLOBAL_STEP
from bert_squad.checkpoints.reader import CheckpointReader
from bert_squad.errors import CheckpointError, DamagedCheckpointError

# What TensorFlow's reader raises when an index or a data file is missing, damaged or cut short.
READ_ERRORS = (tf.errors.OpError, OSError, ValueError, TypeError, RuntimeError, IndexError)
_FILE_ENDS = re.compile(r"(|\.index|\.meta|\.data-\d{5}-of-\d{5})")


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


class Tf1Reader(CheckpointReader):
    """Read a TF1 checkpoint as a mapping from names to arrays; shapes are known without reading data.

    Args:
      path: a prefix, without `.index`, or a checkpoint in the one file that TensorFlow before 1.0 wrote (V1).

    Raises:
      CheckpointError: when the files are missing or not to be read; here or when an array is read.
      DamagedCheckpointError: when they are damaged; likewise.
    """

    kind = "TF1 checkpoint"
    is_tf1 = True

    def __init__(self, path: str):
        bundle = None if is_v1_file(path) else read_bundle(path)
        try:
            readable = os.fsencode(links.without_pattern(path, owner=self))
            if bundle is None or not bundle.is_safe:
                try_in_child(path, readable)
            self._reader = tf.compat.v1.train.NewCheckpointReader(readable)
            shapes, dtypes = (
                (bundle.shapes, bundle.dtypes)
                if bundle
                else (self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map())
            )
        except READ_ERRORS as error:
            raise unreadable(path, error) from None
        names = sorted(shapes)
        super().__init__(
            path, {name: tuple(shapes[name]) for name in names}, {name: dtypes[name].name for name in names}
        )

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.shapes:
            raise KeyError(name)
        try:
            return self._reader.get_tensor(name)
        except MemoryError:
            raise CheckpointError(
                f"There is not enough memory for {name} {list(self.shapes[name])} of the checkpoint {self.path}."
            ) from None
        except READ_ERRORS as error:
            reason = files.reason_of(error)
            if "not supported" in reason:  # a partitioned variable in a checkpoint of one file, for one
                raise CheckpointError(
                    f"{name} in the checkpoint {self.path} cannot be read ({reason})."
                ) from None
            raise DamagedCheckpointError(
                f"The checkpoint {self.path} is damaged: {name} cannot be read ({reason}).",
                f"{name} cannot be read ({reason})",
            ) from None

    @property
    def step(self) -> int | None:
        """The number of training steps done, or None when it does not say."""
        return step_in(self, GLOBAL_STEP)


def step_in(reader: Tf1Reader, name: str) -> int | None:
    """Return a counter of steps: a single whole number of any type and shape; None when it is something else."""
    if name not in reader or math.prod(reader.shapes[name]) != 1:
        return None
    if not tf.as_dtype(reader.dtypes[name]).is_integer:
        return None
    return int(reader[name].item())
