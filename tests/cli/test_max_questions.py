"""`--max_train_questions`, `--max_predict_questions`: the first so many, as if the file held no others."""

import json

import pytest
from faults.runs import FILES, TRAIN, copy_trained, make_folder
from program import run_program


def first_questions(data, most):
    """Return a data set of the first so many questions."""
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"], most = paragraph["qas"][:most], max(0, most - len(paragraph["qas"]))
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = make_folder(tmp_path_factory.mktemp("max_questions"))
    for name, most in (("train", 9), ("dev", 5)):
        data = first_questions(json.loads((place / f"{name}.json").read_text()), most)
        (place / f"{name}_cut.json").write_text(json.dumps(data))
    return place


def run_in(folder, *arguments):
    done = run_program(*FILES, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_training_on_the_first_questions_is_training_on_a_file_of_them(folder):
    flags = [*TRAIN, "--num_train_epochs=2"]
    done = run_in(folder, *flags, "--max_train_questions=9", "--output_dir=first")
    assert "Num steps = 4" in done.stderr, "9 / 4 * 2, of the questions that are left"
    run_in(folder, *flags, "--train_file=train_cut.json", "--output_dir=cut")
    for name in ("train.tf_record", "model.ckpt-4.data-00000-of-00001"):
        assert (folder / "first" / name).read_bytes() == (folder / "cut" / name).read_bytes(), name
    assert json.loads((folder / "first/run.json").read_text())["flags"]["max_train_questions"] == 9
    assert "max_train_questions" not in json.loads((folder / "cut/run.json").read_text())["flags"]


@pytest.mark.parametrize("version", [[], ["--version_2_with_negative"]], ids=["v1", "v2"])
def test_the_first_questions_are_answered_and_scored(version, folder):
    outputs = []
    for name, flags in (("all", ["--max_predict_questions=5"]), ("cut", ["--predict_file=dev_cut.json"])):
        output = folder / f"{name}{len(version)}"
        copy_trained(output)
        predict = ["--do_predict", "--do_eval", "--predict_file=dev.json", *version]
        run_in(folder, *predict, *flags, f"--output_dir={output}")
        outputs.append(output)
    first, cut = outputs
    assert len(json.loads((first / "predictions.json").read_text())) == 5
    for name in ("predictions.json", "nbest_predictions.json", "eval_results.json"):
        assert (first / name).read_bytes() == (cut / name).read_bytes(), name


def test_questions_that_are_not_asked_need_no_answer(folder):
    data = json.loads((folder / "dev.json").read_text())
    data["data"][-1]["paragraphs"][-1]["qas"][-1]["answers"] = []
    (folder / "blind.json").write_text(json.dumps(data))
    copy_trained(folder / "blind")
    flags = ["--do_predict", "--do_eval", "--predict_file=blind.json", "--output_dir=blind"]
    run_in(folder, *flags, "--max_predict_questions=5")
    done = run_program(*FILES, *flags, cwd=folder)
    assert done.returncode == 1
    assert "has no answer to compare with" in done.stderr


def test_fewer_than_none_is_one_sentence(folder):
    done = run_program(*FILES, *TRAIN, "--max_train_questions=-1", "--output_dir=none", cwd=folder)
    assert done.returncode == 1
    assert "--max_train_questions must be at least 0, not -1" in done.stderr
