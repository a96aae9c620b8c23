"""Fill a model from a checkpoint of any kind, and say what was matched, missing and left over."""

import dataclasses
import re

import numpy as np
from absl import logging

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.model_variables import NamedVariable, tf1_variables
from bert_squad.checkpoints.names import GLOBAL_STEP, SLOT_NAMES, layer_count, layer_of
from bert_squad.checkpoints.reader import CheckpointReader, check_shape
from bert_squad.errors import CheckpointError

GELU_NOTE = (
    'Its config.json says hidden_act "gelu", the exact form in transformers; here "gelu" is the tanh approximation of '
    "the legacy script, which moves hidden states by about 0.1 percent."
)
"""Measured with the MiniLM encoder: 0.004 at most, where the largest value is 5.3."""

# What nobody misses here: the heads of pre-training and, in TF2 checkpoints, the optimizer and counters.
_PRE_TRAINING = re.compile(r"^cls[/.](predictions|seq_relationship)[/.]")
_TF2_BOOKKEEPING = re.compile(r"^(optimizer/.*|save_counter|step|global_step)$|/\.OPTIMIZER_SLOT/")


@dataclasses.dataclass(frozen=True)
class LoadSummary:
    """What `load_checkpoint` did. Names are legacy names, sorted.

    Args:
      path: the checkpoint.
      kind: what it was recognised as.
      matched: variables of the model that were filled.
      missing: variables of the model that keep their initial values.
      left_over: entries of the checkpoint that the model has no use for.
      ignored: entries that are expected to be of no use: Adam slots, step and pre-training heads.
      step: number of training steps that the checkpoint says were done; None when it does not say.
    """

    path: str
    kind: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    step: int | None = None

    def __str__(self) -> str:
        ignored = (
            f" ({len(self.ignored)} slots, counters and pre-training heads ignored)" if self.ignored else ""
        )
        lines = [
            f"Loaded {self.path} ({self.kind}): {len(self.matched)} variables matched, "
            f"{len(self.missing)} missing, {len(self.left_over)} left over{ignored}."
        ]
        lines += [f"  missing, keeps its initial value: {name}" for name in self.missing]
        lines += [f"  left over: {name}" for name in self.left_over]
        return "\n".join(lines)


def check_loadable(path: str) -> None:
    """Refuse a checkpoint that is missing or unreadable, before anything slow starts.

    Raises:
      CheckpointError: see `load_checkpoint`.
    """
    open_checkpoint(path)


def load_checkpoint(model, path: str) -> LoadSummary:
    """Fill every variable of the model that the checkpoint has under the same name.

    Adam slots, `global_step` and pre-training heads are ignored, and a variable that the checkpoint lacks keeps
    its initial value; the returned and logged summary names it.

    Args:
      model: a `BertForSquad`.
      path: a checkpoint that the legacy script, this one, Hugging Face's transformers (safetensors) or the Model
        Garden wrote: a prefix, a directory or a file.

    Returns:
      The summary.

    Raises:
      CheckpointError: when there is no readable checkpoint, it has another number of heads, a shape
        differs (both are named), or no variable of the encoder matches. The model is unchanged then.

    Source: `modeling.get_assignment_map_from_checkpoint`. Differs: the legacy trains on from random weights when
    nothing matches.
    """
    reader = open_checkpoint(path)
    check_heads(reader, model.bert_config, path)
    _warn_of_layers(layer_count(reader), model.bert_config.num_hidden_layers, path)
    if reader.has_exact_gelu and str(model.bert_config.hidden_act).lower() == "gelu":
        logging.info("%s: %s", path, GELU_NOTE)
    return assign(reader, tf1_variables(model), path)


def check_heads(reader: CheckpointReader, bert_config: BertConfig, path: str) -> None:
    """Refuse a checkpoint with another number of attention heads: no shape would show that.

    Raises:
      CheckpointError: naming both numbers.
    """
    _check_same(path, "attention heads", "num_attention_heads", reader.num_attention_heads, bert_config)


def check_layers(reader: CheckpointReader, bert_config: BertConfig, path: str) -> None:
    """Refuse a checkpoint with another number of layers; errors as above."""
    _check_same(path, "layers", "num_hidden_layers", layer_count(reader) or None, bert_config)


def _check_same(path: str, what: str, key: str, found: int | None, bert_config: BertConfig) -> None:
    wanted = getattr(bert_config, key)
    if found is not None and found != wanted:
        raise CheckpointError(
            f"{path} has {found} {what} but the model has {wanted} (`{key}`); use the bert_config.json that belongs to "
            "the checkpoint."
        )


def _warn_of_layers(found: int, wanted: int, path: str) -> None:
    """Say which layers are left out or stay random. LEGACY: what has the same name is loaded, and no more is said."""
    if not found or found == wanted:
        return
    first, last = min(found, wanted), max(found, wanted) - 1
    layers = f"layer {first}" if first == last else f"layers {first} to {last}"
    logging.warning(
        "%s has %d layers but the model has %d (`num_hidden_layers`): loaded %s.",
        path,
        found,
        wanted,
        f"with random weights in {layers} of the model" if found < wanted else f"without its {layers}",
    )


def assign(reader: CheckpointReader, variables: dict[str, NamedVariable], path: str) -> LoadSummary:
    """Copy what `reader` has into `variables`, all or nothing; see `load_checkpoint`."""
    matched = sorted(set(variables) & set(reader))
    if not any(name.startswith("bert/") for name in matched):
        raise CheckpointError(
            f"Nothing in {path} ({reader.kind}) matches the encoder: it holds {_some_names(reader)}, and the model "
            f"wants {_some_names(variables)}. It may be a checkpoint of another program or model."
        )
    for name in matched:
        check_shape(name, reader.shapes[name], variables[name].shape, path)
    values = {name: as_float32(variables[name].from_checkpoint(reader[name]), name, path) for name in matched}
    step = reader.step  # before anything changes: it may be damaged, too
    for name, value in values.items():
        variables[name].variable.assign(value)
    others = sorted(set(reader) - set(matched))
    summary = LoadSummary(
        path=path,
        kind=reader.kind,
        matched=tuple(matched),
        missing=tuple(sorted(set(variables) - set(matched))),
        left_over=tuple(name for name in others if not is_ignored(name)),
        ignored=tuple(name for name in others if is_ignored(name)),
        step=step,
    )
    num_layers = layer_count(reader)
    is_partial = any(_is_missed(name, num_layers) for name in summary.missing)
    (logging.warning if is_partial else logging.info)("%s", summary)
    return summary


def _is_missed(name: str, num_layers: int) -> bool:
    """Say whether answers suffer when a variable stays random, and nothing else has said so.

    The pooler feeds nothing; of layers beyond those of the checkpoint there is a warning of its own.
    """
    layer = layer_of(name)
    is_beyond = layer is not None and layer >= num_layers
    return name.startswith("bert/") and not name.startswith("bert/pooler/") and not is_beyond


def as_float32(value: np.ndarray, name: str, path: str) -> np.ndarray:
    """Widen half precision, which is exact; refuse what is not a weight."""
    if not (np.issubdtype(value.dtype, np.floating) or value.dtype.name == "bfloat16"):
        raise CheckpointError(f"{name} in {path} is of type {value.dtype.name}, not a floating-point one.")
    return value.astype(np.float32, copy=False)


def is_ignored(name: str) -> bool:
    """Say whether an entry that no model variable matches is none that anybody would miss."""
    return (
        name == GLOBAL_STEP
        or name.rsplit("/", 1)[-1] in SLOT_NAMES
        or bool(_PRE_TRAINING.match(name))
        or bool(_TF2_BOOKKEEPING.search(name))
    )


def _some_names(names) -> str:
    ordered = sorted(names)
    return (", ".join(ordered[:3]) or "nothing") + (
        f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    )
