"""Which files a flag such as --train_file names: one, several by a pattern or a list, or those of a directory.

What is in them is read in `bert_squad.data.sources`. No TensorFlow here.
"""

import hashlib
import os
import re

from bert_squad import files
from bert_squad.errors import DataError

_PATTERN = re.compile(r"[*?\[]")
# In a directory, what else lies there (a README, a licence) is no data. In all other cases names mean nothing.
_DATA_NAME = re.compile(r"[^._].*\.(json|jsonl|ndjson)(\.gz)?|[^._].*\.parquet", re.IGNORECASE)
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")  # of `datasets`
_SPLIT = re.compile(r"(train|dev|val|valid|validation|eval|test)(?![a-z])", re.IGNORECASE)
_SPLIT_NAMES = {"val": "dev", "valid": "dev", "validation": "dev", "eval": "dev"}


def paths_of(value: str) -> list[str]:
    """Return the paths that a flag names, in the order in which they are read.

    A path that is there is meant as it is, whatever characters it has. Of what is not there, `*`, `?` and `[...]` make
    a pattern, and commas a list, whose parts may be patterns and directories too.

    Args:
      value: of the flag.

    Returns:
      At least one path; one that is no directory, no pattern and no list comes back whether it is there or not.

    Raises:
      DataError: when a pattern matches nothing, or a directory holds no data, or that of several splits.
      PathError: when a remote file system cannot be reached.
      OSError, ValueError: when a path cannot be looked at.
    """
    if files.exists(value):
        return _in_directory(value) if files.is_directory(value) else [value]
    found = files.matching(value) if _PATTERN.search(value) else []
    if found:
        return found
    if "," in value:
        parts = [part.strip() for part in value.split(",")]
        if not all(parts):
            raise DataError(f"{value} is not there, and as a list of files it has an empty part.")
        return [path for part in parts for path in paths_of(part)]
    if _PATTERN.search(value):
        raise DataError(f"No file matches {value}.")
    return [value]


def _in_directory(directory: str) -> list[str]:
    try:
        names = [
            name for name in files.names_in(directory) if not files.is_directory(files.join(directory, name))
        ]
    except OSError as error:
        raise DataError(f"The directory {directory} cannot be read ({files.reason_of(error)}).") from None
    chosen = [name for name in names if _DATA_NAME.fullmatch(name) and name not in _ABOUT_DATA]
    if not chosen:
        arrow = any(name.endswith(".arrow") for name in names)
        hint = (
            " It holds Arrow files, as save_to_disk writes them: use to_json or to_parquet instead." * arrow
        )
        raise DataError(
            f"The directory {directory} holds no data: no file whose name ends in .json, .jsonl, .ndjson (also with "
            f".gz) or .parquet.{hint}"
        )
    splits = {_SPLIT_NAMES.get(split, split): name for name in reversed(chosen) if (split := _split_of(name))}
    if len(splits) > 1:
        raise DataError(
            f"The directory {directory} holds files of several splits ({', '.join(sorted(splits.values()))}); name "
            f"those of one with a pattern, such as {files.join(directory, min(splits))}*."
        )
    return [files.join(directory, name) for name in chosen]


def _split_of(name: str) -> str | None:
    match = _SPLIT.match(name)
    return match[1].lower() if match else None


def digest_of(value: str) -> str | None:
    """Return the SHA-256 of what the files of a flag hold; None when one is a pipe, which can be read only once.

    Of one file it is that of its bytes; of several, that of all their hashes.
    """
    paths = paths_of(value)
    if any(map(files.identity_of_pipe, paths)):
        return None
    return joined_digest([hashlib.sha256(files.read_bytes(path)).hexdigest() for path in paths])


def joined_digest(digests: list[str]) -> str:
    """Return one SHA-256 for several; of one, that one."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def described(value: str, paths: list[str]) -> str:
    """Return what to call the files of a flag in a message.

    >>> described("dev.json", ["dev.json"]), described("dev", ["dev/0.jsonl"]), described("d*", ["d0", "d1"])
    ('dev.json', 'dev/0.jsonl', 'd*')
    """
    return paths[0] if len(paths) == 1 else value


def listed(paths: list[str], most: int = 5) -> str:
    """Return the names of files for a log line, the first few of them.

    >>> listed(["data/a.json", "data/b.json"])
    'a.json, b.json'
    """
    more = len(paths) - most
    return ", ".join(map(os.path.basename, paths[:most])) + (f" and {more} more" if more > 0 else "")
