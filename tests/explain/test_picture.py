"""Pictures: drawn for every kind of question, their marks and numbers where they belong."""

import io
import subprocess
import sys

import numpy as np
import pytest
from explain.small_questions import CONTEXT, NUM_PREFIX, explained
from program import environment

from bert_squad.explain import picture

A = NUM_PREFIX
BEST = [(0, "start", A + 1, 6.0), (0, "end", A + 2, 5.0)]


def axes_of(facts, window=0):
    top, bottom, _ = picture._figure(facts, facts.windows[window]).axes
    return top, bottom


def marks(axes):
    return [(line.get_ydata()[0], line.get_xdata()[0], line.get_markeredgecolor()) for line in axes.lines]


def test_scores_of_allowed_spans_and_the_best_marked(tmp_path):
    top, bottom = axes_of(explained(tmp_path, BEST, answer="b c d"))
    scores = np.ma.filled(bottom.images[0].get_array().astype(float), np.nan)
    assert scores.shape == (10, 10)
    assert scores[1, 2] == 11.0
    assert np.isnan(scores[2, 1]), "ends before it starts"
    assert np.isnan(scores[1, 5]), "too long"
    assert np.isnan(scores[8, 9]), "the next window's"
    assert marks(bottom) == [(1, 3, "black"), (1, 2, "red")]
    assert "11.00" in bottom.get_title(loc="left")
    assert "the right one is black" in bottom.get_title(loc="left")
    assert "ln 0.9997 + ln 0.0000 = -10.0009; the loss is minus half of it, 5.0005" in top.get_title(
        loc="left"
    )
    heights = [bar.get_height() for bar in top.patches]
    assert heights[1] == pytest.approx(0.9997, abs=1e-4)
    assert [label.get_text() for label in top.get_xticklabels()] == CONTEXT.split()[:10]


def test_the_right_answer_of_the_model_has_one_mark(tmp_path):
    _, bottom = axes_of(explained(tmp_path, BEST, answer="b c"))
    assert marks(bottom) == [(1, 2, "red")]
    assert bottom.get_title(loc="left").endswith("11.00, the right one")


def test_another_window(tmp_path):
    top, bottom = axes_of(explained(tmp_path, BEST, answer="b c"), window=2)
    assert "is read from window 1" in bottom.get_title(loc="left")
    assert "(window 3 of 3)" in top.get_title(loc="left")
    assert "its label ([CLS], [CLS])" in top.get_title(loc="left")
    assert marks(bottom) == []


def test_no_answer(tmp_path):
    facts = explained(tmp_path, BEST, version_2_with_negative=True, null_score_diff_threshold=-99.0)
    _, bottom = axes_of(facts)
    assert "The answer: (no answer)" in bottom.get_title(loc="left")
    assert marks(bottom) == []


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_file_is_the_same_each_time(kind, begin, tmp_path):
    facts = explained(tmp_path, BEST, answer="b c")
    content = picture.draw(facts, None, kind)
    assert content.startswith(begin)
    assert picture.draw(facts, None, kind) == content


def test_texts_of_others_are_no_markup(tmp_path):
    from dataclasses import replace

    facts = replace(explained(tmp_path, BEST), question="<script>alert(1)</script> $\\frac{1}{2$ ?")
    drawn = picture.draw(facts, None, "svg").decode()
    assert "&lt;script&gt;" in drawn
    assert "<script" not in drawn
    assert "$\\frac{1}{2$" in drawn


def test_letters_that_no_font_has_are_said(tmp_path, warnings):
    from dataclasses import replace

    facts = replace(explained(tmp_path, BEST), question="\U0001e900 ?")
    pytest.importorskip("PIL").Image.open(io.BytesIO(picture.draw(facts, None, "png"))).verify()
    assert len(warnings) == 1
    assert "--picture=FILE.svg has them" in warnings[0]
    assert "\U0001e900" in picture.draw(facts, None, "svg").decode()
    assert len(warnings) == 1


def test_matplotlib_says_nothing_of_its_cache():
    code = "from bert_squad.explain.picture import import_matplotlib; import_matplotlib()"
    env = environment() | {"MPLCONFIGDIR": "/proc/not_writable"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
