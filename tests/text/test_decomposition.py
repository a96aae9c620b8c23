import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.text import decomposition
from bert_squad.text.decomposition import decomposed

# Marks of several places, some that decompose into two marks, letters that decompose into letter and marks.
MARKS = "\u0300\u0301\u0316\u0344\u0345\u0f73\u0f81\u302e\u093c\u0591"
LETTERS = "ab\u00e9\u1e69\u1f87\uac01\u2126\u212b\uf900"


@given(
    st.lists(
        st.one_of(st.text(MARKS, max_size=9), st.text(LETTERS + MARKS, max_size=4), st.text(max_size=4))
    ),
    st.integers(0, 4),
    st.integers(1, 2),
)
def test_equals_the_function_of_the_standard_library(parts, short, step):
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decomposition, "_SHORT", short)
        patch.setattr(decomposition, "_STEP", step)
        assert decomposed(text) == unicodedata.normalize("NFD", text)


def test_every_character_with_marks_before_and_behind(monkeypatch):
    monkeypatch.setattr(decomposition, "_SHORT", 2)
    monkeypatch.setattr(decomposition, "_STEP", 1)
    for code_point in range(0x110000):
        character = chr(code_point)
        if unicodedata.decomposition(character) or unicodedata.combining(character):
            text = f"a\u0301\u0316{character}\u0301\u0316\u0345"
            assert decomposed(text) == unicodedata.normalize("NFD", text), hex(code_point)


def test_no_character_falls_into_three_marks_without_a_letter():
    """What lets a look at every sixteenth character find all long runs."""
    for code_point in range(0x110000):
        whole = unicodedata.normalize("NFD", chr(code_point))
        assert len(whole) <= 4
        assert not unicodedata.combining(whole[0]) or len(whole) <= 2


@pytest.mark.parametrize("mark", ["\u0301", "\u0316", "\u0344", "\u0f73"])
@pytest.mark.parametrize("before", range(20))
def test_long_runs_are_sorted_here(monkeypatch, mark, before):
    """The function of the standard library gets no long run of marks: its time would grow with the square."""
    lengths = []
    normalize = unicodedata.normalize

    def seen(form, text):
        lengths.append(len(text))
        return normalize(form, text)

    text = "e" * before + "\u1e69" + f"{mark}\u0316" * 16 + "\u00e9\u0316" * 40
    expected = normalize("NFD", text)
    monkeypatch.setattr(unicodedata, "normalize", seen)
    assert decomposed(text) == expected
    assert max(lengths, default=0) <= 1
