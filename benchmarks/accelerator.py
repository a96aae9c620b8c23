"""What GPUs bring to training: examples a second, memory, and whether the losses are those of one device.

    python benchmarks/accelerator.py                                   # BERT-base, on all GPUs
    python benchmarks/accelerator.py --tiny --num_logical_devices=2    # a trial, on CPUs

Prints a table for BUILD_NOTES.md. Each row is a process of its own, so that its memory is its own. All rows train the
same weights with the same seed, dropout included, on the same batches of random ids. Their losses are compared with
those of the same type on one device, not compiled and in one part. Peak memory is that of the first GPU; on CPUs,
that of the process.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import describe_machine
from random_training import random_model, random_rows, shared_batches, training_step

ROOT = Path(__file__).resolve().parent.parent
STEPS_COMPARED = 5
BATCHES = 8  # that differ; then they come again
BERT_BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
COLUMNS = ("type", "compiled", "devices", "parts each", "examples/s", "peak MB", "losses differ by")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What one row measures."""

    dtype: str
    jit_compile: bool = False
    replicas: int = 1
    parts: int = 1

    @property
    def reference(self) -> "Setting":
        """The row whose losses it should have."""
        return Setting(self.dtype)


def parse_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dtypes", default="float32,tensorfloat32,bfloat16,float16", help="Types to compare."
    )
    parser.add_argument("--parts", type=int, default=4, help="Of --gradient_accumulation_steps.")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--seq_length", type=int, default=384)
    parser.add_argument("--steps", type=int, default=30, help="Timed, after those that are compared.")
    parser.add_argument("--tiny", action="store_true", help="A tiny model, to try the script.")
    parser.add_argument(
        "--num_logical_devices", type=int, default=1, help="Without GPUs: cut the CPU in so many."
    )
    parser.add_argument("--one", help="Measure this in this process: a row, as JSON; or null: list the GPUs.")
    return parser.parse_args()


def settings(dtypes: list[str], num_devices: int, parts: int) -> list[Setting]:
    """Return the rows: each type, compiled and not; and what several devices and parts make of the first and last."""
    alone = [Setting(dtype, jit_compile) for dtype in dtypes for jit_compile in (False, True)]
    rows = list(alone)
    exact, fast = Setting(dtypes[0]), Setting("bfloat16" if "bfloat16" in dtypes else dtypes[-1], True)
    for setting in (exact, fast):
        for replicas, count in ((num_devices, 1), (1, parts), (num_devices, parts)):
            rows.append(dataclasses.replace(setting, replicas=replicas, parts=count))
    return list(dict.fromkeys(rows))


def list_gpus() -> list[str]:
    """Return the names of the GPUs that TensorFlow sees."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def measure(setting: Setting, flags: argparse.Namespace) -> dict[str, Any]:
    """Train some steps in this process; return the losses, examples a second, and peak memory in MB."""
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf

    from bert_squad.compute_options import ComputeOptions
    from bert_squad.config import SquadConfig
    from bert_squad.devices.strategies import open_devices

    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    config = SquadConfig(
        bert_config_file="",
        vocab_file="",
        output_dir="",
        do_train=True,
        train_batch_size=flags.batch_size,
        gradient_accumulation_steps=setting.parts,
        distribution_strategy="mirrored" if setting.replicas > 1 else "one_device",
        num_logical_devices=1 if has_gpu else setting.replicas,
    )
    compute = ComputeOptions(setting.dtype, "max", setting.jit_compile)
    devices = open_devices(config, compute)
    sizes = {**(TINY if flags.tiny else BERT_BASE), "max_position_embeddings": max(512, flags.seq_length)}
    model, optimizer = random_model(sizes, devices, compute_dtype=compute.model_dtype)
    train_step = training_step(
        model,
        optimizer,
        scales_loss=setting.dtype == "float16",
        jit_compile=setting.jit_compile,
        num_parts=setting.parts,
        devices=devices,
    )
    rows = random_rows(BATCHES * flags.batch_size, flags.seq_length)
    batches = shared_batches(devices, rows, flags.batch_size)
    losses = [float(train_step(tf.constant(step), next(batches))[0]) for step in range(STEPS_COMPARED)]
    started = time.perf_counter()
    for step in range(STEPS_COMPARED, STEPS_COMPARED + flags.steps):
        loss, _, _ = train_step(tf.constant(step), next(batches))
    float(loss)  # waits for all steps
    seconds = time.perf_counter() - started
    if has_gpu:
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"losses": losses, "rate": flags.batch_size * flags.steps / seconds, "megabytes": peak}


def measured_or_why_not(setting: Setting, flags: argparse.Namespace) -> dict[str, Any]:
    """Do what `measure` does; where a setting cannot be had, say why."""
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf

    from bert_squad.errors import ConfigError, first_line

    try:
        return measure(setting, flags)
    except ConfigError as error:
        return {"failed": "refused", "reason": str(error)}
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        return {"failed": "out of memory", "reason": first_line(error)}


def in_its_own_process(what: Setting | None) -> Any:
    """Run this script for one row, on as many GPUs as it asks for; or for the list of them."""
    command = [sys.executable, __file__, *sys.argv[1:]]
    environment = dict(os.environ)
    if what is None:
        command.append("--one=null")
    else:
        command.append(f"--one={json.dumps(dataclasses.asdict(what))}")
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        visible = [str(number) for number in range(what.replicas)] if given is None else given.split(",")
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(visible[: what.replicas])
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_row(*cells: object) -> None:
    """Print a row of a table in Markdown."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    """Measure and print."""
    flags = parse_flags()
    if flags.one is not None:
        said = json.loads(flags.one)
        print(json.dumps(list_gpus() if said is None else measured_or_why_not(Setting(**said), flags)))
        return
    describe_machine()
    gpus = in_its_own_process(None)
    print(f"GPUs:     {', '.join(gpus) or 'none'}")
    print(
        f"model:    {'tiny' if flags.tiny else 'BERT-base'}, {flags.batch_size} windows of {flags.seq_length}\n"
    )
    print_row(*COLUMNS)
    print_row(*["---"] * len(COLUMNS))
    losses: dict[Setting, list[float]] = {}
    reasons: dict[str, None] = {}  # in order, each once
    rows = settings(flags.dtypes.split(","), len(gpus) or flags.num_logical_devices, flags.parts)
    for setting in rows:
        found = in_its_own_process(setting)
        said = (setting.dtype, "yes" if setting.jit_compile else "no", setting.replicas, setting.parts)
        if "failed" in found:
            print_row(*said, found["failed"], "", "")
            reasons[f"{found['failed']}: {found['reason']}"] = None
            continue
        losses[setting] = found["losses"]
        print_row(*said, f"{found['rate']:.1f}", f"{found['megabytes']:.0f}", difference(setting, losses))
    print("", *reasons, sep="\n")


def difference(setting: Setting, losses: dict[Setting, list[float]]) -> str:
    """Return how far, relatively, a row's losses are from those of its reference, at most."""
    wanted = losses.get(setting.reference)
    if wanted is None or setting == setting.reference:
        return ""
    return f"{max(abs(a - b) / b for a, b in zip(losses[setting], wanted, strict=True)):.1e}"


if __name__ == "__main__":
    main()
