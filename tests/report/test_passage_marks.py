"""Where a text stands in a passage, counted as Python does and as a browser does."""

import pytest

from bert_squad.report.passage_marks import (
    FIRST_OCCURRENCE,
    FROM_FILE,
    BrowserOffsets,
    Place,
    first_occurrence,
    place_of_prediction,
)


@pytest.mark.parametrize(
    ("passage", "text", "found"),
    [
        ("The cat", "cat", "cat"),
        ("concat a cat", "cat", "cat"),
        ("concat", "cat", "cat"),
        ("of  the\n\tend", "the end", "the\n\tend"),
        ("of\u202fit", "of it", "of\u202fit"),
        ("a+b (c)", "b (c)", "b (c)"),
        ("cat", "dog", None),
        ("cat", " ", None),
        ("", "cat", None),
    ],
)
def test_first_occurrence(passage, text, found):
    place = first_occurrence(passage, text)
    assert (place and passage[place.start : place.end]) == found


def test_whole_words_come_first():
    assert first_occurrence("concat a cat", "cat") == (9, 12)


def test_many_occurrences_within_words_take_no_long_time():
    assert first_occurrence("a" * 5_000_000, "a") == (0, 1)


@pytest.mark.parametrize(
    ("offsets", "place"),
    [
        ({"start": 8, "end": 11}, (Place(8, 11), FROM_FILE)),
        ({"start": 0, "end": 11}, (Place(4, 7), FIRST_OCCURRENCE)),
        ({"start": 8, "end": 99}, (Place(4, 7), FIRST_OCCURRENCE)),
        ({"start": True, "end": 11}, (Place(4, 7), FIRST_OCCURRENCE)),
        (None, (Place(4, 7), FIRST_OCCURRENCE)),
        ([8, 11], (Place(4, 7), FIRST_OCCURRENCE)),
    ],
)
def test_offsets_are_believed_where_they_are_of_the_prediction(offsets, place):
    assert place_of_prediction("The cat cat", "cat", offsets) == place


def test_a_browser_counts_utf_16_units():
    passage = "a😀b😀 cat"
    assert BrowserOffsets(passage).of(Place(5, 8)) == (7, 10)
    for start in range(len(passage)):
        expected = len(passage[:start].encode("utf-16-le")) // 2
        assert BrowserOffsets(passage).of(Place(start, start)).start == expected
    assert BrowserOffsets("äあ\ud800cat").of(Place(3, 6)) == (3, 6)
