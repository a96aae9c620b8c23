"""Links for TensorFlow, which takes paths for patterns where it looks for files: `run[b]/model.ckpt-3`, for one."""

import os
import re
import shutil
import tempfile
import weakref

from bert_squad import files

_links: list[weakref.finalize] = []
_PATTERN = re.compile(r"[*?\[\]\\]")


def has_pattern(path: str) -> bool:
    """Say whether TensorFlow would take a path for a pattern, in the places where it looks for files by one.

    >>> has_pattern("run[b]/model.ckpt-3"), has_pattern("run b/model.ckpt-3")
    (True, False)
    """
    return _PATTERN.search(path) is not None


def without_pattern(path: str, owner: object) -> str:
    """Return a path to the same local files that TensorFlow does not take for a pattern.

    Args:
      path: a directory, a file, or the prefix of files (`path.index` and so on).
      owner: the links that are made for it are deleted when this object is no more.

    Returns:
      `path` itself when there is no need; else a path in a temporary folder that holds links.

    Raises:
      OSError: when that folder cannot be made.
    """
    if files.is_remote(path) or not has_pattern(path):
        return path
    folder = tempfile.mkdtemp(prefix="bert_squad-")
    _links[:] = [finalizer for finalizer in _links if finalizer.alive]
    _links.append(weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True))
    whole = os.path.abspath(path)
    link = os.path.join(folder, "linked")
    if os.path.isdir(whole) and not os.path.exists(f"{whole}.index"):
        os.symlink(whole, link)
        return link
    parent, prefix = os.path.split(whole)
    for name in files.names_in(parent):
        if name == prefix or name.startswith(f"{prefix}."):
            os.symlink(os.path.join(parent, name), link + name.removeprefix(prefix))
    return link


def remove_links() -> None:
    """Delete what `without_pattern` has made; for when the process is about to end at once."""
    for finalizer in _links:
        finalizer()
    _links.clear()
