"""Data that the legacy script takes and that a person should hear of: a line each, and the run goes on."""

import json
import re
import shutil

import pytest
from golden_files import golden
from program import run_program

CONTEXT = "Isaac Reed bought a house in Riga and died in Malaga."


@pytest.fixture
def folder(tmp_path):
    for name in ("bert_config.json", "vocab.txt"):
        shutil.copy(golden("model/legacy_run/v1") / name, tmp_path / name)
    return tmp_path


def question(qas_id, start=46, text="Malaga", words="Where?", **more):
    return {"id": qas_id, "question": words, "answers": [{"text": text, "answer_start": start}], **more}


def train(folder, questions, *more, context=CONTEXT, blank=()):
    paragraphs = [{"context": context, "qas": questions}, {"context": " \u00ad ", "qas": list(blank)}]
    (folder / "train.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        "--output_dir=output",
        "--do_train",
        "--train_file=train.json",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        "--train_batch_size=4",
        "--num_train_epochs=1",
        *more,
        cwd=folder,
    )


def lines_with(done, pattern):
    return [line for line in done.stderr.splitlines() if re.search(pattern, line)]


def test_what_training_leaves_out_is_said_once_with_ids(folder):
    """Also a blank line at the end of the vocabulary, for which the model has no row, and surrogates."""
    with (folder / "vocab.txt").open("a") as writer:
        writer.write("\n\n")
    questions = [
        *[question(f"n{i}", -1) for i in range(3)],
        *[question(f"good{i}") for i in range(8)],
        question("long", words="who " * 30),
        question(None, words="\ud800 who"),
        question("\udcff", 0),
    ]
    done = train(folder, questions, blank=[question(f"blank{i}", 0, " ") for i in range(2)])
    assert done.returncode == 0, done.stderr
    missing = lines_with(done, "Could not find answer: '.*' vs. 'Malaga'")
    assert [re.search(r"\(question (.*)\)", line).group(1) for line in missing] == [
        "n0",
        "n1",
        "n2",
        r"\udcff",
    ]
    for pattern in (
        r"answer_start is below 0 in 3 of 16 questions of train\.json: n0, n1, n2\.",
        r"Left out 4 of 16 questions of train\.json, .*: n0, n1, n2, \\udcff\.",
        r"The passage of 2 questions holds no text, so that nothing is trained on there, .*: blank\d, blank\d\.",
        r"Cut 1 question to --max_query_length=16 WordPieces: long\.",
    ):
        assert len(lines_with(done, pattern)) == 1, (pattern, done.stderr)
    assert lines_with(done, r"Num orig examples = 12")


def test_is_impossible_of_null_is_false(folder):
    questions = [question(f"g{i}", is_impossible=None) for i in range(5)] + [
        question("x", is_impossible=True)
    ]
    done = train(folder, questions, "--version_2_with_negative")
    assert done.returncode == 0, done.stderr
    line = r"is_impossible is neither true nor false in 5 of 6 questions of train\.json: g0, g1, g2, g3, g4\."
    assert len(lines_with(done, line)) == 1


def test_all_bad_offsets_are_named_in_one_run(folder):
    done = train(folder, [question(f"g{i}", 500) for i in range(40)])
    (error,) = lines_with(done, r"run_squad\.py: error")
    assert done.returncode == 1
    assert re.search(r"40 of 40 questions: g0, g1, .*, g19 and 20 more\.$", error)


def test_ids_of_all_kinds_and_lone_surrogates_are_answered_and_scored(folder):
    ids = [None, True, 1.5, 10**400, "\ud800", "a\nb", ""]
    paragraph = {"context": f"\udcff {CONTEXT}", "qas": [question(qas_id) for qas_id in ids]}
    (folder / "dev.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    done = run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        "--output_dir=output",
        "--do_predict",
        "--do_eval",
        "--allow_random_weights",
        "--predict_file=dev.json",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    predictions = (folder / "output" / "predictions.json").read_bytes()
    assert predictions.isascii()
    assert list(json.loads(predictions)) == ["null", "true", "1.5", str(10**400), "\ud800", "a\nb", ""]
    assert set(json.loads((folder / "output" / "eval_results.json").read_bytes())) == {"exact_match", "f1"}
