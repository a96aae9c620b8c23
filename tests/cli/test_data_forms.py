"""Training and predicting with data as people have it: the files that come out are those of plain SQuAD JSON."""

import gzip
import hashlib
import json
import os
import re
import shutil
import threading

import pytest
from data.row_files import flat, mrqa, write_lines, write_parquet
from golden_files import golden, read_json
from program import run_program

TRAIN = ["--do_train", "--train_batch_size=4", "--num_train_epochs=0.2"]
PREDICT = ["--do_predict", "--do_eval", "--allow_random_weights"]
PREDICTED = ("eval.tf_record", "predictions.json", "nbest_predictions.json", "eval_results.json")


def make_folder(place, version):
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(golden(f"model/legacy_run/{version}") / name, place / name)
    return place


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path, "v1")


def run(folder, output, *more):
    return run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        f"--output_dir={output}",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        *more,
        cwd=folder,
    )


def finish(folder, output, *more):
    done = run(folder, output, *more)
    assert done.returncode == 0, done.stderr
    return done.stderr


def error_of(done):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("run_squad.py: error: ")]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return line.removeprefix("run_squad.py: error: ")


def contents(folder, output, names):
    return [(folder / output / name).read_bytes() for name in names]


@pytest.mark.slow
def test_training_on_gzipped_files_and_on_rows_gives_the_weights_of_plain_json(folder):
    """Also the hash of `run.json`, which of a plain file is what it ever was."""
    content = (folder / "train.json").read_bytes()
    (folder / "train.json.gz").write_bytes(gzip.compress(content))
    rows = flat(json.loads(content))
    (folder / "shards").mkdir()
    write_lines(folder / "shards" / "train-0.jsonl", rows[:10])
    write_lines(folder / "shards" / "train-1.jsonl.gz", rows[10:])
    records = {}
    for output, value in (("plain", "train.json"), ("gz", "train.json.gz"), ("rows", "shards")):
        log = finish(folder, output, *TRAIN, f"--train_file={value}")
        records[output] = read_json(folder / output / "run.json")
        assert records[output]["train_data"]["file"] == value
        assert ("shards: 2 files (train-0.jsonl, train-1.jsonl.gz)." in log) == (output == "rows")
    step = re.search(r"model\.ckpt-\d+", (folder / "plain" / "checkpoint").read_text())[0]
    names = ["train.tf_record", f"{step}.data-00000-of-00001"]
    expected = contents(folder, "plain", names)
    assert [contents(folder, output, names) == expected for output in ("gz", "rows")] == [True, True]
    hashes = {output: record["train_data"]["sha256"] for output, record in records.items()}
    assert hashes["plain"] == hashes["gz"] == hashlib.sha256(content).hexdigest() != hashes["rows"]
    assert "on_bad_question" not in records["plain"]["flags"], "records are as they were without the flag"


@pytest.mark.slow
def test_predicting_and_scoring_rows_and_old_names(folder):
    """MRQA's rows, rows from a pipe, and a file whose name looks like a list of patterns, which match others."""
    squad = read_json(folder / "dev.json")
    write_lines(folder / "mrqa.jsonl.gz", mrqa(squad))
    os.mkfifo(folder / "pipe")
    rows = write_lines(folder / "rows.jsonl.gz", flat(squad)).read_bytes()
    threading.Thread(target=lambda: (folder / "pipe").write_bytes(rows), daemon=True).start()
    shutil.copy(folder / "dev.json", folder / "dev,[1]*.json")
    for name in ("dev", "[1]*.json", "dev,11.json"):
        (folder / name).write_text("not JSON")
    finish(folder, "plain", *PREDICT, "--predict_file=dev.json")
    expected = contents(folder, "plain", PREDICTED)
    for number, value in enumerate(("mrqa.jsonl.gz", "pipe", "dev,[1]*.json")):
        finish(folder, f"output-{number}", *PREDICT, f"--predict_file={value}")
        assert contents(folder, f"output-{number}", PREDICTED) == expected, value


def test_predicting_and_scoring_parquet_of_version_2(tmp_path):
    pytest.importorskip("pyarrow")
    folder = make_folder(tmp_path, "v2")
    write_parquet(folder / "dev.parquet", flat(read_json(folder / "dev.json")))
    for name in ("json", "parquet"):
        finish(folder, name, *PREDICT, "--version_2_with_negative", f"--predict_file=dev.{name}")
    assert contents(folder, "json", PREDICTED) == contents(folder, "parquet", PREDICTED)


def test_one_pipe_in_a_list_and_beside_it_is_refused(folder):
    os.mkfifo(folder / "pipe")
    done = run(folder, "x", *PREDICT, *TRAIN, "--train_file=train.json,pipe", "--predict_file=pipe")
    assert error_of(done).startswith("--train_file and --predict_file name the same pipe")
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("none-*.json", "--train_file: No file matches none-*.json."),
        ("train.json,nowhere.json", "--train_file: nowhere.json does not exist."),
        ("empty", "--train_file: The directory empty holds no data: no file whose name ends in .json, .jsonl, .ndjson "
                  "(also with .gz) or .parquet."),
        (".", "--train_file: The directory . holds files of several splits (dev.json, train.json); name those of one "
              "with a pattern, such as ./dev*."),
        ("cut.json.gz", "The data set cut.json.gz is gzip-compressed and cut short; is it complete?"),
        ("train.json,cut.json.gz", "The data set cut.json.gz is gzip-compressed and cut short; is it complete?"),
        ("noid.jsonl", "In the data set noid.jsonl, line 2 has no 'id'."),
        ("train.json,v2.json", "The data sets train.json and v2.json are of different versions: only in the second are "
                               "questions marked 'is_impossible'. Name files of one version."),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_in_one_sentence(folder, value, message):
    (folder / "empty").mkdir()
    (folder / "cut.json.gz").write_bytes(gzip.compress((folder / "train.json").read_bytes())[:-50])
    rows = flat(read_json(folder / "train.json"))
    write_lines(
        folder / "noid.jsonl", [rows[0], {key: value for key, value in rows[1].items() if key != "id"}]
    )
    shutil.copy(golden("model/legacy_run/v2/train.json"), folder / "v2.json")
    (folder / "bert_config.json").rename(folder / "empty" / "model")
    (folder / "vocab.txt").rename(folder / "empty" / "vocab")
    done = run(
        folder,
        "x",
        *TRAIN,
        f"--train_file={value}",
        "--vocab_file=empty/vocab",
        "--bert_config_file=empty/model",
    )
    assert error_of(done) == message
    assert not (folder / "x").exists() or os.listdir(folder / "x") == []


def test_bad_questions_and_several_answers_as_the_flags_say(folder):
    squad = read_json(folder / "train.json")
    far, several, *_ = squad["data"][0]["paragraphs"][0]["qas"]
    far["answers"][0]["answer_start"] = 100_000
    several["answers"] = [*several["answers"], {"text": "x", "answer_start": 0}]
    total = len(flat(squad))
    (folder / "train.json").write_text(json.dumps(squad))
    train = [*TRAIN, "--train_file=train.json"]
    assert "with 2 of" in error_of(run(folder, "x", *train))
    log = finish(folder, "x", *train, "--on_bad_question=skip", "--several_answers=first")
    assert f"Num orig examples = {total - 1}\n" in log
    assert log.count(f"Skipped 1 of {total} questions of train.json that cannot be trained on") == 1
    assert (
        log.count(f"Only the first of several answers is trained on in 1 of {total} questions of train.json")
        == 1
    )
    flags = read_json(folder / "x" / "run.json")["flags"]
    assert (flags["on_bad_question"], flags["several_answers"]) == ("skip", "first")
    done = run(folder, "x", *train, "--on_bad_question=drop")
    assert error_of(done) == "--on_bad_question must be one of error, skip, not 'drop'."
