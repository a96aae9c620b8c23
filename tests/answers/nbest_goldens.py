"""Load the cases of goldens/nbest: examples and features made anew, the stored logits as results."""

import functools
from typing import NamedTuple

import numpy as np
from golden_files import golden, golden_cases, golden_input, read_json

from bert_squad.answers.nbest import NbestOptions, RawResult
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.text.tokenization import FullTokenizer

CASES = golden_cases("nbest")
CRASHED = [case for case in CASES if (golden(f"nbest/{case}") / "crash.txt").exists()]

_OPTIONS = (
    "n_best_size",
    "max_answer_length",
    "do_lower_case",
    "version_2_with_negative",
    "null_score_diff_threshold",
)


class Case(NamedTuple):
    options: dict
    examples: list
    features: list
    results: list
    folder: object

    @property
    def nbest_options(self):
        return NbestOptions(**self.options)


@functools.lru_cache(maxsize=4)
def _converted(dataset, vocab, do_lower_case, *lengths):
    examples = read_squad_examples(str(golden_input(dataset)), False)
    tokenizer = FullTokenizer(str(golden_input(vocab)), do_lower_case)
    return examples, list(convert_examples_to_features(examples, tokenizer, *lengths, False))


def load(name):
    folder = golden(f"nbest/{name}")
    flags = read_json(folder / "flags.json")
    examples, features = _converted(
        *(flags[key] for key in ("dataset", "vocab", "do_lower_case")),
        *(flags[key] for key in ("max_seq_length", "doc_stride", "max_query_length")),
    )
    logits = np.load(folder / "logits.npz")
    results = [
        RawResult(unique_id, start_logits, end_logits)
        for unique_id, start_logits, end_logits in zip(
            logits["unique_ids"].tolist(), logits["start_logits"], logits["end_logits"], strict=True
        )
    ]
    assert [feature.unique_id for feature in features] == [result.unique_id for result in results]
    return Case({key: flags[key] for key in _OPTIONS}, examples, features, results, folder)
