import contextlib
import gzip
import io
import json
import os
import subprocess
import sys

import pytest
from absl import flags
from program import environment, run_console, run_program
from serving.legacy_models import legacy_model, questions_of

from bert_squad.bulk import rows
from bert_squad.cli import ask
from bert_squad.errors import ConfigError, DataError, OutputError
from bert_squad.serving.asking import ExportedModel


@pytest.fixture
def model(exported_v2, loads_once):
    """The directory of all versions of the tiny version 2 model."""
    return os.path.dirname(exported_v2.path)


@pytest.fixture(scope="module")
def exported_v1(tmp_path_factory):
    """The directory of all versions of the tiny version 1.1 model."""
    folder = tmp_path_factory.mktemp("v1")
    legacy_model("v1").export(folder)
    return folder


@pytest.fixture(scope="module")
def questions(exported_v2):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    return questions, contexts


def asked(*words, stdin=b"", code=0):
    """Run the subcommand in this process and return what it prints."""
    flags.FLAGS.mark_as_parsed()
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert ask.main("bert-squad ask", list(words)) == code
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
    for answer, line in zip(answers, lines, strict=True):
        assert json.loads(line).items() <= answer.items(), "question and passage too"
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


def test_a_passage_with_a_mark_is_answered_as_without(model, questions):
    question, context = (column[0] for column in questions)
    words = (f"--model={model}", "--question", question, "--json", "--nbest=5")
    plain = asked(*words, stdin=context.encode())
    assert asked(*words, stdin=b"\xef\xbb\xbf" + context.encode()) == plain
    for entry in json.loads(plain)["nbest"]:
        assert context[entry["start_char"] : entry["end_char"]].split() == entry["text"].split()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the fox".encode("utf-16"), "it looks like UTF-16 text; convert it to UTF-8"),
        ("the fox".encode("utf-16-le"), "it looks like UTF-16 text without a mark; convert it to UTF-8"),
        (gzip.compress(b"the fox", mtime=0), "it looks like gzip-compressed data; unpack it first"),
        (
            "the naïve fox".encode("cp1252"),
            r"\(byte 6\)\. It looks like text in an older encoding, Windows-1252",
        ),
        ("the naï".encode()[:-1], r"\(byte 6\)\. It ends within a character: is the file complete\?"),
        (b"the \x00\xff\x01", r"\(byte 5\)\. It looks like something that is no text\."),
    ],
)
def test_a_passage_that_is_not_utf8_is_refused(content, message, tmp_path):
    path = tmp_path / "passage.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        asked("--model=absent", "--question=who ?", f"--context_file={path}")
    assert str(error.value).startswith(f"The passage in {path} (--context_file) is not UTF-8 text")
    with pytest.raises(DataError, match=message) as error:
        asked("--model=absent", "--question=who ?", stdin=content)
    assert str(error.value).startswith("The passage in standard input (--context_file) is not UTF-8 text")


@pytest.mark.parametrize(
    "blank",
    [
        b"",
        pytest.param(b" \n\t", marks=pytest.mark.slow),
        pytest.param(b"\xef\xbb\xbf\n", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_blank_passage_has_no_answer(version, blank, model, exported_v1, capsys):
    """A version 1.1 model knows no "no answer", and "empty" stands for it in predictions.json."""
    path = model if version == "v2" else exported_v1
    words = (f"--model={path}", "--question=who ?", "--question=where ?")
    assert asked(*words, stdin=blank) == "(no answer)\n(no answer)\n"
    assert "the passage in standard input is blank, so it has no answers; check --context_file." in (
        capsys.readouterr().err
    )
    assert asked(*words, "--nbest=3", stdin=blank) == "1.0000\t(no answer)\n" * 2
    for line in asked(*words, "--json", stdin=blank).splitlines():
        answer = json.loads(line)
        assert (answer["answer"], answer["is_impossible"], answer["start_char"]) == ("", True, -1)
        assert [entry["text"] for entry in answer["nbest"]] == [""]
    batch = json.dumps({"question": "who ?", "context": blank.decode(), "id": 1}).encode()
    answer = json.loads(asked(f"--model={path}", "--batch_file=-", stdin=batch))
    assert (answer["id"], answer["answer"], answer["is_impossible"]) == (1, "", True)


def test_the_word_empty_in_a_passage_is_an_answer():
    answer = {"answer": "empty", "is_impossible": False, "start_char": 4, "nbest": []}
    assert rows.without_placeholder(dict(answer)) == answer


GOLD = {"id": 7, "answer": "gold", "is_impossible": True, "score": 0.1, "nbest": ["x"], "probability": "p"}


@pytest.mark.parametrize("own", [GOLD, {"nbest": None}, {"null_odds": 1, "prediction": 2, "prediction_": 3}])
def test_a_line_keeps_its_own_keys(model, questions, own):
    asked_for = {"question": questions[0][0], "context": questions[1][0]}
    lines = "".join(json.dumps({**asked_for, **more}) + "\n" for more in (own, {"id": 8}))
    first, second = map(
        json.loads, asked(f"--model={model}", "--batch_file=-", stdin=lines.encode()).splitlines()
    )
    assert {key: first[key] for key in own} == own
    (name,) = set(first) - set(own) - set(asked_for)
    assert name == ("prediction__" if "prediction" in own else "prediction")
    for key, value in {**asked_for, "id": 8}.items():
        assert second.pop(key) == value
    assert first[name] == second, "another line is as ever"


def test_a_key_named_prediction_alone_is_no_collision(model):
    line = {"question": "who ?", "context": "the fox", "prediction": "mine"}
    answer = json.loads(asked(f"--model={model}", "--batch_file=-", stdin=json.dumps(line).encode()))
    assert answer["prediction"] == "mine"
    assert "nbest" in answer


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
        (
            ["--model=m", "--batch_file=b", "--context_file=c"],
            ConfigError,
            "each line of --batch_file holds its own passage",
        ),
        (["--model=m", "stray"], ConfigError, "Do not know what to do with 'stray'."),
        (["--modle=m"], ConfigError, "Unknown flag --modle; the nearest known one is --model."),
        (["--model=m", "--question=a", "--nbest=0"], ConfigError, "nbest"),
        (["--model=m", "--question=a", "--context_file=absent"], DataError, "check --context_file"),
        (["--model=m", "--batch_file=absent"], DataError, "check --batch_file"),
        (["--model=absent", "--question=a"], ConfigError, "There is no exported model in absent"),
        (
            ["--model=m", "--question=a", "--output=none/a.jsonl"],
            OutputError,
            "There is no directory none to write none/a.jsonl in; check --output.",
        ),
        (
            ["--model=m", "--question=a", "--output=.", "--overwrite"],
            OutputError,
            r"\. is a directory; name a file with --output\.",
        ),
        (["--model=m", "--question=a", "--output="], OutputError, r"\. is a directory; name a file"),
        (
            ["--model=m", "--question=a", "--output=/dev/null", "--overwrite"],
            OutputError,
            "/dev/null is no plain file, so it is not replaced",
        ),
    ],
)
def test_what_is_wrong_is_said(words, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        asked(*words)


BAD_LINES = {
    b"{": "Line 2 of standard input is not valid JSON: Expecting property name enclosed in double quotes at column 2.",
    b"[]": "Line 2 of standard input must be a JSON object with a string 'question'.",
    b"null": "Line 2 of standard input must be a JSON object with a string 'question'.",
    b'{"question": "a", "context": 5}': "Line 2 of standard input must be a JSON object with a string 'context'.",
    b'{"question": "\xe9"}': "Line 2 of standard input is not UTF-8 text (byte 14).",
    b"[" * 100_000: "Line 2 of standard input is nested too deeply to be what it should be.",
    b'{"id": '
    + b"9" * 5000
    + b"}": "Line 2 of standard input holds a number of thousands of digits, which cannot",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_answered(model, line, capsys):
    good = [json.dumps({"question": "who ?", "context": "the fox", "id": i}).encode() for i in range(3)]
    lines = b"\n".join([good[0], line, *good[1:], b"{", b""])
    out = asked(f"--model={model}", "--batch_file=-", stdin=lines, code=1)
    assert [json.loads(answer)["id"] for answer in out.splitlines()] == [0, 1, 2]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"bert-squad ask: error: {BAD_LINES[line]}")
    assert second.startswith("bert-squad ask: error: Line 5 of standard input")


def test_what_the_model_cannot_answer_takes_no_other_line_along(model, capsys, monkeypatch):
    answer = ExportedModel.answer

    def fail_on_dragons(self, questions, contexts):
        if "dragon" in "".join(contexts):
            raise DataError("There is not enough memory.")
        return answer(self, questions, contexts)

    monkeypatch.setattr(ExportedModel, "answer", fail_on_dragons)
    lines = [json.dumps({"question": "who ?", "context": text}) for text in ("the fox", "a dragon", "the")]
    out = asked(f"--model={model}", "--batch_file=-", stdin="\n".join(lines).encode(), code=1)
    assert len(out.splitlines()) == 2
    assert capsys.readouterr().err == (
        "bert-squad ask: error: Line 2 of standard input: There is not enough memory.\n"
    )


def test_a_batch_in_another_encoding_is_refused_whole(model):
    content = b"\xff\xfe" + '{"question": "a"}\n{}\n'.encode("utf-16-le")
    with pytest.raises(
        DataError, match=r"standard input \(--batch_file\) is not UTF-8 text: it looks like UTF-16"
    ):
        asked(f"--model={model}", "--batch_file=-", stdin=content)


def test_output_is_what_would_be_printed(model, questions, tmp_path):
    question, context = (column[0] for column in questions)
    line = json.dumps({"question": question, "context": context, "id": "é😀"}, ensure_ascii=False).encode()
    path = tmp_path / "answers"
    for words, stdin, code in (
        (["--batch_file=-"], line, 0),
        (["--batch_file=-"], b"{\n" + line, 1),
        ([f"--question={question}"], context.encode(), 0),
        ([f"--question={question}", "--json"], context.encode(), 0),
    ):
        printed = asked(f"--model={model}", *words, stdin=stdin, code=code)
        assert (
            asked(f"--model={model}", *words, f"--output={path}", "--overwrite", stdin=stdin, code=code) == ""
        )
        assert path.read_text(encoding="utf-8") == printed
    assert asked(f"--model={model}", *words, "--output=-", stdin=stdin) == printed
    assert os.listdir(tmp_path) == ["answers"]


def test_an_output_that_exists_is_refused(model, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text("mine")
    with pytest.raises(
        OutputError, match=f"{path} exists already; name another --output, or add --overwrite to replace it"
    ):
        asked(f"--model={model}", "--batch_file=-", f"--output={path}")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("by", ["name", "link", "redirection"])
def test_answers_do_not_replace_the_questions(tmp_path, by):
    """Lines that cannot be answered are in no answer."""
    path = tmp_path / "rows.jsonl"
    path.write_text("no JSON")
    (tmp_path / "link").symlink_to(path)
    output = tmp_path / "link" if by == "link" else path
    source = f"--batch_file={'-' if by == 'redirection' else path}"
    with path.open() as stdin:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "bert_squad",
                "ask",
                "--model=m",
                f"--output={output}",
                "--overwrite",
                source,
            ],
            stdin=stdin,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "is what the questions come from, and lines without an answer would be lost" in done.stderr
    assert path.read_text() == "no JSON"


def test_output_is_whole_or_as_it_was(model, tmp_path, monkeypatch):
    """What fails after some lines are answered leaves nothing, and what was there before."""
    path = tmp_path / "answers.jsonl"
    path.write_text("mine")
    answer = ExportedModel.answer

    def answer_once(self, questions, contexts):
        monkeypatch.setattr(ExportedModel, "answer", fail)
        return answer(self, questions, contexts)

    def fail(self, questions, contexts):
        raise ConfigError("of another form")

    monkeypatch.setattr(ExportedModel, "answer", answer_once)
    line = json.dumps({"question": "who ?", "context": "the fox"}).encode()
    with pytest.raises(ConfigError, match="of another form"):
        asked(
            f"--model={model}",
            "--batch_file=-",
            "--batch_size=1",
            f"--output={path}",
            "--overwrite",
            stdin=line + b"\n" + line,
        )
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["answers.jsonl"]


def test_no_standard_input(model, monkeypatch):
    flags.FLAGS.mark_as_parsed()
    monkeypatch.setattr(sys, "stdin", None)
    for word, flag in (("--question=a", "--context_file"), ("--batch_file=-", "--batch_file")):
        with pytest.raises(
            ConfigError, match=f"There is no standard input to read from; name a file with {flag}"
        ):
            ask.main("bert-squad ask", [f"--model={model}", word])


def test_help_does_not_load_tensorflow(tmp_path):
    for words, code in ((["--help"], 0), ([], 0), (["--model=m"], 1)):
        done = run_program("ask", *words, cwd=tmp_path, program="tests/cli/print_modules.py")
        assert done.returncode == code, done.stderr
        modules = done.stdout.splitlines()[-1].split()
        assert "bert_squad.cli.ask" in modules
        assert "tensorflow" not in modules
    assert "bert-squad ask: ask an exported model about a passage" in run_console("--help").stdout


def test_an_export_is_asked_without_an_encoder(exported_v2, tmp_path):
    """What is not imported costs no time before the first answer."""
    line = json.dumps({"question": "who ?", "context": "the fox"})
    words = ("ask", f"--model={exported_v2.path}", "--batch_file=-")
    done = run_program(*words, cwd=tmp_path, program="tests/cli/print_modules.py", input=line)
    assert done.returncode == 0, done.stderr
    answer, modules = done.stdout.splitlines()
    assert json.loads(answer)["question"] == "who ?"
    assert "tensorflow" in modules.split()
    rooms = {name.split(".")[1] for name in modules.split() if name.startswith("bert_squad.")}
    assert rooms.isdisjoint({"model", "training", "answers", "data", "pipeline"})
    assert {"tf_keras", "official"}.isdisjoint(modules.split())
