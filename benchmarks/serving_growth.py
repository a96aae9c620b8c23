"""How time and memory of the `answer` signature grow with the passage, the model's own part left out.

    python benchmarks/serving_growth.py [--most=64000]

Each row is a process of its own, whose model says nothing in next to no time: what is measured is tokenizing, windows,
candidates and reading answers. The exponent is that of the last doubling; 1 is linear.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = [
    "the",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
]
KINDS = ("text", "one_word", "commas", "random")
# Flags of a run: the usual ones, and those that were dear.
FLAGS: dict[str, dict[str, int]] = {
    "as usual": {},
    "doc_stride=1": {"doc_stride": 1},
    "n_best_size=10000": {"n_best_size": 10000},
    "n_best_size=10000, max_answer_length=384": {"n_best_size": 10000, "max_answer_length": 384},
}


def passage(kind: str, size: int) -> bytes:
    """Make a passage of so many bytes."""
    dice = random.Random(1)
    if kind == "random":
        return dice.randbytes(size)
    unit = {
        "text": " ".join(dice.choices(WORDS, k=size // 3)),
        "one_word": "the " * size,
        "commas": "," * size,
    }
    return unit[kind].encode()[:size]


def measure(kind: str, size: int, flags: dict[str, int]) -> dict[str, float]:
    """Answer a question about a passage once, and say what that took in seconds and MB."""
    import tensorflow as tf

    from bert_squad.answers.nbest import NbestOptions
    from bert_squad.data.windows import WindowLengths
    from bert_squad.serving.graph_tokenizer import GraphTokenizer
    from bert_squad.serving.graph_windows import WindowLayout
    from bert_squad.serving.text_model import TextModel
    from bert_squad.text.tokenization import FullTokenizer

    with tempfile.TemporaryDirectory() as folder:
        vocab = Path(folder) / "vocab.txt"
        vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", ",", "?", *WORDS]))
        tokenizer = FullTokenizer(str(vocab))
    flags = {"doc_stride": 128, "n_best_size": 20, "max_answer_length": 30, **flags}

    def score(features):
        ids = tf.cast(features["input_ids"], tf.float32)
        places = tf.cast(tf.range(tf.shape(ids)[1]), tf.float32)
        return tf.sin(ids * 37.1 + places * 0.3), tf.cos(ids * 13.7 + places * 0.7)

    model = TextModel(
        GraphTokenizer(tokenizer),
        WindowLayout(WindowLengths(384, flags["doc_stride"], 64), classification_id=2, separator_id=3),
        score,
        NbestOptions(flags["n_best_size"], flags["max_answer_length"], True, version_2_with_negative=True),
    )
    texts = tf.TensorSpec([None], tf.string)
    answer = tf.function(model.answer, input_signature=[texts, texts], autograph=False)
    answer(tf.constant(["who ?"]), tf.constant(["the"]))
    text = tf.constant([passage(kind, size)])
    before, start = _peak_mb(), time.perf_counter()
    answer(tf.constant(["who ?"]), text)
    return {"seconds": time.perf_counter() - start, "megabytes": _peak_mb() - before}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_apart(kind: str, size: int, flags: dict[str, int]) -> dict[str, Any]:
    """Do the same in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps([kind, size, flags])],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=64_000, help="bytes of the longest passage")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*json.loads(arguments.one))))
        return
    print(
        f"{'flags':42} {'passage':9} {'bytes':>8} {'seconds':>8} {'MB more':>8} {'exponent':>8}", flush=True
    )
    for name, flags in FLAGS.items():
        for kind in KINDS:
            before = None
            for size in (arguments.most // 4, arguments.most // 2, arguments.most):
                told = measured_apart(kind, size, flags)
                exponent = math.log2(told["seconds"] / before) if before else float("nan")
                before = told["seconds"]
                print(
                    f"{name:42} {kind:9} {size:8} {told['seconds']:8.2f} {told['megabytes']:8.0f} {exponent:8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
