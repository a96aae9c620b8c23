"""Show where the time of a training step and of prediction goes, operation by operation, against a floor.

    python benchmarks/operations.py --data_file=xquad.en.json --vocab_file=vocab.txt

The floor is what the matrix products alone would take at the rate of a large one, padding included where a mode
computes it. Operations run one at a time here, so that their times add up; what XLA compiled is what is left.
"""

import collections
import tempfile
import time
from pathlib import Path

import stages  # its flags are ours too
import tensorflow as tf
from absl import app
from machine import describe_machine
from ours import OurProgram

from bert_squad.answers import prediction
from bert_squad.model.packing import GROUPS

FLAGS = stages.FLAGS
SHOWN = 9  # operations


def profile(turn) -> tuple[float, dict[str, float]]:
    """Run something once; return its seconds and those of each kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as directory:
        tf.profiler.experimental.start(directory)
        started = time.perf_counter()
        turn()
        seconds = time.perf_counter() - started
        tf.profiler.experimental.stop()
        (path,) = Path(directory).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    by_kind: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # An operation is named "its_name:Kind".
                name, _, kind = plane.event_metadata[event.metadata_id].name.replace(" ", "").rpartition(":")
                if (
                    name
                    and "::" not in name + ":" + kind
                    and not kind.startswith(("_EagerConst", "__inference"))
                ):
                    by_kind[kind] += event.duration_ps / 1e12
    return seconds, dict(by_kind)


def product_rate(dtype: str, rows: int, width: int) -> float:
    """Return how many multiplications and additions a second a large matrix product does."""
    x, y = (tf.cast(tf.random.normal(shape), dtype) for shape in ((rows, width), (width, 4 * width)))
    multiply = tf.function(lambda: tf.matmul(x, y)[0, 0])
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        multiply().numpy()
        best = min(best, time.perf_counter() - started)
    return 2 * rows * width * 4 * width / best


def products(config, lengths, group_size: int, is_packed: bool, size: int, is_training: bool) -> float:
    """Return the multiplications and additions of the matrix products of windows of some lengths."""
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = sorted(map(int, lengths))
    rows = sum(lengths) if is_packed else size * len(lengths)
    key_rows = pairs = 0
    for begin in range(0, len(lengths), group_size):
        group = lengths[begin : begin + group_size]
        queries = max(group) if is_packed else size
        keys = size if is_training and not is_packed else max(group)
        key_rows += len(group) * keys
        pairs += len(group) * queries * keys
    dense = 2 * rows * (2 * hidden**2 + 2 * hidden * inner)
    dense += 2 * (rows if is_packed else key_rows) * 2 * hidden**2
    return (3 if is_training else 1) * layers * (dense + 4 * pairs * hidden)


def show(name: str, seconds: float, by_kind: dict[str, float], floor: float, count: int) -> None:
    """Print the time of one batch in ms."""
    listed = sum(by_kind.values())
    print(f"\n{name}: {1000 * seconds / count:.0f} ms a batch; the floor is {1000 * floor / count:.0f}")
    for kind, of_kind in sorted(by_kind.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"  {kind:28} {1000 * of_kind / count:8.1f} ms {of_kind / seconds:5.0%}")
    print(f"  {'compiled by XLA, and the rest':28} {1000 * (seconds - listed) / count:8.1f} ms")


def main(_) -> None:
    """Profile both modes."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    prediction.BATCHES_AT_ONCE = 1
    describe_machine()
    with tempfile.TemporaryDirectory() as directory:
        ours = OurProgram(FLAGS, stages.model_sizes(), directory)
        config = ours.bert_config
        for name, compute in ours.modes.items():
            is_packed = compute.pad_to == "batch"
            rate = product_rate(compute.dtype, 4096, config.hidden_size)
            print(f"\n{name}: {compute.dtype} products at {rate / 1e9:.0f} GFLOP/s", flush=True)
            for stage in ("training", "prediction"):
                turn = ours.contenders(stage)[name]
                for _ in range(2):
                    turn()
                seconds, by_kind = profile(turn)
                if stage == "training":
                    batches, size = ours.train_batches, FLAGS.train_seq_length
                    lengths = [batch["input_mask"].sum(axis=1) for batch in batches]
                    floor = sum(
                        products(config, of, len(of) // GROUPS or 1, is_packed, size, is_training=True)
                        for of in lengths
                    )
                    count = len(batches)
                else:
                    masks = [of["input_mask"] for of in ours.predict_batches()]
                    size, count = FLAGS.predict_seq_length, len(masks)
                    floor = products(
                        config,
                        [length for mask in masks for length in mask.sum(axis=1)],
                        FLAGS.predict_batch_size,
                        is_packed,
                        size,
                        is_training=False,
                    )
                show(f"{name}, {stage}", seconds, by_kind, floor / rate, count)


if __name__ == "__main__":
    app.run(main)
