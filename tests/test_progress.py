import re

import pytest

from bert_squad import progress
from bert_squad.progress import shown


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is four seconds after the one before."""
    seconds = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def test_lines_say_how_many_and_how_long(clock, infos):
    assert list(shown("abcdefghij", "predicted", 10, "features")) == list("abcdefghij")
    assert infos == [
        "predicted 3 of 10 features, 00:28 left",
        "predicted 6 of 10 features, 00:16 left",
        "predicted 9 of 10 features, 00:04 left",
    ]


def test_what_is_quick_says_nothing(infos):
    assert list(shown(range(1000), "converted", 1000, "questions")) == list(range(1000))
    assert infos == []


def test_a_terminal_gets_a_bar(monkeypatch, capsys, infos):
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_BAR", 0)
    assert list(shown(range(3), "converted", 3, "questions")) == [0, 1, 2]
    assert re.search(r"converted: +0%.*0/3 \[", capsys.readouterr().err)
    assert infos == []
