"""`bert-squad explain`: a run's checkpoint, an exported model, and what can be wrong with a command line."""

import contextlib
import io
import json
import os
import re
import shutil
import sys

import pytest
from absl import flags
from faults.runs import FILES, copy_trained, make_folder
from golden_files import read_json
from program import ROOT, run_console, run_program
from serving.legacy_models import questions_of

from bert_squad.cli import explain
from bert_squad.errors import ConfigError, DataError, OutputError
from bert_squad.serving.asking import ExportedModel

RUN = [*FILES, "--output_dir=trained"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The legacy script's own training, and the predictions of this program with it."""
    place = make_folder(tmp_path_factory.mktemp("explain"))
    copy_trained(place / "trained")
    done = run_program(*RUN, "--do_predict", "--predict_file=dev.json", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def model(exported_v2, loads_once):
    return os.path.dirname(exported_v2.path)


def explained(*words, stdin=""):
    """Run the subcommand in this process and return what it prints."""
    flags.FLAGS.mark_as_parsed()
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        assert explain.main("bert-squad explain", list(words)) == 0
    return out.getvalue()


def contents(place):
    return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def refused(error, message, *words, stdin="a passage"):
    with pytest.raises(error, match=message) as raised:
        explained(*words, stdin=stdin)
    return str(raised.value)


def test_a_run_s_checkpoint_in_a_process_of_its_own(folder):
    """The answers, and all of the n-best list, are those of the run's own prediction."""
    ids, questions, contexts = questions_of(folder / "dev.json")
    predictions = read_json(folder / "trained/predictions.json")
    nbest = read_json(folder / "trained/nbest_predictions.json")
    for number in (0, 9):
        done = run_console(
            "explain", *RUN, "--json", "--question", questions[number], cwd=folder, input=contexts[number]
        )
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert facts["answer"] == predictions[ids[number]]
        assert facts["model"] == "trained, step 24"
        listed = nbest[ids[number]]
        assert [span["text"] for span in facts["nbest"]] == [entry["text"] for entry in listed]
        for span, entry in zip(facts["nbest"], listed, strict=True):
            # The run computed other batches, which round otherwise.
            assert span["start_logit"] == pytest.approx(entry["start_logit"], abs=1e-5)
            assert span["nbest_probability"] == pytest.approx(entry["probability"], abs=1e-5)
        label_free = [window["label"] for window in facts["windows"]]
        assert label_free == [None] * len(label_free)


def test_the_right_answer_of_a_run(folder):
    data = read_json(folder / "train.json")["data"][0]["paragraphs"][0]
    qa = data["qas"][0]
    (folder / "passage.txt").write_text(data["context"], encoding="utf-8")
    words = ["--question", qa["question"], "--answer", qa["answers"][0]["text"], "--context_file=passage.txt"]
    words += [f"--answer_start={qa['answers'][0]['answer_start']}", "--picture=a.svg", "--html=a.html"]
    # What else the run was told is of no concern here.
    words += ["--do_train", "--train_file=train.json", "--do_predict", "--predict_file=dev.json", "--do_eval"]
    words += ["--eval_steps=5", "--early_stopping_evals=2", "--write_offsets", "--do_export"]
    before = contents(folder / "trained")
    done = run_console("explain", *RUN, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert contents(folder / "trained") == before
    loss = re.search(r"The loss is minus half of it: (\d+\.\d+)\.", " ".join(done.stdout.split()))
    assert 0 < float(loss[1]) < 20
    assert (folder / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (folder / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not [name for name in os.listdir(folder) if ".tmp-" in name]


def test_use_best(folder):
    shutil.copytree(folder / "trained", folder / "with_best")
    best = folder / "with_best/best"
    best.mkdir()
    for path in (folder / "with_best").glob("model.ckpt-10.*"):
        shutil.copy(path, best / path.name)
    (best / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-10"\n')
    (best / "best.json").write_text('{"questions": {}, "scores": {"step": 10, "f1": 1.0}}')
    words = [*FILES, "--output_dir=with_best", "--use_best", "--question=who ?"]
    done = run_console("explain", *words, cwd=folder, input="Ann met Bob .")
    assert done.returncode == 0, done.stderr
    assert "Model:    with_best/best, step 10" in done.stdout


def test_an_exported_model_answers_the_same(model, exported_v2):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    answers = ExportedModel(model).answer(questions, contexts)
    kinds = set()
    for number in range(0, len(questions), 5):
        facts = json.loads(
            explained(f"--model={model}", "--json", "--question", questions[number], stdin=contexts[number])
        )
        answer = answers[number]
        kinds.add(answer["is_impossible"])
        assert facts["answer"] == answer["answer"]
        assert facts["null_odds"] == pytest.approx(answer["null_odds"], abs=1e-4)
        assert [span["text"] for span in facts["nbest"]] == [entry["text"] for entry in answer["nbest"]]
        assert facts["chosen"]["score"] == pytest.approx(answer["score"], abs=1e-4)
    assert kinds == {True, False}


def test_words_json_and_files_of_an_export(model, tmp_path):
    picture, page = tmp_path / "a.png", tmp_path / "a.html"
    words = [f"--model={model}", "--question=who ?", "--answer=Bob"]
    out = explained(*words, f"--picture={picture}", f"--html={page}", stdin="Ann met Bob .")
    assert out.startswith('Question: "who ?"\nAnswer: ')
    assert "TRAINING, IF IT SAW THIS" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "who ?" in page.read_text(encoding="utf-8")
    facts = json.loads(explained(*words, "--json", "--top=3", stdin="Ann met Bob ."))
    assert (facts["right_answer"], facts["right_answer_start"]) == ("Bob", 8)
    assert len(facts["pairs"]) == len(facts["windows"][0]["starts"]) == 3
    assert sum(facts["windows"][0]["label"]["loss"]["end_gradient"]) == pytest.approx(0, abs=1e-9)


def test_a_features_only_export(exported_features):
    facts = json.loads(
        explained(f"--model={exported_features.path}", "--json", "--question=who ?", stdin="Ann met Bob .")
    )
    assert facts["nbest"]


def test_an_export_without_its_vocabulary(exported_features, tmp_path):
    shutil.copytree(exported_features.path, tmp_path / "1")
    (tmp_path / "1/assets.extra/vocab.txt").unlink()
    refused(ConfigError, "vocab.txt is missing; export it again", f"--model={tmp_path}", "--question=who ?")


def test_a_long_passage_is_told_in_a_few_lines(model):
    out = explained(f"--model={model}", "--question=who ?", stdin="Ann met Bob . " * 600)
    assert "WINDOWS (" in out
    assert len(out.splitlines()) < 100


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            ["--question=who ?"],
            ConfigError,
            "--model is missing: name an exported model, or a run's checkpoint",
        ),
        (["--model=absent"], ConfigError, "--question is missing"),
        (["--model=absent", "--question="], DataError, "--question is empty"),
        (
            ["--model=absent", "--question=who ?", "--output_dir=x"],
            ConfigError,
            "leave --output_dir out, or --model",
        ),
        (["--model=absent", "--question=who ?", "more"], ConfigError, "Do not know what to do with 'more'"),
        (
            ["--model=absent", "--question=who ?", "--awnser=x"],
            ConfigError,
            "the nearest known one is --answer",
        ),
        (["--model=absent", "--question=who ?"], ConfigError, "There is no exported model in absent"),
        (
            ["--model=absent", "--question=who ?", "--context_file=absent.txt"],
            DataError,
            "absent.txt.*check --context",
        ),
        (
            ["--model=absent", "--question=who ?", "--answer=word"],
            DataError,
            "--answer='word' does not occur",
        ),
        (
            ["--model=absent", "--question=who ?", "--window=2"],
            ConfigError,
            "--window says what --picture draws",
        ),
        (["--output_dir=x", "--question=who ?"], ConfigError, "Flag --vocab_file must have a value"),
    ],
)
def test_a_wrong_command_line(words, error, message):
    refused(error, message, *words)


def test_an_empty_passage():
    refused(DataError, "The passage is empty", "--model=absent", "--question=who ?", stdin=" \n")


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("a.gif", ConfigError, r"--picture=.*a.gif must end in .png or .svg"),
        ("there.png", OutputError, "there.png exists already; name another --picture, or add --overwrite"),
        ("absent/a.png", OutputError, "There is no directory .*absent to write .*; check --picture"),
        ("pipe.png", OutputError, r"pipe.png is no plain file, so it is not replaced\.$"),
        ("folder.png", OutputError, "folder.png is a directory; name a file with --picture"),
    ],
)
def test_a_place_that_no_picture_can_be_written_to(path, error, message, tmp_path):
    """It is said before the model is looked for."""
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    refused(error, message, "--model=absent", "--question=who ?", f"--picture={tmp_path / path}")
    assert (tmp_path / "there.png").read_text() == "mine"


def test_what_is_read_is_not_written_over(tmp_path):
    passage = tmp_path / "passage.svg"
    passage.write_text("Ann met Bob .")
    words = ["--model=absent", "--question=who ?", f"--context_file={passage}", "--overwrite"]
    refused(
        ConfigError,
        "passage.svg is a file that is read here; name another one",
        *words,
        f"--picture={passage}",
    )
    refused(
        ConfigError, "passage.svg is a file that is read here; name another one", *words, f"--html={passage}"
    )
    assert passage.read_text() == "Ann met Bob ."
    both = [f"--picture={tmp_path / 'a.png'}", f"--html={tmp_path / 'a.png'}"]
    refused(
        ConfigError, "--picture and --html both name .*a.png", "--model=absent", "--question=who ?", *both
    )


def test_a_directory_that_cannot_be_written_to():
    refused(
        OutputError, "Cannot write /proc/a.png", "--model=absent", "--question=who ?", "--picture=/proc/a.png"
    )
    refused(
        OutputError, "Cannot write /proc/a.html", "--model=absent", "--question=who ?", "--html=/proc/a.html"
    )


def test_overwrite(model, tmp_path):
    (tmp_path / "a.html").write_text("old")
    explained(
        f"--model={model}", "--question=who ?", f"--html={tmp_path / 'a.html'}", "--overwrite", stdin="Ann ."
    )
    assert (tmp_path / "a.html").read_text(encoding="utf-8") != "old"


def test_a_window_that_is_not_there(model, tmp_path):
    words = [f"--model={model}", "--question=who ?", f"--picture={tmp_path / 'a.png'}", "--window=2"]
    refused(ConfigError, "--window=2: the passage has 1 window", *words)


def test_another_engine_for_a_run(folder):
    words = [f"--vocab_file={folder / 'vocab.txt'}", f"--bert_config_file={folder / 'bert_config.json'}"]
    words += [f"--output_dir={folder / 'trained'}", "--question=who ?", "--engine=openvino"]
    refused(ConfigError, "leave --engine=openvino out", *words)


def test_help():
    assert "--answer_start" in explained("--help")
    assert explained() == explained("--help")


@pytest.mark.slow
def test_a_quantized_model(exported_v2, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    data = exported_v2.legacy.folder / "dev.json"
    done = run_console("quantize", exported_v2.path, tmp_path / "small", f"--calibration_file={data}")
    assert done.returncode == 0, done.stderr
    done = run_console(
        "explain", f"--model={tmp_path / 'small'}", "--json", "--question=who ?", input="Ann met Bob ."
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nbest"]


@pytest.mark.slow
def test_the_picture_of_the_documentation_is_drawn_by_it(tmp_path):
    example = ROOT / "examples/quickstart"
    words = (example / "flags.txt").read_text().split()
    words += [
        "--num_train_epochs=0.1",
        f"--output_dir={tmp_path}",
        "--do_train",
        f"--train_file={example / 'train.json'}",
    ]
    words += [f"--vocab_file={example / 'vocab.txt'}", f"--bert_config_file={example / 'bert_config.json'}"]
    assert run_program(*words).returncode == 0
    (index,) = tmp_path.glob("model.ckpt-1*.index")
    checkpoint = str(index).removesuffix(".index")
    done = run_program(
        f"--checkpoint={checkpoint}", "--picture=span.png", cwd=tmp_path, program="docs/draw_span.py"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "span.png").read_bytes().startswith(b"\x89PNG")
    assert "Who painted with Irene Stone?" in done.stdout
