"""What choices bring that cost lines of code: processor time without a choice, over the time with it, in one run.

python benchmarks/choices.py --data_file=../shared/data/xquad.en.json --vocab_file=../shared/data/vocab-uncased.txt
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from absl import app, flags
from ours import document_logits

from bert_squad.answers import grouping
from bert_squad.answers.nbest import NbestOptions, RawResult, stream_predictions
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.text.tokenization import FullTokenizer

FLAGS = flags.FLAGS
flags.DEFINE_string("data_file", None, "SQuAD file.", required=True)
flags.DEFINE_string("vocab_file", None, "Uncased vocabulary.", required=True)
flags.DEFINE_integer("questions", 400, "Questions of the file that are used.")
flags.DEFINE_integer("rounds", 9, "Rounds, each of which runs both.")


def ratios(without: Callable[[], None], with_it: Callable[[], None], rounds: int) -> list[float]:
    """Return the processor time of one over that of the other, a number a round; the first round is not counted."""

    def seconds(run: Callable[[], None]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    return [seconds(without) / seconds(with_it) for _ in range(rounds + 1)][1:]


def nbest_together() -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the n-best of one question at a time, and of as many as are taken together."""
    examples = read_squad_examples(FLAGS.data_file, is_training=False)[: FLAGS.questions]
    tokenizer = FullTokenizer(FLAGS.vocab_file, do_lower_case=True)
    features = list(convert_examples_to_features(examples, tokenizer, 384, 128, 64, False))
    rng = np.random.default_rng(1)
    results = [
        RawResult(feature.unique_id, *document_logits(rng, 384, list(feature.token_to_orig_map)))
        for feature in features
    ]
    options = NbestOptions(n_best_size=20, max_answer_length=30, do_lower_case=True)
    together = grouping.QUESTIONS_TOGETHER

    def run(number: int) -> None:
        grouping.QUESTIONS_TOGETHER = number
        for _ in stream_predictions(examples, features, results, options):
            pass

    return lambda: run(1), lambda: run(together)


def main(_) -> None:
    """Measure all, and print a line for each."""
    for name, make in (("n-best of many questions together", nbest_together),):
        found = ratios(*make(), FLAGS.rounds)
        print(f"{name}: {statistics.median(found):.2f}x ({min(found):.2f} to {max(found):.2f})", flush=True)


if __name__ == "__main__":
    app.run(main)
