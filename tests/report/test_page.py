"""The page in a real browser: hostile texts, filters, keys, links, numbers, a phone's width, the dark, roles."""

import json
import re
import subprocess
import sys

import pytest
from program import ROOT, environment
from report.chromium import Opened, open_browser
from report.report_files import (
    CAT,
    HOSTILE,
    LONG,
    NUL,
    NUM_PLAIN,
    RIGHT_TO_LEFT,
    SECRET,
    make_hostile_run,
    plain_questions,
    write_report,
)

from bert_squad.answers.metrics import evaluate
from bert_squad.report import rows
from bert_squad.report.report import write_report as write_the_report

NUM_QUESTIONS = len(HOSTILE) + NUM_PLAIN
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The hostile run, scored and reported by the program, in comparison with another."""
    place = make_hostile_run(tmp_path_factory.mktemp("hostile"))
    metrics = evaluate(str(place / "dev.json"), place / "run/predictions.json", place / "run/null_odds.json")
    (place / "run/eval_results.json").write_text(json.dumps(metrics))
    write_report("run", "--predict_file=dev.json", "--compare=other", cwd=place)
    return place


@pytest.fixture(scope="module")
def shared(browser, folder):
    opened = Opened(browser, folder / "run/report.html")
    yield opened
    opened.close()


@pytest.fixture
def opened(shared):
    """The page as it is when it is opened, but for what happened on it."""
    page = shared.page
    page.evaluate("history.replaceState(null, '', '#')")
    for control, value in (("outcome", "all"), ("group", ""), ("order", "file")):
        page.select_option(f"#{control}", value)
    search_for(shared, "")
    page.evaluate("document.activeElement.blur()")
    return shared


def search_for(opened, words):
    opened.page.fill("#search", words)
    opened.page.wait_for_timeout(200)  # it waits for the next letter


def choose(opened, qas_id):
    """Follow a link to a question."""
    number = [of[0] for of in HOSTILE].index(qas_id)
    opened.page.evaluate("history.replaceState(null, '', '#')")
    opened.page.evaluate(f"location.hash = '#n={number}'")
    opened.page.wait_for_timeout(50)
    assert opened.text("#detail h3") == visible(HOSTILE[number][1])


def visible(text):
    return text.replace("\0", "\u2400")


def count_of(opened):
    return int(re.match(r"([\d,]+) of", opened.text("#count"))[1].replace(",", ""))


def test_nothing_is_asked_for_and_nothing_complains(opened, folder):
    assert opened.requests == [(folder / "run/report.html").as_uri()]
    assert opened.complaints == []


def test_the_numbers_are_those_of_eval_results(opened, folder):
    metrics = json.loads((folder / "run/eval_results.json").read_text())
    assert opened.text("#exact") == f"{metrics['exact']:.2f}"
    assert opened.text("#f1") == f"{metrics['f1']:.2f}"
    for name, value in metrics.items():
        shown = str(value) if name.endswith("total") else f"{value:.6g}"
        assert opened.text(f'[data-metric="{name}"]') == shown


def test_hostile_texts_are_texts(opened):
    for qas_id, question, passage, golds, prediction, _ in HOSTILE[:6]:
        choose(opened, qas_id)
        assert opened.text("#detail .passage") == visible(passage)
        shown = opened.texts("#detail .answers dd")
        assert shown[0] == (visible(" · ".join(golds)) or "no answer")
        assert shown[1] == (visible(prediction) or "no answer")
        search_for(opened, question[:20])
        assert visible(question) in opened.texts("#list .row div:first-child")
    assert opened.page.title() == "Report: run"
    assert opened.page.locator("script").count() == 4
    assert opened.page.locator("img").count() == 0
    assert opened.complaints == []


def test_marks_are_where_the_texts_are_in_spite_of_emoji(opened):
    assert CAT.startswith("😀😀"), "what would shift them"
    choose(opened, "cat")
    assert "".join(opened.texts("mark.prediction")[:1]) == "black cat"
    assert opened.texts("#detail .passage mark.gold") == ["black cat"]
    assert "(first occurrence)" in opened.text("#detail .legend"), "its offsets are of another text"


def test_offsets_tell_which_occurrence_it_is(opened):
    choose(opened, "again")
    assert opened.texts("#detail .passage mark.gold") == ["another ", "cat"]
    assert opened.texts("#detail .passage mark.prediction") == ["cat"]
    assert opened.page.evaluate(
        "document.querySelector('.passage mark.prediction').previousSibling.textContent"
    ) == ("another ")
    assert "(from its offsets)" in opened.text("#detail .legend")


def test_white_space_may_differ(opened):
    choose(opened, "spaces")
    assert "".join(opened.texts("#detail .passage mark.prediction")) == "middle of\tItaly"


def test_right_to_left(opened):
    choose(opened, "rtl")
    style = "getComputedStyle(document.querySelector('#detail .passage')).direction"
    assert opened.page.evaluate(style) == "rtl"
    assert opened.texts("#detail .passage mark.gold") == ["القاهرة"]
    assert RIGHT_TO_LEFT.startswith("\u202e"), "an override, which must not reach what follows"


def test_a_long_passage_is_shown_around_the_answer_or_whole(opened):
    choose(opened, "tower")
    shown = opened.text("#detail .passage")
    assert len(shown) < 4000
    assert opened.texts("#detail .passage mark.gold") == ["1889"]
    opened.page.get_by_role("button", name="characters of the passage").click()
    assert opened.text("#detail .passage") == LONG
    choose(opened, "cat")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("right", NUM_PLAIN // 2 + 3),
        ("nearly right", 3),
        ("wrong", NUM_PLAIN // 2 + 1),
        ("should have been empty", 1),
        ("should not have been empty", 1),
    ],
)
def test_outcomes(opened, outcome, expected):
    button = opened.page.locator(".outcome-list button", has_text=re.compile(f"% {outcome} "))
    assert button.locator("small").text_content() == str(expected)
    button.click()
    assert count_of(opened) == expected
    assert opened.page.locator("#outcome option:checked").text_content() == outcome
    assert set(re.findall(r"^([\w ]+):", "\n".join(opened.texts("#list .below")), re.MULTILINE)) == {outcome}


def test_groups_search_and_order(opened):
    opened.page.locator("#groups button", has_text="how many/much").click()
    assert count_of(opened) == 1
    opened.page.select_option("#group", "")
    search_for(opened, "NUMBER 29")
    assert count_of(opened) == 11, "29, and 290 to 299"
    search_for(opened, "nowhere to be found")
    assert count_of(opened) == 0
    assert opened.text("#detail") == "No question is like that."
    search_for(opened, "")
    assert count_of(opened) == NUM_QUESTIONS
    assert opened.page.locator("#detail h3").count() == 1, "there is one again"
    opened.page.select_option("#order", "odds")
    assert opened.text("#list .row div") == "Why is that?"
    opened.page.select_option("#order", "f1")
    assert "wrong" in opened.text("#list .row .below") or "should" in opened.text("#list .row .below")


def test_only_the_rows_that_are_seen_are_there(opened):
    assert count_of(opened) == NUM_QUESTIONS
    assert 5 < opened.page.locator("#list .row").count() < 60
    opened.page.locator("#list").evaluate("list => list.scrollTop = list.scrollHeight")
    opened.page.wait_for_timeout(100)
    assert f"What is number {NUM_PLAIN - 1}?" in opened.texts("#list .row div:first-child")
    assert opened.page.locator("#list .row").count() < 60


def test_keys(opened):
    page = opened.page
    choose(opened, "cat")
    page.keyboard.press("j")
    assert opened.text("#detail h3") == HOSTILE[1][1]
    assert page.evaluate("location.hash") == "#q=again"
    assert opened.text("#place") == f"Question 2 of {NUM_QUESTIONS}: {HOSTILE[1][1]}", "for a screen reader"
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("k")
    assert opened.text("#detail h3") == HOSTILE[0][1]
    page.keyboard.press("/")
    page.keyboard.type("jk/?")
    assert page.input_value("#search") == "jk/?"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    search_for(opened, "")
    page.locator("#list").focus()
    page.keyboard.press("End")
    assert opened.text("#detail h3") == f"What is number {NUM_PLAIN - 1}?"
    page.keyboard.press("Home")
    assert opened.text("#detail h3") == HOSTILE[0][1]
    selected = page.locator('#list [aria-selected="true"]')
    assert selected.get_attribute("id") == page.locator("#list").get_attribute("aria-activedescendant")


LINKS = {
    "#q=again": HOSTILE[1][1],
    "#q=%3C%2Fscript%3E%3Cb%3E": SECRET,
    "#n=4": HOSTILE[4][1],
    "#q=p7": "What is number 7?",
}


def test_links(opened):
    for fragment, question in LINKS.items():
        opened.page.evaluate(f"location.hash = '{fragment}'")
        opened.page.wait_for_selector(f"#detail .meta a[href='{fragment}']")
        assert opened.text("#detail h3") == question


def test_links_to_nothing(opened):
    choose(opened, "cat")
    for fragment in ("#q=gone", "#n=99999", "#n=x", "#q=%", "#groups"):
        opened.page.evaluate(f"location.hash = '{fragment}'")
        opened.page.wait_for_timeout(20)
        assert opened.text("#detail h3") == HOSTILE[0][1]
    assert opened.complaints == []


def test_a_page_opens_at_its_link(browser, folder):
    opened = Opened(browser, folder / "run/report.html", "#q=p7")
    assert opened.text("#detail h3") == "What is number 7?"
    assert opened.complaints == []
    opened.close()


def test_mistakes_are_what_one_sees_first(browser, folder):
    opened = Opened(browser, folder / "run/report.html")
    assert opened.page.locator("#outcome option:checked").text_content() == "all that is not exact"
    assert count_of(opened) == NUM_QUESTIONS - NUM_PLAIN // 2 - 3
    opened.close()


def test_nbest_entries_can_be_marked(opened):
    choose(opened, "cat")
    rows = opened.page.locator("#detail table.nbest tbody tr")
    assert rows.count() == 3
    assert rows.nth(0).locator("td").all_text_contents() == ["black cat", "0.600", "1.00", "2.00", "100"]
    rows.nth(0).get_by_role("button").focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.textContent") == "black cat", (
        "the focus is where it was"
    )
    assert opened.texts("#detail .passage mark.picked") == ["black cat"]
    assert rows.nth(0).get_attribute("aria-current") == "true"


def test_one_can_step_through_by_buttons_alone(opened):
    choose(opened, "cat")
    opened.page.get_by_role("button", name="next ›").focus()
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Enter")
    assert opened.text("#place").startswith("Question 3 of")
    opened.page.get_by_role("button", name="‹ previous").focus()
    for _ in range(3):
        opened.page.keyboard.press("Enter")
    assert opened.text("#place").startswith("Question 1 of")
    assert opened.page.evaluate("document.activeElement.id") == "detail", "there is none before it"


def test_comparison(opened):
    table = opened.text("#comparison table")
    assert f"{NUM_QUESTIONS} questions that both answer" in table
    opened.page.get_by_role("button", name="1 got better").click()
    assert count_of(opened) == 1
    assert opened.text("#detail h3") == "Who saw another cat?"
    assert "The black (F1 " in opened.text("#detail .answers")
    opened.page.get_by_role("button", name="2 got worse").click()
    assert count_of(opened) == 2
    assert opened.page.locator("#list .row").count() == 2


def test_roles(opened):
    page = opened.page
    for role, name in [
        ("banner", None),
        ("main", None),
        ("navigation", "Parts of this page"),
        ("search", "Filter the questions"),
        ("listbox", "Questions"),
        ("article", "The chosen question"),
        ("status", None),
        ("img", "Calibration"),
        ("img", "Scores by threshold"),
        ("img", re.compile("^Null odds")),
        ("img", "Scores on the way"),
        ("heading", "Questions"),
        ("columnheader", "exact, %"),
        ("rowheader", "what"),
    ]:
        found = page.get_by_role(role, name=name) if name else page.get_by_role(role)
        assert found.count() >= 1, (role, name)
    options = page.get_by_role("option").filter(has=page.locator("bdi"))
    assert options.first.get_attribute("aria-setsize") == str(NUM_QUESTIONS)
    controls = "[...document.querySelectorAll('button, select, input')]"
    assert page.evaluate(f"{controls}.filter(e => !e.textContent && !e.labels?.length).length") == 0, "named"
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every(t => t.querySelector('th[scope=col]'))"
    )


@pytest.fixture(scope="module")
def phone(browser, folder):
    opened = Opened(browser, folder / "run/report.html", **PHONE)
    yield opened
    opened.close()


def test_a_touch_leads_to_the_question(phone):
    phone.page.locator("#list .row").nth(1).tap()
    phone.page.wait_for_timeout(600)
    top = phone.page.evaluate("document.querySelector('#detail').getBoundingClientRect().top")
    assert -1 <= top < 300
    phone.page.get_by_role("button", name="next ›").tap()
    assert phone.page.locator('#list [aria-posinset="3"]').get_attribute("aria-selected") == "true"


def test_a_phone_needs_no_scrolling_sideways(phone):
    for details in phone.page.locator("details").all():
        details.evaluate("details => details.open = true")
    for qas_id in ("cat", "rtl", "tower", "lone \ud800"):
        choose(phone, qas_id)
        widths = phone.page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
        assert max(widths) <= 390
        elements = "[...document.querySelectorAll('main :not(.row *)')]"
        assert (
            phone.page.evaluate(f"{elements}.filter(e => e.getBoundingClientRect().right > 391).length") == 0
        ), "but for the rows of the list, which are cut"


def test_light_and_dark(browser, folder):
    def lightness(scheme):
        opened = Opened(browser, folder / "run/report.html", color_scheme=scheme)
        colours = opened.page.evaluate(
            "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
        )
        opened.close()
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]

    back, text = lightness("light")
    assert back > 700 > 150 > text
    back, text = lightness("dark")
    assert text > 600 > 150 > back


def test_of_very_many_questions_a_sample_has_passages(browser, folder, monkeypatch):
    monkeypatch.setattr(rows, "MOST_DETAILS", 50)
    path = folder / "sample.html"
    write_the_report(str(folder / "run"), str(path), predict_file=str(folder / "dev.json"))
    chosen = rows.sample_of(NUM_QUESTIONS)
    assert len(chosen) == 50
    absent = next(row for row in range(NUM_QUESTIONS) if row not in chosen)
    opened = Opened(browser, path, f"#n={chosen[7]}")
    assert f"here for 50 of the {NUM_QUESTIONS} questions" in opened.text(".notes")
    assert opened.page.locator("#detail .passage").count() == 1
    assert opened.text("#detail .passage") == visible((HOSTILE + plain_questions())[chosen[7]][2])
    opened.page.evaluate(f"location.hash = '#n={absent}'")
    opened.page.wait_for_selector("text=Not in the sample")
    assert opened.page.locator("#detail .passage").count() == 0
    opened.page.select_option("#outcome", "all")
    assert count_of(opened) == NUM_QUESTIONS, "the lists have all"
    opened.close()


def test_without_javascript_the_numbers_are_there(browser, folder):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "run/report.html").as_uri())
    assert page.locator("#exact").text_content() == page.locator("#exact").text_content().strip() != ""
    assert "The questions need JavaScript" in page.locator("#questions").text_content()
    context.close()
    assert NUL.count("\0") == 1, "the page was made of what it should stand"


def test_the_picture_in_docs_can_be_drawn_again(folder, tmp_path, browser):
    assert browser.is_connected(), "the test skips where there is none"
    picture = tmp_path / "report.png"
    command = [
        sys.executable,
        str(ROOT / "docs/draw_report.py"),
        f"--picture={picture}",
        "--width=500",
        "--height=400",
    ]
    subprocess.run([*command, f"--report={folder / 'run/report.html'}"], check=True, env=environment())
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(header[place : place + 4], "big") for place in (16, 20)] == [500, 400]
    assert (ROOT / "docs/report.png").stat().st_size < 200_000


@pytest.mark.slow
def test_a_report_of_squads_size(browser, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "benchmarks/report.py"),
        "--questions=10570",
        f"--folder={tmp_path}",
    ]
    subprocess.run(command, check=True, env=environment())
    assert (tmp_path / "report.html").stat().st_size < 15_000_000
    opened = Opened(browser, tmp_path / "report.html")
    opened.page.select_option("#outcome", "all")
    assert count_of(opened) == 10570
    opened.page.locator("#list").focus()
    opened.page.keyboard.press("End")
    assert opened.text("#place").startswith("Question 10570 of 10570")
    assert opened.page.locator("#detail .nbest tbody tr").count() > 10
    assert opened.complaints == []
    opened.close()
