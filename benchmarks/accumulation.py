"""What --gradient_accumulation_steps saves and costs: peak memory and time of a training step.

    python benchmarks/accumulation.py [--parts=1,2,4,8] [--batch_size=16] [--hidden_size=384] [--num_layers=6]

Each row is a process of its own, so that its peak is its own. What a process takes that has the model and its
optimizer, but trains nothing, is taken off. Weights and ids are random.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe_machine
from random_training import random_model, random_rows, training_step

ROOT = Path(__file__).resolve().parent.parent


def parse_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="1,2,4,8", help="Numbers of parts to compare.")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seq_length", type=int, default=384)
    parser.add_argument("--hidden_size", type=int, default=384)
    parser.add_argument("--num_layers", type=int, default=6)
    parser.add_argument("--num_heads", type=int, default=12)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pad_to", default="max")
    parser.add_argument("--steps", type=int, default=5, help="Timed, after one that traces and compiles.")
    parser.add_argument(
        "--one", type=int, help="Measure this number of parts in this process; 0: train nothing."
    )
    return parser.parse_args()


def measure(flags: argparse.Namespace) -> dict[str, float]:
    """Train some steps in this process; return the median seconds of one and the peak memory in MB."""
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf

    from bert_squad.devices.replicas import ONE_DEVICE

    sizes = {
        "hidden_size": flags.hidden_size,
        "num_hidden_layers": flags.num_layers,
        "num_attention_heads": flags.num_heads,
        "intermediate_size": 4 * flags.hidden_size,
        "max_position_embeddings": max(512, flags.seq_length),
    }
    model, optimizer = random_model(sizes, ONE_DEVICE, compute_dtype=flags.dtype, pad_to=flags.pad_to)
    rows = random_rows(flags.batch_size, flags.seq_length)
    batch = {name: tf.constant(values) for name, values in rows.items()}
    seconds = [0.0]
    if flags.one:
        train_step = training_step(
            model, optimizer, scales_loss=flags.dtype == "float16", num_parts=flags.one
        )
        seconds = []
        for step in range(flags.steps + 1):
            started = time.perf_counter()
            float(train_step(tf.constant(step), batch)[0])
            seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds[1:] or seconds), "megabytes": peak}


def measured(num_parts: int) -> dict[str, float]:
    """Do the same in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--one={num_parts}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    flags = parse_flags()
    if flags.one is not None:
        print(json.dumps(measure(flags)))
        return
    describe_machine()
    without = measured(0)["megabytes"]
    print(f"without training: {without:.0f} MB")
    print("parts  rows at a time  peak above that, MB  seconds a step", flush=True)
    for num_parts in map(int, flags.parts.split(",")):
        row = measured(num_parts)
        rows = flags.batch_size // num_parts
        print(
            f"{num_parts:5} {rows:15} {row['megabytes'] - without:20.0f} {row['seconds']:15.2f}", flush=True
        )


if __name__ == "__main__":
    main()
