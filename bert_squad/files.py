"""Open, read and write paths: local ones with the standard library, `gs://` and the like through TensorFlow.

Every output is written under a temporary name beside its final one and renamed when it is complete, so that
a reader never sees half a file and a failed run leaves the old file as it was.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO

from bert_squad.errors import OutputError


def is_remote(path: str) -> bool:
    """Say whether a path names a remote file system, such as `gs://bucket/file`.

    >>> is_remote("gs://bucket/vocab.txt"), is_remote("model/vocab.txt")
    (True, False)
    """
    return "://" in path


def _gfile():
    import tensorflow as tf  # imported here: the text and data rooms must work without TensorFlow

    return tf.io.gfile


def exists(path: str) -> bool:
    """Say whether a file or directory exists."""
    return _gfile().exists(path) if is_remote(path) else os.path.exists(path)


def is_directory(path: str) -> bool:
    """Say whether a path is a directory."""
    return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def read_bytes(path: str) -> bytes:
    """Read a whole file.

    Raises:
      OSError: when it cannot be read, also when TensorFlow reports that of a remote file.
    """
    if is_remote(path):
        import tensorflow as tf

        try:
            with _gfile().GFile(path, "rb") as reader:
                return reader.read()
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
    with open(path, "rb") as reader:
        return reader.read()


def make_directory(path: str) -> None:
    """Create a directory and its parents, and make sure that files can be written there.

    Raises:
      OutputError: when it cannot be created or is not writable.
    """
    if is_remote(path):
        _gfile().makedirs(path)
        return
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            f"The output directory {path} cannot be written ({error.strerror}); "
            "name another with --output_dir or change its permissions."
        ) from error


def join(directory: str, *names: str) -> str:
    """Join path components, local or remote."""
    return os.path.join(directory, *names)


def temporary_name(path: str) -> str:
    """Return the name under which `path` is written until it is complete: same directory, `.tmp-<pid>` added."""
    return f"{path}.tmp-{os.getpid()}"


def synchronize(path: str) -> None:
    """Make sure that a local file has reached the disk; remote file systems see to that themselves."""
    if not is_remote(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rename(source: str, target: str) -> None:
    """Move a complete file to its final name, replacing what was there."""
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        os.replace(source, target)


def remove(path: str) -> None:
    """Delete a file if it exists."""
    if is_remote(path):
        if _gfile().exists(path):
            _gfile().remove(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


@contextlib.contextmanager
def complete_file(path: str) -> Iterator[str]:
    """Give a temporary path to write to, and rename it to `path` only if the block succeeds.

    For writers that want a path of their own, such as a TFRecord writer; `open_whole` gives an open file.

    Raises:
      OutputError: when the file system refuses (disk full, permission lost); the old file is left as it was.
    """
    temporary = temporary_name(path)
    try:
        yield temporary
        rename(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"Cannot write {path} ({error.strerror or error}); what was there before is unchanged."
        ) from error
    finally:
        remove(temporary)


@contextlib.contextmanager
def open_whole(path: str, mode: str = "w") -> Iterator[IO]:
    """Open `path` for writing (text as UTF-8, or `"wb"`); the file appears only when the block succeeds.

    Raises:
      OutputError: when the file system refuses; the old file is left as it was.
    """
    with complete_file(path) as temporary:
        if is_remote(path):
            with _gfile().GFile(temporary, mode) as writer:
                yield writer
        else:
            with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as writer:
                yield writer
                writer.flush()
                os.fsync(writer.fileno())
