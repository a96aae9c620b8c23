"""Run the model over batches of features and yield what it says of each."""

from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf

from bert_squad.answers.raw_results import RawResult

Batch = dict[str, tf.Tensor]


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

    def predict(batches: Iterable[Batch]) -> Iterator[RawResult]:
        for batch in batches:
            start_logits, end_logits = (logits.numpy() for logits in scores(batch))
            for row, unique_id in enumerate(batch["unique_ids"].numpy().tolist()):
                yield RawResult(unique_id, start_logits[row], end_logits[row])

    return predict
