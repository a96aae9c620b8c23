"""The checkpoints of one output directory: save whole, keep the newest, find the latest that is complete.

A save goes to a temporary folder beside its final place; data and index are renamed when complete, and only
then does the `checkpoint` file name the new prefix. So a kill at any moment leaves a directory whose latest
checkpoint is whole. What has become too old is noted in a file before the `checkpoint` file changes, and deleted after
it, so that a kill in between leaves nothing for ever.

Nothing is deleted but `model.ckpt-<digits>` files of this very directory (see `state_file`).
"""

import contextlib
import json
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from bert_squad import files, whole_files
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.names import SLOT_NAMES
from bert_squad.checkpoints.reader import check_shape
from bert_squad.checkpoints.state_file import (
    OWN_NAME,
    PREFIX,
    checkpoints_in,
    last_part,
    locate,
    nothing_usable,
    recorded_names,
    write_state,
)
from bert_squad.checkpoints.tf1 import Tf1Reader, checkpoint_files
from bert_squad.checkpoints.tf1_writing import in_order, save_tf1_checkpoint
from bert_squad.errors import CheckpointError, DamagedCheckpointError, OutputError, TrainingError

DROPPED_FILE = "checkpoint.dropped"


def latest_checkpoint(directory: str) -> str | None:
    """Return the prefix of the newest complete checkpoint that the `checkpoint` file names.

    A checkpoint whose files are missing or cut short is passed over with a warning.

    Returns:
      The prefix; None when there is no `checkpoint` file.

    Raises:
      CheckpointError: when the file cannot be read, or none of what it names can be used.
    """
    return next(iter(usable_checkpoints(directory)), None)


def usable_checkpoints(directory: str) -> Iterator[str]:
    """Yield the prefixes of complete checkpoints, the newest first; at least one if there is a `checkpoint` file."""
    names = recorded_names(directory)
    if names is None:
        return
    problems, found = [], False
    for name in reversed(names):
        prefix = locate(directory, name)
        problem = "it is not there" if prefix is None else incomplete(prefix)
        if problem is None:
            assert prefix is not None
            found = True
            yield prefix
        elif prefix is not None:
            logging.warning("Passing over the checkpoint %s: %s.", prefix, problem)
        problems.append(f"{name!r} ({problem})")
    if not found:
        raise nothing_usable(directory, problems)


def incomplete(prefix: str) -> str | None:
    """Say what is missing from a checkpoint, or return None when it is complete."""
    if not any(path == prefix or path.endswith(".index") for path in checkpoint_files(prefix)):
        return "its index file is missing"
    try:
        Tf1Reader(prefix)
    except DamagedCheckpointError as error:
        return error.reason
    except CheckpointError as error:
        return str(error)
    return None


def restore_latest(directory: str, model, optimizer=None) -> tuple[str, int] | None:
    """Restore the newest checkpoint that can be read whole; a damaged one is passed over with a warning.

    Args:
      directory: the output directory.
      model: a `BertForSquad`.
      optimizer: as for `restore`.

    Returns:
      The prefix and the number of training steps done; None when there is no `checkpoint` file.

    Raises:
      CheckpointError: as `restore`, or when none can be read.
    """
    problem = None
    for prefix in usable_checkpoints(directory):
        try:
            return prefix, restore(prefix, model, optimizer)
        except DamagedCheckpointError as error:
            logging.warning("Passing over the checkpoint %s: %s", prefix, error)
            problem = problem or error
        except CheckpointError:
            if checkpoint_files(prefix):
                raise
            # A training that goes on here has deleted it since; it has written newer ones.
            return restore_latest(directory, model, optimizer)
    if problem:
        raise problem
    return None


def restore(prefix: str, model, optimizer=None) -> int:
    """Put model, slots and step back to where a checkpoint of this script or the legacy one left them.

    Args:
      prefix: of the checkpoint.
      model: a `BertForSquad`.
      optimizer: an `AdamWeightDecay` whose slots are filled too, or None (prediction).

    Returns:
      The number of training steps done.

    Raises:
      CheckpointError: when a variable or slot is missing or has another shape; nothing is changed then.
    """
    reader = Tf1Reader(prefix)
    targets = {name: (entry, entry.variable) for name, entry in tf1_variables(model).items()}
    if optimizer is not None:
        for name, (entry, _) in list(targets.items()):
            if entry.trained:
                for slot, variable in zip(SLOT_NAMES, optimizer.slots(name), strict=True):
                    targets[f"{name}/{slot}"] = (entry, variable)
    missing = sorted(set(targets) - set(reader))
    if missing:
        advice = (
            "to start from its weights, name it with --init_checkpoint and choose another --output_dir"
            if all(name.rsplit("/", 1)[-1] in SLOT_NAMES for name in missing)
            else "it belongs to another model; choose another --output_dir"
        )
        raise CheckpointError(
            f"The checkpoint {prefix} lacks {len(missing)} variables, {missing[0]} among them; {advice}."
        )
    for name, (entry, _) in targets.items():
        check_shape(name, reader.shapes[name], entry.shape, prefix)
    values = {name: entry.from_checkpoint(reader[name]) for name, (entry, _) in targets.items()}
    for name, (_, variable) in targets.items():
        variable.assign(values[name])
    return reader.step or 0


def prefix_of(directory: str, step: int) -> str:
    """Return the prefix of the checkpoint that is saved after so many steps."""
    return files.join(directory, f"{PREFIX}-{step}")


def save(directory: str, model, optimizer, step: int, keep_max: int = 5) -> str:
    """Save model, slots and step as `model.ckpt-<step>`, make it the latest, and delete the oldest ones.

    Args:
      directory: the output directory.
      model: a `BertForSquad`.
      optimizer: an `AdamWeightDecay`.
      step: number of training steps done.
      keep_max: number of checkpoints to keep, at least 1.

    Returns:
      The prefix.

    Raises:
      OutputError: when it cannot be written; earlier checkpoints are as they were.
      TrainingError: when a weight or slot is not finite; likewise.
    """
    prefix = prefix_of(directory, step)
    name = last_part(prefix)
    _check_finite(model, optimizer, prefix)
    try:
        with whole_files.complete_directory(
            prefix,
            lambda temporary: _publish(temporary, directory, name, keep_max),
            problem=f"Cannot save the checkpoint {prefix}",
            advice="; earlier checkpoints are unchanged. Free some space or restore write permission, then run the "
            "same command again to continue.",
        ) as temporary:
            save_tf1_checkpoint(files.join(temporary, name), model, optimizer, step)
    except OutputError:
        with contextlib.suppress(OSError, CheckpointError):
            finish_dropping(directory)
        raise
    return prefix


def _publish(temporary: str, directory: str, name: str, keep_max: int) -> None:
    """Move a new checkpoint to its directory, name it in the `checkpoint` file, and then delete what is too old."""
    recorded = map(last_part, recorded_names(directory) or ())
    kept = [old for old in recorded if old and old != name and _is_here(directory, old)]
    kept.append(name)
    dropped, kept = kept[:-keep_max], kept[-keep_max:]
    # Until the `checkpoint` file names the new one, whatever there is of it is half a checkpoint: unless one of that
    # name was there before, which somebody has kept.
    _note_dropped(directory, [*dropped, *([] if _is_here(directory, name) else [name])])
    for file in in_order(files.names_in(temporary)):
        files.rename(files.join(temporary, file), files.join(directory, file))
    write_state(directory, kept)
    _delete(directory, dropped)


def _is_here(directory: str, name: str) -> bool:
    return bool(checkpoint_files(files.join(directory, name)))


def _check_finite(model, optimizer, prefix: str) -> None:
    """Refuse to save what no training can go on from."""
    for name, entry in tf1_variables(model).items():
        variables = [
            entry.variable,
            *(optimizer.slots(name) if optimizer is not None and entry.trained else ()),
        ]
        if not all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in variables):
            raise TrainingError(
                f"{name} is not finite any more, so {prefix} is not saved; earlier checkpoints are unchanged. A "
                "smaller --learning_rate or a longer --warmup_proportion usually helps."
            )


def finish_dropping(directory: str) -> None:
    """Delete what a save that was killed, or failed, has left: old checkpoints to delete, and half of a new one.

    Whoever calls must be the one who trains.
    """
    path = files.join(directory, DROPPED_FILE)
    if not files.exists(path):
        return
    try:
        dropped = json.loads(files.read_bytes(path))
    except (OSError, ValueError, RecursionError):
        return
    recorded = recorded_names(directory)
    names = dropped if isinstance(dropped, list) else []
    is_first_save = recorded is None and len(names) == 1 and set(checkpoints_in(directory)) <= set(names)
    if not recorded and not is_first_save:
        return  # the `checkpoint` file is lost: a person has to look at what there is
    kept = set(map(last_part, recorded or ()))
    _delete(directory, [name for name in names if isinstance(name, str) and name not in kept])


def _note_dropped(directory: str, names: list[str]) -> None:
    with whole_files.open_whole(files.join(directory, DROPPED_FILE)) as writer:
        writer.write(json.dumps(names))


def _delete(directory: str, names: list[str]) -> None:
    """Delete checkpoints of this script's names; one that cannot be deleted stays, with a warning."""
    for name in filter(OWN_NAME.fullmatch, names):
        prefix = files.join(directory, name)
        for path in checkpoint_files(prefix):
            if path == prefix:  # in one file: the legacy script has not written that
                continue
            try:
                files.remove(path)
            except OSError as error:
                logging.warning(
                    "Cannot delete the old checkpoint file %s (%s).", path, files.reason_of(error)
                )
    with contextlib.suppress(OSError):
        files.remove(files.join(directory, DROPPED_FILE))
