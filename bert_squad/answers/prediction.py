"""Run the model over batches of features and yield what it says of each."""

from collections.abc import Iterable, Iterator

import tensorflow as tf

from bert_squad.answers.raw_results import RawResult


def predict_results(model, batches: Iterable[dict[str, tf.Tensor]]) -> Iterator[RawResult]:
    """Score batches.

    Args:
      model: a `BertForSquad`.
      batches: from `predict_batches`; each may have its own size.

    Yields:
      One `RawResult` a feature, in order: `unique_id` int, logits float32 arrays [S].

    Source: the prediction loop of the legacy `run_squad.main`.
    """

    @tf.function(reduce_retracing=True)
    def scores(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return model(batch, training=False)

    for batch in batches:
        start_logits, end_logits = (logits.numpy() for logits in scores(batch))
        for row, unique_id in enumerate(batch["unique_ids"].numpy().tolist()):
            yield RawResult(unique_id, start_logits[row], end_logits[row])
