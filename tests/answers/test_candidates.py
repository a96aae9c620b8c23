import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.legacy_standin import nbest as nested_loops
from bert_squad.answers import candidates
from bert_squad.answers.candidates import PrelimPrediction, best_indexes, insert_null, ranked_candidates

LENGTH = 12
# Few levels, so that there are ties; two that differ as float32 but not when added to 2048 as float32.
levels = st.sampled_from([-1.5, -0.0, 0.0, 1.0, 1.0000001192092896, 2048.0])
logit_lists = st.lists(levels, min_size=LENGTH, max_size=LENGTH)


@st.composite
def features(draw):
    """A feature of LENGTH positions or less: any span of it is the passage, any part of that in max context."""
    start = draw(st.integers(1, LENGTH - 1))
    end = draw(st.integers(start, LENGTH))
    return SimpleNamespace(
        tokens=["x"] * end,
        token_to_orig_map={index: index - start for index in range(start, end)},
        token_is_max_context={index: draw(st.booleans()) for index in range(start, end)},
    )


def as_arrays(logits, dtype=np.float32):
    return [(np.array(start, dtype), np.array(end, dtype)) for start, end in logits]


@given(
    st.integers(1, 40).flatmap(
        lambda size: st.lists(st.lists(levels, min_size=size, max_size=size), min_size=1, max_size=3)
    ),
    st.integers(1, 45),
    st.sampled_from([np.float32, np.float64]),
)
def test_best_indexes_equal_a_stable_sort(rows, n_best_size, dtype):
    logits = np.array(rows, dtype)
    expected = [nested_loops.best_indexes(row, n_best_size) for row in logits.tolist()]
    assert best_indexes(logits, n_best_size).tolist() == expected


def test_best_indexes_of_distinct_logits():
    # Without ties a selection does; with them everything is sorted.
    logits = np.random.default_rng(0).permuted(np.tile(np.arange(50.0), (4, 1)), axis=1)
    expected = [nested_loops.best_indexes(row, 20) for row in logits.tolist()]
    assert best_indexes(logits, 20).tolist() == expected


def test_best_indexes_leave_nothing_out_at_the_cut():
    # Five equal values around the cut: the two lowest indexes go in.
    logits = np.array([[7, 1, 7, 7, 9, 7, 7], [1, 2, 3, 4, 5, 6, 7]], np.float32)
    assert best_indexes(logits, 3).tolist() == [[4, 0, 2], [6, 5, 4]]


def candidates_of(features, logits, n_best_size, max_answer_length, null=None):
    """The candidates of one question."""
    (spans,) = ranked_candidates([(features, logits)], n_best_size, max_answer_length)
    return list(spans if null is None else insert_null(spans, null))


@given(
    st.lists(
        st.lists(st.tuples(features(), logit_lists, logit_lists, st.booleans()), max_size=3), max_size=3
    ),
    st.integers(1, LENGTH + 2),
    st.integers(1, LENGTH),
)
def test_candidates_equal_nested_loops(questions, n_best_size, max_answer_length):
    """Of several questions together, whose logits may be of two types or lengths."""
    all_logits = [
        [
            (np.array(start), np.array(end)) if is_double else (np.float32(start[:-1]), np.float32(end[:-1]))
            for _, start, end, is_double in parts
        ]
        for parts in questions
    ]
    all_features = [[feature for feature, *_ in parts] for parts in questions]
    check_candidates(all_features, all_logits, n_best_size, max_answer_length)
    with pytest.MonkeyPatch.context() as patch:  # as little as possible at a time
        for name, value in (("PAIRS_TOGETHER", 2), ("_CANDIDATES_KEPT", 1), ("_MOST_CANDIDATES_KEPT", 3)):
            patch.setattr(candidates, name, value)
        check_candidates(all_features, all_logits, n_best_size, max_answer_length)


def check_candidates(all_features, all_logits, n_best_size, max_answer_length):
    found = ranked_candidates(
        list(zip(all_features, all_logits, strict=True)), n_best_size, max_answer_length
    )
    assert len(found) == len(all_features)
    for own_features, logits, own_candidates in zip(all_features, all_logits, found, strict=True):
        doubles = [(start.tolist(), end.tolist()) for start, end in logits]
        expected = sorted(
            nested_loops.candidates_of(own_features, doubles, n_best_size, max_answer_length),
            key=nested_loops.total,
            reverse=True,
        )
        assert list(own_candidates) == expected


def whole_passage(length):
    positions = range(1, length)
    return SimpleNamespace(
        tokens=["x"] * length,
        token_to_orig_map={index: index - 1 for index in positions},
        token_is_max_context=dict.fromkeys(positions, True),
    )


def spans(candidates):
    return [(c.feature_index, c.start_index, c.end_index) for c in candidates]


def test_equal_sums_keep_feature_then_start_then_end_and_null_comes_last():
    logits = as_arrays([([0, 1, 1], [0, 1, 1])] * 2)
    null = PrelimPrediction(1, 0, 0, 1.5, 0.5)
    candidates = candidates_of([whole_passage(3)] * 2, logits, 3, 5, null)
    assert spans(candidates) == [(0, 1, 1), (0, 1, 2), (0, 2, 2), (1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 0, 0)]
    assert candidates[-1] is null


def test_null_stands_where_its_score_puts_it():
    logits = as_arrays([([0, 3, 2], [0, 3, 2])])
    for score, place in ((7.0, 0), (5.5, 1), (5.0, 2), (4.5, 2), (4.0, 3), (-1e9, 3)):
        null = PrelimPrediction(0, 0, 0, score, 0.0)
        assert candidates_of([whole_passage(3)], logits, 3, 5, null).index(null) == place


def test_null_alone_is_yielded():
    null = PrelimPrediction(0, 0, 0, 1.0, 1.0)
    assert candidates_of([whole_passage(1)], as_arrays([([1], [1])]), 3, 5, null) == [null]
    assert candidates_of([], [], 3, 5) == []


def test_sums_are_doubles():
    # As float32 both sums are 2049: a tie, which the start of higher rank would win.
    logits = as_arrays([([0, 2048, 2047.9998779296875], [0, 1, 1.0001230239868164])])
    assert spans(candidates_of([whole_passage(3)], logits, 3, 1)) == [(0, 2, 2), (0, 1, 1)]


def test_only_the_start_must_have_its_maximum_context():
    # LEGACY: see LEGACY.md, N-best.
    feature = whole_passage(4)
    feature.token_is_max_context = {1: False, 2: True, 3: False}
    logits = as_arrays([([0, 9, 1, 9], [0, 9, 1, 5])])
    assert spans(candidates_of([feature], logits, 4, 5)) == [(0, 2, 3), (0, 2, 2)]


def test_longest_answer_is_inclusive():
    logits = as_arrays([([0, 1, 0, 0, 0], [0, 0, 0, 1, 2])])
    lengths = {
        longest: max(
            c.end_index - c.start_index + 1 for c in candidates_of([whole_passage(5)], logits, 5, longest)
        )
        for longest in (1, 2, 3, 4, 9)
    }
    assert lengths == {1: 1, 2: 2, 3: 3, 4: 4, 9: 4}


def test_later_candidates_follow_the_first_chunk():
    # More candidates are asked for than an n-best list is long, as happens when texts repeat.
    rng = np.random.default_rng(0)
    logits = [(rng.normal(size=LENGTH).astype(np.float32), rng.normal(size=LENGTH).astype(np.float32))]
    candidates = candidates_of([whole_passage(LENGTH)], logits, 7, LENGTH)
    assert len(candidates) > 2 * 7
    sums = [nested_loops.total(c) for c in candidates]
    assert all(one >= two for one, two in itertools.pairwise(sums))


@pytest.mark.parametrize(
    ("num_features", "size", "n_best_size"), [(40, 384, 384), (2, 3000, 10_000), (3000, 30, 20)]
)
def test_what_is_held_does_not_grow_with_windows_or_n_best_size(monkeypatch, num_features, size, n_best_size):
    """Arrays of pairs are no larger than the bound, and no more candidates are kept than are asked for."""
    looked_at, kept = [], []
    fitting, best = candidates._fitting_ends, candidates._best

    def seen_fitting(starts, ends, max_answer_length):
        looked_at.append(ends.size)
        return fitting(starts, ends, max_answer_length)

    def seen_best(columns, size):
        kept.append(len(columns[0]))
        return best(columns, size)

    monkeypatch.setattr(candidates, "_fitting_ends", seen_fitting)
    monkeypatch.setattr(candidates, "_best", seen_best)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, num_features, size)).astype(np.float32)
    (spans,) = ranked_candidates(
        [([whole_passage(size)] * num_features, list(zip(*rows, strict=True)))], n_best_size, 30
    )
    sums = [nested_loops.total(candidate) for candidate in itertools.islice(spans, 1000)]
    assert sums == sorted(sums, reverse=True)
    assert sum(looked_at) >= num_features * (min(size, n_best_size) - 2) * min(size, n_best_size)
    assert max(looked_at) <= candidates.PAIRS_TOGETHER
    assert max(kept) <= 2 * candidates._CANDIDATES_KEPT + candidates.PAIRS_TOGETHER
