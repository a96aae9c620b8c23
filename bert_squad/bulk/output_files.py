"""The files of a bulk run: their names, and how they come to their places, all of one run or none.

Beam's own file systems are asked where a path is remote.
"""

import contextlib
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator

from bert_squad import files, whole_files
from bert_squad.errors import ConfigError, OutputError

ANSWERS, ERRORS = "answers", "errors"
_INFIX = {ANSWERS: "", ERRORS: "-errors"}  # between the prefix and the number of a file
SUFFIX = ".jsonl"
_COMPLETE, _MOVING = ".complete", ".moving"  # directories of answers that are on their way to their places
_PATTERN_CHARACTERS = frozenset("*?[]")


def check_output(prefix: str, *, overwrite: bool) -> list[str]:
    """Return the files that an earlier run wrote with a prefix; a killed one's are put in their places first.

    Args:
      prefix: of the names of the files.
      overwrite: whether they may be replaced; else there are none.

    Raises:
      ConfigError: when it is no prefix.
      OutputError: when there are any, and may not be.
    """
    if not os.path.basename(prefix):
        raise ConfigError(f"--output is the beginning of names of files, and {prefix!r} names a directory.")
    if not _PATTERN_CHARACTERS.isdisjoint(prefix):
        raise ConfigError(f"Beam takes {prefix!r} for a pattern; name an --output without *, ?, [ and ].")
    folder = os.path.dirname(prefix)
    if not files.is_remote(prefix):
        files.make_directory(folder, "--output")
        whole_files.remove_abandoned(folder)
        if _finish_publishing(prefix):
            logging.warning(
                "The answers of %s, of a run that was killed at its end, are in their places now.", prefix
            )
    names = _names_in(folder)
    present = [path for path in (files.join(folder, name) for name in names) if kind_of(path, prefix)]
    if present and not overwrite:
        raise OutputError(
            f"{present[0]} exists already; name another --output, or add --overwrite to replace it."
        )
    return present


def _names_in(folder: str) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    if not files.is_remote(folder):
        return files.names_in(folder)
    matches = FileSystems.match([f"{folder}/*"])
    return sorted(os.path.basename(metadata.path) for match in matches for metadata in match.metadata_list)


def kind_of(path: str, prefix: str) -> str | None:
    """Return the kind of an output file, or None for what is none of this prefix."""
    for kind, infix in _INFIX.items():
        if re.fullmatch(rf"{re.escape(prefix + infix)}-\d+-of-\d+{re.escape(SUFFIX)}", path):
            return kind
    return None


@contextlib.contextmanager
def staged(prefix: str, present: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Give a directory to write to, and move its files to their names when the block succeeds.

    Yields:
      The directory, and a list that holds the final paths in the end.
    """
    published: list[str] = []

    def publish(folder: str) -> None:
        targets = _targets(_names_in(folder), prefix)
        published.extend(targets.values())
        files.rename(folder, prefix + _COMPLETE)
        _finish_publishing(prefix)

    if files.is_remote(prefix):
        from apache_beam.io.filesystems import FileSystems

        folder = f"{prefix}.tmp-{secrets.token_hex(8)}"
        try:
            yield folder, published
            published.extend(_publish_remote(folder, prefix, present))
        finally:
            with contextlib.suppress(Exception):  # it may never have been there
                FileSystems.delete([folder])
        return
    with whole_files.complete_directory(prefix, publish, problem=f"Cannot write {prefix}") as folder:
        yield folder, published


def _targets(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Map the names of files that Beam has written to the paths where they belong."""
    found = (re.fullmatch(rf"({ANSWERS}|{ERRORS})-(\d+-of-\d+{re.escape(SUFFIX)})", name) for name in names)
    return {match[0]: f"{prefix}{_INFIX[match[1]]}-{match[2]}" for match in found if match}


def _finish_publishing(prefix: str) -> bool:
    """Move complete answers to their places, also those of a run that was killed while it did so.

    First what an earlier run left under this prefix goes, and only then is the first file moved; so at no moment, not
    even after a power cut, do files of two runs lie side by side, and all of the new ones are somewhere.

    Returns:
      Whether there were any.
    """
    folder, complete = os.path.dirname(prefix), prefix + _COMPLETE
    if _targets(_names_there(complete), prefix):
        for name in _names_in(folder):
            if kind_of(files.join(folder, name), prefix):
                files.remove(files.join(folder, name))
        files.rename(complete, prefix + _MOVING)
    targets = _targets(_names_there(prefix + _MOVING), prefix)
    for name, target in targets.items():
        files.rename(files.join(prefix + _MOVING, name), target)
    if targets:
        files.remove_tree(prefix + _MOVING)
    return bool(targets)


def _names_there(folder: str) -> list[str]:
    return files.names_in(folder) if files.is_directory(folder) else []


def _publish_remote(folder: str, prefix: str, present: list[str]) -> list[str]:
    """Move files where there are no directories to rename; a run that is killed here may leave files of two."""
    from apache_beam.io.filesystems import FileSystems

    targets = _targets(_names_in(folder), prefix)
    FileSystems.rename([files.join(folder, name) for name in targets], list(targets.values()))
    stale = sorted(set(present) - set(targets.values()))
    if stale:
        FileSystems.delete(stale)
    return list(targets.values())
