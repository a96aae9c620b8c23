import contextlib
import io
import json
import os
import sys

import pytest
from absl import flags
from program import run_console, run_program
from serving.legacy_models import questions_of

from bert_squad.cli import ask
from bert_squad.errors import ConfigError, DataError


@pytest.fixture
def model(exported_v2, loads_once):
    """The directory of all versions of the tiny version 2 model."""
    return os.path.dirname(exported_v2.path)


@pytest.fixture(scope="module")
def questions(exported_v2):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    return questions, contexts


def asked(*words, stdin=b""):
    """Run the subcommand in this process and return what it prints."""
    flags.FLAGS.mark_as_parsed()
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert ask.main("bert-squad ask", list(words)) == 0
    return out.getvalue()


def test_a_question_and_a_file_in_a_process_of_its_own(model, questions, tmp_path):
    question, context = (column[0] for column in questions)
    (tmp_path / "context.txt").write_text(context, encoding="utf-8")
    arguments = ["ask", f"--model={model}", "--context_file=context.txt", "--question", question]
    done = run_console(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line == "(no answer)" or line in context
    assert "Traceback" not in done.stderr


def test_several_questions_from_standard_input(model, questions):
    texts, contexts = questions
    same = [text for text, context in zip(texts, contexts, strict=True) if context == contexts[0]]
    assert len(same) > 1
    words = [word for text in same for word in ("--question", text)]
    out = asked(f"--model={model}", *words, "--json", stdin=contexts[0].encode())
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == len(same)
    for answer in answers:
        assert len(answer["nbest"]) == 1
    plain = asked(f"--model={model}", *words, stdin=contexts[0].encode())
    assert plain.splitlines() == [answer["answer"] or "(no answer)" for answer in answers]


def test_a_batch_gives_back_what_else_its_lines_hold(model, questions, tmp_path):
    texts, contexts = questions
    lines = [
        json.dumps({"id": number, "question": question, "context": context})
        for number, (question, context) in enumerate(zip(texts, contexts, strict=True))
    ]
    path = tmp_path / "batch.jsonl"
    path.write_text("\n\n".join(lines) + "\n")
    out = asked(f"--model={model}", f"--batch_file={path}", "--batch_size=5", "--nbest=3")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["id"] for answer in answers] == list(range(len(texts)))
    assert {len(answer["nbest"]) for answer in answers} == {3}
    assert 0 < sum(answer["is_impossible"] for answer in answers) < len(answers)
    for answer in answers:
        assert "context" not in answer
    from_standard_input = asked(f"--model={model}", "--batch_file=-", "--nbest=3", stdin=path.read_bytes())
    assert [json.loads(line)["answer"] for line in from_standard_input.splitlines()] == [
        answer["answer"] for answer in answers
    ]


def test_an_nbest_list_as_text(model, questions):
    out = asked(
        f"--model={model}",
        "--question",
        questions[0][0],
        "--nbest=4",
        "--fast",
        stdin=questions[1][0].encode(),
    )
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) == 4
    probabilities = [float(probability) for probability, _ in rows]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_passage_of_any_bytes(model):
    out = asked(f"--model={model}", "--question=who ?", "--json", stdin=b"\xff\xfe the fox \x00")
    assert json.loads(out)["nbest"]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--question=a"], ConfigError, "--model is missing: name the directory of an exported model."),
        (["--model=m"], ConfigError, "Give either --question or --batch_file."),
        (
            ["--model=m", "--question=a", "--batch_file=b"],
            ConfigError,
            "Give either --question or --batch_file.",
        ),
        (["--model=m", "stray"], ConfigError, "Do not know what to do with 'stray'."),
        (["--modle=m"], ConfigError, "Unknown flag --modle; the nearest known one is --model."),
        (["--model=m", "--question=a", "--nbest=0"], ConfigError, "nbest"),
        (["--model=m", "--question=a", "--context_file=absent"], DataError, "check --context_file"),
        (["--model=m", "--batch_file=absent"], DataError, "check --batch_file"),
        (["--model=absent", "--question=a"], ConfigError, "There is no exported model in absent"),
    ],
)
def test_what_is_wrong_is_said(words, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        asked(*words)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"Line 2 of .* is not a JSON object \("),
        ("[]", "Line 2 of .* must be a JSON object with a string 'question'"),
        ('{"question": "a", "context": 5}', "Line 2 of .* must be a JSON object with a string 'context'"),
    ],
)
def test_a_wrong_line_is_named(model, line, message, tmp_path):
    path = tmp_path / "batch.jsonl"
    path.write_text(f'{{"question": "a", "context": "the fox"}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        asked(f"--model={model}", f"--batch_file={path}")


def test_help_does_not_load_tensorflow(tmp_path):
    for words, code in ((["--help"], 0), ([], 0), (["--model=m"], 1)):
        done = run_program("ask", *words, cwd=tmp_path, program="tests/cli/print_modules.py")
        assert done.returncode == code, done.stderr
        modules = done.stdout.splitlines()[-1].split()
        assert "bert_squad.cli.ask" in modules
        assert "tensorflow" not in modules
    assert "bert-squad ask: ask an exported model about a passage" in run_console("--help").stdout
