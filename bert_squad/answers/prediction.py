"""Run the model over batches of features and yield what it says of each."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import tensorflow as tf

from bert_squad.answers.raw_results import RawResult

Batch = dict[str, tf.Tensor]

BATCHES_AT_ONCE = 2  # where one leaves a core idle, between two operations, the other takes it


def make_predictor(model, *, jit_compile: bool = False) -> Callable[[Iterable[Batch]], Iterator[RawResult]]:
    """Compile the model for prediction.

    Args:
      model: a `BertForSquad`.
      jit_compile: compile with XLA, once for each shape of a batch.

    Returns:
      A function of batches (from `predict_batches`; each may have its own size) that yields one `RawResult` a
      feature, in the order of the batches: `unique_id` int, logits float32 arrays [S].

    Source: the prediction loop of the legacy `run_squad.main`.
    """

    @tf.function(reduce_retracing=not jit_compile, jit_compile=jit_compile)
    def scores(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return model(batch, training=False, static_shapes=jit_compile)

    def results(batch: Batch) -> list[RawResult]:
        start_logits, end_logits = (logits.numpy() for logits in scores(batch))
        unique_ids = batch["unique_ids"].numpy().tolist()
        return list(map(RawResult, unique_ids, start_logits, end_logits))

    def predict(batches: Iterable[Batch]) -> Iterator[RawResult]:
        waiting: collections.deque[Future[list[RawResult]]] = collections.deque()
        with ThreadPoolExecutor(BATCHES_AT_ONCE) as pool:
            for batch in batches:
                waiting.append(pool.submit(results, batch))
                if len(waiting) > BATCHES_AT_ONCE:  # one more, to have the next at hand
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    return predict
