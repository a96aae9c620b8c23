"""A question about a passage of a few windows, and logits for it, without a model."""

import numpy as np
from answers.nbest_goldens import CASES, CRASHED
from tiny_models import VOCABULARY

from bert_squad.answers.nbest import NbestOptions
from bert_squad.answers.raw_results import RawResult
from bert_squad.data.windows import WindowLengths
from bert_squad.explain.explaining import explain
from bert_squad.explain.question import ask_question, windows_of
from bert_squad.text.tokenization import FullTokenizer

CONTEXT = "a b c d e f g h i j k l m n o p q r s t"
QUESTION = "x y ?"
LENGTHS = WindowLengths(max_seq_length=16, doc_stride=6, max_query_length=4)
NUM_PREFIX = 5  # [CLS] x y ? [SEP]
# Windows of 10 pieces: a to j, g to p, m to t. The middle of an overlap decides whose a start is.

# One n-best golden for each version and kind of logits, such as tiny-v1-gauss.
SOME_CASES = sorted(
    {
        "-".join(c.split("-")[:3]): c
        for c in CASES
        if c.startswith("tiny-v") and c.endswith("s64") and c not in CRASHED
    }.values()
)


def tokenizer(folder):
    path = folder / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n")
    return FullTokenizer(str(path))


def options(**changes):
    return NbestOptions(**{"n_best_size": 20, "max_answer_length": 4, "do_lower_case": True, **changes})


def windows(folder, answer=None, context=CONTEXT, of=None, lengths=LENGTHS):
    """Return the example and its features."""
    of = of or options()
    return windows_of(
        ask_question(QUESTION, context, answer),
        tokenizer(folder),
        lengths,
        version_2_with_negative=of.version_2_with_negative,
    )


def results(features, high=(), low=-5.0):
    """Give each window the same low logits, but for what is named: (window, "start" or "end", position, logit)."""
    logits = np.full([len(features), 2, len(features[0].input_ids)], low, np.float32)
    for window, which, position, logit in high:
        logits[window, int(which == "end"), position] = logit
    return [RawResult(feature.unique_id, *pair) for feature, pair in zip(features, logits, strict=True)]


def explained(folder, high=(), answer=None, top=8, context=CONTEXT, low=-5.0, **changes):
    of = options(**changes)
    example, features = windows(folder, answer, context, of)
    return explain(example, features, results(features, high, low), of, top)
