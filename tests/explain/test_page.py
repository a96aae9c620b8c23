"""The page in a real browser: its numbers, its keys, and texts that try to be more than texts."""

import dataclasses
import json
from pathlib import Path

import pytest
from explain.small_questions import CONTEXT, NUM_PREFIX, QUESTION, explained

from bert_squad.explain.page import page
from bert_squad.explain.question import ask_question

A = NUM_PREFIX
BEST = [(0, "start", A + 1, 6.0), (0, "end", A + 2, 5.0), (2, "start", A, 3.0)]
MARKUP = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1> {{ 7 * 7 }} & \"'"
HOSTILE = MARKUP + "\u2028\u202e\x00\ud800"
CHROMIUM = "/usr/bin/chromium"


def written(folder, facts=None, answer="b c d"):
    facts = facts or explained(folder, BEST, answer)
    text = page(facts, ask_question(QUESTION, CONTEXT, answer), "a model", 8)
    (folder / "page.html").write_text(text, encoding="utf-8")
    return facts, text


def test_it_needs_nothing_from_anywhere(tmp_path):
    _, text = written(tmp_path)
    for word in ("http://", "https://", "src=", "href=", "@import", "url("):
        assert word not in text


def test_of_very_many_windows_those_that_matter_are_there(tmp_path):
    context = " ".join(CONTEXT.split() * 40)
    facts = explained(
        tmp_path, [(100, "start", A + 3, 9.0), (100, "end", A + 4, 9.0)], "a b", context=context
    )
    text = page(facts, ask_question(QUESTION, context, "a b"), "a model", 8)
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(facts.windows) > len(data["windows"]) == 64
    holding = [str(window.number) for window in facts.windows if window.label.holds_answer]
    assert {*holding, "100"} <= set(data["windows"])
    assert f"Of {len(facts.windows)} windows, the 64 that matter most are here." in text


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page; nothing may be complained of, or asked of a network."""
    complaints = []

    def open_page(**options):
        tab = browser.new_page(**options)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on(
            "request",
            lambda request: complaints.append(request.url) if "page.html" not in request.url else None,
        )
        tab.goto((tmp_path / "page.html").as_uri())
        return tab

    yield open_page
    assert complaints == []


def chosen(tab):
    return [row.split("\t")[1:] for row in tab.locator("#chosen tbody").inner_text().splitlines()]


def test_its_numbers_are_those_of_the_facts(tmp_path, opened):
    facts, _ = written(tmp_path)
    tab = opened()
    window = facts.windows[0]
    loss = window.label.loss
    best = facts.chosen
    assert tab.inner_text("#sum") == (
        f"S·T_i + E·T_j = 6.00 + 5.00 = 11.00; P_start·P_end = {best.likelihood:.4f}. It may be an answer."
    )
    start, end = chosen(tab)
    ln_p = 6.0 - window.ln_start_sum
    assert start == [
        "6",
        "b",
        "6.0000",
        f"{window.ln_start_sum:.4f}",
        f"{ln_p:.4f}",
        "0.9997",
        f"{loss.start_gradient[6]:.6f}",
    ]
    assert end[-1] == f"{loss.end_gradient[7]:.6f}"
    tab.click("text=Label of the window")
    assert chosen(tab)[1][0] == "8"
    assert chosen(tab)[1][-1] == f"{loss.end_gradient[8]:.6f}"
    tab.select_option("#bars", "gradient")
    raised = tab.locator(".piece:has(.bar.raised)").all_inner_texts()
    assert raised == ["b", "d"]


def test_rules_are_said_for_what_is_chosen(tmp_path, opened):
    written(tmp_path)
    tab = opened()
    tab.locator(".piece").nth(A + 3).click()
    tab.locator(".piece").nth(A + 1).click()
    assert "No candidate: ends before it starts." in tab.inner_text("#sum")
    tab.locator(".piece").nth(0).click()
    assert "This span stands for “no answer”." in tab.inner_text("#sum")
    tab.locator(".piece").nth(A + 8).dblclick()
    assert "counts in another window, which shows more around its start" in tab.inner_text("#sum")
    tab.select_option("#window", "2")
    assert chosen(tab)[0][:2] == ["7", "o"], "the first that may start there"


def test_it_is_used_by_keyboard(tmp_path, opened):
    written(tmp_path)
    tab = opened()
    tab.locator(".piece").nth(A + 1).focus()
    for key in ("ArrowRight", "ArrowRight", "e", "ArrowLeft", "s"):
        tab.keyboard.press(key)
    assert [row[1] for row in chosen(tab)] == ["c", "d"]
    tab.keyboard.press("End")
    tab.keyboard.press("Enter")
    assert [row[1] for row in chosen(tab)] == ["[SEP]", "[SEP]"]
    assert tab.evaluate("document.querySelectorAll('.piece[tabindex=\"0\"]').length") == 1, "one stop for Tab"


def test_texts_of_others_are_shown_as_texts(tmp_path, opened):
    facts = explained(tmp_path, BEST, "b c d")
    window = dataclasses.replace(facts.windows[0], tokens=[HOSTILE, *facts.windows[0].tokens[1:]])
    span = dataclasses.replace(facts.chosen, text=HOSTILE)
    hostile = dataclasses.replace(
        facts, question=HOSTILE, answer=HOSTILE, nbest=[span], windows=[window, *facts.windows[1:]]
    )
    written(tmp_path, hostile)
    tab = opened()
    assert tab.evaluate("window.hurt") is None
    assert tab.locator("img").count() == 0
    assert "<img src=x onerror=window.hurt=1> {{ 7 * 7 }} & \"'" in tab.inner_text("h1")
    assert "</script><script>" in tab.locator(".piece").nth(0).inner_text()
    assert tab.inner_text("#sum").startswith("S·T_i + E·T_j = 6.00")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways(scheme, tmp_path, opened):
    written(tmp_path)
    tab = opened(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    ground, text = tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    brightness = [sum(map(int, color[4:-1].split(","))) for color in (ground, text)]
    assert (brightness[0] > brightness[1]) == (scheme == "light")
