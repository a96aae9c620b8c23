"""Answers as LEGACY.md describes them, with plain nested loops over Python lists: the reference for the fast code.

Written from that page, not from `bert_squad.answers`, with which it shares no code. Verified against the goldens by
tests/answers/test_nbest.py.
"""

import math
from collections import namedtuple

from .final_text import get_final_text

Candidate = namedtuple("Candidate", "feature start end start_logit end_logit")


def best_indexes(logits, count):
    """The indexes of the largest logits, by a stable descending sort."""
    return sorted(range(len(logits)), key=lambda index: logits[index], reverse=True)[:count]


def candidates_of(features, logits, n_best_size, max_answer_length):
    """All candidates, sorted."""
    candidates = []
    for number, (feature, (start_logits, end_logits)) in enumerate(zip(features, logits, strict=True)):
        for start in best_indexes(start_logits, n_best_size):
            for end in best_indexes(end_logits, n_best_size):
                if (
                    start in feature.token_to_orig_map
                    and end in feature.token_to_orig_map
                    and feature.token_is_max_context.get(start, False)
                    and start <= end < start + max_answer_length
                ):
                    candidates.append(Candidate(number, start, end, start_logits[start], end_logits[end]))
    return candidates


def total(candidate):
    """The score by which candidates are ranked."""
    return candidate.start_logit + candidate.end_logit


def answer(example, features, result_of, options):
    """The answer text, the n-best list as JSON, the null odds (None without version 2)."""
    logits = [
        (
            [float(x) for x in result_of[f.unique_id].start_logits],
            [float(x) for x in result_of[f.unique_id].end_logits],
        )
        for f in features
    ]
    candidates = candidates_of(features, logits, options["n_best_size"], options["max_answer_length"])
    version_2 = options["version_2_with_negative"]
    score_null, null = (
        (1000000, Candidate(0, 0, 0, 0, 0)) if features else (0.0, Candidate(0, 0, 0, 0.0, 0.0))
    )
    if version_2:
        for number, (start_logits, end_logits) in enumerate(logits):
            if start_logits[0] + end_logits[0] < score_null:
                score_null = start_logits[0] + end_logits[0]
                null = Candidate(number, 0, 0, start_logits[0], end_logits[0])
        candidates.append(null)
    entries: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=total, reverse=True):
        if len(entries) == options["n_best_size"]:
            break
        text = ""
        if candidate.start > 0:
            feature = features[candidate.feature]
            pieces = feature.tokens[candidate.start : candidate.end + 1]
            tok_text = " ".join(" ".join(pieces).replace(" ##", "").replace("##", "").split())
            first, last = (feature.token_to_orig_map[index] for index in (candidate.start, candidate.end))
            orig_text = " ".join(example.doc_tokens[first : last + 1])
            text = get_final_text(tok_text, orig_text, options["do_lower_case"])
        entries.setdefault(text, candidate)
    if version_2:
        entries.setdefault("", null)
    if not entries:
        entries["empty"] = Candidate(0, 0, 0, 0.0, 0.0)
    scores = [total(candidate) for candidate in entries.values()]
    weights = [math.exp(score - max(scores)) for score in scores]
    whole = 0.0
    for weight in weights:
        whole += weight
    nbest = [
        {
            "text": text,
            "probability": weight / whole,
            "start_logit": candidate.start_logit,
            "end_logit": candidate.end_logit,
        }
        for (text, candidate), weight in zip(entries.items(), weights, strict=True)
    ]
    if not version_2:
        return nbest[0]["text"], nbest, None
    best = next((entry for entry in nbest if entry["text"]), None)
    if best is None:
        return "", nbest, float(score_null)
    odds = score_null - best["start_logit"] - best["end_logit"]
    return "" if odds > options["null_score_diff_threshold"] else best["text"], nbest, odds
