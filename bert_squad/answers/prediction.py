"""Run the model over batches of features and yield what it says of each."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import tensorflow as tf

from bert_squad.answers.raw_results import RawResult
from bert_squad.devices.replicas import ONE_DEVICE, Devices

Batch = dict[str, tf.Tensor]

BATCHES_AT_ONCE = 2  # where one leaves a core idle, between two operations, the other takes it


def make_predictor(
    model, *, jit_compile: bool = False, devices: Devices = ONE_DEVICE
) -> Callable[[Iterable[Batch]], Iterator[RawResult]]:
    """Compile the model for prediction.

    Args:
      model: a `BertForSquad`.
      jit_compile: compile with XLA, once for each shape of a batch.
      devices: compute a batch each, so that a batch is computed as one device would; the results are the same, bit for
        bit, on CPUs.

    Returns:
      A function of batches (from `predict_batches`; each may have its own size) that yields one `RawResult` a
      feature, in the order of the batches: `unique_id` int, logits float32 arrays [S]. In a process that is not the
      chief of several it yields nothing, and has to be called all the same.

    Source: the prediction loop of the legacy `run_squad.main`.
    """
    has_static_shapes = jit_compile or devices.needs_static_shapes

    def scores(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return model(batch, training=False, static_shapes=has_static_shapes)

    def scores_of_any_shape(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return scores({name: _of_unknown_shape(values) for name, values in batch.items()})

    def compiled(function: Callable) -> Callable[[Sequence[Batch]], list[tuple[tf.Tensor, tf.Tensor]]]:
        if devices.num_replicas > 1:
            return devices.on_each(tf.function(function, jit_compile=True) if jit_compile else function)
        of_one = tf.function(function, reduce_retracing=not jit_compile, jit_compile=jit_compile)
        return lambda batches: list(map(of_one, batches))

    # What TensorFlow knows of shapes beforehand decides how it rounds. So that it does not depend on the number of
    # devices, or on what came before, whole windows in whole batches have known shapes, and all else has none.
    of_known_shape, of_unknown_shape = compiled(scores), compiled(scores_of_any_shape)

    def results(batches: Sequence[Batch], is_usual: bool) -> list[RawResult]:
        computed = (of_known_shape if is_usual or has_static_shapes else of_unknown_shape)(batches)
        if not devices.is_chief:
            return []
        pairs = zip(batches, computed, strict=True)
        return [result for batch, logits in pairs for result in _results(batch, *logits)]

    at_once = 1 if devices.num_replicas > 1 else BATCHES_AT_ONCE

    def predict(batches: Iterable[Batch]) -> Iterator[RawResult]:
        waiting: collections.deque[Future[list[RawResult]]] = collections.deque()
        with ThreadPoolExecutor(at_once) as pool:
            for together, is_usual in _rounds(batches, devices.num_replicas, model.pad_to):
                waiting.append(pool.submit(results, together, is_usual))
                if len(waiting) > at_once:  # one more, to have the next at hand
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    return predict


def _rounds(batches: Iterable[Batch], size: int, pad_to: str) -> Iterator[tuple[list[Batch], bool]]:
    """Yield up to `size` batches at a time, and whether all are of the usual shape, that of the first; or none is."""
    together: list[Batch] = []
    usual, are_usual = None, True
    for batch in batches:
        shape = batch["input_ids"].shape
        usual = usual or shape
        is_usual = pad_to == "max" and shape == usual
        if together and (len(together) == size or is_usual != are_usual):
            yield together, are_usual
            together = []
        together.append(batch)
        are_usual = is_usual
    if together:
        yield together, are_usual


def _of_unknown_shape(values: tf.Tensor) -> tf.Tensor:
    """Hide the sizes of a tensor from what is computed of it."""
    return tf.compat.v1.placeholder_with_default(values, [None] * values.shape.rank)


def _results(batch: Batch, start_logits: tf.Tensor, end_logits: tf.Tensor) -> list[RawResult]:
    unique_ids = batch["unique_ids"].numpy().tolist()
    return list(map(RawResult, unique_ids, start_logits.numpy(), end_logits.numpy()))
