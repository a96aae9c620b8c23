"""What the curves for TensorBoard cost: the time of a training with them, over that without what they took.

    python benchmarks/curves.py [--summary_steps=100] [--steps=301]

A tiny model, whose steps are short, and one of MiniLM's sizes with small batches; with larger ones the share is
smaller. Both times are of one training: what the curves take is measured around them, because a whole training differs
more from the next one than they cost. Times are of the processor. On a GPU they would hold the wait for a step too.
Weights and ids are random.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine
from random_training import random_model, random_rows, training_step

ROOT = Path(__file__).resolve().parent.parent
# (hidden size, layers, heads, rows of a batch, positions)
MODELS = {"tiny": (32, 2, 2, 4, 64), "MiniLM": (384, 6, 12, 2, 128)}


def parse_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--summary_steps", type=int, default=100)
    parser.add_argument("--steps", type=int, default=301, help="Timed, after one that traces and compiles.")
    return parser.parse_args()


def measure(flags: argparse.Namespace, model_name: str, directory: str) -> tuple[float, float]:
    """Train; return the seconds of processor time that it took, and how many of them were the curves'."""
    import tensorflow as tf

    from bert_squad.devices.replicas import ONE_DEVICE
    from bert_squad.training.loop import StepValues, train
    from bert_squad.training.summaries import TrainingSummaries

    hidden, layers, heads, batch_size, seq_length = MODELS[model_name]
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    train_step = training_step(*random_model(sizes, ONE_DEVICE))
    batch = {name: tf.constant(values) for name, values in random_rows(batch_size, seq_length).items()}
    train_step(tf.constant(0), batch)
    of_curves = 0.0
    with TrainingSummaries(directory, 0, batch_size, flags.summary_steps) as summaries:

        def update(values: StepValues) -> None:
            nonlocal of_curves
            begun = time.process_time()
            summaries.update(values)
            of_curves += time.process_time() - begun

        started = time.process_time()
        train(
            train_step,
            itertools.repeat(batch),
            first_step=0,
            num_train_steps=flags.steps,
            save=str,
            save_steps=flags.steps,
            report=[update],
        )
        return time.process_time() - started, of_curves


def main() -> None:
    """Measure and print."""
    flags = parse_flags()
    sys.path.insert(0, str(ROOT))
    describe_machine()
    for model_name in flags.models.split(","):
        with tempfile.TemporaryDirectory() as directory:
            whole, of_curves = measure(flags, model_name, directory)
        a_step, of_them = (1000 * seconds / flags.steps for seconds in (whole, of_curves))
        ratio = whole / (whole - of_curves)
        print(f"{model_name}: {a_step:.1f} ms a step, curves {of_them:.4f} ms, ratio {ratio:.5f}", flush=True)


if __name__ == "__main__":
    main()
