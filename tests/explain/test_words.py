"""What a terminal shows: numbers by value, and no more lines for a longer passage."""

import re

import pytest
from explain.small_questions import CONTEXT, NUM_PREFIX, QUESTION, explained

from bert_squad.explain.layout import shown
from bert_squad.explain.page import page
from bert_squad.explain.picture import draw
from bert_squad.explain.question import ask_question
from bert_squad.explain.words import in_words

A = NUM_PREFIX
BEST = [(0, "start", A + 1, 6.0), (0, "end", A + 2, 5.0)]


def words_of(folder, high=BEST, answer=None, context=CONTEXT, top=8, **changes):
    facts = explained(folder, high, answer, top, context, **changes)
    text = in_words(facts, ask_question(QUESTION, context, answer), "a model", top)
    return re.sub(r"\s+", " ", text), text.splitlines()


def test_the_answer_and_its_score(tmp_path):
    text, lines = words_of(tmp_path)
    assert lines[:3] == ['Question: "x y ?"', 'Answer:   "b c"', "Model:    a model"]
    assert '6 "b" 6.00 0.9997 7 "c" 5.00 0.9993' in text
    assert re.search(r'1 11\.00 6\.00 5\.00 0\.9991 0\.9998 1 "b c"', text)
    assert "each of the window's 16 positions" in text
    assert "at [CLS] 0.0000 and 0.0000" in text


def test_rules_are_said(tmp_path):
    high = [*BEST, (0, "start", A + 3, 8.0), (0, "end", 1, 7.0)]
    text, _ = words_of(tmp_path, high)
    assert "13.00 8 7 1 d … c ends before it starts" in text
    assert "15.00 8 1 1 d … x not in the passage but in [CLS], the question or a [SEP] (and 1 more)" in text
    # d … x, b … x and d … c
    assert "3 of these would have won" in text


def test_no_answer_of_another_window_would_not_have_won_anything_else(tmp_path):
    nulls = [(window, which, 0, 9.0 + window) for which in ("start", "end") for window in range(3)]
    text, _ = words_of(tmp_path, nulls, version_2_with_negative=True, top=1)
    assert "1 is excluded; none of these would have won" in text
    assert '22.00 0 0 3 (no answer) "no answer" is read from the window whose [CLS] scores lowest' in text


def test_windows_are_compared(tmp_path):
    high = [*BEST, (2, "start", A + 4, 5.5), (2, "end", A + 4, 5.25)]
    text, _ = words_of(tmp_path, high)
    assert "WINDOWS (3)" in text
    assert '1 1-10 11.00 11.00 0.9991 -10.00 "b c"' in text
    assert '3 13-20 10.75 10.75 0.9991 -10.00 "q"' in text
    assert "Here this matters" not in text


def test_what_would_have_won_by_probability_is_named(tmp_path):
    high = [*BEST, (0, "start", A + 3, 5.9), (2, "start", A + 4, 5.5), (2, "end", A + 4, 5.25)]
    text, _ = words_of(tmp_path, high)
    assert 'by P_start·P_end, the span "q" of window 3 would have won' in text


def test_one_window_needs_no_comparison(tmp_path):
    text, _ = words_of(tmp_path, context="a b c d")
    assert "WINDOWS" not in text
    assert "window 1" not in text


def test_no_answer(tmp_path):
    text, _ = words_of(tmp_path)
    assert "must answer. The span ([CLS], [CLS]) scores -10.00 in window 1, less than the answer" in text
    text, _ = words_of(tmp_path, version_2_with_negative=True)
    assert "these are odds of -21.00" in text
    assert "which is 0. So the model answers." in text
    text, lines = words_of(tmp_path, version_2_with_negative=True, null_score_diff_threshold=-22.0)
    assert lines[1] == "Answer:   (no answer)"
    assert "which is -22. So the model does not answer." in text


def test_the_loss_and_what_it_changes(tmp_path):
    text, _ = words_of(tmp_path, answer="b c d")
    assert 'The right answer is "b c d", at character 2 of the passage.' in text
    assert "Its span has rank 3 in the list: a score of 1.00, where the answer has 11.00." in text
    assert "right start 6 6.0000 6.0003 -0.0003 0.9997" in text
    assert "right end 8 -5.0000 5.0007 -10.0007 0.0000" in text
    assert "ln P_start + ln P_end = -10.0009. The loss is minus half of it: 5.0005." in text
    assert '8 "d" -5.0000 -0.499977 right: it is raised' in text
    assert '7 "c" 5.0000 +0.499660 wrong: it is lowered' in text
    assert "window 2: ([CLS], [CLS]), 2.7726" in text, "ln 16"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("b c", "That is the span that the model answers"),
        ("a b c d e f", "The model does not answer it: longer than --max_answer_length"),
    ],
)
def test_whether_the_right_answer_is_the_model_s(answer, said, tmp_path):
    assert said in words_of(tmp_path, answer=answer)[0]


def test_the_right_answer_is_none(tmp_path):
    text, _ = words_of(tmp_path, answer="", version_2_with_negative=True)
    assert "The right answer is none: in each window the label is ([CLS], [CLS])." in text


def test_nothing_is_allowed(tmp_path):
    """LEGACY: the word "empty" is the answer then."""
    high = [
        (window, which, A + place, 9.0) for window in range(3) for which, place in (("start", 3), ("end", 1))
    ]
    text, lines = words_of(tmp_path, high, answer="b c", n_best_size=1)
    assert lines[1] == 'Answer:   "empty"'
    assert 'No pair of a start and an end is allowed, so the answer is "empty".' in text
    assert "(none allowed)" in text
    facts = explained(tmp_path, high, "b c", n_best_size=1)
    assert facts.chosen is None
    assert facts.nbest == []
    assert draw(facts, None, "png").startswith(b"\x89PNG")
    assert "empty" in page(facts, ask_question(QUESTION, CONTEXT, "b c"), "a model", 8)


def test_a_text_that_occurs_often(tmp_path):
    text, _ = words_of(tmp_path, answer="a", context="a b a")
    assert "at character 0 of the passage, one of 2 places where it is." in text


def test_the_number_of_lines_has_a_bound(tmp_path):
    context = " ".join(CONTEXT.split() * 100)
    _, lines = words_of(tmp_path, answer="b c d", context=context)
    assert len(lines) < 130
    assert max(map(len, lines)) < 250


def test_texts_of_others_are_no_commands_to_a_terminal():
    assert shown("a\x1b[31m\u202eb\n\nc") == '"a\\x1b[31m\\u202eb c"'
    assert shown("\ud800") == '"\\ud800"'
    assert len(shown("x" * 10_000)) < 70
