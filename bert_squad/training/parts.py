"""A batch in parts: each device has some of its rows, and computes some of them at a time, so that they fit its memory.

The numbers are those of the whole batch: dense gradients of the parts are added, and the slices that are the
gradient of an embedding table are laid end to end, because the legacy norm counts repeated rows separately. Whoever
updates the model sees one loss and one gradient, and knows nothing of parts.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from bert_squad.errors import ConfigError

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices
LossAndGradients: TypeAlias = tuple[tf.Tensor, list[Gradient]]


def sum_over_parts(
    of_part: Callable[[dict[str, tf.Tensor], tf.Tensor | None], LossAndGradients],
    batch: dict[str, tf.Tensor],
    num_parts: int,
    variables: Sequence[tf.Variable],
    sliced: tf.Variable,
    first_row: tf.Tensor | None = None,
) -> LossAndGradients:
    """Compute loss and gradients of each part of a batch, one after the other, and make them those of the whole.

    Args:
      of_part: maps some rows of the batch, and the number of the first of them in it, int32 scalar, to a loss, float32
        scalar, and to the gradient of each variable. It is traced once; with one part, it is given `first_row`.
      batch: tensors [B, …] of known shapes.
      num_parts: that divides B. Parts are runs of rows, in order.
      variables: in the order of the gradients.
      sliced: the one among them whose gradient is of slices, one for each element of `input_ids`.
      first_row: int32 scalar, the number of the first row of `batch` in what it is itself a part of; None: of nothing.

    Returns:
      The mean of the losses, and the sums of the gradients. They are added in the order of the parts.

    Raises:
      ConfigError: when the batch cannot be cut into so many parts of one size.
    """
    if num_parts == 1:
        return of_part(batch, first_row)
    batch_size = batch["input_ids"].shape[0]
    if batch_size % num_parts:
        raise ConfigError(f"A batch of {batch_size} cannot be cut into {num_parts} parts of one size.")
    size = batch_size // num_parts
    parts = {name: tf.reshape(values, [num_parts, size, *values.shape[1:]]) for name, values in batch.items()}
    slices_of_part = parts["input_ids"].shape[1:].num_elements()
    nothing = [
        _no_slices(variable, num_parts, slices_of_part) if variable is sliced else tf.zeros(variable.shape)
        for variable in variables
    ]

    def add_part(number, loss, totals):
        rows = {name: tf.gather(values, number) for name, values in parts.items()}
        first = number * size if first_row is None else first_row + number * size
        loss_of_part, gradients = of_part(rows, first)
        added = [_added(*pair, number) for pair in zip(totals, gradients, strict=True)]
        return number + 1, loss + loss_of_part, added

    _, loss, totals = tf.while_loop(
        lambda number, *_: number < num_parts,
        add_part,
        (tf.constant(0), tf.constant(0.0), nothing),
        parallel_iterations=1,  # more of them side by side would save no memory
    )
    return loss / num_parts, [
        _whole(total, variable) for total, variable in zip(totals, variables, strict=True)
    ]


def first_row_here(batch: dict[str, tf.Tensor]) -> tf.Tensor | None:
    """Return the number of the first row that this device has, in the whole batch; None where it has all of them."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return None
    return tf.cast(context.replica_id_in_sync_group, tf.int32) * batch["input_ids"].shape[0]


def sum_over_replicas(loss: tf.Tensor, gradients: Sequence[Gradient]) -> LossAndGradients:
    """Make loss and gradients of the rows of each device those of the whole batch, on every device.

    Args:
      loss: the mean over the rows of this device, float32 scalar.
      gradients: of this device, each a share in the gradient of the whole batch.

    Returns:
      The mean of the losses, and the sums of the gradients. Slices are laid end to end in the order of the devices.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return loss, list(gradients)
    dense = [gradient for gradient in gradients if isinstance(gradient, tf.Tensor)]
    loss, *summed = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *dense])
    of_dense = iter(summed)
    return loss / context.num_replicas_in_sync, [
        next(of_dense) if isinstance(gradient, tf.Tensor) else _laid_end_to_end(context, gradient)
        for gradient in gradients
    ]


def _laid_end_to_end(context: tf.distribute.ReplicaContext, slices: tf.IndexedSlices) -> tf.IndexedSlices:
    values, indices = context.all_gather([slices.values, slices.indices], axis=0)
    return tf.IndexedSlices(values, indices, slices.dense_shape)


_Slices: TypeAlias = tuple[tf.TensorArray, tf.TensorArray]
"""Values and indices of slices, an entry for each part."""


def _no_slices(variable: tf.Variable, num_parts: int, slices_of_part: int) -> _Slices:
    """Return room for the slices [slices_of_part, H] of so many parts."""
    values = tf.TensorArray(
        variable.dtype, num_parts, element_shape=[slices_of_part, *variable.shape[1:]], name="values"
    )
    return values, tf.TensorArray(tf.int32, num_parts, element_shape=[slices_of_part], name="indices")


def _added(total: tf.Tensor | _Slices, gradient: Gradient, number: tf.Tensor) -> tf.Tensor | _Slices:
    """Return a total with the gradient of one more part."""
    if isinstance(gradient, tf.IndexedSlices):
        values, indices = total
        return values.write(number, gradient.values), indices.write(number, gradient.indices)
    return total + gradient


def _whole(total: tf.Tensor | _Slices, variable: tf.Variable) -> Gradient:
    """Return a total of all parts as a gradient of the whole batch."""
    if isinstance(total, tf.Tensor):
        return total
    values, indices = total
    values = tf.reshape(values.stack(), [-1, *variable.shape[1:]])
    return tf.IndexedSlices(values, tf.reshape(indices.stack(), [-1]), tf.constant(variable.shape.as_list()))
