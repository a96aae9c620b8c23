"""Write whole files or none.

Every output is written under a temporary name beside its final one and renamed when it is complete, so that
a reader never sees half a file and a failed run leaves the old file as it was.

A temporary file or directory is created anew, never through a link, under a name that nobody can foresee, and its
writer holds a lock on it, which the operating system lifts when the process ends, however it ends. So what a killed run
left behind is told from what another run is writing just now (`remove_abandoned`).
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from bert_squad import files, links
from bert_squad.errors import OutputError

_TEMPORARY = re.compile(r"\.tmp-(?P<pid>\d+)-(?P<host>[0-9a-f]{8})[0-9a-f]{12}$")
_SECONDS_UNTIL_ABANDONED = 24 * 60 * 60  # where no lock tells and the writer was on another machine

_held: dict[str, int | None] = {}  # temporary path → the descriptor that holds its lock


def create_temporary(path: str, *, is_directory: bool = False) -> str:
    """Create an empty file, or a directory, to write to until it is complete and renamed to `path`.

    Args:
      path: the final path. The temporary one is in the same directory: `.tmp-`, the process and a random number are
        added to the name.
      is_directory: create a directory, and its parents.

    Returns:
      Its path. `discard` must follow, whether it was renamed or not.

    Raises:
      OSError: when it cannot be created.
    """
    while True:
        temporary = f"{path}.tmp-{os.getpid()}-{_host()}{secrets.token_hex(6)}"
        _held[temporary] = None  # before it is there: a signal may come between any two lines
        try:
            descriptor = _create(temporary, is_directory)
        except Exception:
            _held.pop(temporary)
            raise
        if descriptor is None:
            return temporary
        _held[temporary] = descriptor
        # Somebody who tidies up may have come between creation and lock; then another name is taken.
        if _lock(descriptor) is not False and os.path.lexists(temporary):
            return temporary
        discard(temporary)


def _create(temporary: str, is_directory: bool) -> int | None:
    """Create a temporary file or directory, and return a descriptor of it; None where there are none."""
    if files.is_remote(temporary):
        if is_directory:
            with files.reached(temporary):
                files.gfile().makedirs(temporary)
        return None
    if not is_directory:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    os.makedirs(os.path.dirname(temporary) or ".", exist_ok=True)
    os.mkdir(temporary)
    return os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)


def discard(temporary: str) -> None:
    """Delete what `create_temporary` made if it is still there; a failure to do so is of no consequence."""
    descriptor = _held.pop(temporary, None)
    with contextlib.suppress(OSError):
        files.remove_tree(temporary)
    if descriptor is not None:
        os.close(descriptor)


def discard_all() -> None:
    """Delete every temporary file and directory of this process; for when it is about to end."""
    for temporary in list(_held):
        discard(temporary)
    _delete_generated()
    links.remove_links()


def _delete_generated() -> None:
    """Delete the files of functions that AutoGraph has rewritten; it does so when Python ends, which may not happen."""
    for name, module in list(sys.modules.items()):
        if name.startswith("__autograph_generated_file"):
            with contextlib.suppress(OSError):
                os.remove(str(module.__file__))


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _lock(descriptor: int) -> bool | None:
    """Lock an open file for this process, without waiting; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def remove_abandoned(directory: str) -> None:
    """Delete what processes that are gone left in a directory under temporary names.

    What another process is writing just now stays, and so does any name that `create_temporary` does not give.
    """
    try:
        names = files.names_in(directory) if files.exists(directory) else []
    except OSError:
        return
    for name in names:
        match = _TEMPORARY.search(name)
        path = files.join(directory, name)
        if match and path not in _held:
            with contextlib.suppress(OSError), _own_lock(path) as is_locked:
                if is_locked or (is_locked is None and _looks_abandoned(path, match)):
                    files.remove_tree(path)


@contextlib.contextmanager
def _own_lock(path: str) -> Iterator[bool | None]:
    """Try to lock what may be somebody's temporary, as long as the block runs, so that its maker sees it is lost."""
    if files.is_remote(path):
        yield None
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _looks_abandoned(path: str, name: re.Match) -> bool:
    """Say, where no lock tells, whether the writer of a temporary is gone."""
    if name["host"] == _host():
        return not process_exists(int(name["pid"]))
    return time.time() - _modified(path) > _SECONDS_UNTIL_ABANDONED


def process_exists(pid: int) -> bool:
    """Say whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the latter is no number of a process
        return False
    except OSError:
        return True
    return True


def _modified(path: str) -> float:
    """Return when something was last written to, in seconds since 1970; now, when that cannot be found out."""
    try:
        if not files.is_remote(path):
            return os.lstat(path).st_mtime
        with files.reached(path):
            return files.gfile().stat(path).mtime_nsec / 1e9
    except OSError:
        return time.time()


@contextlib.contextmanager
def scratch_directory() -> Iterator[str]:
    """Give an empty directory on this machine's own disk, and delete it in the end; also what killed runs left there.

    Raises:
      OutputError: when it cannot be made.
    """
    place = tempfile.gettempdir()
    remove_abandoned(place)
    try:
        scratch = create_temporary(os.path.join(place, "bert_squad"), is_directory=True)
    except OSError as error:
        raise files.refusal(f"Cannot write to {place}", error, "; TMPDIR names another place.") from error
    try:
        yield scratch
    finally:
        discard(scratch)


def check_replaceable(paths: Iterable[str]) -> None:
    """Refuse places where no file can be written because a directory is there; for the start of a run.

    Raises:
      OutputError: naming the first of them.
    """
    for path in paths:
        if files.is_directory(path):
            raise OutputError(
                f"{path} is a directory, and a file of that name is to be written; move it away, or choose another "
                "--output_dir."
            )


@contextlib.contextmanager
def complete_file(path: str) -> Iterator[str]:
    """Give a temporary path to write to, and rename it to `path` only if the block succeeds.

    For writers that want a path of their own, such as a TFRecord writer; `open_whole` gives an open file.

    Raises:
      OutputError: when the file system refuses (disk full, permission lost); the old file is left as it was.
    """
    temporary = ""
    try:
        temporary = create_temporary(path)
        yield temporary
        files.synchronize(temporary)
        files.rename(temporary, path)
    except OutputError:
        raise
    except OSError as error:
        raise files.refusal(f"Cannot write {path}", error, "; what was there before is unchanged.") from error
    finally:
        if temporary:
            discard(temporary)


@contextlib.contextmanager
def complete_directory(
    path: str, publish: Callable[[str], None], *, problem: str, advice: str = "."
) -> Iterator[str]:
    """Give a temporary directory to write to; when the block succeeds, all of it is flushed and then published.

    For what is several files, of which none may be seen before all are on the disk.

    Args:
      path: the temporary directory is beside it, and `.tmp-`, the process and a random number are added to its name.
      publish: is given the temporary directory and moves it, or the files in it, to where they belong. What it has
        moved before it fails is its own to take back.
      problem: the beginning of the sentence when that fails, e.g. "Cannot write the model x".
      advice: its end, after the reason in brackets.

    Raises:
      OutputError: when the file system refuses, to us or to TensorFlow. Of the temporary directory nothing is left
        then.
    """
    temporary = ""
    try:
        temporary = create_temporary(path, is_directory=True)
        yield temporary
        files.synchronize_tree(temporary)
        publish(temporary)
    except _refusals() as error:
        raise files.refusal(problem, error, advice) from error
    finally:
        if temporary:
            discard(temporary)


_REPLACED = ".previous"
NamesOfOurs = Callable[[str], Iterable[str]]


def replace_directory(temporary: str, path: str, ours: NamesOfOurs | None = None) -> None:
    """Let a complete directory take the place of an older one, if there is one; for `complete_directory`.

    No file system here exchanges two directories at once; so the old one has another name for a moment, and whoever is
    next calls `finish_replacing` first.

    Args:
      temporary: the new one.
      path: its place.
      ours: see `finish_replacing`.

    Raises:
      OSError: when the file system refuses; the old one is then where it was, or `finish_replacing` puts it there.
    """
    finish_replacing(path, ours)
    if files.exists(path):
        files.rename(path, path + _REPLACED)
    files.rename(temporary, path)
    finish_replacing(path, ours)


def finish_replacing(path: str, ours: NamesOfOurs | None = None) -> None:
    """Put back, or delete, what a `replace_directory` that was killed has left of an older directory.

    Args:
      path: the place of the directory.
      ours: says of the older one which names in it may be deleted; what else is there moves to the new one, under
        another name if that is taken. None: all.
    """
    old = path + _REPLACED
    if not files.exists(old):
        return
    if not files.exists(path):
        files.rename(old, path)
        return
    names = files.names_in(old)
    others = set(names) - set(names if ours is None else ours(old))
    for name in sorted(others):
        place = files.join(path, name)
        while files.exists(place):
            place += _REPLACED
        files.rename(files.join(old, name), place)
    files.remove_tree(old)


def _refusals() -> tuple[type[Exception], ...]:
    """Return what the file system, and TensorFlow if it is imported, raise for files."""
    tensorflow = sys.modules.get("tensorflow")
    return (OSError, tensorflow.errors.OpError) if tensorflow else (OSError,)


@contextlib.contextmanager
def open_whole(path: str, mode: str = "w") -> Iterator[IO]:
    """Open `path` for writing (text as UTF-8, or `"wb"`); the file appears only when the block succeeds.

    Raises:
      OutputError: when the file system refuses; the old file is left as it was.
    """
    with complete_file(path) as temporary:
        if files.is_remote(path):
            with files.reached(path), files.gfile().GFile(temporary, mode) as writer:
                yield writer
        else:
            with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as writer:
                yield writer
