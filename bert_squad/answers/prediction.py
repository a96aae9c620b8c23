"""Run the model over batches of features and yield what it says of each."""

import collections
import itertools
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

    @tf.function(reduce_retracing=not jit_compile, jit_compile=jit_compile)
    def scores(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return model(batch, training=False, static_shapes=has_static_shapes)

    def results_of_one(batches: Sequence[Batch]) -> list[RawResult]:
        (batch,) = batches
        return _results(batch, *scores(batch))

    def results_of_all(batches: Sequence[Batch]) -> list[RawResult]:
        computed = devices.run_each(scores, batches)
        if not devices.is_chief:
            return []
        return [
            result
            for batch, logits in zip(batches, computed, strict=True)
            for result in _results(batch, *logits)
        ]

    is_shared = devices.num_replicas > 1
    results = results_of_all if is_shared else results_of_one
    at_once = 1 if is_shared else BATCHES_AT_ONCE

    def predict(batches: Iterable[Batch]) -> Iterator[RawResult]:
        waiting: collections.deque[Future[list[RawResult]]] = collections.deque()
        remaining = iter(batches)
        with ThreadPoolExecutor(at_once) as pool:
            while together := list(itertools.islice(remaining, devices.num_replicas)):
                waiting.append(pool.submit(results, together))
                if len(waiting) > at_once:  # one more, to have the next at hand
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    return predict


def _results(batch: Batch, start_logits: tf.Tensor, end_logits: tf.Tensor) -> list[RawResult]:
    unique_ids = batch["unique_ids"].numpy().tolist()
    return list(map(RawResult, unique_ids, start_logits.numpy(), end_logits.numpy()))
