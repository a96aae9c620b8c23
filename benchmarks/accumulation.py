"""What --gradient_accumulation_steps and --recompute save and cost: peak memory and time of a training step.

    python benchmarks/accumulation.py [--parts=1,2,4,8] [--recompute=no,yes] [--batch_size=16]

Each measurement is a process of its own, so that its peak is its own; all of a round take turns. What a process takes
that has the model and its optimizer, but trains nothing, is taken off. Ratios are to the first row's figures of the
same round, their medians and ranges; that of times is of processor time, which other jobs of the machine change less.
Weights and ids are random.
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
    parser.add_argument("--recompute", default="no", help="no, yes, or no,yes to compare them.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seq_length", type=int, default=384)
    parser.add_argument("--hidden_size", type=int, default=384)
    parser.add_argument("--num_layers", type=int, default=6)
    parser.add_argument("--num_heads", type=int, default=12)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pad_to", default="max")
    parser.add_argument("--jit_compile", action="store_true")
    parser.add_argument("--steps", type=int, default=5, help="Timed, after one that traces and compiles.")
    parser.add_argument(
        "--one",
        help="Measure this in this process: the number of parts, or 0 to train nothing, and no or yes.",
    )
    return parser.parse_args()


def measure(flags: argparse.Namespace) -> dict[str, float]:
    """Train some steps in this process; return a step's median seconds, by clock and processor, and the peak in MB."""
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
    seconds, of_processor = [0.0], [0.0]
    num_parts, recompute = flags.one.split(",")
    if num_parts != "0":
        train_step = training_step(
            model,
            optimizer,
            scales_loss=flags.dtype == "float16",
            jit_compile=flags.jit_compile,
            num_parts=int(num_parts),
            recompute=recompute == "yes",
        )
        seconds, of_processor = [], []
        for step in range(flags.steps + 1):
            started, processor_started = time.perf_counter(), time.process_time()
            float(train_step(tf.constant(step), batch)[0])
            seconds.append(time.perf_counter() - started)
            of_processor.append(time.process_time() - processor_started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": statistics.median(seconds[1:] or seconds),
        "processor_seconds": statistics.median(of_processor[1:] or of_processor),
        "megabytes": peak,
    }


def measured(num_parts: int, recompute: str = "no") -> dict[str, float]:
    """Do the same in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--one={num_parts},{recompute}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ratio(values: list[float], of_first: list[float]) -> str:
    """Describe the ratios of two lists, round by round: their median and range."""
    ratios = [value / first for value, first in zip(values, of_first, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main() -> None:
    """Measure and print."""
    flags = parse_flags()
    if flags.one is not None:
        print(json.dumps(measure(flags)))
        return
    describe_machine()
    without = measured(0)["megabytes"]
    print(f"without training: {without:.0f} MB")
    rows = [(int(parts), how) for parts in flags.parts.split(",") for how in flags.recompute.split(",")]
    rounds = [[measured(*row) for row in rows] for _ in range(flags.rounds)]
    print(
        "parts  rows at a time  recompute  peak above that, MB  seconds a step  ratio of peaks    ratio of times"
    )
    of_rows = list(zip(*rounds, strict=True))
    peaks = [[result["megabytes"] - without for result in of_row] for of_row in of_rows]
    seconds = [[result["seconds"] for result in of_row] for of_row in of_rows]
    of_processor = [[result["processor_seconds"] for result in of_row] for of_row in of_rows]
    for row, peak, taken, processor in zip(rows, peaks, seconds, of_processor, strict=True):
        num_parts, how = row
        print(
            f"{num_parts:5} {flags.batch_size // num_parts:15} {how:>10} {statistics.median(peak):20.0f} "
            f"{statistics.median(taken):15.2f}  {ratio(peak, peaks[0]):16}  {ratio(processor, of_processor[0])}"
        )


if __name__ == "__main__":
    main()
