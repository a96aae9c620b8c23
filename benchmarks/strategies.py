"""What a strategy costs: one replica against no strategy, and two workers of one machine against one process.

    python benchmarks/strategies.py [--batch_size=16] [--seq_length=128] [--hidden_size=384] [--num_layers=6]

A step without a strategy and one with it are timed in turn, in one process. Two workers share the cores that one
process has to itself, so that what they take longer is what it costs to wait for and to send gradients. Weights and ids
are random.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from machine import describe_machine
from random_training import random_model, random_rows, shared_batches, training_step

ROOT = Path(__file__).resolve().parent.parent


def parse_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seq_length", type=int, default=128)
    parser.add_argument("--hidden_size", type=int, default=384)
    parser.add_argument("--num_layers", type=int, default=6)
    parser.add_argument(
        "--steps", type=int, default=10, help="Timed of each, after one that traces and compiles."
    )
    parser.add_argument("--rounds", type=int, default=3, help="Of one process and two workers, in turn.")
    parser.add_argument("--as", dest="role", help="Measure this in this process: pair, one or worker.")
    return parser.parse_args()


def stepper(flags: argparse.Namespace, devices) -> Callable[[], float]:
    """Return a function that does one training step and returns its seconds."""
    import tensorflow as tf

    sizes = {
        "hidden_size": flags.hidden_size,
        "num_hidden_layers": flags.num_layers,
        "num_attention_heads": flags.hidden_size // 32,
        "intermediate_size": 4 * flags.hidden_size,
    }
    train_step = training_step(*random_model(sizes, devices), devices=devices)
    batches = shared_batches(devices, random_rows(8 * flags.batch_size, flags.seq_length), flags.batch_size)

    def step() -> float:
        started = time.perf_counter()
        float(train_step(tf.constant(0), next(batches))[0])
        devices.agree_to_stop(None)
        return time.perf_counter() - started

    step()
    return step


def measure(flags: argparse.Namespace) -> list[float]:
    """Return the seconds of a step: of each kind, for a pair."""
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf

    from bert_squad.devices.cluster import read_cluster
    from bert_squad.devices.replicas import ONE_DEVICE, Devices

    if flags.role == "worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        steppers = [stepper(flags, Devices(strategy, cluster=read_cluster()))]
    else:
        steppers = [stepper(flags, ONE_DEVICE)]
    if flags.role == "pair":
        steppers.append(stepper(flags, Devices(tf.distribute.MirroredStrategy(["CPU:0"]))))
    seconds: list[list[float]] = [[] for _ in steppers]
    for _ in range(flags.steps):
        for step, taken in zip(steppers, seconds, strict=True):
            taken.append(step())
    return list(map(statistics.median, seconds))


def start(role: str, **environment: str) -> subprocess.Popen:
    """Start this script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, *sys.argv[1:], f"--as={role}"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process: subprocess.Popen) -> list[float]:
    """Wait for a process, and return what it measured."""
    printed, complaints = process.communicate()
    if process.returncode:
        raise SystemExit(complaints[-3000:])
    return json.loads(printed.splitlines()[-1])


def start_workers() -> list[subprocess.Popen]:
    """Start two workers of this machine."""
    with socket.create_server(("localhost", 0)) as first, socket.create_server(("localhost", 0)) as second:
        addresses = [f"localhost:{server.getsockname()[1]}" for server in (first, second)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start("worker", TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": task}))
        for task in tasks
    ]


def main() -> None:
    """Measure and print."""
    flags = parse_flags()
    if flags.role:
        print(json.dumps(measure(flags)), flush=True)
        os._exit(0)  # TensorFlow may wait long for threads of its own
    describe_machine()
    pairs = [result_of(start("pair")) for _ in range(flags.rounds)]
    print_ratios("one replica / no strategy", [with_one / without for without, with_one in pairs])
    ratios = []
    for _ in range(flags.rounds):
        (alone,) = result_of(start("one"))
        (shared,) = map(max, zip(*map(result_of, start_workers()), strict=True))
        ratios.append(shared / alone)
    print_ratios("two workers / one process", ratios)


def print_ratios(what: str, ratios: list[float]) -> None:
    """Print the median of some ratios of seconds a step, and their range."""
    print(f"{what}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


if __name__ == "__main__":
    main()
