"""The demo page: what it shows, and that a user who starts it is answered over HTTP."""

import importlib.util
import json
import re
import subprocess
import sys
import sysconfig
import types
import urllib.request

import pytest
from program import ROOT, environment
from serving.environments import Environment
from serving.legacy_models import questions_of

from bert_squad.errors import DataError
from bert_squad.serving.asking import ExportedModel

APP = ROOT / "examples" / "demo" / "app.py"
REQUIREMENTS = [
    line
    for line in (APP.parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.fixture
def model(exported_v2, loads_once):
    return ExportedModel(exported_v2.path)


@pytest.fixture
def rows(exported_v2, model):
    """Passages, questions, and what the model says of them: some have answers, and some have none."""
    _, questions, passages = questions_of(exported_v2.legacy.folder / "dev.json")
    questions, passages = questions[:6], passages[:6]
    found = model.answer(questions, passages)
    assert {bool(answer["answer"]) for answer in found} == {True, False}
    return list(zip(passages, questions, found, strict=True))


def assert_shows(shown, passage, found):
    """Compare what the page shows with what the model says."""
    answer, parts, nbest = shown
    assert "".join(part for part, _ in parts) == passage
    marked = [part for part, label in parts if label]
    if found["answer"]:
        assert answer == found["answer"]
        assert marked == [passage[found["start_char"] : found["end_char"]]]
    else:
        assert answer == "(no answer)"
        assert marked == []
    assert nbest == [
        [entry["text"] or "(no answer)", f"{entry['probability']:.2%}"] for entry in found["nbest"]
    ]


@pytest.fixture
def ask(monkeypatch):
    """The function behind the button, which needs of Gradio its error alone."""
    monkeypatch.setitem(sys.modules, "gradio", types.SimpleNamespace(Error=RuntimeError))
    spec = importlib.util.spec_from_file_location("demo_app", APP)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app.ask


def test_what_the_page_shows(ask, model, rows):
    for passage, question, found in rows:
        assert_shows(ask(model, passage, question), passage, found)


@pytest.mark.parametrize(("passage", "question"), [("", "who ?"), (" \n\u00a0", "who ?"), ("the fox", " ")])
def test_blanks_are_not_asked(ask, passage, question):
    assert ask(None, passage, question) == (
        "(no answer) It takes a passage and a question.",
        [(passage, None)],
        [],
    )


class ModelOf:
    """Answers what it is given."""

    def __init__(self, found):
        self.found = found

    def answer(self, questions, contexts):
        if isinstance(self.found, Exception):
            raise self.found
        return [self.found]


def entry(text, start, end, **more):
    return {"text": text, "probability": 1.0, "start_char": start, "end_char": end, **more}


def test_the_placeholder_of_version_1_is_no_answer(ask):
    found = entry("empty", -1, -1, answer="empty", nbest=[entry("empty", -1, -1)])
    assert ask(ModelOf(found), "the fox", "who ?") == (
        "(no answer)",
        [("the fox", None)],
        [["(no answer)", "100.00%"]],
    )


def test_an_answer_at_either_end_leaves_no_empty_part(ask):
    found = entry("the fox", 0, 7, answer="the fox", nbest=[])
    assert ask(ModelOf(found), "the fox", "who ?")[1] == [("the fox", "answer")]


def test_what_the_model_cannot_do_is_one_sentence(ask):
    with pytest.raises(RuntimeError, match="not enough memory"):
        ask(ModelOf(DataError("There is not enough memory.")), "the fox", "who ?")


@pytest.fixture(scope="module")
def python():
    """A Python that has Gradio: this one, or one of an environment that sees this one's packages behind its own."""
    if importlib.util.find_spec("gradio"):
        return sys.executable
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with_gradio = Environment(f"demo-{version}", version, tuple(REQUIREMENTS))
    found = with_gradio.python()
    packages = with_gradio.packages_folder()
    (packages / "zz_packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(found)


def start(python, model_path, tmp_path, **options):
    return subprocess.Popen(
        [python, str(APP), f"--model={model_path}"],
        cwd=tmp_path,
        env={**environment(), "PYTHONUNBUFFERED": "1", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.fixture
def address(python, exported_v2, tmp_path):
    """The page as a user starts it; what the program prints names its address."""
    process = start(python, exported_v2.path, tmp_path)
    try:
        printed = []
        for line in process.stdout:
            printed.append(line)
            named = re.search(r"http://127\.0\.0\.1:\d+", line)
            if named:
                break
        else:
            pytest.fail("".join(printed))
        yield named[0]
    finally:
        process.kill()
        process.communicate()


def over_http(address, passage, question):
    """Ask as Gradio's page does: an event, and its outcome."""
    request = urllib.request.Request(
        f"{address}/gradio_api/call/ask",
        json.dumps({"data": [passage, question]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/ask/{event}", timeout=60) as response:
        lines = response.read().decode().splitlines()
    assert "event: complete" in lines, lines
    (data,) = (line.removeprefix("data: ") for line in lines[lines.index("event: complete") + 1 :] if line)
    answer, marked, nbest = json.loads(data)
    return answer, [(part["token"], part["class_or_confidence"]) for part in marked], nbest["data"]


@pytest.mark.slow
def test_a_user_who_starts_it_is_answered(address, model, rows):
    hostile = '<script>alert(1)</script> \U0001f600 <img src="x" onerror="alert(2)"> ' + rows[0][0]
    (found,) = model.answer([rows[0][1]], [hostile])
    for passage, question, expected in [*rows, (hostile, rows[0][1], found)]:
        assert_shows(over_http(address, passage, question), passage, expected)
    answer, _, nbest = over_http(address, " ", "who ?")
    assert answer == "(no answer) It takes a passage and a question."
    assert nbest == []
    with urllib.request.urlopen(address, timeout=60) as response:
        assert "bert_squad" in response.read().decode()


@pytest.mark.slow
def test_a_model_that_is_not_there_is_one_sentence(python, tmp_path):
    process = start(python, tmp_path / "absent", tmp_path)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out.splitlines()[-1].startswith(
        f"app.py: error: There is no exported model in {tmp_path / 'absent'}"
    )
