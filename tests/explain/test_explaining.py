"""Facts against the n-best goldens, and against what is known of hand-made logits."""

import json

import numpy as np
import pytest
from answers.nbest_goldens import load
from explain.small_questions import NUM_PREFIX, SOME_CASES, explained, options, results, windows
from golden_files import golden, read_json

from bert_squad.explain.explaining import explain
from bert_squad.explain.likelihood import probabilities

A = NUM_PREFIX
BEST = [(0, "start", A + 1, 6.0), (0, "end", A + 2, 5.0)]


@pytest.mark.parametrize("case", SOME_CASES)
def test_the_answer_and_the_list_are_those_of_the_legacy_program(case):
    loaded = load(case)
    predictions = read_json(golden(f"nbest/{case}/predictions.json"))
    nbest = read_json(golden(f"nbest/{case}/nbest_predictions.json.gz"))
    for number in range(0, len(loaded.examples), 7):
        example = loaded.examples[number]
        own = [feature for feature in loaded.features if feature.example_index == number]
        if not own:
            continue
        facts = explain(example, own, loaded.results, loaded.nbest_options)
        assert facts.answer == predictions[example.qas_id]
        listed = [entry for entry in nbest[example.qas_id] if entry["text"] != "empty"]
        assert [
            (span.text, span.nbest_probability, span.start_logit, span.end_logit) for span in facts.nbest
        ] == [tuple(entry.values()) for entry in listed]
        assert [span.rank for span in facts.nbest] == list(range(1, len(listed) + 1))
        assert all(not span.rules for span in facts.nbest)


def test_probabilities_are_over_all_positions_of_the_window(tmp_path):
    facts = explained(tmp_path, BEST)
    window = facts.windows[0]
    assert window.ln_start_sum == pytest.approx(np.log(np.exp(6.0) + 15 * np.exp(-5.0)))
    best = window.starts[0]
    assert (best.position, best.piece, best.kind, best.logit) == (A + 1, "b", "passage", 6.0)
    assert best.probability == pytest.approx(np.exp(6.0 - window.ln_start_sum))
    assert facts.chosen == window.best
    expected = probabilities(window.start_logits)[A + 1] * probabilities(window.end_logits)[A + 2]
    assert facts.chosen.likelihood == pytest.approx(expected)
    shares = window.shares
    assert set(shares) == {"cls", "question", "sep", "passage"}
    assert sum(start for start, _ in shares.values()) == pytest.approx(1)
    last = facts.windows[2]
    assert last.shares["padding"] == pytest.approx((2 / 16, 2 / 16)), "all logits are equal there"
    assert last.shares["sep"] == pytest.approx((2 / 16, 2 / 16))
    assert last.shares["question"] == pytest.approx((3 / 16, 3 / 16))


def test_where_windows_are(tmp_path):
    facts = explained(tmp_path)
    assert [window.words for window in facts.windows] == [(0, 9), (6, 15), (12, 19)]
    assert [window.passage for window in facts.windows] == [(A, A + 9), (A, A + 9), (A, A + 7)]
    own = [
        (window.max_context[0] - A + 6 * number, window.max_context[1] - A + 6 * number)
        for number, window in enumerate(facts.windows)
    ]
    assert own == [(0, 7), (8, 13), (14, 19)], "each word may be a start in one window"


def test_labels_of_windows_with_and_without_the_answer(tmp_path):
    facts = explained(tmp_path, BEST, answer="b c d")
    labels = [window.label for window in facts.windows]
    assert [(label.holds_answer, label.loss.start, label.loss.end) for label in labels] == [
        (True, A + 1, A + 3),
        (False, 0, 0),
        (False, 0, 0),
    ]
    assert labels[0].span.text == "b c d"
    assert facts.mean_loss == pytest.approx(np.mean([label.loss.loss for label in labels]))
    assert labels[1].loss.loss == pytest.approx(np.log(16)), "all logits are equal"
    assert labels[0].loss.start_gradient[A + 1] < 0 < labels[0].loss.start_gradient[A + 2]


def test_the_right_answer_may_be_none(tmp_path):
    facts = explained(tmp_path, BEST, answer="", version_2_with_negative=True)
    assert [(w.label.holds_answer, w.label.loss.start) for w in facts.windows] == [(False, 0)] * 3


def test_without_the_right_answer_there_is_no_loss(tmp_path):
    facts = explained(tmp_path, BEST)
    assert facts.mean_loss is None
    assert [window.label for window in facts.windows] == [None] * 3


def test_null_odds(tmp_path):
    facts = explained(tmp_path, BEST, version_2_with_negative=True)
    assert facts.null_odds == -10.0 - 11.0
    assert facts.answer == "b c"
    facts = explained(tmp_path, BEST, version_2_with_negative=True, null_score_diff_threshold=-22.0)
    assert facts.answer == ""
    assert (facts.chosen.start, facts.chosen.end) == (0, 0)


def test_facts_are_plain_json(tmp_path):
    facts = explained(tmp_path, BEST, answer="b c d").to_json()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert len(facts["windows"][0]["label"]["loss"]["start_gradient"]) == 16
    assert facts["chosen"]["text"] == "b c"
    assert facts["options"]["max_answer_length"] == 4


def test_logits_may_be_shorter_than_the_windows_are_padded(tmp_path):
    """OpenVINO's engine pads to the longest of a batch."""
    example, features = windows(tmp_path)
    short = [
        result._replace(start_logits=result.start_logits[:14], end_logits=result.end_logits[:14])
        for result in results(features)[2:]
    ]
    facts = explain(example, features[2:], short, options())
    assert len(facts.windows[0].start_logits) == 14
    assert "padding" not in facts.windows[0].shares
