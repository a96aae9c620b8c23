"""Bad input gets one clear error that names the file, the question or the flag; nothing is left half-written."""

import copy
import json
import os
import re
import shutil
import subprocess

import pytest
from golden_files import golden, read_json
from program import run_program


@pytest.fixture
def folder(tmp_path):
    source = golden("model/legacy_run/v2")
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(source / name, tmp_path / name)
    return tmp_path


def train(folder, *more):
    return run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        "--output_dir=output",
        "--do_train",
        "--train_file=train.json",
        "--version_2_with_negative",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        "--train_batch_size=4",
        "--num_train_epochs=0.5",
        *more,
        cwd=folder,
    )


def check_refused(done, pattern, folder):
    errors = [line for line in done.stderr.splitlines() if line.startswith("run_squad.py: error: ")]
    assert done.returncode == 1, done.stderr
    assert len(errors) == 1, done.stderr
    assert re.search(pattern, errors[0]), errors[0]
    assert "Traceback" not in done.stderr
    assert not (folder / "output").exists() or os.listdir(folder / "output") == []


def edit(folder, change):
    data = read_json(folder / "train.json")
    change(data["data"][0]["paragraphs"][0])
    (folder / "train.json").write_text(json.dumps(data))


def first_answerable(paragraph):
    return next(qa for qa in paragraph["qas"] if not qa["is_impossible"])


def two_answers(paragraph):
    first_answerable(paragraph)["answers"] *= 2


def offset_outside(paragraph):
    first_answerable(paragraph)["answers"][0]["answer_start"] = 100_000


def no_is_impossible(paragraph):
    del paragraph["qas"][0]["is_impossible"]


def no_context(paragraph):
    del paragraph["context"]


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (two_answers, r"train\.json.*{id}.*each question should have exactly 1 answer"),
        (offset_outside, r"train\.json.*{id}.*100000"),
        (no_is_impossible, r"train\.json.*{id}.*is_impossible"),
        (no_context, r"train\.json.*context"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_wrong_training_data_is_named_by_question(change, pattern, folder):
    paragraph = read_json(folder / "train.json")["data"][0]["paragraphs"][0]
    question = paragraph["qas"][0] if change is no_is_impossible else first_answerable(paragraph)
    edit(folder, change)
    check_refused(train(folder), pattern.replace("{id}", question["id"]), folder)


def test_malformed_json_is_named_with_its_place(folder):
    (folder / "train.json").write_text('{"version": "v2.0",\n "data": [,]}')
    check_refused(train(folder), r"train\.json.*line 2", folder)


def test_a_missing_file_is_named_by_its_flag(folder):
    check_refused(
        train(folder, "--train_file=nowhere.json"), r"--train_file: nowhere\.json does not exist", folder
    )


def test_duplicate_question_ids_are_a_warning(folder):
    def repeat(paragraph):
        paragraph["qas"].append(copy.deepcopy(paragraph["qas"][0]))

    question = read_json(folder / "train.json")["data"][0]["paragraphs"][0]["qas"][0]
    edit(folder, repeat)
    done = train(folder)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("W") and question["id"] in line]
    assert len(warnings) == 1


@pytest.mark.parametrize("piece", ["[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_a_special_piece(piece, folder):
    pieces = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join("[other]" if p == piece else p for p in pieces) + "\n")
    check_refused(train(folder), rf"vocab\.txt.*{re.escape(piece)}", folder)


def test_a_vocabulary_larger_than_the_model(folder):
    with (folder / "vocab.txt").open("a") as writer:
        writer.write("one\nmore\n")
    pattern = r"vocab\.txt has 436 pieces, but bert_config\.json says vocab_size 434"
    check_refused(train(folder), pattern, folder)


def test_a_hidden_size_that_heads_do_not_divide(folder):
    config = read_json(folder / "bert_config.json")
    (folder / "bert_config.json").write_text(json.dumps({**config, "num_attention_heads": 3}))
    pattern = (
        r"bert_config\.json: The hidden size \(32\) is not a multiple of the number of attention heads \(3\)"
    )
    check_refused(train(folder), pattern, folder)


def test_an_output_directory_that_cannot_be_made(folder):
    (folder / "file").write_text("")
    done = train(folder, "--output_dir=file/output")
    assert done.returncode == 1
    assert re.search(r"error: The output directory file/output cannot be written .*--output_dir", done.stderr)


def test_too_few_questions_for_one_step(folder):
    done = train(folder, "--train_batch_size=1000")
    check_refused(done, r"train\.json has \d+ questions to train on: .* not one step", folder)


def test_a_disk_that_fills_up_while_training(folder, tmp_path):
    """A real full disk: a file system of 1 MB. What was complete stays; nothing is half-written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        done = train(folder, f"--output_dir={disk}", "--save_checkpoints_steps=1")
        left = sorted(os.listdir(disk))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 1
    assert re.search(r"error: Cannot save the checkpoint .*model\.ckpt-\d .*Free some space", done.stderr), (
        done.stderr
    )
    complete = {
        name.split(".data")[0].removesuffix(".index") for name in left if name.startswith("model.ckpt")
    }
    assert complete
    left = [name for name in left if not name.startswith("events.out.tfevents.")]
    assert left == sorted(
        ["checkpoint", "run.json", "train.tf_record"]
        + [f"{name}.{part}" for name in complete for part in ("index", "data-00000-of-00001")]
    )
