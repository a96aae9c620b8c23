"""What can be known at the start is said at the start; a stage that fails does not cost what does not need it."""

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest
from faults.runs import FILES, PREDICT, TRAIN, copy_trained, make_folder, own_lines, run, said, start
from golden_files import read_json
from program import environment

from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import write_tensors
from bert_squad.cli.main import main


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def finish(folder, *arguments, code=0, env=None):
    arguments = (*arguments, "--output_dir=output")
    found = start(folder, *arguments, env=env).wait(timeout=240) if env else run(folder, *arguments)
    assert found == code, said(folder)
    assert "Traceback" not in said(folder)
    return said(folder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            '{"data": [',
            "error: The data set broken.json is not valid JSON: Expecting value at line 1, column 11. Is it",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a"}]}]}',
            "error: In the data set broken.json, data[0].paragraphs[0]",
        ),
    ],
)
def test_a_broken_predict_file_is_refused_before_training(folder, content, sentence):
    (folder / "broken.json").write_text(content)
    finish(folder, *TRAIN, "--do_predict", "--predict_file=broken.json", code=1)
    assert sentence in own_lines(folder)[0]
    assert os.listdir(folder / "output") == []


@pytest.mark.slow
def test_answers_that_are_missing_are_said_first_and_cost_the_scores_alone(folder):
    """The prediction and the export are made; the exit code says that the scores are not."""
    data = read_json(folder / "dev.json")
    qa = data["data"][0]["paragraphs"][0]["qas"][0]
    qa["answers"] = []
    (folder / "dev.json").write_text(json.dumps(data))
    copy_trained(folder / "output")
    log = finish(folder, *PREDICT, "--do_eval", "--do_export", code=1)
    first = log.index(
        f"The predictions will not be scored, and --do_eval will fail: Question {qa['id']} has no answer"
    )
    assert first < log.index("Running predictions") < log.index("Exported the model")
    assert own_lines(folder) == [
        f"run_squad.py: error: Question {qa['id']} has no answer to compare with; unanswerable questions are marked "
        "with 'is_impossible' as in SQuAD 2.0."
    ]
    assert {"predictions.json", "export"} <= set(os.listdir(folder / "output"))


def test_a_predict_file_that_is_a_pipe_is_read_once(folder):
    """As `--predict_file=<(zcat dev.json.gz)` is."""
    copy_trained(folder / "output")
    os.mkfifo(folder / "pipe")
    content = (folder / "dev.json").read_bytes()
    writer = threading.Thread(target=lambda: (folder / "pipe").write_bytes(content), daemon=True)
    writer.start()
    finish(folder, *PREDICT, "--predict_file=pipe", "--do_eval")
    assert {"exact_match", "f1"} == set(read_json(folder / "output" / "eval_results.json"))


def test_an_export_that_cannot_work_is_said_before_training(folder):
    finish(folder, *TRAIN, "--do_export", "--export_dir=/proc/nope", code=1)
    assert "The export directory /proc/nope cannot be written" in own_lines(folder)[0]
    stub = folder / "stub" / "tensorflow_text"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(
        "import tensorflow as tf\n"
        "raise tf.errors.NotFoundError(None, None, '_x.so: undefined symbol: _ZN10tensorflow8OpKernelE')\n"
    )
    path = f"{folder / 'stub'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}{os.pathsep}{os.getcwd()}"
    finish(folder, *TRAIN, "--do_export", code=1, env={"PYTHONPATH": path})
    assert "TensorFlow Text" in own_lines(folder)[0]
    assert not [name for name in os.listdir(folder / "output") if "ckpt" in name]


def test_an_export_alone_needs_no_output_directory(folder):
    copy_trained(folder / "trained")
    (folder / "output").write_text("a file, where no directory can be made")
    log = finish(folder, "--do_export", "--init_checkpoint=trained", "--export_dir=exported")
    assert "Exported the model to exported/" in log


def test_a_checkpoint_without_a_span_head_is_no_model_to_answer_with(folder):
    copy_trained(folder / "trained")
    reader = Tf1Reader(str(folder / "trained" / "model.ckpt-24"))
    os.mkdir(folder / "pretrained")
    write_tensors(
        str(folder / "pretrained" / "bert_model.ckpt"),
        {name: reader[name] for name in reader if name.startswith("bert/") and "adam" not in name},
    )
    init = "--init_checkpoint=pretrained/bert_model.ckpt"
    finish(folder, *PREDICT, init, code=1)
    assert (
        "pretrained/bert_model.ckpt has no span head (cls/squad/output_bias, cls/squad/output_weights)"
        in (own_lines(folder)[0])
    )
    log = finish(folder, *PREDICT, init, "--allow_random_weights")
    assert "Predicting with a random span head, as --allow_random_weights says." in log


@pytest.mark.slow
def test_what_a_run_decides_for_itself_is_said(folder):
    log = finish(folder, *TRAIN, "--num_train_epochs=0.2")
    assert "Training starts from random weights, since there is no --init_checkpoint." in log
    assert "Running on the CPU (" in log
    shutil.copytree(folder / "output", folder / "first")
    log = finish(folder, *TRAIN, "--num_train_epochs=0.4", "--init_checkpoint=first")
    assert "--init_checkpoint=first is not used, since output/model.ckpt-1 is there." in log
    assert (
        "This is not the run that output/run.json records, and its numbers will be of neither: --num_train_epochs"
        in log
    )


def test_the_program_runs_twice_in_one_process(folder, monkeypatch):
    """As a notebook does with %run; nothing that the first call said lives on."""
    from absl import logging

    monkeypatch.chdir(folder)
    copy_trained(folder / "output")
    arguments = ["run_squad.py", *FILES, *PREDICT, "--output_dir=output"]
    assert main([*arguments, "--verbosity=-1", "--n_best_size=3"]) == 0
    assert logging.get_verbosity() == -1
    assert all(len(entries) == 3 for entries in read_json(folder / "output/nbest_predictions.json").values())
    assert main(arguments) == 0
    assert logging.get_verbosity() == 0
    assert all(len(entries) > 3 for entries in read_json(folder / "output/nbest_predictions.json").values())


@pytest.mark.parametrize(
    "name",
    ["predictions.json", "nbest_predictions.json", "eval_results.json", "checkpoint", "checkpoint.dropped"],
)
def test_a_directory_in_the_place_of_an_output_is_said_before_training(folder, monkeypatch, capsys, name):
    """It was found when the file was complete: after all prediction, or when the first checkpoint was dropped."""
    monkeypatch.chdir(folder)
    (folder / "output" / name).mkdir(parents=True)
    assert main(["run_squad.py", *FILES, *TRAIN, *PREDICT, "--do_eval", "--output_dir=output"]) == 1
    assert f"error: output/{name} is a directory, and a file of that name" in capsys.readouterr().err
    assert os.listdir(folder / "output") == [name]


def test_one_pipe_for_two_flags_is_refused(folder, monkeypatch, capsys):
    """Whoever reads it second would wait for ever."""
    monkeypatch.chdir(folder)
    os.mkfifo(folder / "pipe")
    os.symlink("pipe", folder / "other")
    arguments = [
        "--do_train",
        "--train_file=pipe",
        "--do_predict",
        "--predict_file=other",
        "--output_dir=output",
    ]
    assert main(["run_squad.py", *FILES, *arguments]) == 1
    assert "--train_file and --predict_file name the same pipe" in capsys.readouterr().err


@pytest.mark.slow
def test_a_vocabulary_that_is_a_pipe_is_read_once(folder):
    """The export writes the vocabulary down, at the end: it is that which the run has used."""
    copy_trained(folder / "output")
    content = (folder / "vocab.txt").read_bytes()
    os.mkfifo(folder / "pipe")
    threading.Thread(target=lambda: (folder / "pipe").write_bytes(content), daemon=True).start()
    finish(folder, "--do_export", "--vocab_file=pipe")
    (version,) = (folder / "output" / "export").iterdir()
    assert (version / "assets.extra" / "vocab.txt").read_bytes() == content


def test_graph_mode_is_said(folder):
    """Notebooks of TensorFlow 1 turn it on for their whole process."""
    code = (
        "import sys, tensorflow as tf; tf.compat.v1.disable_v2_behavior()\n"
        "from bert_squad.cli.main import main; sys.exit(main(['run_squad.py', *sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *FILES, *PREDICT, "--output_dir=output"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "error: TensorFlow is in graph mode in this process" in done.stderr
