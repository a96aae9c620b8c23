"""Write name-based TF1 checkpoints, as `tf.train.Saver` wrote them: a model, or any tensors."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.names import GLOBAL_STEP, SLOT_NAMES
from bert_squad.checkpoints.state_file import STATE_FILE


def save_tf1_checkpoint(path: str, model, optimizer: Any = None, step: int = 0) -> None:
    """Write a checkpoint that the legacy script can restore by name.

    Args:
      path: prefix; `path.index` and `path.data-00000-of-00001` are written.
      model: a `BertForSquad`.
      optimizer: an `AdamWeightDecay` whose slots are stored as `<name>/adam_m` and `<name>/adam_v`, or None.
      step: number of training steps done, stored as `global_step`, int64.

    Raises:
      OSError: when the files cannot be written (through TensorFlow: `tf.errors.OpError`).

    Source: `tf.train.Saver` over the variables of `run_squad.model_fn_builder`.
    """
    tensors: dict[str, tf.Tensor] = {}
    for name, entry in tf1_variables(model).items():
        tensors[name] = entry.to_checkpoint(entry.variable)
        if optimizer is not None and entry.trained:
            for slot, value in zip(SLOT_NAMES, optimizer.slots(name), strict=True):
                tensors[f"{name}/{slot}"] = entry.to_checkpoint(value)
    tensors[GLOBAL_STEP] = tf.constant(step, tf.int64)
    write_tensors(path, tensors)


def write_tensors(path: str, tensors: Mapping[str, tf.Tensor]) -> None:
    """Write tensors by name as one TF1 checkpoint with the prefix `path`; float32 is expected of floats."""
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.convert_to_tensor(tensors[name]) for name in names],
    )


def in_order(names: Iterable[str]) -> list[str]:
    """Sort the files of one new checkpoint by when they have to appear: what others speak of comes before them.

    >>> in_order(["checkpoint", "model.ckpt-3.index", "model.ckpt-3.data-00000-of-00001"])
    ['model.ckpt-3.data-00000-of-00001', 'model.ckpt-3.index', 'checkpoint']
    """
    return sorted(names, key=lambda name: (name == STATE_FILE, name.endswith(".index"), name))
