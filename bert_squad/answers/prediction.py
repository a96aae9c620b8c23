"""Run the model over batches of features and yield what it says of each."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import tensorflow as tf

from bert_squad.answers.raw_results import RawResult
from bert_squad.devices.replicas import ONE_DEVICE, Devices
from bert_squad.model.squad_model import FEATURES

Batch = dict[str, tf.Tensor]
Predictor = Callable[..., Iterator[RawResult]]

BATCHES_AT_ONCE = 2  # where one leaves a core idle, between two operations, the other takes it


def make_predictor(model, *, jit_compile: bool = False, devices: Devices = ONE_DEVICE) -> Predictor:
    """Compile the model for prediction.

    Args:
      model: a `BertForSquad`.
      jit_compile: compile with XLA, once for each shape of a batch.
      devices: compute a batch each, so that a batch is computed as one device would; the results are the same, bit for
        bit, on CPUs.

    Returns:
      A function of batches (from `predict_batches`; each may have its own size) that yields one `RawResult` a
      feature, in the order of the batches: `unique_id` int, logits float32 arrays [S]. In a process that is not the
      chief of several it yields nothing, and has to be called all the same. A second argument, `before_batch`, is
      called in the thread that computes before each batch, or round of batches of all devices; what it raises ends
      the prediction.

    Source: the prediction loop of the legacy `run_squad.main`.
    """
    has_static_shapes = jit_compile or devices.needs_static_shapes

    def scores(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return model(batch, training=False, static_shapes=has_static_shapes)

    def scores_of_any_shape(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return scores({name: _of_unknown_shape(values) for name, values in batch.items()})

    def compiled(function: Callable) -> Callable[[Sequence[Batch]], list[tuple[tf.Tensor, tf.Tensor]]]:
        if devices.strategy is not None:
            return devices.on_each(tf.function(function, jit_compile=True) if jit_compile else function)
        of_one = tf.function(function, reduce_retracing=not jit_compile, jit_compile=jit_compile)
        return lambda batches: list(map(of_one, batches))

    # What TensorFlow knows of shapes beforehand decides how it rounds. So that this does not depend on the number of
    # devices, the shape of the first batch is known wherever it occurs, and no other is.
    of_known_shape, of_unknown_shape = compiled(scores), compiled(scores_of_any_shape)

    def results(
        before_batch: Callable[[], object], batches: Sequence[Batch], is_usual: bool, size: int
    ) -> list[RawResult]:
        before_batch()
        compute = of_known_shape if is_usual or has_static_shapes else of_unknown_shape
        computed = compute(
            [_features(batch, size if devices.needs_static_shapes else None) for batch in batches]
        )
        if not devices.is_chief:
            return []
        pairs = zip(batches, computed, strict=True)
        return [result for batch, logits in pairs for result in _results(batch, *logits)]

    at_once = BATCHES_AT_ONCE if devices.strategy is None else 1

    def predict(
        batches: Iterable[Batch], before_batch: Callable[[], object] = lambda: None
    ) -> Iterator[RawResult]:
        waiting: collections.deque[Future[list[RawResult]]] = collections.deque()
        with ThreadPoolExecutor(at_once) as pool:
            for together, is_usual, size in _rounds(batches, devices.num_replicas):
                waiting.append(pool.submit(results, before_batch, together, is_usual, size))
                if len(waiting) > at_once:  # one more, to have the next at hand
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    return predict


def _rounds(batches: Iterable[Batch], num_batches: int) -> Iterator[tuple[list[Batch], bool, int]]:
    """Yield up to so many batches at a time, whether their shape is the usual one, and how many rows that has.

    The usual shape is that of the first batch. Either all batches of a round have it, or none.
    """
    together: list[Batch] = []
    usual, are_usual, size = None, True, 0
    for batch in batches:
        shape = batch["input_ids"].shape
        usual = usual or shape
        is_usual, size = shape == usual, usual[0]
        if together and is_usual != are_usual:
            yield together, are_usual, size
            together = []
        together.append(batch)
        are_usual = is_usual
        if len(together) == num_batches:
            yield together, are_usual, size
            together = []
    if together:
        yield together, are_usual, size


def _features(batch: Batch, size: int | None) -> Batch:
    """Return what the model reads of a batch; with a size, filled to that by its last row."""
    features = {name: batch[name] for name in FEATURES}
    num_rows = batch["input_ids"].shape[0]
    if size is None or size == num_rows:
        return features
    rows = [min(row, num_rows - 1) for row in range(size)]
    return {name: tf.gather(values, rows) for name, values in features.items()}


def _of_unknown_shape(values: tf.Tensor) -> tf.Tensor:
    """Hide the sizes of a tensor from what is computed of it."""
    return tf.compat.v1.placeholder_with_default(values, [None] * values.shape.rank)


def _results(batch: Batch, start_logits: tf.Tensor, end_logits: tf.Tensor) -> list[RawResult]:
    """Return the results of a batch; of rows that only fill it up there is none, since they have no id."""
    unique_ids = batch["unique_ids"].numpy().tolist()
    return list(map(RawResult, unique_ids, start_logits.numpy(), end_logits.numpy()))
