"""Fill a model from a checkpoint, and say what was matched, missing and left over."""

import dataclasses
import re

from absl import logging

from bert_squad import files
from bert_squad.checkpoints.directory import latest_checkpoint
from bert_squad.checkpoints.huggingface import HuggingFaceReader, find_weights
from bert_squad.checkpoints.tf1 import (
    GLOBAL_STEP,
    SLOT_NAMES,
    NamedVariable,
    Tf1Reader,
    check_shape,
    tf1_variables,
)
from bert_squad.errors import CheckpointError

# What a pre-training checkpoint holds besides the encoder; nobody misses it here.
_PRETRAINING = re.compile(r"^cls/(predictions|seq_relationship)/")


@dataclasses.dataclass(frozen=True)
class LoadSummary:
    """What `load_checkpoint` did. Names are legacy names, sorted.

    Args:
      path: the checkpoint.
      kind: what it was recognised as.
      matched: variables of the model that were filled.
      missing: variables of the model that keep their initial values.
      left_over: entries of the checkpoint that the model has no use for.
    """

    path: str
    kind: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"Loaded {self.path} ({self.kind}): {len(self.matched)} variables matched, "
            f"{len(self.missing)} missing, {len(self.left_over)} left over."
        ]
        lines += [f"  missing, keeps its initial value: {name}" for name in self.missing]
        lines += [f"  left over: {name}" for name in self.left_over]
        return "\n".join(lines)


def resolve_prefix(path: str) -> str:
    """Return the checkpoint prefix that a path means: itself, or the latest of a directory.

    Raises:
      CheckpointError: when there is no checkpoint at the path.
    """
    path = path.removesuffix(".index")
    if files.exists(f"{path}.index"):
        return path
    if files.is_directory(path):
        latest = latest_checkpoint(path)
        if latest:
            return latest
        raise CheckpointError(f"The directory {path} holds no checkpoint (no `checkpoint` file names one).")
    raise CheckpointError(
        f"There is no checkpoint at {path} ({path}.index does not exist); check --init_checkpoint."
    )


def check_loadable(path: str) -> None:
    """Refuse a checkpoint that is missing or unreadable, before anything slow starts.

    Raises:
      CheckpointError: see `load_checkpoint`.
    """
    open_checkpoint(path)


def open_checkpoint(path: str) -> Tf1Reader | HuggingFaceReader:
    """Open a checkpoint of any supported kind, recognised by looking, as a mapping from legacy names to arrays.

    Raises:
      CheckpointError: when there is none or it cannot be read.
    """
    weights = find_weights(path)
    return HuggingFaceReader(weights) if weights else Tf1Reader(resolve_prefix(path))


def load_checkpoint(model, path: str) -> LoadSummary:
    """Fill every variable of the model that the checkpoint has under the same name.

    Adam slots, `global_step` and pre-training heads are ignored, and a variable that the checkpoint lacks
    keeps its initial value; the returned and logged summary names it.

    Args:
      model: a `BertForSquad`.
      path: a TF1 checkpoint prefix, a directory with a `checkpoint` file, a `.safetensors` file, or a
        Hugging Face directory.

    Returns:
      The summary.

    Raises:
      CheckpointError: when there is no readable checkpoint, a shape differs (both are named), or not one
        variable matches. The model is unchanged then.

    Source: `modeling.get_assignment_map_from_checkpoint`. Differs: the legacy trains on from random weights
    when nothing matches.
    """
    return assign(open_checkpoint(path), tf1_variables(model), path)


def assign(reader: Tf1Reader | HuggingFaceReader, variables: dict[str, NamedVariable], path: str) -> LoadSummary:
    """Copy what `reader` has into `variables`, all or nothing; see `load_checkpoint`."""
    matched = sorted(set(variables) & set(reader))
    if not matched:
        raise CheckpointError(
            f"Nothing in {path} ({reader.kind}) matches the model: it holds {_some_names(reader)}, and the model "
            f"wants {_some_names(variables)}. It may be a checkpoint of another program or model."
        )
    for name in matched:
        check_shape(name, reader.shapes[name], variables[name].shape, path)
    values = {name: variables[name].from_checkpoint(reader[name]) for name in matched}
    for name, value in values.items():
        variables[name].variable.assign(value)
    summary = LoadSummary(
        path=path,
        kind=reader.kind,
        matched=tuple(matched),
        missing=tuple(sorted(set(variables) - set(matched))),
        left_over=tuple(sorted(name for name in set(reader) - set(matched) if not _is_ignored(name))),
    )
    logging.info("%s", summary)
    return summary


def _is_ignored(name: str) -> bool:
    return name == GLOBAL_STEP or name.rsplit("/", 1)[-1] in SLOT_NAMES or bool(_PRETRAINING.match(name))


def _some_names(names) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
