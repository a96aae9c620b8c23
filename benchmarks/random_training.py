"""Training on random weights and random ids, for benchmarks. What imports TensorFlow does so when it is called."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

VOCAB_SIZE = 30522
LEARNING_RATE, STEPS = 1e-5, 1000


def random_rows(num_rows: int, seq_length: int, vocab_size: int = VOCAB_SIZE) -> dict[str, np.ndarray]:
    """Draw rows of batches: arrays int32 [num_rows, …], by the names of `train_batches`; a quarter to all is text."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(seq_length // 4, seq_length + 1, [num_rows, 1])
    mask = (np.arange(seq_length) < lengths).astype(np.int32)
    positions = np.sort(rng.integers(0, lengths, [num_rows, 2]), axis=1).astype(np.int32)
    return {
        "input_ids": rng.integers(1, vocab_size, mask.shape).astype(np.int32) * mask,
        "input_mask": mask,
        "segment_ids": mask,
        "start_positions": positions[:, 0],
        "end_positions": positions[:, 1],
    }


def random_model(sizes: dict[str, int], devices: Any, **options: Any) -> tuple[Any, Any]:
    """Make a `BertForSquad` and its optimizer.

    Args:
      sizes: of the `BertConfig`, by its names.
      devices: a `Devices`.
      options: of the model.
    """
    import tf_keras

    from bert_squad.bert_config import BertConfig
    from bert_squad.model.squad_model import BertForSquad
    from bert_squad.training.optimizer import AdamWeightDecay

    tf_keras.utils.set_random_seed(1)
    with devices.scope():
        model = BertForSquad(BertConfig.from_dict({"vocab_size": VOCAB_SIZE, **sizes}), **options)
        return model, AdamWeightDecay.for_model(model)


def training_step(model: Any, optimizer: Any, **options: Any) -> Callable:
    """Compile a step; options are those of `make_train_step`."""
    from bert_squad.training.loop import make_train_step

    return make_train_step(
        model,
        optimizer,
        learning_rate=LEARNING_RATE,
        num_train_steps=STEPS,
        num_warmup_steps=0,
        seed=1,
        **options,
    )


def shared_batches(devices: Any, rows: dict[str, np.ndarray], batch_size: int) -> Iterator[dict[str, Any]]:
    """Yield batches of rows for ever, as `devices` shares them."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(rows).repeat()

    def batches_of(share):
        size = batch_size if share is None else share.rows_at_a_time
        return dataset.batch(size, drop_remainder=True).prefetch(2)

    return iter(devices.share_batches(batch_size, batches_of))
