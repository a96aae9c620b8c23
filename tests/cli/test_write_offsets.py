"""`--write_offsets`: where in its passage each answer is."""

import json
import shutil

import pytest
from faults.runs import FILES, TRAIN
from golden_files import golden
from program import run_program

from bert_squad import BertConfig, BertForSquad, load_checkpoint, save_tf1_checkpoint
from bert_squad.serving.asking import ExportedModel

OFFSETS = "predictions_offsets.json"
LEGACY_FILES = ("predictions.json", "nbest_predictions.json", "null_odds.json")
PREDICT = [*FILES, "--version_2_with_negative", "--do_predict", "--predict_file=odd.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The legacy script's own run of version 2, and its questions with passages that are spaced oddly."""
    place = tmp_path_factory.mktemp("offsets")
    legacy = golden("model/legacy_run/v2/vocab.txt").parent
    for name in ("bert_config.json", "vocab.txt"):
        shutil.copy(legacy / name, place / name)
    for path in (legacy / "output").iterdir():
        if path.name.startswith(("checkpoint", "model.ckpt")):
            shutil.copy(path, place / path.name)
    data = json.loads((legacy / "dev.json").read_text())
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            words = paragraph["context"].split(" ")
            paragraph["context"] = " 😀\n" + "\u202f  ".join(words) + "\t"
    (place / "odd.json").write_text(json.dumps(data))
    return place


def run_in(folder, *arguments, checkpoint="model.ckpt-33"):
    done = run_program(*PREDICT, *arguments, f"--init_checkpoint={checkpoint}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def read(path):
    return json.loads(path.read_text())


def asked(folder):
    """Return id → (question, passage)."""
    return {
        qa["id"]: (qa["question"], paragraph["context"])
        for article in read(folder / "odd.json")["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }


@pytest.fixture(scope="module")
def written(folder):
    threshold = "--null_score_diff_threshold=9.9"  # some are answered, some are not
    run_in(folder, "--output_dir=written", "--write_offsets", "--do_export", threshold)
    run_in(folder, "--output_dir=without", threshold)
    return folder / "written"


def test_the_passage_has_the_answer_there(folder, written):
    questions, predictions = asked(folder), read(written / "predictions.json")
    places = read(written / OFFSETS)
    assert list(places) == list(predictions)
    assert any(predictions.values())
    assert not all(predictions.values())
    for qas_id, place in places.items():
        if not predictions[qas_id]:
            assert place is None
            continue
        context = questions[qas_id][1]
        assert context[place["start"] : place["end"]].split() == predictions[qas_id].split()
        chosen = next(
            entry
            for entry in read(written / "nbest_predictions.json")[qas_id]
            if entry["text"] == predictions[qas_id]
        )
        assert {name: place[name] for name in ("start_logit", "end_logit", "probability")} == {
            name: chosen[name] for name in ("start_logit", "end_logit", "probability")
        }
    assert any(place["window"] for place in places.values() if place), "some are in a later window"


def test_the_export_says_the_same(folder, written):
    questions, places = asked(folder), read(written / OFFSETS)
    answers = ExportedModel(written / "export").answer(*zip(*questions.values(), strict=True))
    for place, answer in zip(places.values(), answers, strict=True):
        start, end = (place["start"], place["end"]) if place else (-1, -1)
        assert (answer["start_char"], answer["end_char"]) == (start, end)
        if place:
            assert answer["probability"] == pytest.approx(place["probability"], abs=1e-5)


def test_the_legacy_files_are_as_without_it(folder, written):
    for name in LEGACY_FILES:
        assert (written / name).read_bytes() == (folder / "without" / name).read_bytes(), name
    assert not (folder / "without" / OFFSETS).exists()


def test_offsets_of_earlier_predictions_are_pointed_out(folder, written):
    shutil.copytree(written, folder / "again")
    done = run_in(folder, "--output_dir=again")
    assert f"again/{OFFSETS} is of earlier predictions; --write_offsets writes it anew." in done.stderr
    assert (folder / "again" / OFFSETS).read_bytes() == (written / OFFSETS).read_bytes()


def test_a_tuned_threshold_takes_places_out(folder):
    model = BertForSquad(BertConfig.from_json_file(str(folder / "bert_config.json")))
    load_checkpoint(model, str(folder / "model.ckpt-33"))
    kernel = model.trainable_variables[-2]
    kernel.assign(-kernel)  # what spoke most for "no answer" speaks against it
    save_tf1_checkpoint(str(folder / "turned.ckpt"), model)
    arguments = ("--output_dir=tuned", "--write_offsets")
    run_in(folder, *arguments, checkpoint="turned.ckpt")
    predictions, odds = read(folder / "tuned/predictions.json"), read(folder / "tuned/null_odds.json")
    assert None not in read(folder / "tuned" / OFFSETS).values()
    surest = min(odds, key=odds.__getitem__)
    data = read(folder / "odd.json")
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                qa["is_impossible"] = qa["id"] != surest
                qa["answers"] = [{"text": predictions[surest], "answer_start": 0}] * (qa["id"] == surest)
    (folder / "one.json").write_text(json.dumps(data))
    run_in(folder, *arguments, "--tune_null_threshold", "--predict_file=one.json", checkpoint="turned.ckpt")
    places = read(folder / "tuned" / OFFSETS)
    assert [qas_id for qas_id, place in places.items() if place] == [surest]


def test_it_is_for_predictions(folder):
    done = run_program(*FILES, *TRAIN, "--write_offsets", "--output_dir=nothing", cwd=folder)
    assert done.returncode != 0
    assert "--write_offsets says where the answers of --do_predict are: add that." in done.stderr
