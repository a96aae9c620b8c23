"""`bert-squad ask` in processes of its own: lines that come one by one, and terminals, pipes and disks of all kinds."""

import json
import os
import subprocess
import sys

import pytest
from program import environment

from bert_squad.cli.ask_streams import Input, arriving_lines
from bert_squad.errors import DataError

CODE = "from bert_squad.cli.main import console; import sys; sys.argv[0] = 'bert-squad'; console()"
COMMAND = (sys.executable, "-c", CODE, "ask")
ENVIRONMENT = {**environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}  # as the program sets it
LINE = json.dumps({"question": "who ?", "context": "the quick fox"}).encode() + b"\n"


@pytest.fixture
def model(exported_v2):
    return f"--model={exported_v2.path}"


def run(*words, **options):
    options = {"capture_output": True, "input": b"", **options}
    if "stdout" in options:
        options |= {"capture_output": False, "stderr": subprocess.PIPE}
    return subprocess.run([*COMMAND, *words], timeout=300, check=False, **{"env": ENVIRONMENT, **options})


def test_a_line_is_answered_before_the_next_one_comes(model):
    with subprocess.Popen(
        [*COMMAND, model, "--batch_file=-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        try:
            for _ in range(2):  # this would wait for ever
                process.stdin.write(LINE)
                process.stdin.flush()
                assert "nbest" in json.loads(process.stdout.readline())
            process.stdin.write(LINE.rstrip())  # the last line without an end
            process.stdin.close()
            assert "nbest" in json.loads(process.stdout.readline())
            assert process.wait(timeout=300) == 0
        finally:
            process.kill()


def test_what_a_terminal_cannot_show_is_escaped(model, tmp_path):
    """Text as Python escapes it; JSON as JSON does, so that it means the same."""
    ascii_only = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    passage = "Zoë Müller – 東京 😀"
    (tmp_path / "passage.txt").write_text(passage, encoding="utf-8")
    words = (f"--context_file={tmp_path / 'passage.txt'}", "--question=who ?", "--nbest=50")
    done = run(model, *words, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert rb"\xeb" in done.stdout
    ids = ["é", "\ud83d", "x"]
    lines = [json.dumps({"id": id_, "question": "who ?", "context": passage}) for id_ in ids]
    for env in (ascii_only, {**ENVIRONMENT, "PYTHONIOENCODING": "utf-8"}):
        done = run(model, "--batch_file=-", "--nbest=50", input="\n".join(lines).encode(), env=env)
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.decode(env["PYTHONIOENCODING"]).splitlines()]
        assert [answer["id"] for answer in answers] == ids
        for entry in answers[0]["nbest"]:
            assert passage[max(entry["start_char"], 0) : max(entry["end_char"], 0)] == entry["text"]


def test_a_reader_that_has_enough_is_no_failure(model):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(model, "--batch_file=-", "--batch_size=1", input=LINE * 3, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_named_in_one_line(model):
    with open("/dev/full", "wb") as full:
        done = run(model, "--batch_file=-", input=LINE * 3, stdout=full)
        help_ = run("--help", stdout=full)
    for failed in (done, help_):
        assert failed.returncode == 1
        assert failed.stderr == (
            b"bert-squad ask: error: Cannot write to standard output (No space left on device).\n"
        )


def test_no_standard_input_is_named_in_one_line(model):
    command = [*COMMAND, model, "--question=who ?"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        b"bert-squad ask: error: There is no standard input to read from; name a file with --context_file.\n"
    )


def test_a_model_that_cannot_be_reached_is_one_sentence():
    done = run("--model=s3://bucket/model", "--batch_file=-")
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert line.startswith("bert-squad ask: error: Cannot reach s3://bucket/model/saved_model.pb: ")


class Arriving:
    """A source whose pieces arrive one by one; where there is None, the next is yet to come."""

    name, flag = "it", "--batch_file"

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read_some(self):
        while self.pieces and self.pieces[0] is None:
            self.pieces.pop(0)
        return self.pieces.pop(0) if self.pieces else b""

    def has_arrived(self, seconds):
        return not self.pieces or self.pieces[0] is not None


def numbers(*pieces, most=3):
    return [[line.number for line in lines] for lines in arriving_lines(Arriving(*pieces), most)]


def test_lines_are_given_when_no_more_have_arrived():
    assert numbers(b"a\nb\nc\nd\n") == [[1, 2, 3], [4]]
    assert numbers(b"a\n", None, b"b\nc", None, b"c\nd") == [[1], [2], [3, 4]]
    assert numbers(b"a\n\n \n", b"b") == [[1, 4]]
    assert numbers(b"\n", None) == []
    assert numbers() == []


def test_a_long_line_is_put_together_from_its_pieces():
    (lines,) = arriving_lines(Arriving(*[b"ab"] * 1000, b"\n"), 16)
    assert [line.content for line in lines] == [b"ab" * 1000]


def test_a_read_error_names_the_file_and_the_flag(tmp_path):
    with pytest.raises(DataError, match=rf"Cannot read {tmp_path} \(Is a directory\); check --batch_file\."):
        Input(str(tmp_path), "--batch_file")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(DataError, match=r"\(Is a directory\); check --context_file\."):
            Input(f"/dev/fd/{descriptor}", "--context_file").read_all()
    finally:
        os.close(descriptor)
