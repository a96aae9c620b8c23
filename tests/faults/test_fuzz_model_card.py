"""Damaged scores and a damaged record beside a checkpoint: its model card lacks them, and is one all the same."""

import json

import pytest
from faults.mutation import check_reader
from tiny_config import TINY

from bert_squad.checkpoints.model_card import flags_beside, model_card, scores_beside
from bert_squad.errors import DataError

SEEDS = [
    json.dumps(content).encode()
    for content in (
        {"exact_match": 81.25, "f1": 88.5},
        {"exact": 70.5, "f1": 73.25, "total": 11873, "best_f1_thresh": -1.5},
    )
]
RECORD = {"kind": "bert_squad training", "flags": {"learning_rate": 3e-05, "dtype": "float32"}}


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path / "model.safetensors"


def card_of(weights):
    """The card, and its metadata as the hub reads them."""
    yaml = pytest.importorskip("yaml", reason="comes with tf-models-official")
    scores = scores_beside(str(weights))
    text = model_card(
        "name",
        TINY,
        do_lower_case=True,
        has_span_head=True,
        scores=scores.values,
        flags=flags_beside(str(weights)),
    )
    return scores, text, yaml.safe_load(text.split("---\n")[1])


def test_scores(weights, warnings):
    def read(content):
        (weights.parent / "eval_results.json").write_bytes(content)
        scores, _, metadata = card_of(weights)
        if scores.note:
            assert "model-index" not in metadata
            raise DataError(scores.note)
        (result,) = metadata["model-index"][0]["results"]
        assert [type(metric["value"]) in (int, float) for metric in result["metrics"]] == [True, True]

    check_reader(read, SEEDS, 1.0)


def test_record(weights, warnings):
    def read(content):
        (weights.parent / "run.json").write_bytes(content)
        text = card_of(weights)[1]
        assert text.endswith("Fill them in.\n")
        if "--learning_rate" not in text:
            raise DataError("a flag is lost")

    check_reader(read, [json.dumps(RECORD).encode()], 1.0)
