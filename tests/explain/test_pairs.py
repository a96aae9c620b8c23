"""Every rule against a pair, with logits made by hand; together they are what `answers.candidates` applies."""

import numpy as np
import pytest
from answers.nbest_goldens import load
from explain.small_questions import NUM_PREFIX, SOME_CASES, explained, options, results, windows

from bert_squad.answers.candidates import ranked_candidates
from bert_squad.answers.raw_results import logits_of
from bert_squad.explain.pairs import RULES, WindowPairs, best_pairs

A = NUM_PREFIX  # position of "a" in window 0; "g" is in window 0 at A + 6, in window 1 at A


@pytest.mark.parametrize(
    ("start", "end", "rules"),
    [
        ((0, A + 3), (0, A + 1), ["end_before_start"]),
        ((0, A), (0, A + 4), ["too_long"]),
        ((0, 1), (0, A), ["question", "too_long"]),
        ((0, 4), (0, A), ["question"]),
        ((0, A + 8), (0, A + 9), ["other_window"]),
        ((0, 0), (0, 0), ["question"]),
        ((2, A + 7), (2, A + 8), ["question"]),  # the second [SEP] of the shorter last window
        ((2, A + 7), (2, A + 9), ["padding"]),
    ],
)
def test_the_rule_against_a_pair(start, end, rules, tmp_path):
    allowed = [(0, "start", A, 5.0), (0, "end", A, 5.0)]
    facts = explained(tmp_path, [*allowed, (start[0], "start", start[1], 9.0), (end[0], "end", end[1], 9.0)])
    best = facts.pairs[0]
    assert (best.window, best.start, best.end, best.score) == (start[0], start[1], end[1], 18.0)
    assert best.rules == rules
    assert best.rank is None
    assert set(rules) <= set(RULES)


def test_starts_and_ends_beyond_the_best(tmp_path):
    high = [(0, "start", A + place, 9.0 - place) for place in range(3)]
    facts = explained(tmp_path, [*high, (0, "end", A + 3, 9.0), (0, "end", A + 2, 8.0)], n_best_size=2)
    rules = {(pair.start - A, pair.end - A): pair.rules for pair in facts.pairs if pair.window == 0}
    assert rules[0, 3] == []
    assert rules[2, 3] == ["beyond_best_starts"]
    high = [(0, "end", A + 3 - place, 9.0 - place) for place in range(3)]
    facts = explained(tmp_path, [*high, (0, "start", A, 9.0)], n_best_size=2)
    rules = {(pair.start - A, pair.end - A): pair.rules for pair in facts.pairs if pair.window == 0}
    assert rules[0, 3] == []
    assert rules[0, 1] == ["beyond_best_ends"]


def test_a_worse_span_of_the_same_text_and_a_full_list(tmp_path):
    context = "a b a c d"
    high = [(0, which, A + place, logit) for which in ("start", "end") for place, logit in ((0, 9), (2, 8))]
    facts = explained(tmp_path, high, context=context, n_best_size=2)
    (worse,) = [pair for pair in facts.pairs if pair.start == pair.end == A + 2]
    assert (worse.text, worse.rules) == ("a", ["same_text"])
    high = [(0, "start", A, 9.0), (0, "start", A + 1, 8.0), (0, "end", A + 1, 9.0), (0, "end", A + 2, 8.0)]
    facts = explained(tmp_path, high, n_best_size=2)
    last = [pair for pair in facts.pairs if (pair.start, pair.end) == (A + 1, A + 2)]
    assert [(pair.text, pair.rules) for pair in last] == [("b c", ["list_full"])]
    assert [entry.text for entry in facts.nbest] == ["a b", "a b c"]


def test_no_answer_counts_in_the_window_that_says_it_least(tmp_path):
    nulls = [
        (window, which, 0, logit) for which in ("start", "end") for window, logit in enumerate((7, 6, 8))
    ]
    facts = explained(tmp_path, nulls, version_2_with_negative=True, top=1)
    (best,) = facts.pairs
    assert (best.window, best.start, best.end, best.rules) == (2, 0, 0, ["other_null"])
    (listed,) = [span for span in facts.nbest if not span.text]
    assert (listed.window, listed.score, listed.rules, listed.rank) == (1, 12.0, [], 1)
    assert facts.answer == ""
    assert facts.chosen == listed


def candidates_of(case, number):
    """Return the windows of a question of a golden case, their pairs, and its candidates by the rules of the n-best."""
    own = [feature for feature in case.features if feature.example_index == number]
    result_of = {result.unique_id: result for result in case.results}
    logits = logits_of(case.examples[number], own, result_of)
    of = case.nbest_options
    pairs = [
        WindowPairs(place, *each, of)
        for place, each in enumerate(zip(own, *zip(*logits, strict=True), strict=True))
    ]
    (ranked,) = ranked_candidates([(own, logits)], of.n_best_size, of.max_answer_length)
    return own, pairs, {candidate[:3] for candidate in ranked}


@pytest.mark.parametrize("case", SOME_CASES)
def test_no_rule_is_against_exactly_the_candidates(case):
    loaded = load(case)
    for number in range(0, len(loaded.examples), 9):
        own, pairs, candidates = candidates_of(loaded, number)
        size = len(own[0].input_ids)
        allowed = {
            (window, start, end)
            for window, of_window in enumerate(pairs)
            for start in range(size)
            for end in range(size)
            if not of_window.rules_against(start, end)
        }
        assert allowed == candidates


@pytest.mark.parametrize("seed", range(5))
def test_the_best_pairs_are_those_of_all_sums(seed, tmp_path):
    _, features = windows(tmp_path)
    rng = np.random.default_rng(seed)
    logits = rng.integers(-4, 5, [len(features), 2, 16]).astype(np.float32)
    logits[:, :, 0] = -9.0  # ([CLS], [CLS]) is another test's
    pairs = [
        WindowPairs(number, feature, *of, options())
        for number, (feature, of) in enumerate(zip(features, logits, strict=True))
    ]
    sums = logits[:, 0, :, np.newaxis] + logits[:, 1, np.newaxis, :]
    expected = np.sort(sums.ravel())[::-1][:12]
    assert [pair.score for pair in best_pairs(pairs, 12)] == expected.tolist()


def test_of_no_answer_only_the_best_is_among_the_pairs(tmp_path):
    nulls = [(window, which, 0, 9.0 + window) for which in ("start", "end") for window in range(3)]
    facts = explained(tmp_path, nulls, top=4)
    assert [(pair.window, pair.score) for pair in facts.pairs if pair.start == pair.end == 0] == [(2, 22.0)]


def test_results_can_be_made(tmp_path):
    _, features = windows(tmp_path)
    assert [len(feature.tokens) for feature in features] == [16, 16, 14]
    assert len(results(features)) == 3
