from typing import get_args

import pytest
from golden_files import golden, read_json_lines
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data.examples import split_words
from bert_squad.text import alignment
from bert_squad.text.alignment import AlignedPassage, Branch, get_final_text, project_text
from bert_squad.text.tokenization import BasicTokenizer

# Lines of the golden file that were written for this project, so that the suite has some without ../shared.
LEGACY_LINES = [
    ("steve smith", "Steve Smith's", True, "Steve Smith", "projected"),
    ("smith ' s", "Steve Smith's", True, "Smith's", "projected"),
    ("cafe", "Café au lait", True, "Café", "projected"),
    ("smith's", "Steve Smith's", True, "Steve Smith's", "not_found"),
    ("steve smith", "Steve Smith's", False, "Steve Smith's", "not_found"),
    ("cafe", "Cafe\u0301 au lait", True, "Cafe\u0301 au lait", "length_mismatch"),
    (" - 1943", "(1895-1943).", True, "(1895-1943).", "start_unmapped"),
    ("", "", True, "", "start_unmapped"),
    ("( ", "(1895-1943).", True, "(1895-1943).", "end_unmapped"),
    ("", "Steve Smith", True, "Steve Smith", "end_unmapped"),
]

# Letters that keep, lose or gain characters when they are tokenized, punctuation, ideographs, odd white space.
CHARACTERS = "abAB.-'#é\u0301\u00adİß東한\u3000\u200b\u2028"
words = st.text(CHARACTERS, min_size=1, max_size=5)


def table_projection(pred_text, orig_text, do_lower_case):
    """Project as LEGACY.md has it, step by step, with a table of all characters."""
    tok_text = " ".join(BasicTokenizer(do_lower_case).tokenize(orig_text))
    start = tok_text.find(pred_text)
    if start == -1:
        return orig_text, "not_found"
    end = start + len(pred_text) - 1
    orig_indexes = [index for index, character in enumerate(orig_text) if character != " "]
    tok_indexes = [index for index, character in enumerate(tok_text) if character != " "]
    if len(orig_indexes) != len(tok_indexes):
        return orig_text, "length_mismatch"
    rank = {index: number for number, index in enumerate(tok_indexes)}
    if start not in rank:
        return orig_text, "start_unmapped"
    if end not in rank:
        return orig_text, "end_unmapped"
    return orig_text[orig_indexes[rank[start]] : orig_indexes[rank[end]] + 1], "projected"


@st.composite
def predictions(draw, text, do_lower_case):
    """Some prediction for a text: mostly a run of its tokens, else anything."""
    tok_text = " ".join(BasicTokenizer(do_lower_case).tokenize(text))
    start = draw(st.integers(0, len(tok_text)))
    end = draw(st.integers(start, len(tok_text)))
    return draw(
        st.one_of(st.just(tok_text[start:end]), st.just(tok_text), st.text(CHARACTERS + " ", max_size=4))
    )


@pytest.mark.parametrize(("pred_text", "orig_text", "do_lower_case", "text", "branch"), LEGACY_LINES)
def test_lines_of_the_legacy_program(pred_text, orig_text, do_lower_case, text, branch):
    assert project_text(pred_text, orig_text, do_lower_case) == (text, branch)
    assert get_final_text(pred_text, orig_text, do_lower_case) == text


def test_the_lines_above_take_every_branch():
    assert {branch for *_, branch in LEGACY_LINES} == set(get_args(Branch))


def test_golden_final_text():
    lines = read_json_lines(golden("final_text.jsonl"))
    assert len(lines) == 232
    for line in lines:
        pred_text, orig_text, do_lower_case = line["pred_text"], line["orig_text"], line["do_lower_case"]
        assert project_text(pred_text, orig_text, do_lower_case) == (line["result"], line["branch"])
        assert get_final_text(pred_text, orig_text, do_lower_case) == line["result"]


def test_golden_final_text_of_a_passage():
    checked = 0
    for line in read_json_lines(golden("final_text.jsonl")):
        orig_words = line["orig_text"].split(" ")
        if "" not in orig_words:
            passage = AlignedPassage(["Before", "\u200b", *orig_words, "behind."], line["do_lower_case"])
            assert passage.get_final_text(line["pred_text"], 2, len(orig_words) + 1) == line["result"]
            checked += 1
    assert checked > 150


@given(st.data(), st.text(CHARACTERS + "  ", max_size=20), st.booleans())
def test_counting_characters_equals_a_table_of_characters(data, orig_text, do_lower_case):
    pred_text = data.draw(predictions(orig_text, do_lower_case))
    expected = table_projection(pred_text, orig_text, do_lower_case)
    assert project_text(pred_text, orig_text, do_lower_case) == expected


@given(st.data(), st.lists(words, min_size=1, max_size=6), st.booleans())
def test_a_passage_gives_what_its_words_give(data, doc_tokens, do_lower_case):
    start = data.draw(st.integers(0, len(doc_tokens) - 1))
    end = data.draw(st.integers(start, len(doc_tokens) - 1))
    orig_text = " ".join(doc_tokens[start : end + 1])
    pred_text = data.draw(predictions(orig_text, do_lower_case))
    passage = AlignedPassage(doc_tokens, do_lower_case)
    assert passage.orig_text(start, end) == orig_text
    assert passage.get_final_text(pred_text, start, end) == get_final_text(
        pred_text, orig_text, do_lower_case
    )


@given(
    st.lists(words, min_size=1, max_size=6),
    st.lists(st.text(CHARACTERS + " ", max_size=4), max_size=6),
    st.booleans(),
)
def test_a_long_stretch_gives_what_a_short_one_gives(doc_tokens, pred_texts, do_lower_case):
    pred_texts = [*pred_texts, *pred_texts, "[UNK]", f"{doc_tokens[0]} [UNK]"]
    last = len(doc_tokens) - 1
    expected = [project_text(text, " ".join(doc_tokens), do_lower_case) for text in pred_texts]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("_LONG", 0),
            ("_MAX_REMEMBERED_CHARACTERS", 5),
            ("_MAX_REMEMBERED_PREDICTIONS", 2),
        ):
            patch.setattr(alignment, name, value)
        passage = AlignedPassage(doc_tokens, do_lower_case)
        assert [passage.project_text(text, 0, last) for text in pred_texts] == expected
        quick = [passage.project_text(text, 0, last, says_why=False) for text in pred_texts]
        assert [text for text, _ in quick] == [text for text, _ in expected]
        for index, word in enumerate(doc_tokens):
            assert passage.project_text("a", index, index) == project_text("a", word, do_lower_case)


@pytest.mark.parametrize(
    ("word", "pred_texts", "most"),
    [
        ("\u00a0".join(["ann", "met", "bob"] * 1000), [f"ann met {n}" for n in range(50)], 0),
        ("\u4e2d" * 3000, ["\u4e2d \u4e2d", "\u4e2d"] * 25, 2),
    ],
    ids=["changes in length", "repeats"],
)
def test_a_long_word_is_seldom_searched(monkeypatch, word, pred_texts, most):
    """Else each of the candidates, whose number grows with the word, takes time that grows with it too."""
    searched = []
    project = alignment._project

    def seen(*arguments):
        searched.append(arguments)
        return project(*arguments)

    monkeypatch.setattr(alignment, "_project", seen)
    passage = AlignedPassage([word], True)
    texts = [passage.project_text(text, 0, 0, says_why=False)[0] for text in pred_texts]
    monkeypatch.setattr(alignment, "_project", project)
    assert texts == [project_text(text, word, True)[0] for text in pred_texts]
    assert len(searched) == most
    assert len(set(map(id, texts))) <= 2, "long texts are not made anew"


def test_runs_of_spaces_are_counted_once(monkeypatch):
    """Each character is looked at once, however many rounds it takes."""

    class Counted(str):
        looked_at = 0

        def count(self, wanted, start=0, end=None):
            Counted.looked_at += len(range(*slice(start, end).indices(len(self))))
            return super().count(wanted, start, end)

    text = Counted("a" + " " * 5000 + "b" + " " * 5000 + "c")
    assert alignment._skip_characters(text, 1) == 5001
    assert alignment._skip_characters_from_end(text, 1) == 5002
    assert Counted.looked_at <= 2 * len(text)


def test_words_without_tokens_take_no_room():
    passage = AlignedPassage(["\u00ad\u00ad", "Abc", "\u00ad", "d"], True)
    assert AlignedPassage(["\u00ad\u00ad", "Abc"], True).get_final_text("a", 0, 0) == "\u00ad\u00ad"
    assert passage.get_final_text("b", 1, 1) == "b"
    assert passage.get_final_text("abc d", 1, 3) == "Abc \u00ad d"  # lengths differ: all of it
    assert passage.get_final_text("d", 3, 3) == "d"


gaps = st.text(" \t\n\u202f", min_size=1, max_size=3)


@given(st.data(), st.lists(words, min_size=1, max_size=6), st.booleans())
def test_a_range_is_where_the_text_is(data, doc_tokens, do_lower_case):
    context = data.draw(gaps) + "".join(word + data.draw(gaps) for word in doc_tokens)
    found, orig_to_char_index = split_words(context)
    assert found == doc_tokens
    first = data.draw(st.integers(0, len(doc_tokens) - 1))
    last = data.draw(st.integers(first, len(doc_tokens) - 1))
    prediction = data.draw(predictions(" ".join(doc_tokens[first : last + 1]), do_lower_case))
    passage = AlignedPassage(doc_tokens, do_lower_case)
    start, end = passage.projected_range(prediction, first, last, orig_to_char_index)
    text = passage.get_final_text(prediction, first, last)
    assert " ".join(split_words(context[start:end])[0]) == " ".join(split_words(text)[0])
    assert context[start:end] == context[start:end].strip(" \t\n\u202f"), "no white space around it"
    assert orig_to_char_index[first] <= start < end <= orig_to_char_index[last] + len(doc_tokens[last])


@given(st.lists(words, min_size=1, max_size=6), st.booleans())
def test_all_tokens_stand_for_all_words(doc_tokens, do_lower_case):
    orig_text = " ".join(doc_tokens)
    tok_text = " ".join(BasicTokenizer(do_lower_case).tokenize(orig_text))
    assert get_final_text(tok_text, orig_text, do_lower_case) == orig_text


def test_changes_of_length_that_cancel_out_shift_the_answer():
    # LEGACY: only the totals are compared. The syllable 한 becomes three letters, two soft hyphens are dropped; so
    # the fourth character of the words is taken for the fourth of the tokens.
    orig_text = "한 b \u00ad\u00adc"
    assert project_text("b", orig_text, True) == ("\u00ad", "projected")
    assert table_projection("b", orig_text, True) == ("\u00ad", "projected")
    assert project_text("b", "한 b \u00adc", True) == ("한 b \u00adc", "length_mismatch")


def test_the_first_occurrence_is_taken():
    # LEGACY: the prediction was the word "A"; found is the inside of "Cat".
    assert project_text("a", "Cat A", True) == ("a", "projected")


@pytest.mark.parametrize(
    ("pred_text", "message"),
    [
        ("x", "Cannot find the predicted text among the tokens of the passage words: 'x' in '(a) b'"),
        ("( ", "The predicted text ends with a space, or nothing: '( ' in '(a) b'"),
        (" a", "The predicted text begins with a space, or nothing: ' a' in '(a) b'"),
        ("a", None),
    ],
)
def test_verbose_logging_says_why_the_projection_failed(infos, pred_text, message):
    get_final_text(pred_text, "(a) b", True)
    assert infos == []
    get_final_text(pred_text, "(a) b", True, verbose_logging=True)
    AlignedPassage(["(a)", "b"], True).get_final_text(pred_text, 0, 1, verbose_logging=True)
    assert infos == ([message] * 2 if message else [])
