"""The `checkpoint` file of a directory: which checkpoints it names, and where they lie.

Names are looked for in the file's own directory first, whatever path it gives: directories are copied and moved. The
legacy script wrote absolute paths or relative ones; both move with the directory.
"""

import os
import re

from absl import logging
from google.protobuf import text_format
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

from bert_squad import files, whole_files
from bert_squad.checkpoints.tf1 import checkpoint_files
from bert_squad.errors import CheckpointError

STATE_FILE = "checkpoint"
PREFIX = "model.ckpt"
OWN_NAME = re.compile(rf"{re.escape(PREFIX)}-(\d+)", re.ASCII)
"""What this script and the legacy one call a checkpoint; nothing of another name is ever deleted."""

_SEPARATORS = re.compile(r"[\\/]")  # those of Windows too


def recorded_names(directory: str) -> list[str] | None:
    """Return what the `checkpoint` file names, oldest first; None when there is no such file.

    Raises:
      CheckpointError: when it cannot be read.
    """
    path = files.join(directory, STATE_FILE)
    if not files.is_file(path):
        return None
    try:
        state = text_format.Parse(files.read_bytes(path).decode("utf-8-sig"), CheckpointState())
    except (OSError, ValueError, RecursionError, text_format.ParseError) as error:
        raise CheckpointError(
            f"The checkpoint state file {path} cannot be read ({files.reason_of(error)}); delete it to start afresh, "
            'or let it hold a line `model_checkpoint_path: "model.ckpt-<step>"`.'
        ) from None
    names = list(state.all_model_checkpoint_paths)
    if state.model_checkpoint_path:
        names = [name for name in names if name != state.model_checkpoint_path]
        names.append(state.model_checkpoint_path)
    return names


def write_state(directory: str, names: list[str]) -> None:
    """Write the `checkpoint` file.

    Args:
      directory: its directory, and that of the checkpoints.
      names: of checkpoints, oldest first, at least one.

    Raises:
      OutputError: when it cannot be written.
    """
    state = CheckpointState(model_checkpoint_path=names[-1], all_model_checkpoint_paths=names)
    with whole_files.open_whole(files.join(directory, STATE_FILE)) as writer:
        writer.write(text_format.MessageToString(state))


def last_part(name: str) -> str:
    r"""Return the last part of a path, of Windows too.

    >>> last_part("gs://bucket/out/model.ckpt-3"), last_part("C:\\out\\model.ckpt-3")
    ('model.ckpt-3', 'model.ckpt-3')
    """
    return _SEPARATORS.split(name)[-1]


def locate(directory: str, name: str) -> str | None:
    """Find a checkpoint by what a `checkpoint` file calls it.

    Its own directory comes first, so that a copy does not go back to its original. A name is never a pattern, and does
    not lead out of the directory by `..`.

    Returns:
      The prefix; None when nothing of that name is there.
    """
    last = last_part(name)
    if last in ("", ".", ".."):
        return None
    own = files.join(directory, last)
    if _has_files(own):
        return own
    if ".." in _SEPARATORS.split(name) or (files.is_remote(name) and not files.is_remote(directory)):
        return None
    elsewhere = files.join(directory, name)  # an absolute path stays as it is
    if not _has_files(elsewhere):
        return None
    if os.path.isabs(name) or files.is_remote(name):
        logging.warning(
            "The checkpoint %s is not in %s but elsewhere: it is read from there.", name, directory
        )
    return elsewhere


def _has_files(prefix: str) -> bool:
    try:
        return bool(checkpoint_files(prefix))
    except OSError:
        return False


def checkpoints_in(directory: str) -> list[str]:
    """Return the names `model.ckpt-<step>` that have an index file in a directory, by step."""
    if not files.is_directory(directory):
        return []
    names = (name.removesuffix(".index") for name in files.names_in(directory) if name.endswith(".index"))
    return sorted(filter(OWN_NAME.fullmatch, names), key=lambda name: int(name.rsplit("-", 1)[1]))


def _shortened(words: list[str]) -> str:
    """List words, cut where there are many or long ones, the last of them being shown."""
    shown = words if len(words) <= 10 else [*words[:5], "...", *words[-4:]]
    return ", ".join(word if len(word) <= 300 else f"{word[:150]}...{word[-100:]}" for word in shown)


def nothing_usable(directory: str, problems: list[str]) -> CheckpointError:
    """Return the error for a `checkpoint` file of which nothing can be used.

    Args:
      directory: its directory.
      problems: what it names, each with what is wrong with it.
    """
    state = files.join(directory, STATE_FILE)
    named = f"names {_shortened(problems)}" if problems else "names no checkpoint"
    present = checkpoints_in(directory)
    advice = (
        f'There are {_shortened(present)}: let it hold the line `model_checkpoint_path: "{present[-1]}"` to go on from '
        "there, or choose another directory to begin anew"
        if present
        else "Copy the missing files there, or delete it to begin anew"
    )
    return CheckpointError(
        f"The checkpoint state file {state} {named}, so nothing can be restored. {advice}."
    )


def warn_of_later(directory: str, step: int) -> None:
    """Warn of checkpoints of later steps that the `checkpoint` file does not name: training may write over them.

    Somebody who wants to go back lets the file name an older one, as the legacy script allows.
    """
    named = set(map(last_part, recorded_names(directory) or ()))
    later = [
        name for name in checkpoints_in(directory) if name not in named and int(name.rsplit("-", 1)[1]) > step
    ]
    if later:
        logging.warning(
            "%s holds %s, which its `%s` file does not name: training goes on from step %d and writes over those whose "
            "steps it saves. Move them away to keep them.",
            directory,
            _shortened(later),
            STATE_FILE,
            step,
        )


def check_all_named(directory: str) -> None:
    """Refuse to train where checkpoints lie that no `checkpoint` file speaks of: they would be written over.

    Raises:
      CheckpointError: naming them.
    """
    state = files.join(directory, STATE_FILE)
    present = [] if files.exists(state) else checkpoints_in(directory)
    if present:
        raise CheckpointError(
            f"{directory} holds {_shortened(present)} but no `{STATE_FILE}` file, so training would begin anew over "
            f'them. To go on, write the line `model_checkpoint_path: "{present[-1]}"` to {state}; to begin anew, '
            "choose another --output_dir or move them away."
        )
