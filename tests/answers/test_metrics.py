import copy
import json
import random

import pytest
from golden_files import golden, read_json
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.answers.metrics import evaluate, format_metrics_table, normalized_tokens

V2_KEYS = [
    "exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total", "NoAns_exact", "NoAns_f1", "NoAns_total",
]  # fmt: skip
BEST_KEYS = ["best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]

texts = st.lists(st.sampled_from(["the", "a", "Cat", "cat.", "dog", "-", "an"]), max_size=4).map(" ".join)


def v1(**answers):
    """A SQuAD 1.1 data list: question id → answers."""
    return [
        {"paragraphs": [{"qas": [{"id": key, "answers": [{"text": t} for t in value]}]}]}
        for key, value in answers.items()
    ]


def v2(**answers):
    data = v1(**answers)
    for article in data:
        (qa,) = article["paragraphs"][0]["qas"]
        qa["is_impossible"] = not qa["answers"]
    return data


# Goldens


@pytest.mark.parametrize(
    ("expected", "uses_odds", "na_prob_thresh"),
    [
        ("expected_no_odds.json", False, None),
        ("expected.json", True, 1.0),
        ("expected_thresh_-1.5.json", True, -1.5),
    ],
)
def test_golden_v2(expected, uses_odds, na_prob_thresh, warnings):
    folder = golden("metrics/v2.0")
    dataset, predictions = read_json(folder / "dataset.json"), read_json(folder / "predictions.json")
    null_odds = read_json(folder / "null_odds.json") if uses_odds else None
    metrics = evaluate(dataset, predictions, null_odds, na_prob_thresh=na_prob_thresh)
    expected = read_json(folder / expected)
    assert list(metrics) == list(expected)
    assert metrics == pytest.approx(expected, rel=0, abs=1e-9)
    assert warnings == []


def test_golden_v1(warnings):
    folder = golden("metrics/v1.1")
    metrics = evaluate(folder / "dataset.json", folder / "predictions.json")
    expected = read_json(folder / "expected.json")
    assert list(metrics) == list(expected)
    assert metrics == pytest.approx(expected, rel=0, abs=1e-9)
    assert warnings == ["6 of 296 questions have no prediction, the first of them 56e1254ae3433e1400422c68."]


def test_golden_v2_scores_predictions_as_given_without_a_threshold():
    folder = golden("metrics/v2.0")
    metrics = evaluate(folder / "dataset.json", folder / "predictions.json", folder / "null_odds.json")
    plain, best = read_json(folder / "expected_no_odds.json"), read_json(folder / "expected.json")
    assert metrics == pytest.approx(plain | {key: best[key] for key in BEST_KEYS}, rel=0, abs=1e-9)


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_json_list_and_path_are_the_same_data(version):
    folder = golden(f"metrics/{version}")
    dataset, predictions = read_json(folder / "dataset.json"), read_json(folder / "predictions.json")
    metrics = evaluate(dataset, predictions)
    assert evaluate(dataset["data"], predictions) == metrics
    assert evaluate(str(folder / "dataset.json"), str(folder / "predictions.json")) == metrics


# Small cases by hand


@pytest.mark.parametrize(
    ("prediction", "answers", "exact_match", "f1"),
    [
        ("the Cat.", ["cat"], 100.0, 100.0),
        ("cat dog", ["cat"], 0.0, 200 / 3),
        ("cat cat", ["cat dog cat bird"], 0.0, 200 / 3),  # tokens count as often as they occur in both
        ("dog", ["cat", "dog cat", "dog"], 100.0, 100.0),
        ("bird", ["cat", "dog"], 0.0, 0.0),
        ("", ["cat"], 0.0, 0.0),
        ("the", ["a"], 100.0, 0.0),  # nothing is left of either: equal, but no token in common
    ],
)
def test_v1_scores(prediction, answers, exact_match, f1):
    metrics = evaluate(v1(q=answers), {"q": prediction})
    assert metrics == pytest.approx({"exact_match": exact_match, "f1": f1})


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("cat dog", ["cat"], 0.0, 200 / 3),
        ("", [], 100.0, 100.0),
        ("cat", [], 0.0, 0.0),
        (
            "the",
            ["cat", "a"],
            0.0,
            0.0,
        ),  # an answer that is nothing but an article does not count beside another
        ("the", ["a"], 100.0, 100.0),
    ],
)
def test_v2_scores(prediction, answers, exact, f1):
    metrics = evaluate(v2(q=answers), {"q": prediction})
    assert (metrics["exact"], metrics["f1"]) == (pytest.approx(exact), pytest.approx(f1))


def test_a_best_threshold_by_hand():
    # At threshold 0.0 all are "": b scores. Raised to -1 for a (right) and to 2 for c (half right): 2.5 of 3 in F1.
    dataset = v2(a=["cat"], b=[], c=["dog"], d=[])
    predictions = {"a": "cat", "b": "dog", "c": "dog bird bird", "d": ""}
    metrics = evaluate(dataset, predictions, {"a": -1.0, "c": 2.0, "b": 3.0, "d": -5.0})
    assert {key: metrics[key] for key in BEST_KEYS} == {
        "best_exact": 75.0,
        "best_exact_thresh": -1.0,
        "best_f1": 100 * 3.5 / 4,
        "best_f1_thresh": 2.0,
    }


def test_the_search_takes_an_article_for_an_answer_and_the_score_does_not():
    # As the official script does.
    dataset, predictions = v2(q=[], r=["cat"]), {"q": "the", "r": "cat"}
    metrics = evaluate(dataset, predictions, {"q": 0.0, "r": 1.0})
    assert (metrics["exact"], metrics["best_exact"]) == (100.0, 50.0)


def test_the_threshold_is_exclusive():
    dataset, predictions, odds = v2(q=["cat"]), {"q": "cat"}, {"q": 1.5}
    assert evaluate(dataset, predictions, odds, na_prob_thresh=1.5)["exact"] == 100.0
    assert evaluate(dataset, predictions, odds, na_prob_thresh=1.4)["exact"] == 0.0


def test_a_threshold_without_odds_takes_them_for_zero():
    # So does the official script.
    dataset, predictions = v2(q=["cat"], r=[]), {"q": "cat", "r": "dog"}
    assert evaluate(dataset, predictions, na_prob_thresh=0.0)["exact"] == 50.0
    metrics = evaluate(dataset, predictions, na_prob_thresh=-0.1)
    assert (metrics["HasAns_exact"], metrics["NoAns_exact"]) == (0.0, 100.0)
    assert list(metrics) == V2_KEYS


def test_normalized_tokens_keep_what_is_not_ascii():
    assert normalized_tokens("Die «Straße», there a-b\u00a0an") == ["die", "«straße»", "there", "ab"]


# Which metrics


def test_is_impossible_makes_it_version_2():
    data = v1(q=["cat"], r=["dog"])
    assert list(evaluate(data, {"q": "cat", "r": ""})) == ["exact_match", "f1"]
    data[1]["paragraphs"][0]["qas"][0]["is_impossible"] = False
    assert list(evaluate(data, {"q": "cat", "r": ""})) == ["exact", "f1", "total", *V2_KEYS[3:6]]


def test_null_odds_or_a_threshold_make_it_version_2():
    data, predictions = v1(q=["cat"]), {"q": "cat"}
    assert list(evaluate(data, predictions, {"q": 0.0})) == [*V2_KEYS[:6], *BEST_KEYS]
    assert list(evaluate(data, predictions, na_prob_thresh=1.0)) == V2_KEYS[:6]


def test_the_version_of_the_file_is_not_asked():
    dataset = {"version": "v2.0", "data": v1(q=["cat"])}
    assert list(evaluate(dataset, {"q": "cat"})) == ["exact_match", "f1"]


# Missing, repeated and numeric ids


def test_v1_counts_missing_predictions_as_wrong(warnings):
    assert evaluate(v1(q=["cat"], r=["dog"]), {"q": "cat"}) == {"exact_match": 50.0, "f1": 50.0}
    assert warnings == ["1 of 2 questions have no prediction, the first of them r."]


def test_v2_leaves_missing_predictions_out(warnings):
    dataset = v2(q=["cat"], r=["dog"], s=[])
    metrics = evaluate(dataset, {"q": "cat"}, {"q": 0.0})
    assert metrics == {
        "exact": 100.0, "f1": 100.0, "total": 1,
        "HasAns_exact": 100.0, "HasAns_f1": 100.0, "HasAns_total": 1,
        "best_exact": 100.0, "best_exact_thresh": 0.0, "best_f1": 100.0, "best_f1_thresh": 0.0,
    }  # fmt: skip
    assert warnings == ["2 of 3 questions have no prediction, the first of them r."]


def test_surplus_predictions_and_odds_are_ignored():
    dataset = v2(q=["cat"], r=[])
    predictions, odds = {"q": "cat", "r": "dog"}, {"q": -1.0, "r": 1.0}
    assert evaluate(dataset, predictions | {"x": "y"}, odds | {"x": -9.0}) == evaluate(
        dataset, predictions, odds
    )


def test_a_repeated_id():
    # Each official script in its way: 1.1 counts both questions, 2.0 the last one.
    assert evaluate(v1(q=["cat"]) + v1(q=["dog"]), {"q": "dog"}) == {"exact_match": 50.0, "f1": 50.0}
    metrics = evaluate(v2(q=["cat"]) + v2(q=["dog"]), {"q": "dog"})
    assert (metrics["exact"], metrics["total"]) == (100.0, 1)


def test_numeric_ids_match_their_json_keys():
    data = v2(q=["cat"])
    data[0]["paragraphs"][0]["qas"][0]["id"] = 7
    for key in (7, "7"):
        assert evaluate(data, {key: "cat"}, {key: 0.0})["best_exact"] == 100.0


# Invariants

# The official search for a threshold takes "the" for an answer, while the score takes it for none: no invariant there.
plain_texts = texts.filter(lambda text: not text or normalized_tokens(text))
data_sets = st.dictionaries(st.sampled_from("abcdef"), st.lists(texts, max_size=3), min_size=1)


@given(st.data(), data_sets)
def test_invariants_of_v2(data, answers):
    predictions = {key: data.draw(plain_texts) for key in answers}
    odds = {key: data.draw(st.sampled_from([-1.0, 0.0, 0.5, 2.0])) for key in answers}
    metrics = evaluate(v2(**answers), predictions, odds)
    for name in ("exact", "f1"):
        parts = [
            (metrics.get(f"{kind}_{name}", 0.0), metrics.get(f"{kind}_total", 0))
            for kind in ("HasAns", "NoAns")
        ]
        assert metrics["total"] == sum(total for _, total in parts) == len(answers)
        assert metrics[name] == pytest.approx(sum(score * total for score, total in parts) / metrics["total"])
        assert 0 <= metrics[name] <= 100
        # No threshold does better than the best one, which may lie between two of the same odds.
        for threshold in (-2.0, -1.0, 0.0, 0.5, 2.0):
            at_threshold = evaluate(v2(**answers), predictions, odds, na_prob_thresh=threshold)
            assert at_threshold[name] <= metrics[f"best_{name}"] + 1e-9
    assert metrics["exact"] <= metrics["f1"] + 1e-9


@given(st.data(), data_sets)
def test_different_odds_reach_the_best_score_at_the_best_threshold(data, answers):
    predictions = {key: data.draw(plain_texts) for key in answers}
    order = data.draw(st.permutations(sorted(answers)))
    odds = {key: float(number) + 1 for number, key in enumerate(order)}  # the official search starts from 0.0
    metrics = evaluate(v2(**answers), predictions, odds)
    for name in ("exact", "f1"):
        reached = evaluate(v2(**answers), predictions, odds, na_prob_thresh=metrics[f"best_{name}_thresh"])
        assert reached[name] == pytest.approx(metrics[f"best_{name}"])


@given(
    st.data(), st.dictionaries(st.sampled_from("abcdef"), st.lists(texts, min_size=1, max_size=3), min_size=1)
)
def test_invariants_of_v1(data, answers):
    assert evaluate(v1(**answers), {key: value[-1] for key, value in answers.items()})["exact_match"] == 100.0
    predictions = {key: data.draw(texts) for key in answers}
    metrics = evaluate(v1(**answers), predictions)
    more_answers = {key: [*value, "dog"] for key, value in answers.items()}
    shuffled = {key: random.Random(0).sample(value, len(value)) for key, value in answers.items()}
    assert evaluate(v1(**shuffled), predictions) == metrics
    for name, score in evaluate(v1(**more_answers), predictions).items():
        assert score >= metrics[name]


def test_the_input_is_left_alone():
    dataset, predictions, odds = {"data": v2(q=["cat"], r=[])}, {"q": "cat", "r": "x"}, {"q": 1, "r": 2}
    before = copy.deepcopy((dataset, predictions, odds))
    evaluate(dataset, predictions, odds, na_prob_thresh=0.5)
    assert (dataset, predictions, odds) == before
    json.dumps(evaluate(dataset, predictions, odds))


# The table


def test_table_of_v1():
    assert (
        format_metrics_table({"exact_match": 81.254, "f1": 8.4}) == "exact_match  81.25\nf1            8.40"
    )


def test_table_of_v2():
    metrics = dict(zip(V2_KEYS, [50.0, 62.5, 4, 100.0, 100.0, 2, 0.0, 25.0, 2], strict=True))
    metrics |= dict(zip(BEST_KEYS, [75.0, -8.1234567, 100.0, 0.0], strict=True))
    assert format_metrics_table(metrics).split("\n") == [
        "exact                 50.00",
        "f1                    62.50",
        "total                     4",
        "HasAns_exact         100.00",
        "HasAns_f1            100.00",
        "HasAns_total              2",
        "NoAns_exact            0.00",
        "NoAns_f1              25.00",
        "NoAns_total               2",
        "best_exact            75.00",
        "best_exact_thresh  -8.12346",
        "best_f1              100.00",
        "best_f1_thresh            0",
    ]


def test_table_of_nothing():
    assert format_metrics_table({}) == ""
