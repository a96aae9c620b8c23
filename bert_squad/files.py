"""Reach paths: local ones with the standard library, `gs://` and the like through TensorFlow.

Nobody else opens a path (`tests/test_layering.py` lists who may, and why). `whole_files` writes what has to be whole.
"""

import contextlib
import errno
import glob
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from bert_squad.errors import OutputError, PathError, first_line

reason_of = first_line


def is_remote(path: str) -> bool:
    """Say whether a path names a remote file system, such as `gs://bucket/file`.

    >>> is_remote("gs://bucket/vocab.txt"), is_remote("model/vocab.txt")
    (True, False)
    """
    return "://" in path


def gfile():
    """Return `tf.io.gfile`."""
    import tensorflow as tf  # imported here: the text and data rooms must work without TensorFlow

    return tf.io.gfile


@contextlib.contextmanager
def reached(path: str) -> Iterator[None]:
    """Turn what TensorFlow says of a remote path into a `PathError`.

    Raises:
      PathError: naming the path.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.UnimplementedError:
        scheme = path.split("://")[0]
        raise PathError(
            f"Cannot reach {path}: this TensorFlow has no file system for {scheme}://; copy it to a local disk, or "
            "mount it there."
        ) from None
    except tf.errors.OpError as error:
        raise PathError(f"Cannot reach {path} ({reason_of(error)}).") from None


def exists(path: str) -> bool:
    """Say whether a file or directory exists."""
    if not is_remote(path):
        return os.path.exists(path)
    with reached(path):
        return gfile().exists(path)


def is_directory(path: str) -> bool:
    """Say whether a path is a directory."""
    if not is_remote(path):
        return os.path.isdir(path)
    with reached(path):
        return gfile().isdir(path)


def is_file(path: str) -> bool:
    """Say whether a path can be read as a file: it exists and is no directory."""
    return exists(path) and not is_directory(path)


def names_in(directory: str) -> list[str]:
    """Return the names in a directory, sorted.

    Raises:
      OSError: when it cannot be read.
    """
    if not is_remote(directory):
        return sorted(os.listdir(directory))
    with reached(directory):
        return sorted(name.rstrip("/") for name in gfile().listdir(directory))


def matching(pattern: str) -> list[str]:
    """Return the files that a pattern with `*`, `?` and `[...]` matches, sorted; no directories.

    Raises:
      PathError: when a remote file system cannot be reached.
    """
    if not is_remote(pattern):
        return [path for path in sorted(glob.glob(pattern)) if not os.path.isdir(path)]
    with reached(pattern):
        return [path for path in sorted(gfile().glob(pattern)) if not gfile().isdir(path)]


def size_of(path: str) -> int:
    """Return the length of a file in bytes.

    Raises:
      OSError: when it cannot be read.
    """
    if not is_remote(path):
        return os.stat(path).st_size
    with reached(path):
        return gfile().stat(path).length


def modified_at(path: str) -> float:
    """Return when a file was last written to, in seconds since 1970.

    Raises:
      OSError: when it cannot be read.
    """
    if not is_remote(path):
        return os.stat(path).st_mtime
    with reached(path):
        return gfile().stat(path).mtime_nsec / 1e9


def open_to_read(path: str) -> BinaryIO:
    """Open a file to read bytes; one that is remote is read at once.

    Raises:
      OSError: when it cannot be read.
    """
    return io.BytesIO(read_bytes(path)) if is_remote(path) else open(path, "rb")


def open_descriptor(path: str) -> int:
    """Open a local file to read, for what the operating system does with its number; the caller closes it.

    Raises:
      OSError: when it cannot be read.
    """
    return os.open(path, os.O_RDONLY)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Give the path of a file on the local disk with the contents of `path`, for as long as the block runs.

    Raises:
      OSError: when it cannot be read, or the copy not be written.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="bert_squad-") as copy:
        copy.write(read_bytes(path))
        copy.flush()
        yield copy.name


def read_bytes(path: str) -> bytes:
    """Read a whole file.

    Raises:
      OSError: when it cannot be read, also when TensorFlow reports that of a remote file.
    """
    if is_remote(path):
        with reached(path), gfile().GFile(path, "rb") as reader:
            return reader.read()
    with open(path, "rb") as reader:
        return reader.read()


def read_start(path: str, size: int) -> bytes:
    """Read at most `size` bytes from the beginning of a file.

    Raises:
      OSError: when it cannot be read.
    """
    if is_remote(path):
        with reached(path), gfile().GFile(path, "rb") as reader:
            return reader.read(size)
    with open(path, "rb") as reader:
        return reader.read(size)


def read_piece(path: str, offset: int, size: int) -> bytes:
    """Read at most `size` bytes of a file from `offset` on.

    Raises:
      OSError: when it cannot be read.
    """
    if is_remote(path):
        with reached(path), gfile().GFile(path, "rb") as reader:
            reader.seek(offset)
            return reader.read(size)
    with open(path, "rb") as reader:
        reader.seek(offset)
        return reader.read(size)


def write_bytes(path: str, content: bytes) -> None:
    """Write a file where nobody looks for it yet: in what `whole_files.complete_directory` gives.

    Raises:
      OSError: when it cannot be written.
    """
    if is_remote(path):
        with reached(path), gfile().GFile(path, "wb") as writer:
            writer.write(content)
        return
    with open(path, "wb") as writer:
        writer.write(content)


def refusal(problem: str, error: BaseException, advice: str = ".") -> OutputError:
    """Return the error for what the file system, or a library that writes to it, refuses: `problem (reason)advice`.

    >>> print(refusal("Cannot write x", OSError(28, "No space left on device"), "; free some."))
    Cannot write x (No space left on device); free some.
    """
    if isinstance(error, OutputError) and isinstance(error.__cause__, OSError):
        error = error.__cause__  # a part of what was to be written says so itself
    return OutputError(f"{problem} ({reason_of(error)}){advice}")


def make_directory(path: str, flag: str = "--output_dir") -> None:
    """Create a directory and its parents, and make sure that files can be written there.

    Args:
      path: the directory, local or remote.
      flag: that named it, for the message.

    Raises:
      OutputError: when it cannot be created or is not writable.
    """
    try:
        if is_remote(path):
            with reached(path):
                gfile().makedirs(path)
            return
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except PathError as error:
        raise OutputError(f"{flag}: {error}") from None
    except OSError as error:
        raise refusal(
            f"The {flag.strip('-').split('_')[0]} directory {path} cannot be written",
            error,
            f"; name another with {flag} or change its permissions.",
        ) from error


def join(directory: str, *names: str) -> str:
    """Join path components, local or remote."""
    return os.path.join(directory, *names)


def synchronize(path: str) -> None:
    """Make sure that a local file or directory has reached the disk; remote file systems see to that themselves."""
    if is_remote(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
    finally:
        os.close(descriptor)


def synchronize_tree(path: str) -> None:
    """Make sure that a local directory and all that it holds have reached the disk."""
    if is_remote(path):
        return
    for folder, _, names in os.walk(path):
        for name in names:
            synchronize(os.path.join(folder, name))
        synchronize(folder)


def rename(source: str, target: str) -> None:
    """Move a complete file or directory to its final name, replacing a file that was there; it stays moved."""
    if is_remote(target):
        with reached(target):
            gfile().rename(source, target, overwrite=True)
        return
    os.replace(source, target)
    synchronize(os.path.dirname(target) or ".")


def remove(path: str) -> None:
    """Delete a file if it exists; of a link, the link."""
    if is_remote(path):
        with reached(path):
            if gfile().exists(path):
                gfile().remove(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def remove_tree(path: str) -> None:
    """Delete a directory with all that it holds, or a file, if it exists; links in it are not followed."""
    if is_remote(path):
        with reached(path):
            if gfile().isdir(path):
                gfile().rmtree(path)
            elif gfile().exists(path):
                gfile().remove(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        remove(path)


def is_same(path: str, other: str) -> bool:
    """Say whether two paths lead to the same file, by links too; a remote one only when its text is the same."""
    if is_remote(path) or is_remote(other):
        return path == other
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def identity_of_pipe(path: str) -> tuple[int, int] | None:
    """Return what tells a pipe, a socket or a terminal from all others; None for what can be read twice."""
    if is_remote(path):
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    is_pipe = stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)
    if is_pipe or (stat.S_ISCHR(status.st_mode) and path != os.devnull):
        return status.st_dev, status.st_ino
    return None


def is_regular(path: str) -> bool:
    """Say whether a local path is a plain file, or leads to one; a remote one counts as such."""
    if is_remote(path):
        return is_file(path)
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
