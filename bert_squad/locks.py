"""Let one run at a time write to a place.

On a local disk the lock is the operating system's, on a small file: it is free again when its owner ends, however that
ends, `kill -9` included. On a remote file system, and where a disk has no locks, the file itself is the lock; what a
killed run leaves there is recognised on the machine that it ran on, and has to be deleted by hand elsewhere.
"""

import contextlib
import fcntl
import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging

from bert_squad import files, whole_files
from bert_squad.errors import DirectoryInUseError

_SECONDS_BETWEEN_TRIES = 0.5


@contextlib.contextmanager
def exclusive(path: str, what: str, *, waits: bool = False) -> Iterator[None]:
    """Hold a lock while a block runs.

    Args:
      path: of the lock file, in the directory that the lock is for. It is deleted in the end.
      what: is done under the lock, e.g. "training"; for the message.
      waits: wait for the lock, and say so in the log.

    Raises:
      DirectoryInUseError: when another run holds the lock; it says who, where and since when.
      OutputError: when the lock file cannot be written.
    """
    _held[path] = os.getpid(), _acquire(path, what, waits)
    try:
        yield
    finally:
        _release(path)


_held: dict[
    str, tuple[int, Callable[[], None]]
] = {}  # path → the process that holds the lock, what releases it


def _release(path: str) -> None:
    # Gone when another thread has released it, and is about to end the process.
    owner, release = _held.pop(path, (None, None))
    if release is not None and owner == os.getpid():  # a fork has no lock, but would delete its parent's
        release()


def release_all() -> None:
    """Release every lock of this process; for when it is about to end in the middle of what the locks are for."""
    for path in list(_held):
        _release(path)


def _acquire(path: str, what: str, waits: bool):
    said = False
    while True:
        try:
            owner, release = _try(path, what)
        except OSError as error:
            raise files.refusal(f"Cannot write the lock {path}", error) from error
        if release:
            return release
        if not waits:
            raise DirectoryInUseError(
                f"Another run is {what} in {os.path.dirname(path)}: {_described(owner)}. Wait for it, stop it, or "
                f"choose another --output_dir{_advice(path)}."
            )
        if not said:
            said = True
            logging.info("Waiting for another run that is %s here: %s.", what, _described(owner))
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _try(path: str, what: str):
    """Try once; return who holds the lock, or how to release it."""
    if files.is_remote(path):
        return _try_object(path, what)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with os.fdopen(descriptor, "rb") as reader:
            return _parsed(reader.read() or b""), None
    except OSError:  # no locks on this disk
        os.close(descriptor)
        return _try_object(path, what)
    if not _is_same(descriptor, path):  # its last owner has just deleted it
        os.close(descriptor)
        return _try(path, what)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_self(what)).encode())
    except OSError:  # a full disk; a process that goes on, as a notebook does, must not hold the lock
        with contextlib.suppress(OSError):
            os.remove(path)
        os.close(descriptor)
        raise

    def release() -> None:
        with contextlib.suppress(OSError):
            os.remove(path)
        os.close(descriptor)

    return None, release


def _is_same(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _try_object(path: str, what: str):
    """Try once where the existence of the file is the lock."""
    content = files.read_bytes(path) if files.exists(path) else b""
    owner = _parsed(content) if content else {}  # empty: whoever tried to lock it has just made it
    is_gone = owner.get("host") == socket.gethostname() and not whole_files.process_exists(
        owner.get("pid", 0)
    )
    if owner and not is_gone:
        return owner, None
    own = {**_self(what), "token": secrets.token_hex(8)}
    with whole_files.open_whole(path) as writer:
        writer.write(json.dumps(own))
    found = _parsed(files.read_bytes(path))
    if found != own:  # somebody else was quicker
        return found, None

    def release() -> None:
        with contextlib.suppress(OSError):
            if _parsed(files.read_bytes(path)) == own:
                files.remove(path)

    return None, release


def _self(what: str) -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return {
        "what": what,
        "user": user,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        owner = json.loads(content)
    except (ValueError, RecursionError):  # it is only just being written
        return {"what": "unknown"}
    if not isinstance(owner, dict) or not isinstance(owner.get("pid"), int):
        return {"what": "unknown"}
    return owner


def _described(owner: dict[str, Any]) -> str:
    if "pid" not in owner:
        return "it has not said yet which"
    return f"process {owner['pid']} of {owner.get('user')} on {owner.get('host')}, since {owner.get('since')}"


def _advice(path: str) -> str:
    return f"; if that run is no more, delete {path}" if files.is_remote(path) else ""
