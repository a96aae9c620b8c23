"""What the `.index` of a TF1 or TF2 checkpoint says of its tensors, checked against the data files.

The first entry of the index (its key is empty) is a header, each other one says of a tensor its type, its shape, and
where in which data file it is. Whoever opens a checkpoint that was checked here does not meet a size that the files do
not have: TensorFlow would allocate what a damaged shape says, or abort the process.

Source: `tensorflow/core/protobuf/tensor_bundle.proto` and `util/tensor_bundle`.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from bert_squad import files
from bert_squad.checkpoints.index_table import (
    FOOTER_SIZE,
    LONGEST_VARINT,
    MAGIC,
    CompressedTableError,
    Damage,
    read_table,
    read_varint,
)
from bert_squad.errors import CheckpointError, DamagedCheckpointError

_LARGEST_INDEX = 1 << 26  # bytes; that of BERT-large with its slots has 100,000
_CHECKSUM_SIZE = 4
_LARGEST_SIZE = 1 << 62
_TYPES = range(1, 100)  # of tensorflow/core/framework/types.proto; those above are references
_SLICE_MARK = b"\0"  # begins the key of a part of a partitioned tensor


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What an index says.

    Args:
      shapes: by name.
      dtypes: by name.
      is_safe: whether TensorFlow can read every tensor of it without aborting; otherwise that has to be tried in
        another process.
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, tf.DType]
    is_safe: bool


def read_bundle(prefix: str) -> Bundle | None:
    """Read the index of a checkpoint and see whether its data files hold what it speaks of; no tensor is read.

    Args:
      prefix: path without `.index`.

    Returns:
      What it says; None when only TensorFlow can read it.

    Raises:
      CheckpointError: when a file cannot be read.
      DamagedCheckpointError: when the index is damaged, or a data file is missing or too short.
    """
    path = f"{prefix}.index"
    try:
        if files.size_of(path) > _LARGEST_INDEX:
            raise Damage("its index is too large to be one")
        return _Entries(prefix, read_table(files.read_bytes(path))).checked()
    except CompressedTableError:
        return None
    except Damage as damage:
        raise DamagedCheckpointError(
            f"The checkpoint {prefix} is damaged: {damage}; copy it again, or take another.", str(damage)
        ) from None
    except OSError as error:
        raise unreadable(prefix, error) from None


def unreadable(prefix: str, error: Exception) -> CheckpointError:
    """Return the error for a checkpoint whose files cannot be read."""
    return CheckpointError(
        f"Cannot read the checkpoint {prefix} ({files.reason_of(error)}); name a prefix that has .index and .data "
        "files, or a directory with a `checkpoint` file."
    )


def is_v1_file(path: str) -> bool:
    """Say whether a path is a checkpoint of one file, tensors and all, as TensorFlow wrote them before 1.0."""
    try:
        if files.is_file(f"{path}.index") or not files.is_file(path):
            return False
        size = files.size_of(path)
        return size >= FOOTER_SIZE and files.read_piece(path, size - len(MAGIC), len(MAGIC)) == MAGIC
    except OSError:
        return False


class _Entries:
    """The entries of an index, under examination."""

    def __init__(self, prefix: str, pairs: list[tuple[bytes, bytes]]):
        self.prefix = prefix
        if not pairs or pairs[0][0]:
            raise Damage("the index has no header")
        self.header = self._parse(BundleHeaderProto, pairs[0][1])
        self.entries = [(key, self._parse(BundleEntryProto, value)) for key, value in pairs[1:]]
        self.is_safe = self.header.endianness == BundleHeaderProto.LITTLE

    def _parse(self, kind, value: bytes):
        try:
            return kind.FromString(value)
        except DecodeError:
            raise Damage("an entry of the index cannot be read") from None

    def checked(self) -> Bundle:
        """Check everything; see `read_bundle`."""
        shapes: dict[str, tuple[int, ...]] = {}
        dtypes: dict[str, tf.DType] = {}
        for key, entry in self.entries:
            name = self._name(key)
            shape, dtype = self._shape(name, entry), self._dtype(name, entry)
            if not key.startswith(_SLICE_MARK):
                shapes[name], dtypes[name] = shape, dtype
            if entry.slices:  # the whole of a partitioned tensor, whose parts are entries of their own
                self.is_safe = False
            elif dtype == tf.string:
                self._check_size(name, entry.size, math.prod(shape), at_least=True)
            elif dtype in (tf.variant, tf.resource):
                self.is_safe = False
            else:
                self._check_size(name, entry.size, math.prod(shape) * np.dtype(dtype.as_numpy_dtype).itemsize)
        self._check_data()
        self._check_strings(dtypes)
        return Bundle(shapes, dtypes, self.is_safe)

    def _name(self, key: bytes) -> str:
        if key.startswith(_SLICE_MARK):
            self.is_safe = False
            return f"the part {key!r}"
        try:
            return key.decode("utf-8")
        except UnicodeDecodeError:
            raise Damage(f"the name {key!r} is not UTF-8") from None

    def _shape(self, name: str, entry) -> tuple[int, ...]:
        shape = tuple(dimension.size for dimension in entry.shape.dim)
        if entry.shape.unknown_rank or len(shape) > 254 or any(size < 0 for size in shape):
            raise Damage(f"{name} has no proper shape")
        return shape

    def _dtype(self, name: str, entry) -> tf.DType:
        try:
            if entry.dtype not in _TYPES:
                raise TypeError
            return tf.as_dtype(entry.dtype)
        except TypeError:
            raise Damage(f"{name} is of an unknown type ({entry.dtype})") from None

    def _check_size(self, name: str, size: int, wanted: int, at_least: bool = False) -> None:
        if size != wanted and not (at_least and size > wanted):
            raise Damage(f"{name} has {size} bytes where its shape needs {wanted}")

    def _check_data(self) -> None:
        """Refuse places outside the data files, and those that two tensors share."""
        ends: dict[int, int] = {}
        wanted: dict[int, int] = {}
        for key, entry in sorted(self.entries, key=_place_of):
            if entry.slices:
                continue
            end = entry.offset + entry.size
            if not 0 <= entry.shard_id < self.header.num_shards or not (
                0 <= entry.offset <= end <= _LARGEST_SIZE and entry.size >= 0
            ):
                raise Damage(f"{self._name(key)} is at no place in its files")
            if entry.size and entry.offset < ends.get(entry.shard_id, 0):
                raise Damage(f"{self._name(key)} shares its place with another")
            ends[entry.shard_id] = max(end, ends.get(entry.shard_id, 0))
            wanted[entry.shard_id] = wanted.get(entry.shard_id, 0) + entry.size
        found = {shard: self._data_size(shard) for shard in ends}
        if any(found[shard] < end for shard, end in ends.items()):
            reason = f"its data files hold {sum(found.values())} of {sum(ends.values())} bytes"
            raise DamagedCheckpointError(f"The checkpoint {self.prefix} is not complete: {reason}.", reason)

    def _data_path(self, shard: int) -> str:
        return f"{self.prefix}.data-{shard:05d}-of-{self.header.num_shards:05d}"

    def _data_size(self, shard: int) -> int:
        path = self._data_path(shard)
        return files.size_of(path) if files.is_file(path) else 0

    def _check_strings(self, dtypes: dict[str, tf.DType]) -> None:
        """Refuse a string tensor whose strings are longer than its place: TensorFlow makes room for what they say."""
        for key, entry in self.entries:
            if key.startswith(_SLICE_MARK) or entry.slices or dtypes[self._name(key)] != tf.string:
                continue
            count = math.prod(self._shape("", entry))
            lengths = files.read_piece(
                self._data_path(entry.shard_id), entry.offset, min(entry.size, count * LONGEST_VARINT)
            )
            total, place = 0, 0
            for _ in range(count):
                length, place = read_varint(lengths, place, len(lengths))
                total += length
            if place + _CHECKSUM_SIZE + total != entry.size:
                raise Damage(f"the strings of {self._name(key)} have another length than its place")


def _place_of(pair: tuple[bytes, BundleEntryProto]) -> tuple[int, int, int]:
    entry = pair[1]
    return entry.shard_id, entry.offset, entry.size
