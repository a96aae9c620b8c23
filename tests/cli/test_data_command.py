"""`bert-squad data` as a user runs it."""

import gzip
import json
import os

import pytest
from data.row_files import qa, squad_of, write_lines
from golden_files import golden, read_json
from program import run_console, run_program

from bert_squad.cli import data
from bert_squad.errors import ConfigError

LENGTHS = ["--max_seq_length=64", "--doc_stride=16", "--max_query_length=16"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.json").write_text(json.dumps(squad_of(qa("a"), qa("b", "Riga", 15))))
    bad = squad_of(qa("far", "Bob", 900), qa("wrong", "Ann", 8), qa("twice"), qa("twice"))
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    return tmp_path


def run(folder, *words):
    return run_console("data", *words, cwd=folder)


def test_a_check_that_finds_nothing(folder):
    done = run(folder, "check", "good.json", "--train")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "good.json: version 1.1, 1 file, 1 passage, 2 questions (0 impossible), 2 answers.\n"
        "What depends on WordPieces is not checked without --vocab_file.\n"
        "Nothing is wrong.\n"
    )


def test_a_check_says_all_that_is_wrong_at_once(folder):
    done = run(folder, "check", "bad.json", "--train")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "bad.json: version 1.1, 1 file, 1 passage, 4 questions (0 impossible), 4 answers.",
        "What depends on WordPieces is not checked without --vocab_file.",
        "id occurs more than once (1 question): twice",
        "cannot be trained on (1 question): far",
        "    far: In the data set bad.json, the answer of question 'far' (data[0].paragraphs[0].qas[0]) lies outside "
        "its context: characters 900 to 903 of 20. Correct its answer_start.",
        "an answer is not the text at its answer_start (2 questions): far, wrong",
        "    far: 'Bob' is not '' (answer_start 900)",
        "    wrong: 'Ann' is not 'Bob' (answer_start 8)",
        "left out of training: the answer is not in the words at answer_start (1 question): wrong",
        "4 things to look at.",
    ]


def test_a_check_with_pieces_as_json(folder):
    source, vocabulary = golden("tiny/train-v2.0.json"), golden("tiny/vocab_uncased.txt")
    done = run(folder, "check", source, "--train", "--json", f"--vocab_file={vocabulary}", *LENGTHS)
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert report["data"] == str(source)
    assert (report["version"], report["files"]) == ("2.0", 1)
    assert report["questions"] > report["impossible"] > 0
    assert report["windows"] > report["questions"]
    found = {finding["kind"]: finding for finding in report["findings"]}
    assert found["question_cut"]["what"] == "cut to --max_query_length=16 WordPieces"
    for finding in found.values():
        assert len(finding["ids"]) == finding["count"]


def test_rows_and_several_files_are_checked_too(folder):
    rows = [
        {"id": "a", "context": "x", "question": "?", "answers": {"text": ["y"], "answer_start": [0]}},
        {"id": "b", "context": "x", "question": "?", "answers": {"text": [], "answer_start": []}},
    ]
    write_lines(folder / "rows-0.jsonl.gz", rows)
    write_lines(folder / "rows-1.jsonl", rows[:1])
    done = run(folder, "check", "rows-*")
    assert done.returncode == 1
    assert done.stdout.startswith(
        "rows-*: version 2.0, 2 files, 2 passages, 3 questions (1 impossible), 2 answers."
    )
    assert "id occurs more than once (1 question): a\n" in done.stdout


@pytest.mark.parametrize("to", ["squad", "jsonl", "parquet"])
def test_converting_there_and_back(folder, to):
    if to == "parquet":
        pytest.importorskip("pyarrow")
    target = "there" if to == "parquet" else "there.gz"
    done = run(folder, "convert", "good.json", target, f"--to={to}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Converted good.json to {target}: 2 questions.\n"
    assert (folder / target).read_bytes()[:2] == (b"PA" if to == "parquet" else b"\x1f\x8b")
    assert run(folder, "convert", target, "back.json").returncode == 0
    assert read_json(folder / "back.json") == read_json(folder / "good.json")


def test_a_file_that_is_there_is_not_overwritten(folder):
    before = (folder / "bad.json").read_bytes()
    done = run(folder, "convert", "good.json", "bad.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "bert-squad data: error: bad.json exists already; name another file, or add --overwrite to replace it.\n"
    )
    assert (folder / "bad.json").read_bytes() == before
    assert run(folder, "convert", "good.json", "bad.json", "--overwrite").returncode == 0
    assert read_json(folder / "bad.json") == read_json(folder / "good.json")


@pytest.mark.parametrize("action", [["check"], ["convert", "--to=squad"]])
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(folder, action):
    (folder / "cut.json.gz").write_bytes(gzip.compress((folder / "good.json").read_bytes())[:-9])
    for source, message in (
        ("cut.json.gz", "The data set cut.json.gz is gzip-compressed and cut short; is it complete?"),
        ("nowhere", "Cannot read the data set nowhere (No such file or directory)."),
        ("none-*", "No file matches none-*."),
    ):
        done = run(folder, *action, source, *(["target"] if action != ["check"] else []))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"bert-squad data: error: {message}\n"
    assert sorted(os.listdir(folder)) == ["bad.json", "cut.json.gz", "good.json"]


def test_the_dropped_keys_are_named(folder):
    (folder / "x.json").write_text(json.dumps(squad_of(qa(hint=1, level=2))))
    done = run(folder, "convert", "x.json", "y.jsonl", "--to=jsonl")
    assert done.stdout == "Converted x.json to y.jsonl: 1 question. Rows have no place for hint, level.\n"


def test_nothing_loads_tensorflow(folder):
    for words, code in (
        (["--help"], 0),
        (["check", "good.json", f"--vocab_file={golden('tiny/vocab_uncased.txt')}"], 0),
        (["convert", "good.json", "x.json"], 0),
        (["convert", "good.json"], 1),
    ):
        done = run_program("data", *words, cwd=folder, program="tests/cli/print_modules.py")
        assert done.returncode == code, done.stderr
        modules = done.stdout.splitlines()[-1].split()
        assert "bert_squad.cli.data" in modules
        assert "tensorflow" not in modules


def test_the_help_of_the_program_names_it():
    assert "bert-squad data: check a data set, or convert it" in run_console("--help").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look", "a"], r"Unknown action 'look'; it is check or convert\."),
        (["check"], r"check takes DATA, not 0 paths\."),
        (["check", "a", "b"], r"check takes DATA, not 2 paths\."),
        (["convert", "a"], r"convert takes DATA and TARGET, not 1 paths\."),
        (["convert", "a", ""], r"convert takes DATA and TARGET, not an empty path\."),
        (["check", "a", "--to=jsonl"], r"check takes no --to\."),
        (["convert", "a", "b", "--train"], r"convert takes no --train\."),
        (["convert", "a", "b.jsonl.gz"], r"b\.jsonl\.gz would be SQuAD JSON under .* else; add --to=jsonl"),
        (["convert", "a", "b.parquet"], r"b\.parquet would be SQuAD JSON under a name of something else"),
        (["check", "a", "--max_seq_length=10"], r"The max_seq_length \(10\) must be greater than"),
        (["check", "a", "--doc_stride=0"], r"--doc_stride is 0; it must be at least 1\."),
        (["check", "a", "--vocab=x"], r"Unknown flag --vocab; the nearest known one is --vocab_file\."),
    ],
)  # fmt: skip
def test_wrong_words(words, message):
    with pytest.raises(ConfigError, match=message):
        data.main("bert-squad data", words)
