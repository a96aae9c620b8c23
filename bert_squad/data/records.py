"""TFRecord files of features: the schema, stated once, writing and reading.

A record is a serialized `tf.train.Example` of int64 lists. Building such protos value by value costs more than
all the rest of conversion, so their bytes are put together here: in the wire format a packed list of integers is
just their encodings one after the other.

TensorFlow is imported inside the functions that need it, so that importing this module is quick.
"""

import contextlib
import functools
import os
import re
import weakref
from collections.abc import Iterable, Iterator, Sized
from typing import Any, NamedTuple

from absl import logging

from bert_squad import files, whole_files
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures, logged
from bert_squad.data.passages import Tokenizer
from bert_squad.data.windows import LossNotes, Window, WindowLengths, make_windows
from bert_squad.errors import DataError, OutputError
from bert_squad.progress import shown

_OPEN_FILES = "/proc/self/fd"  # Linux: a name for each open file, also one that was deleted since
_LONGEST_REASON = 200  # characters of TensorFlow's messages, which may quote whole records


class _Entry(NamedTuple):
    key: str
    attribute: str  # of the feature
    is_sequence: bool = False  # max_seq_length integers, not one
    is_for_training: bool = False  # absent from records for prediction
    is_read: bool = True


SCHEMA = (
    _Entry("unique_ids", "unique_id"),
    _Entry("input_ids", "input_ids", is_sequence=True),
    _Entry("input_mask", "input_mask", is_sequence=True),
    _Entry("segment_ids", "segment_ids", is_sequence=True),
    _Entry("start_positions", "start_position", is_for_training=True),
    _Entry("end_positions", "end_position", is_for_training=True),
    # LEGACY: written for training, read by nothing.
    _Entry("is_impossible", "is_impossible", is_for_training=True, is_read=False),
)
"""What a record holds, under which key. All are int64 lists; reading gives int32."""


def write_features(
    path: str,
    examples: Iterable[SquadExample],
    tokenizer: Tokenizer,
    lengths: WindowLengths,
    is_training: bool,
) -> int:
    """Convert examples and write their features to a TFRecord file, without holding them in memory.

    The features of the first 20 examples are logged at the debug level; questions that are cut or have no passage to
    look at are named in one warning each.

    Args:
      path: the file, local or remote; it appears, or replaces an old one, only when complete.
      examples: in the order in which features are wanted; for training, shuffled before.
      tokenizer: makes the WordPieces.
      lengths: of the windows.
      is_training: write answer positions too; the examples must have been read for training.

    Returns:
      The number of features written.

    Raises:
      ConfigError, DataError: as `convert_examples_to_features`.
      OutputError: when the file cannot be written.
    """
    notes = LossNotes(is_training, lengths.max_query_length)
    if isinstance(examples, Sized):
        examples = shown(examples, "converted", len(examples), "questions")
    windows = make_windows(examples, tokenizer, lengths, is_training, notes)
    with open_writer(path, is_training) as writer:
        for window in logged(windows):
            writer.process_feature(window)
    notes.log()
    return writer.num_features


def log_counts(what: str, num_examples: int, num_features: int, batch_size: int) -> None:
    """Log how much there is to do, as the legacy script does before training and prediction."""
    logging.info("***** Running %s *****", what)
    logging.info("  Num orig examples = %d", num_examples)
    logging.info("  Num split examples = %d", num_features)
    logging.info("  Batch size = %d", batch_size)


class FeatureWriter:
    """Appends features to a TFRecord file; `open_writer` makes one.

    Attributes:
      num_features: number of features written so far.

    Source: `FeatureWriter` of the legacy run_squad.py.
    """

    def __init__(self, write: Any, is_training: bool):
        self.num_features = 0
        self._write = write
        self._is_training = is_training

    def process_feature(self, feature: Window | InputFeatures) -> None:
        """Append one feature."""
        self._write(serialize(feature, self._is_training))
        self.num_features += 1


@contextlib.contextmanager
def open_writer(path: str, is_training: bool) -> Iterator[FeatureWriter]:
    """Give a writer of features; the file appears only when the `with` block succeeds.

    Args:
      path: the file, local or remote.
      is_training: write answer positions too.

    Raises:
      OutputError: when the file system refuses; an old file is left as it was.
    """
    import tensorflow as tf

    def refused(error: Any) -> OutputError:
        return OutputError(f"Cannot write {path} ({error.message}); what was there before is unchanged.")

    with whole_files.complete_file(path) as temporary:
        try:
            record_writer = tf.io.TFRecordWriter(temporary)
        except tf.errors.OpError as error:
            raise refused(error) from None

        def write(record: bytes) -> None:
            try:
                record_writer.write(record)
            except tf.errors.OpError as error:
                raise refused(error) from None

        try:
            yield FeatureWriter(write, is_training)
        finally:
            try:
                record_writer.close()
            except tf.errors.OpError as error:
                raise refused(error) from None


def serialize(feature: Window | InputFeatures, is_training: bool) -> bytes:
    """Return a feature as a serialized `tf.train.Example`.

    Args:
      feature: the feature.
      is_training: include answer positions.

    Differs: keys stand in the order of `SCHEMA`; in the legacy files their order is arbitrary.
    """
    entries: list[bytes] = []
    for key, attribute, is_sequence, is_for_training, _ in SCHEMA:
        if is_training or not is_for_training:
            value = getattr(feature, attribute)
            packed = _packed(value if is_sequence else [value])
            entries += (_before_packed(key, len(packed)), packed)
    features = b"".join(entries)
    return _tag_and_length(1, len(features)) + features  # Example.features


# The wire format: https://protobuf.dev/programming-guides/encoding. An integer is a "varint": 7 bits a byte,
# the lowest first, the high bit set on all bytes but the last.


def _varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF  # a negative int64 is encoded as its two's complement
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _Varints(dict[int, bytes]):
    """Integer → its encoding; remembers those that vocabulary ids need."""

    def __missing__(self, value: int) -> bytes:
        encoded = _varint(value)
        if 0 <= value < 1 << 18:
            self[value] = encoded
        return encoded


_VARINTS = _Varints()


def _packed(values: list[int]) -> bytes:
    try:
        single_bytes = bytes(values)
        if single_bytes.isascii():  # all under 128: each is its own encoding
            return single_bytes
    except ValueError:  # at the first value that is no byte
        pass
    padding = 0  # zeros at the end, which need no look-up
    if values[-1] == 0:
        first_zero = values.index(0)
        if not any(values[first_zero:]):
            padding, values = len(values) - first_zero, values[:first_zero]
    return b"".join(map(_VARINTS.__getitem__, values)) + bytes(padding)


def _tag_and_length(number: int, length: int) -> bytes:
    """Encode what stands before the content of a field that holds bytes, a string or a message."""
    return _VARINTS[number << 3 | 2] + _VARINTS[length]


@functools.lru_cache(maxsize=1 << 14)  # there are few lengths
def _before_packed(key: str, length: int) -> bytes:
    """Encode an entry of Features.feature up to its packed integers: the key, and Feature.int64_list as the value."""
    before = b""
    for number in (1, 3, 2):  # Int64List.value, Feature.int64_list, the entry's value
        before = _tag_and_length(number, len(before) + length) + before
    before = _tag_and_length(1, len(key)) + key.encode() + before  # the entry's key
    return _tag_and_length(1, len(before) + length) + before


def feature_spec(max_seq_length: int, is_training: bool) -> dict[str, Any]:
    """Return what `tf.io.parse_example` needs to read records of these features."""
    import tensorflow as tf

    return {
        entry.key: tf.io.FixedLenFeature([max_seq_length] if entry.is_sequence else [], tf.int64)
        for entry in SCHEMA
        if entry.is_read and (is_training or not entry.is_for_training)
    }


def parse_example(serialized: Any, max_seq_length: int, is_training: bool) -> dict[str, Any]:
    """Parse records within a `tf.data` pipeline.

    Args:
      serialized: string tensor, a record [] or a batch of them [B]; batches are far quicker.
      max_seq_length: length of the sequences, S.
      is_training: read answer positions too.

    Returns:
      int32 tensors: `input_ids`, `input_mask`, `segment_ids` of shape [B, S], `unique_ids` and, for training,
      `start_positions`, `end_positions` of shape [B]; without B for a single record.
    """
    import tensorflow as tf

    parsed = tf.io.parse_example(serialized, feature_spec(max_seq_length, is_training))
    return {key: tf.cast(value, tf.int32) for key, value in parsed.items()}


def record_dataset(path: str) -> Any:
    """Return a `tf.data.TFRecordDataset` of the file that is at `path` now.

    A dataset opens its file anew for each epoch. So that it goes on with the same one, even when another process puts
    a new one in its place, a local file is held open for as long as the dataset, or an iterator of it, lives.
    """
    import tensorflow as tf

    descriptor = None
    if not files.is_remote(path) and os.path.isdir(_OPEN_FILES):
        with contextlib.suppress(OSError):  # TensorFlow meets it again, where it is looked for
            descriptor = files.open_descriptor(path)
    if descriptor is None:
        return tf.data.TFRecordDataset(path)
    dataset = tf.data.TFRecordDataset(f"{_OPEN_FILES}/{descriptor}")
    weakref.finalize(dataset, os.close, descriptor)
    return dataset


@contextlib.contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turn what goes wrong while records are read into an error that names their file.

    Raises:
      DataError: when it cannot be read, is cut short, fails a checksum, or has records of another kind or length.
        What says nothing of the file, such as a lack of memory, goes through as it is.
    """
    import tensorflow as tf

    def damaged(reason: str) -> DataError:
        return DataError(
            f"The record file {path} is damaged or of another run ({reason}); delete it and run the same command "
            "again, so that it is written anew."
        )

    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.CancelledError, tf.errors.AbortedError):
        raise
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise damaged(_reason(error.message)) from None
    except UnicodeDecodeError as error:  # TensorFlow quotes what it cannot parse
        raise damaged(_reason(error.object.decode("utf-8", "replace"))) from None
    except (tf.errors.OpError, OSError) as error:
        raise DataError(
            f"Cannot read the record file {path} ({_reason(files.reason_of(error))}); run the same command again, so "
            "that it is written anew."
        ) from None


def _reason(message: str) -> str:
    """Return the part of one of TensorFlow's messages that is for people, in one line."""
    line = next(iter(message.strip().splitlines()), "no reason given")
    line = re.sub(r"^\{\{.*?\}\} *", "", line)
    line = re.sub(r"^Error in user-defined function .*?Iterator::[\w:]*: *", "", line)
    line = re.sub(rf"{_OPEN_FILES}/\d+; *", "", line)
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def read_records(path: str) -> Iterator[bytes]:
    """Read the serialized records of a TFRecord file and verify their checksums.

    Args:
      path: the file, local or remote.

    Raises:
      DataError: when the file is missing, cut short within a record, or damaged; it names the record.
    """
    import tensorflow as tf

    number = 0
    with named_errors(path):
        try:
            for record in record_dataset(path):
                yield record.numpy()
                number += 1
        except tf.errors.DataLossError:
            raise DataError(
                f"The record file {path} is cut short or damaged: record {number}, counted from 0, cannot be read. "
                "Delete it, so that it is written anew."
            ) from None
