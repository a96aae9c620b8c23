"""Measure how time grows with the length of texts that are hard on a plain implementation.

    python benchmarks/growth.py

Each case is timed at several sizes, each twice the one before. The exponent is the slope of a line through the
logarithms of sizes and times: 1 is growth in proportion, 2 with the square. What takes a fixed time pulls it below 1,
a processor's cache that becomes too small a little above.
"""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags
from machine import describe_machine

from bert_squad.answers.nbest import NbestOptions, stream_predictions
from bert_squad.answers.raw_results import RawResult
from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.text.alignment import get_final_text
from bert_squad.text.tokenization import FullTokenizer

FLAGS = flags.FLAGS
flags.DEFINE_integer("size", 40_000, "Characters at the smallest size.", lower_bound=1)
flags.DEFINE_integer("doublings", 4, "How many sizes beyond the smallest.", lower_bound=1)
flags.DEFINE_integer("rounds", 3, "How often each is timed; the quickest counts.", lower_bound=1)

LENGTH, STRIDE, QUERY = 384, 128, 64
WORDS = ["ann", "met", "bob", "in", "the", "city"]
IDEOGRAPHS = "".join(map(chr, range(0x4E00, 0x4E40)))
Case = Callable[[int], Callable[[], object]]  # makes an input of a size, and gives what is timed


def tokenizer(folder: str) -> FullTokenizer:
    """Return a tokenizer of a few words, letters and ideographs."""
    path = Path(folder, "vocab.txt")
    pieces = ["[UNK]", "[CLS]", "[SEP]", *WORDS, *IDEOGRAPHS, *"abcdef", *(f"##{c}" for c in "abcdef")]
    path.write_text("\n".join(pieces), encoding="utf-8")
    return FullTokenizer(str(path))


def chosen(choices, count: int) -> list[str]:
    """Draw so many of the choices, always the same ones."""
    return random.Random(0).choices(list(choices), k=count)


def tokenized(make: Callable[[int], str], tok: FullTokenizer) -> Case:
    """Time the tokenization of a text."""

    def case(size):
        text = make(size)
        return lambda: tok.basic_tokenizer.tokenize(text)

    return case


def answered(make: Callable[[int], str], tok: FullTokenizer, n_best_size: int = 20) -> Case:
    """Time the n-best of one question about a passage."""

    def case(size):
        example = SquadExample("q", "who", make(size).split(" "))
        features = list(convert_examples_to_features([example], tok, LENGTH, STRIDE, QUERY, False))
        logits = np.random.default_rng(0).normal(size=(len(features), 2, LENGTH)).astype(np.float32)
        results = [RawResult(f.unique_id, *pair) for f, pair in zip(features, logits, strict=True)]
        options = NbestOptions(n_best_size, 30, do_lower_case=True)
        return lambda: list(stream_predictions([example], features, results, options))

    return case


def converted(make: Callable[[int], str], tok: FullTokenizer, answer: Callable[[str], str]) -> Case:
    """Time reading and converting one training question, whose answer is in the passage."""

    def case(size):
        context = make(size)
        text = answer(context)
        answers = [{"text": text, "answer_start": context.rindex(text)}]
        paragraph = {"context": context, "qas": [{"id": "q", "question": "who", "answers": answers}]}
        dataset = {"data": [{"paragraphs": [paragraph]}]}

        def convert():
            examples = squad_examples(dataset, "growth", True)
            return sum(1 for _ in convert_examples_to_features(examples, tok, LENGTH, STRIDE, QUERY, True))

        return convert

    return case


def aligned(make_pred: Callable[[int], str], make_orig: Callable[[int], str]) -> Case:
    """Time the projection of one prediction."""

    def case(size):
        pred_text, orig_text = make_pred(size), make_orig(size)
        return lambda: get_final_text(pred_text, orig_text, True)

    return case


def cases(tok: FullTokenizer) -> dict[str, Case]:
    """Return what is measured, by name."""
    return {
        "tokenize: words": tokenized(lambda n: " ".join(chosen(WORDS, n // 4)), tok),
        "tokenize: two combining marks in turn": tokenized(lambda n: "e" + "\u0301\u0316" * (n // 2), tok),
        "tokenize: any characters": tokenized(
            lambda n: "".join(chosen(map(chr, [*range(1, 0xD800), *range(0xE000, 0x30000)]), n)), tok
        ),
        "n-best: words": answered(lambda n: " ".join(chosen(WORDS, n // 4)), tok),
        "n-best: words, --n_best_size=384": answered(lambda n: " ".join(chosen(WORDS, n // 4)), tok, 384),
        "n-best: ideographs": answered(lambda n: "".join(chosen(IDEOGRAPHS, n)), tok),
        "n-best: one ideograph": answered(lambda n: IDEOGRAPHS[0] * n, tok),
        "n-best: ideographs that are unknown": answered(
            lambda n: "".join(chosen(map(chr, range(0x3400, 0x4000)), n)), tok
        ),
        "n-best: U+00A0 for spaces": answered(lambda n: "\u00a0".join(chosen(WORDS, n // 4)), tok),
        "convert: words": converted(
            lambda n: " ".join(chosen(WORDS, n // 4)), tok, lambda text: text[-40:].lstrip()
        ),
        "convert: one long word, its second half": converted(
            lambda n: "-" * (n - 1) + "a", tok, lambda text: text[len(text) // 2 :]
        ),
        "align: a run of spaces": aligned(lambda n: "b", lambda n: "a" + " " * n + "b" + " " * n + "c"),
        "align: a space behind each letter": aligned(lambda n: "b", lambda n: "a " * (n // 2) + "b"),
    }


def measure(case: Case, sizes: list[int], rounds: int) -> list[float]:
    """Return the seconds at each size."""
    seconds = []
    for size in sizes:
        timed = case(size)
        best = float("inf")
        for _ in range(rounds):
            started = time.perf_counter()
            timed()
            best = min(best, time.perf_counter() - started)
        seconds.append(best)
    return seconds


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of the line through the logarithms.

    >>> round(exponent([10, 20, 40], [0.5, 2.0, 8.0]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main(_):
    """Run what the flags say."""
    describe_machine()
    sizes = [FLAGS.size << doubling for doubling in range(FLAGS.doublings + 1)]
    print(f"{'seconds at so many characters':<42}{''.join(f'{size:>10,}' for size in sizes)}  exponent")
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(tokenizer(folder)).items():
            seconds = measure(case, sizes, FLAGS.rounds)
            columns = "".join(f"{second:>10.4f}" for second in seconds)
            print(f"{name:<42}{columns}  {exponent(sizes, seconds):.2f}", flush=True)


if __name__ == "__main__":
    app.run(main)
