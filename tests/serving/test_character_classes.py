import sys
import unicodedata

import pytest

from bert_squad.data.examples import _WORD
from bert_squad.serving.character_classes import (
    CASED,
    ITSELF,
    SKIPPED,
    SPACE,
    STOP,
    WORD_SEPARATORS,
    CharacterClass,
    character_classes,
)
from bert_squad.text.tokenization import BasicTokenizer


def test_words_split_where_examples_split_them():
    separators = [chr(code) for code in range(sys.maxunicode + 1) if not _WORD.match(chr(code))]
    assert sorted(WORD_SEPARATORS) == separators
    for do_lower_case in (False, True):
        classes = character_classes(do_lower_case)
        found = [chr(code) for code in range(0x3000) if classes.class_of(code).separates_words]
        assert found == separators


@pytest.mark.parametrize(
    ("character", "expansion"),
    [
        ("a", (ITSELF,)),
        ("A", (ord("a"),)),
        ("É", (ord("e"),)),
        ("\u0301", ()),
        ("\x00", ()),
        ("\ufffd", ()),
        ("\u200b", ()),
        ("\t", (SPACE,)),
        ("\u00a0", (SPACE,)),
        ("\u2028", (SPACE,)),
        (",", (SPACE, ITSELF, SPACE)),
        ("\u037e", (SPACE, ord(";"), SPACE)),
        ("東", (SPACE, ITSELF, SPACE)),
        ("\uf900", (SPACE, 0x8C48, SPACE)),
        ("각", (0x1100, 0x1161, 0x11A8)),
        ("İ", (ord("i"),)),
        ("ß", (ITSELF,)),
        ("Σ", (ord("σ"),)),
        ("\U0001f600", (ITSELF,)),
        ("\U000e0001", ()),
    ],
)
def test_expansions_when_lower_casing(character, expansion):
    assert character_classes(True).class_of(ord(character)).expansion == expansion


@pytest.mark.parametrize(
    ("character", "expansion"),
    [("É", (ITSELF,)), ("\u0301", (ITSELF,)), (",", (SPACE, ITSELF, SPACE)), ("\u200b", ())],
)
def test_expansions_with_case(character, expansion):
    assert character_classes(False).class_of(ord(character)).expansion == expansion


def test_the_parts_that_characters_play():
    classes = character_classes(True)
    assert classes.class_of(ord("a")).sigma_context == CASED
    assert classes.class_of(ord("1")).sigma_context == STOP
    assert classes.class_of(ord("'")).sigma_context == SKIPPED
    assert classes.class_of(0x200B).sigma_context == SKIPPED  # deleted before anything looks
    assert classes.classes[classes.final_sigma].expansion == (ord("ς"),)
    stem = classes.class_of(0x1D165)  # a mark that is not dropped
    assert (stem.ends_mark_run, stem.mark_order, stem.holds_mark) == (False, 216, True)
    acute = classes.class_of(0x0301)  # a mark that is dropped
    assert (acute.ends_mark_run, acute.mark_order, acute.holds_mark) == (False, 0, False)
    assert classes.class_of(0x093F).ends_mark_run  # dropped, but it keeps its place before


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_code_points_that_were_not_asked_about_stay_as_they_are(do_lower_case):
    """Beyond plane 2 only the assigned ones are probed; here a part of the others."""
    classes, tokenizer = character_classes(do_lower_case), BasicTokenizer(do_lower_case)
    plain = CharacterClass((ITSELF,), False)
    for code in range(0x30000, sys.maxunicode + 1, 61):
        if unicodedata.category(chr(code)) in ("Cn", "Co"):
            assert classes.class_of(code) == plain
            assert tokenizer.tokenize(f"a{chr(code)}b") == [f"a{chr(code)}b"]
