"""Measure every stage, exact and --fast, against transformers and the legacy program's way of doing it, in one run.

    python benchmarks/stages.py --data_file=xquad.en.json --vocab_file=vocab.txt

Machines are noisy, so contenders take turns, and the table shows ratios of rates with their spread over the rounds; the
rates themselves mean nothing on another machine. Weights are random, since speed does not depend on them. torch and
transformers are peers, not requirements: without them their lines are left out. The legacy program cannot be installed
beside ours: conversion and n-best are measured against a plain port of its way (`legacy_standin`).
"""

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags
from machine import describe_machine

FLAGS = flags.FLAGS
STAGES = ("conversion", "training", "prediction", "nbest")
flags.DEFINE_string("data_file", None, "SQuAD file to convert, train on and answer.", required=True)
flags.DEFINE_string("vocab_file", None, "WordPiece vocabulary, uncased.", required=True)
flags.DEFINE_string("bert_config_file", None, "Sizes of the model; default: MiniLM's (6 layers of 384).")
flags.DEFINE_list("stages", list(STAGES), "Stages to measure.")
flags.DEFINE_integer("train_seq_length", 384, "S of conversion and training, in WordPieces.")
flags.DEFINE_integer("predict_seq_length", 256, "S of prediction and n-best, in WordPieces.")
flags.DEFINE_integer("doc_stride", 128, "In WordPieces.")
flags.DEFINE_integer("max_query_length", 64, "In WordPieces.")
flags.DEFINE_integer("train_batch_size", 16, "Windows.")
flags.DEFINE_integer("predict_batch_size", 8, "Windows.")
flags.DEFINE_integer("train_batches", 4, "Batches a contender trains on in one turn, the same ones for all.")
flags.DEFINE_integer(
    "predict_batches", 24, "Batches a contender predicts in one turn, the same ones for all."
)
flags.DEFINE_boolean("header", True, "Print what is measured where.")
flags.DEFINE_integer("rounds", 5, "Rounds; contenders take turns within each.")
flags.DEFINE_integer("questions", 10000, "Questions to use of the data file, at most.")

MINILM = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}

Contender = Callable[[], int]  # does some work and returns how many windows (n-best: questions) it did


def timed(contender: Contender) -> float:
    """Return the rate of one turn, a second."""
    started = time.perf_counter()
    count = contender()
    return count / (time.perf_counter() - started)


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
    """Print a stage: the median rate of each contender, and how many times as fast each of ours is."""
    ours = [name for name in rates if name.startswith("bert_squad")]
    for name, values in rates.items():
        cells = []
        for own in ours:
            if name == own:
                cells.append(f"{'—':>20}")
                continue
            ratios = [mine / its for mine, its in zip(rates[own], values, strict=True)]
            cells.append(f"{statistics.median(ratios):6.2f} ({min(ratios):.2f}–{max(ratios):.2f})".rjust(20))
        print(f"{stage:11} {name:32} {statistics.median(values):9.1f}/s {' '.join(cells)}", flush=True)


def model_sizes() -> dict:
    """Return the keys and values of the `bert_config.json` to measure."""
    return json.loads(Path(FLAGS.bert_config_file).read_text()) if FLAGS.bert_config_file else MINILM


def main(_) -> None:
    """Measure the stages and print the table."""
    has_peers = all(importlib.util.find_spec(package) for package in ("torch", "transformers"))
    if FLAGS.header:
        describe_machine()
        if not has_peers:
            print("torch and transformers are not installed (`make peers`), so they are not compared with.")
        print(
            f"\n{'stage':11} {'contender':32} {'median rate':>11} {'exact: times':>20} {'--fast: times':>20}"
        )
    if len(FLAGS.stages) > 1:
        # Each stage in a process of its own: what one leaves behind in memory must not slow the next.
        for stage in FLAGS.stages:
            sys.stdout.flush()
            subprocess.run([sys.executable, *sys.argv, f"--stages={stage}", "--noheader"], check=True)
        return
    from ours import OurProgram

    sizes = model_sizes()
    with tempfile.TemporaryDirectory() as directory:
        ours = OurProgram(FLAGS, sizes, directory)
        programs: list[Any] = [ours]
        if has_peers:
            from transformers_peer import TransformersProgram

            programs.append(TransformersProgram(FLAGS, sizes, ours))
        from legacy_peer import LegacyStandIn

        programs.append(LegacyStandIn(FLAGS, ours))
        for stage in FLAGS.stages:
            contenders: dict[str, Contender] = {}
            for program in programs:
                contenders.update(program.contenders(stage))
            show(stage, measure(contenders, FLAGS.rounds))


if __name__ == "__main__":
    app.run(main)
