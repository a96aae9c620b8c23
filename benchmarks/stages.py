"""Measure conversion, training and prediction, ours against Hugging Face transformers, in one run.

    python benchmarks/stages.py --data_file=xquad.en.json --vocab_file=vocab.txt [--max_seq_length=384 ...]

Machines are noisy, so contenders take turns and the table shows ratios with their spread over the rounds.
Weights are random (speed does not depend on them) unless --model_dir names a Hugging Face directory. torch and
transformers are peers, not requirements: without them only our own rates are shown.
"""

import importlib.metadata
import importlib.util
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("data_file", None, "SQuAD file to convert, train on and answer.", required=True)
flags.DEFINE_string("vocab_file", None, "WordPiece vocabulary, uncased.", required=True)
flags.DEFINE_string("bert_config_file", None, "Sizes of the model; default: MiniLM's (6 layers of 384).")
flags.DEFINE_list("stages", ["conversion", "training", "prediction"], "Stages to measure.")
flags.DEFINE_integer("max_seq_length", 384, "S, in WordPieces.")
flags.DEFINE_integer("doc_stride", 128, "In WordPieces.")
flags.DEFINE_integer("max_query_length", 64, "In WordPieces.")
flags.DEFINE_integer("train_batch_size", 16, "Windows.")
flags.DEFINE_integer("predict_batch_size", 8, "Windows.")
flags.DEFINE_integer("batches", 3, "Batches a contender runs in one round, after one to warm up.")
flags.DEFINE_integer("rounds", 3, "Rounds; contenders take turns within each.")
flags.DEFINE_integer("questions", 400, "Questions to use of the data file.")

MINILM = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}

Contender = Callable[[], int]  # does some work and returns the number of examples (windows) it did


def timed(contender: Contender) -> float:
    """Return examples per second of one turn."""
    started = time.perf_counter()
    examples = contender()
    return examples / (time.perf_counter() - started)


def measure(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Let contenders take turns; one turn of each before counts for nothing (compilation, caches)."""
    for contender in contenders.values():
        contender()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            rates[name].append(timed(contender))
    return rates


def show(stage: str, rates: dict[str, list[float]]) -> None:
    """Print a stage: median rate of each contender and the ratio of ours to it, with the spread."""
    ours = next(iter(rates.values()))
    for name, values in rates.items():
        ratios = [mine / its for mine, its in zip(ours, values, strict=True)]
        print(
            f"{stage:11} {name:34} {statistics.median(values):9.1f} examples/s   ours is "
            f"{statistics.median(ratios):5.2f}x of it ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def describe_machine() -> None:
    """Print the command, the versions and the processor."""
    processor = next(
        (
            line.split(": ")[1]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    print("command: ", " ".join(sys.argv))
    print(f"machine:  {processor}, Python {platform.python_version()}")
    for package in ("tensorflow", "torch", "transformers"):
        if importlib.util.find_spec(package):
            print(f"{package}: {importlib.metadata.version(package)}")


def main(_) -> None:
    """Measure the stages and print the table."""
    from ours import OurProgram

    describe_machine()
    has_peers = all(importlib.util.find_spec(package) for package in ("torch", "transformers"))
    if not has_peers:
        print("torch and transformers are not installed (`make peers`), so there is nobody to compare with.")
    sizes = MINILM
    if FLAGS.bert_config_file:
        sizes = json.loads(Path(FLAGS.bert_config_file).read_text())
    with tempfile.TemporaryDirectory() as directory:
        ours = OurProgram(FLAGS, sizes, directory)
        programs: list[Any] = [ours]
        if has_peers:
            from transformers_peer import TransformersProgram

            programs.append(TransformersProgram(FLAGS, sizes, ours.examples))
        for stage in FLAGS.stages:
            contenders: dict[str, Contender] = {}
            for program in programs:
                contenders.update(program.contenders(stage))
            show(stage, measure(contenders, FLAGS.rounds))


if __name__ == "__main__":
    app.run(main)
