"""The whole program as a user of the legacy script runs it: old command lines, old files, old messages."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from golden_files import data_file, golden, read_json
from program import run_program

LENGTHS = ["--max_seq_length=64", "--doc_stride=24", "--max_query_length=16"]
# Legacy behaviour that is deliberately not kept; each has a test of its own below.
NOT_KEPT = {
    "unknown_flag_is_ignored",
    "init_checkpoint_not_found",
    "output_dir_has_no_checkpoint_and_no_init_checkpoint",
}


@pytest.fixture
def folder(tmp_path):
    """Make the folder in which the legacy script was run (v1.1 data), without its outputs."""
    source = golden("model/legacy_run/v1")
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(source / name, tmp_path / name)
    return tmp_path


def base(*more, do="--do_predict"):
    files = ["--vocab_file=vocab.txt", "--bert_config_file=bert_config.json", "--output_dir=output"]
    return [*files, do, "--predict_file=dev.json", *LENGTHS, *more]


def outputs(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else None


@pytest.mark.parametrize(
    "case",
    [case for case in read_json(golden("model/errors.json")) if case["case"] not in NOT_KEPT],
    ids=lambda case: case["case"],
)
def test_legacy_failures_keep_their_messages(case, folder):
    data = read_json(folder / "train.json")
    data["data"][0]["paragraphs"][0]["qas"][0]["answers"] *= 2
    (folder / "two_answers.json").write_text(json.dumps(data))
    done = run_program(*case["arguments"], cwd=folder)
    assert done.returncode == case["exit_code"] == 1
    for line in case["message_lines"]:
        message = re.sub(r"^[A-Za-z_.]+(Error|Exception): ", "", line)
        assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if not case["output_dir_created"]:
        assert outputs(folder / "output") is None


def test_an_unknown_flag_is_an_error(folder):
    done = run_program(*base("--no_such_flag=1"), cwd=folder)
    assert done.returncode == 1
    assert re.search(r"error: Unknown flag --no_such_flag; the nearest known one is --\w+\.", done.stderr)


def test_a_missing_init_checkpoint_fails_before_anything_is_written(folder):
    done = run_program(*base("--init_checkpoint=nowhere/model.ckpt"), cwd=folder)
    assert done.returncode == 1
    assert "error: There is no checkpoint at nowhere/model.ckpt" in done.stderr
    assert "check --init_checkpoint" in done.stderr
    assert outputs(folder / "output") is None


def test_prediction_without_a_checkpoint_is_an_error_unless_allowed(folder):
    done = run_program(*base(), cwd=folder)
    assert done.returncode == 1
    assert "There is no checkpoint in output and no --init_checkpoint" in done.stderr
    assert outputs(folder / "output") == []
    done = run_program(*base("--allow_random_weights"), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert outputs(folder / "output") == ["eval.tf_record", "nbest_predictions.json", "predictions.json"]


def legacy_command(name: str) -> list[str]:
    """Return the arguments of one of the command lines that the legacy script was run with."""
    words = shlex.split(golden(f"model/legacy_run/{name}").read_text())
    assert words[:2] == ["python", "run_squad.py"]
    return words[2:]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("v1/command_predict_only.txt", "predict_only"),
        ("v2/command_predict_only.txt", "predict_only"),
        ("v2/command_predict_only_threshold.txt", "predict_only_threshold"),
    ],
)
def test_the_same_predictions_from_a_legacy_checkpoint(command, output, tmp_path):
    version = command.split("/")[0]
    source = golden(f"model/legacy_run/{version}")
    shutil.copytree(source, tmp_path / version)
    shutil.rmtree(tmp_path / version / output)
    done = run_program(*legacy_command(command), cwd=tmp_path / version)
    assert done.returncode == 0, done.stderr
    expected, written = source / output, tmp_path / version / output
    assert (written / "predictions.json").read_bytes() == (expected / "predictions.json").read_bytes()
    nbest, legacy_nbest = (read_json(place / "nbest_predictions.json") for place in (written, expected))
    assert list(nbest) == list(legacy_nbest)
    for qas_id, entries in legacy_nbest.items():
        check_nbest(nbest[qas_id], entries)
    if version == "v2":
        odds, legacy_odds = (read_json(place / "null_odds.json") for place in (written, expected))
        assert list(odds) == list(legacy_odds)
        np.testing.assert_allclose(list(odds.values()), list(legacy_odds.values()), atol=1e-4)
    assert "***** Running predictions *****" in done.stderr
    assert done.stdout == ""


def check_nbest(entries, expected):
    """The same texts; in the same order but for near ties, as the goldens' README allows."""
    assert len(entries) == len(expected)
    key = lambda entry: entry["text"]  # noqa: E731
    scores = {key(entry): entry["start_logit"] + entry["end_logit"] for entry in expected}
    for entry, other in zip(entries, expected, strict=True):
        assert key(entry) in scores
        assert scores[key(entry)] == pytest.approx(scores[key(other)], abs=1e-4)
        assert entry["probability"] == pytest.approx(other["probability"], abs=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train, predict and evaluate with the legacy command line for version 2, unchanged but for --do_eval."""
    folder = tmp_path_factory.mktemp("v2")
    for name in ("bert_config.json", "vocab.txt", "train.json", "dev.json"):
        shutil.copy(golden(f"model/legacy_run/v2/{name}"), folder / name)
    done = run_program(*legacy_command("v2/command.txt"), "--do_eval", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_training_writes_the_legacy_files(trained):
    folder, done = trained
    checkpoints = [
        f"model.ckpt-{step}.{part}"
        for step in (0, 10, 20, 30, 33)
        for part in ("data-00000-of-00001", "index")
    ]
    others = [
        "checkpoint",
        "eval.tf_record",
        "eval_results.json",
        "nbest_predictions.json",
        "null_odds.json",
        "predictions.json",
        "run.json",
        "train.tf_record",
    ]
    written = outputs(folder / "output")
    curves = [name for name in written if name.startswith("events.out.tfevents.")]
    assert len(curves) == 1
    assert written == sorted([*checkpoints, *others, *curves])
    assert "Num steps = 33" in done.stderr
    for noise in ("AutoGraph", "PredictCost", "Warning"):
        assert noise not in done.stderr
    assert re.search(r"step 33 of 33: loss \d\.\d+, learning rate .*, .* examples/s, 00:00 left", done.stderr)


def test_training_records_are_the_legacy_ones(trained):
    from bert_squad.data.records import parse_example, read_records

    folder, _ = trained
    for name in ("train.tf_record", "eval.tf_record"):
        ours, legacy = (
            [
                parse_example(record, 64, is_training=name.startswith("train"))
                for record in read_records(str(path))
            ]
            for path in (folder / "output" / name, golden(f"model/legacy_run/v2/output/{name}"))
        )
        assert len(ours) == len(legacy)
        for record, expected in zip(ours, legacy, strict=True):
            assert record.keys() == expected.keys()
            for key, value in expected.items():
                np.testing.assert_array_equal(record[key], value)


def test_evaluation_prints_a_table_and_writes_the_same_numbers(trained):
    folder, done = trained
    results = read_json(folder / "output" / "eval_results.json")
    assert {"exact", "f1", "total", "HasAns_f1", "NoAns_f1", "best_f1", "best_f1_thresh"} <= set(results)
    assert results["total"] == 22
    assert re.search(rf"^exact +{results['exact']:.2f}$", done.stdout, re.MULTILINE)


def test_running_again_skips_training_and_predicts_again(trained):
    folder, _ = trained
    predictions = (folder / "output" / "predictions.json").read_bytes()
    (folder / "output" / "predictions.json").unlink()
    done = run_program(*legacy_command("v2/command.txt"), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Skipping training since max_steps has already saved." in done.stderr
    assert "raise --num_train_epochs" in done.stderr
    assert (folder / "output" / "predictions.json").read_bytes() == predictions


def test_a_legacy_output_directory_is_continued(tmp_path):
    """A folder that the legacy script left at step 33 of 33, with one more epoch asked for."""
    shutil.copytree(golden("model/legacy_run/v2"), tmp_path / "v2")
    done = run_program(*legacy_command("v2/command.txt"), "--num_train_epochs=5", cwd=tmp_path / "v2")
    assert done.returncode == 0, done.stderr
    assert "Continuing from output/model.ckpt-33, step 33." in done.stderr
    assert re.search(r"step 34 of 41: .*\n(.*\n)*.*step 41 of 41: ", done.stderr)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(folder):
    arguments = base(
        "--train_file=train.json", "--train_batch_size=4", "--num_train_epochs=1", do="--do_train"
    )
    for output, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = run_program(*arguments, f"--output_dir={output}", f"--seed={seed}", cwd=folder)
        assert done.returncode == 0, done.stderr
    weights = [(folder / name / "model.ckpt-6.data-00000-of-00001").read_bytes() for name in "abc"]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


@pytest.mark.parametrize("version", ["xq", "xq2"])
def test_real_data_through_the_whole_command_line(version, tmp_path):
    """XQuAD with a tiny random model: what is written is complete and scored; the numbers mean nothing."""
    config = {
        "vocab_size": 30522,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "type_vocab_size": 2,
    }
    (tmp_path / "bert_config.json").write_text(json.dumps(config))
    done = run_program(
        f"--vocab_file={data_file('vocab-uncased.txt')}",
        "--bert_config_file=bert_config.json",
        "--output_dir=output",
        "--do_train",
        f"--train_file={data_file(f'{version}-train.json')}",
        "--do_predict",
        f"--predict_file={data_file(f'{version}-dev.json')}",
        "--do_eval",
        "--num_train_epochs=0.2",
        "--predict_batch_size=64",
        *(["--version_2_with_negative"] if version == "xq2" else []),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    questions = [
        qa["id"]
        for article in read_json(data_file(f"{version}-dev.json"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    assert list(read_json(tmp_path / "output/predictions.json")) == questions
    assert list(read_json(tmp_path / "output/nbest_predictions.json")) == questions
    results = read_json(tmp_path / "output/eval_results.json")
    if version == "xq2":
        assert list(read_json(tmp_path / "output/null_odds.json")) == questions
        assert results["total"] == len(questions)
    else:
        assert set(results) == {"exact_match", "f1"}
