"""The embedded example: its files come from its generator, its dev passages are new, and they must be read."""

import json
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"
GENERATED = ("train.json", "dev.json", "vocab.txt", "bert_config.json")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(QUICKSTART))
    import baselines
    import generate

    return generate, baselines


def load(name: str) -> dict:
    return json.loads((QUICKSTART / name).read_text(encoding="utf-8"))


def paragraphs(name: str) -> list[dict]:
    return [paragraph for article in load(name)["data"] for paragraph in article["paragraphs"]]


def test_the_generator_reproduces_the_committed_files(scripts, monkeypatch, tmp_path):
    generate, _ = scripts
    monkeypatch.setattr(generate, "HERE", tmp_path)
    generate.main()
    for name in GENERATED:
        assert (tmp_path / name).read_bytes() == (QUICKSTART / name).read_bytes(), name


@pytest.mark.parametrize("name", ["train.json", "dev.json"])
def test_every_answer_stands_where_its_offset_says(name):
    for paragraph in paragraphs(name):
        for qa in paragraph["qas"]:
            (answer,) = qa["answers"]
            start = answer["answer_start"]
            assert paragraph["context"][start : start + len(answer["text"])] == answer["text"], qa["id"]


def test_question_ids_are_unique_and_dev_passages_are_new():
    train, dev = paragraphs("train.json"), paragraphs("dev.json")
    ids = [qa["id"] for paragraph in train + dev for qa in paragraph["qas"]]
    assert len(ids) == len(set(ids))
    assert not {paragraph["context"] for paragraph in train} & {paragraph["context"] for paragraph in dev}


def test_the_files_are_small():
    assert all((QUICKSTART / name).stat().st_size < 2_000_000 for name in GENERATED)
    assert sum((QUICKSTART / name).stat().st_size for name in ("train.json", "dev.json")) < 2_500_000


def test_the_vocabulary_fits_the_configuration():
    vocabulary = (QUICKSTART / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(vocabulary) == len(set(vocabulary)) == load("bert_config.json")["vocab_size"]


def test_readers_that_do_not_read_stay_under_35(scripts):
    _, baselines = scripts
    scores = baselines.baselines(load("dev.json"))
    assert len(scores) >= 2
    assert all(score < 35 for score in scores.values()), scores
