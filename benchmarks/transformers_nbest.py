"""The n-best of the question answering example of transformers, written anew from what that does.

Of its function `postprocess_qa_predictions` this is the part for questions that all have an answer.
"""

import collections
from collections.abc import Iterable
from typing import Any

import numpy as np
from ours import MAX_ANSWER_LENGTH, N_BEST_SIZE


def choose_answers(
    examples: list[dict], features: Any, start_logits: np.ndarray, end_logits: np.ndarray
) -> int:
    """Choose the n-best answers of questions and return their number.

    Args:
      examples: `id` and `context` of each question.
      features: for each window a mapping with `example_id` and `offset_mapping`, which for each position holds the
        first and last character in the context, None outside the document; a list or a `datasets.Dataset`.
      start_logits: float32 [windows, S].
      end_logits: float32 [windows, S].
    """
    windows_of = collections.defaultdict(list)
    for window, feature in enumerate(features):
        windows_of[feature["example_id"]].append(window)
    answers, nbest = {}, {}
    for example in examples:
        candidates: list[dict] = []
        for window in windows_of[example["id"]]:
            offsets = features[window]["offset_mapping"]
            max_context = features[window].get("token_is_max_context")
            candidates += _candidates(offsets, max_context, start_logits[window], end_logits[window])
        best = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)[:N_BEST_SIZE]
        for candidate in best:
            first, last = candidate.pop("offsets")
            candidate["text"] = example["context"][first:last]
        if not best or (len(best) == 1 and not best[0]["text"]):
            best.insert(0, {"text": "empty", "start_logit": 0.0, "end_logit": 0.0, "score": 0.0})
        scores = np.array([candidate.pop("score") for candidate in best])
        weights = np.exp(scores - scores.max())
        for candidate, probability in zip(best, weights / weights.sum(), strict=True):
            candidate["probability"] = probability
        answers[example["id"]] = best[0]["text"]
        nbest[example["id"]] = [
            {
                key: float(value) if isinstance(value, np.float16 | np.float32 | np.float64) else value
                for key, value in candidate.items()
            }
            for candidate in best
        ]
    return len(answers)


def _candidates(offsets, max_context, start_logits, end_logits) -> Iterable[dict]:
    starts, ends = (
        np.argsort(logits)[: -N_BEST_SIZE - 1 : -1].tolist() for logits in (start_logits, end_logits)
    )
    for start in starts:
        for end in ends:
            if (
                start >= len(offsets)
                or end >= len(offsets)
                or offsets[start] is None
                or len(offsets[start]) < 2
                or offsets[end] is None
                or len(offsets[end]) < 2
            ):
                continue
            if end < start or end - start + 1 > MAX_ANSWER_LENGTH:
                continue
            if max_context is not None and not max_context.get(str(start), False):
                continue
            yield {
                "offsets": (offsets[start][0], offsets[end][1]),
                "score": start_logits[start] + end_logits[end],
                "start_logit": start_logits[start],
                "end_logit": end_logits[end],
            }
