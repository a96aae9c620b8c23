"""The checkpoints of one output directory: save whole, keep the newest, find the latest that is complete.

A save goes to a temporary folder beside its final place; data and index are renamed when complete, and only
then does the `checkpoint` file name the new prefix. So a kill at any moment leaves a directory whose latest
checkpoint is whole.
"""

import os

import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf import text_format
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

from bert_squad import files, whole_files
from bert_squad.checkpoints.tf1 import (
    GLOBAL_STEP,
    SLOT_NAMES,
    Tf1Reader,
    check_shape,
    save_tf1_checkpoint,
    tf1_variables,
)
from bert_squad.errors import CheckpointError, OutputError

STATE_FILE = "checkpoint"
PREFIX = "model.ckpt"


def latest_checkpoint(directory: str) -> str | None:
    """Return the prefix of the newest complete checkpoint that the `checkpoint` file names, or None.

    A checkpoint whose files are missing or cut short is passed over with a warning. Absolute paths in the
    file (the directory may have been moved) are looked for in the directory too.
    """
    for prefix in reversed(_recorded_prefixes(directory)):
        problem = incomplete(prefix)
        if problem is None:
            return prefix
        logging.warning("Passing over the checkpoint %s: %s.", prefix, problem)
    return None


def incomplete(prefix: str) -> str | None:
    """Say what is missing from a checkpoint, or return None when it is complete."""
    if not files.exists(f"{prefix}.index"):
        return "its index file is missing"
    try:
        reader = Tf1Reader(prefix)
    except CheckpointError as error:
        return getattr(error, "reason", str(error))
    expected = sum(int(np.prod(shape)) * reader.dtypes[name].size for name, shape in reader.shapes.items())
    found = sum(tf.io.gfile.stat(path).length for path in tf.io.gfile.glob(f"{prefix}.data-*-of-*"))
    if found < expected:
        return f"its data files hold {found} of {expected} bytes"
    return None


def step_of(prefix: str) -> int:
    """Return the `global_step` of a checkpoint; 0 when it has none."""
    reader = Tf1Reader(prefix)
    return int(reader[GLOBAL_STEP]) if GLOBAL_STEP in reader else 0


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
    return step_of(prefix)


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
    """
    name = f"{PREFIX}-{step}"
    prefix = files.join(directory, name)
    temporary = ""
    try:
        temporary = whole_files.create_temporary(prefix, is_directory=True)
        save_tf1_checkpoint(files.join(temporary, name), model, optimizer, step)
        written = sorted(tf.io.gfile.listdir(temporary), reverse=True)  # the index is renamed last
        written.sort(key=lambda file: file.endswith(".index"))
        for file in written:
            files.synchronize(files.join(temporary, file))
            files.rename(files.join(temporary, file), files.join(directory, file))
        kept = [old for old in _recorded_prefixes(directory) if old != prefix] + [prefix]
        dropped, kept = kept[:-keep_max], kept[-keep_max:]
        _write_state(directory, kept)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"Cannot save the checkpoint {prefix} ({reason}); earlier checkpoints are unchanged. Free some "
            "space or restore write permission, then run the same command again to continue."
        ) from error
    finally:
        if temporary:
            whole_files.discard(temporary)
    for old in dropped:
        for path in tf.io.gfile.glob(f"{old}.*"):
            files.remove(path)
    return prefix


def _recorded_prefixes(directory: str) -> list[str]:
    """Return the prefixes that the `checkpoint` file names and that still have files, oldest first."""
    path = files.join(directory, STATE_FILE)
    if not files.exists(path):
        return []
    try:
        state = text_format.Parse(files.read_bytes(path).decode("utf-8"), CheckpointState())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise CheckpointError(
            f"The checkpoint state file {path} cannot be read ({error}); delete it to start afresh, or let "
            'it hold a line `model_checkpoint_path: "model.ckpt-<step>"`.'
        ) from None
    names = list(state.all_model_checkpoint_paths)
    if state.model_checkpoint_path:
        names = [name for name in names if name != state.model_checkpoint_path]
        names.append(state.model_checkpoint_path)
    prefixes = (_locate(directory, name) for name in names)
    return [prefix for prefix in prefixes if prefix is not None]


def _locate(directory: str, name: str) -> str | None:
    places = [name] if os.path.isabs(name) or files.is_remote(name) else []
    places += [files.join(directory, name), files.join(directory, os.path.basename(name))]
    return next((place for place in places if tf.io.gfile.glob(f"{place}.*")), None)


def _write_state(directory: str, prefixes: list[str]) -> None:
    state = CheckpointState(
        model_checkpoint_path=os.path.basename(prefixes[-1]),
        all_model_checkpoint_paths=[os.path.basename(prefix) for prefix in prefixes],
    )
    with whole_files.open_whole(files.join(directory, STATE_FILE)) as writer:
        writer.write(text_format.MessageToString(state))
