"""`--do_export`, then `bert-squad ask`, as a user types them: the exported model gives the predicted answers."""

import json
import re
import shlex
import shutil

import pytest
from golden_files import golden, read_json
from program import run_console, run_program


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder that the legacy script left, predicted from and exported by us."""
    folder = tmp_path_factory.mktemp("export") / "v1"
    shutil.copytree(golden("model/legacy_run/v1"), folder)
    command = shlex.split((folder / "command_predict_only.txt").read_text())[2:]
    done = run_program(*command, "--do_eval", "--do_export", "--seed=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def questions(folder):
    for article in read_json(folder / "dev.json")["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield {"id": qa["id"], "question": qa["question"], "context": paragraph["context"]}


def test_a_numbered_version_and_what_it_says_of_itself(exported):
    folder, done = exported
    (version,) = (folder / "predict_only" / "export").iterdir()
    assert version.name.isdecimal()
    assert re.findall(r"Exporting, (\d) of 3", done.stderr) == ["1", "2", "3"]
    assert f"Exported the model to predict_only/export/{version.name}" in done.stderr
    description = read_json(version / "export.json")
    assert description["metrics"] == read_json(folder / "predict_only" / "eval_results.json")
    assert description["flags"]["max_seq_length"] == 64
    assert len(done.stderr.splitlines()) < 40, "a short log: TensorFlow's own lines about saving are kept out"


def test_asking_gives_the_predicted_answers(exported):
    folder, _ = exported
    batch = "".join(json.dumps(question) + "\n" for question in questions(folder))
    done = run_console("ask", "--model=predict_only/export", "--batch_file=-", cwd=folder, input=batch)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    predictions = read_json(folder / "predict_only" / "predictions.json")
    assert {answer["id"]: answer["answer"] for answer in answers} == predictions


def export_alone(folder, *flags):
    return run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        "--output_dir=output",
        "--do_export",
        "--max_seq_length=64",
        "--max_query_length=16",
        *flags,
        cwd=folder,
    )


def test_exporting_alone_makes_another_version(exported):
    folder, _ = exported
    done = export_alone(folder, "--export_dir=predict_only/export", "--export_dtype=bfloat16")
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "predict_only" / "export").iterdir())) == 2


def test_features_alone_are_exported_and_answer_no_texts(exported):
    folder, _ = exported
    done = export_alone(folder, "--export_dir=features", "--export_signatures=features")
    assert done.returncode == 0, done.stderr
    (version,) = (folder / "features").iterdir()
    assert "answer" not in read_json(version / "export.json")["signatures"]
    (folder / "passage.txt").write_text("the fox")
    asked = run_console(
        "ask", "--model=features", "--context_file=passage.txt", "--question=who ?", cwd=folder
    )
    assert asked.returncode == 1
    assert asked.stdout == ""
    assert asked.stderr.splitlines()[-1].endswith(
        "has no signature 'answer', so it answers no texts; give one that was exported with --do_export, and not with "
        "--export_signatures=features."
    )


def test_an_unknown_type_is_refused_by_flag(exported):
    folder, _ = exported
    done = run_program(
        "--vocab_file=vocab.txt",
        "--bert_config_file=bert_config.json",
        "--output_dir=nowhere",
        "--do_export",
        "--export_dtype=int8",
        "--max_seq_length=64",
        "--max_query_length=16",
        cwd=folder,
    )
    assert done.returncode == 1
    assert "error: --export_dtype must be one of float32, bfloat16, not 'int8'." in done.stderr
    assert not (folder / "nowhere").exists()
