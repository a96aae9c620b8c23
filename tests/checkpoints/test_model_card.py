"""The README.md of a Hugging Face directory: what it says, what it does not guess, and what the hub reads in it."""

import json
import os
import re

import numpy as np
import pytest
from tiny_config import TINY
from tiny_models import VOCABULARY, tiny_model

from bert_squad import pipeline
from bert_squad.checkpoints import model_card as module
from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.model_card import model_card, scores_beside
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint, write_tensors
from bert_squad.errors import ConfigError, OutputError

SCORES_1 = {"exact_match": 81.22421, "f1": 88.5}
SCORES_2 = {"exact": 70.5, "f1": 73.25, "total": 11873, "HasAns_exact": 60.0, "best_f1_thresh": -1.5e-07}
CARD = """\
---
library_name: transformers
pipeline_tag: question-answering
base_model: "google-bert/bert-base-uncased"
tags:
- bert
- bert_squad
metrics:
- exact_match
- f1
model-index:
- name: "my squad"
  results:
  - task:
      type: question-answering
      name: Question Answering
    dataset:
      type: unknown
      name: "unknown, in the format of SQuAD 1.1"
    metrics:
    - type: exact_match
      value: 81.22421
      name: Exact match
    - type: f1
      value: 88.5
      name: F1
---

# my squad

A BERT model that finds the answer to a question in a passage, converted by bert_squad.

|  |  |
| --- | --- |
| layers | 2 |
| hidden size | 12 |
| attention heads | 3 |
| positions | 16 |
| vocabulary | 40, uncased |
| training steps | 24 |

## Scores

By the official script of SQuAD 1.1, in percent; `eval_results.json` does not say of which data.

| metric | value |
| --- | --- |
| `exact_match` | 81.22421 |
| `f1` | 88.5 |

## Training

| flag | value |
| --- | --- |
| `--learning_rate` | `3e-05` |

## Use

```python
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForQuestionAnswering.from_pretrained(".")
```

## What is not said here

Language, license and data are not known to the program that wrote this page. Fill them in.
"""


def card(name="my squad", **options) -> str:
    return model_card(name, TINY, **{"do_lower_case": True, "has_span_head": True, **options})


def test_the_text():
    text = card(
        step=24,
        scores=SCORES_1,
        flags={"learning_rate": 3e-05},
        base_model="google-bert/bert-base-uncased",
    )
    assert text == CARD


def test_what_is_not_known_is_not_there():
    text = card()
    head = text.split("---\n")[1]
    assert (
        head == "library_name: transformers\npipeline_tag: question-answering\ntags:\n- bert\n- bert_squad\n"
    )
    for word in (
        "language:",
        "license:",
        "base_model:",
        "model-index",
        "## Scores",
        "## Training",
        "training steps",
    ):
        assert word not in text


def test_values_that_would_break_a_table_are_left_out():
    flags = {
        "dtype": "float32",
        "use_tpu": False,
        "master": None,
        "a|b": 1,
        "tpu_name": "a|b",
        "more": {"a": [1]},
    }
    assert re.findall(r"^\| `--.*", card(flags=flags), re.MULTILINE) == [
        '| `--dtype` | `"float32"` |',
        "| `--use_tpu` | `false` |",
        "| `--master` | `null` |",
    ]


def test_an_encoder_answers_nothing():
    text = card(has_span_head=False, scores=SCORES_1)
    assert "question-answering" not in text
    assert "model-index" not in text
    assert "AutoModelForQuestionAnswering" not in text
    assert "without a head for answers" in text


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip(
        "huggingface_hub", reason="huggingface_hub comes with transformers (make peers)"
    )


def read_by(hub, text):
    """The metadata as the hub's own library reads them, strictly: what it cannot use is an error."""
    return hub.ModelCard(text, ignore_metadata_errors=False).data


@pytest.mark.parametrize(
    ("scores", "version"),
    [(SCORES_1, "SQuAD 1.1"), (SCORES_2, "SQuAD 2.0"), ({"f1": 1e-7, "exact": 0}, "SQuAD 2.0")],
)
def test_the_hub_reads_the_scores(hub, scores, version):
    data = read_by(hub, card(scores=scores))
    assert data.model_name == "my squad"
    found = {result.metric_type: result for result in data.eval_results}
    assert set(found) == {"exact_match", "f1"}
    exact = scores.get("exact", scores.get("exact_match"))
    assert found["exact_match"].metric_value == pytest.approx(exact, abs=1e-12)
    assert found["f1"].metric_value == pytest.approx(scores["f1"], abs=1e-12)
    for result in found.values():
        assert isinstance(result.metric_value, int | float)
        assert result.task_type == "question-answering"
        assert result.dataset_type == "unknown"
        assert version in result.dataset_name
    assert (data.library_name, data.pipeline_tag) == ("transformers", "question-answering")
    assert data.tags == ["bert", "bert_squad"]
    assert (data.language, data.license, data.base_model) == (None, None, None)


@pytest.mark.parametrize(
    "name",
    [
        'a "quoted" one: #1',
        "- dash",
        "[x](http://y)",
        "<b>&amp;",
        "back\\slash",
        "Straße 東京 \U0001f600",
        "yes",
        "1.5",
        "{}",
    ],
)
def test_any_name_stays_a_name(hub, name):
    text = card(name, scores=SCORES_1)
    assert read_by(hub, text).model_name == name
    title = re.search(r"^# (.*)$", text, re.MULTILINE)[1]
    assert re.sub(r"\\(.)", r"\1", title) == name
    assert not re.search(r"(?<!\\)[<\[]", title)


def test_a_name_that_cannot_be_written_is_made_so(hub):
    name = "a\nb\x7f\x85\u2028" + b"\xff".decode("utf-8", "surrogateescape")
    assert read_by(hub, card(name, scores=SCORES_1)).model_name == "a_b____"


# Which scores are a checkpoint's.


@pytest.fixture
def source(tmp_path):
    """A checkpoint and what goes with it, as a run leaves them."""
    folder = tmp_path / "source"
    folder.mkdir()
    for step in (12, 24):
        save_tf1_checkpoint(str(folder / f"model.ckpt-{step}"), tiny_model(), step=step)
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "/elsewhere/model.ckpt-24"\nall_model_checkpoint_paths: "model.ckpt-12"\n'
    )
    (folder / "bert_config.json").write_text(json.dumps(TINY.to_dict()))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    write_scores(folder, json.dumps(SCORES_1))
    return folder


def write_scores(folder, text: str, seconds_after: float = 1.0):
    """Write scores that are so much newer than the checkpoint."""
    path = folder / "eval_results.json"
    path.write_text(text)
    written = (folder / "model.ckpt-24.index").stat().st_mtime + seconds_after
    os.utime(path, (written, written))


def test_the_name_is_that_of_the_pipeline():
    assert module.EVAL_RESULTS == pipeline.EVAL_RESULTS


def test_scores_beside_the_latest_checkpoint_are_its_own(source):
    scores = scores_beside(str(source / "model.ckpt-24"))
    assert (scores.values, scores.note) == (SCORES_1, "")
    (source / "eval_results.json").unlink()
    scores = scores_beside(str(source / "model.ckpt-24"))
    assert (scores.values, scores.note) == ({}, "")


def test_an_older_checkpoint_has_none(source):
    scores = scores_beside(str(source / "model.ckpt-12"))
    assert scores.values == {}
    assert scores.note.endswith("are left out (they are of the latest checkpoint, model.ckpt-24).")


def test_scores_from_before_the_checkpoint_are_not_its_own(source):
    write_scores(source, json.dumps(SCORES_1), seconds_after=-1)
    scores = scores_beside(str(source / "model.ckpt-24"))
    assert scores.values == {}
    assert scores.note.endswith("are left out (the checkpoint was written after them).")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "eval_results.json is not valid JSON"),
        ("[1]", "none is one of the official script"),
        ('{"eval_f1": 1.0, "eval_exact_match": 1.0}', "none is one of the official script"),
        ('{"f1": "88", "exact": 50.0}', "none is one of the official script"),
        ('{"f1": 88.0, "exact": true}', "none is one of the official script"),
        ('{"f1": 88.0, "exact": 1' + 400 * "0" + "}", "none is one of the official script"),
        ('{"f1": NaN, "exact_match": 1e999}', ""),
    ],
)
def test_what_holds_no_scores_is_named(source, text, reason):
    write_scores(source, text)
    scores = scores_beside(str(source / "model.ckpt-24"))
    assert scores.values == {}
    assert scores.note.startswith("The model card has no scores: those in ")
    assert reason in scores.note


def test_a_conversion_writes_it(source, tmp_path):
    (source / "run.json").write_text(
        json.dumps({"kind": "bert_squad training", "flags": {"learning_rate": 3e-05}})
    )
    summary = convert(
        str(source), str(tmp_path / "my squad"), "huggingface", base_model="google-bert/bert-base-uncased"
    )
    assert (tmp_path / "my squad" / "README.md").read_text() == CARD
    assert summary.note == ""


def test_a_conversion_says_what_it_leaves_out(source, tmp_path):
    summary = convert(str(source / "model.ckpt-12"), str(tmp_path / "hf"), "huggingface")
    assert "\n  The model card has no scores: those in " in str(summary)
    assert "model-index" not in (tmp_path / "hf" / "README.md").read_text()


def test_a_checkpoint_without_a_span_head_gets_a_card_of_an_encoder(source, tmp_path):
    reader = Tf1Reader(str(source / "model.ckpt-24"))
    encoder = {name: np.array(reader[name]) for name in reader if not name.startswith("cls/")}
    write_tensors(str(source / "model.ckpt-24"), encoder)
    write_scores(source, json.dumps(SCORES_1))
    convert(str(source), str(tmp_path / "hf"), "huggingface")
    assert "question-answering" not in (tmp_path / "hf" / "README.md").read_text()


def test_a_card_of_the_users_is_never_overwritten(source, tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "README.md").write_text("mine")
    with pytest.raises(OutputError, match="hf exists already"):
        convert(str(source), str(tmp_path / "hf"), "huggingface")
    assert os.listdir(tmp_path / "hf") == ["README.md"]
    assert (tmp_path / "hf" / "README.md").read_text() == "mine"
    convert(str(source), str(tmp_path / "new"), "huggingface")
    (tmp_path / "new" / "README.md").write_text("mine")
    convert(str(tmp_path / "new"), str(tmp_path / "again"), "huggingface")
    assert (tmp_path / "new" / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "a b", "a/b/c", "/a", "https://huggingface.co/a", "a\nb", "../a"])
def test_what_is_no_name_on_the_hub(source, tmp_path, name):
    with pytest.raises(ConfigError, match="--base_model takes the name of a model on the hub"):
        convert(str(source), str(tmp_path / "hf"), "huggingface", base_model=name)
    assert not (tmp_path / "hf").exists()
