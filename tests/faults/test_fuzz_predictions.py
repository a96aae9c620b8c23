"""Damaged predictions and null odds: scored, or refused in a sentence."""

import pytest
from faults.json_mutation import check_json_reader

from bert_squad.answers.metrics import evaluate, format_metrics_table

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
PREDICTIONS = {"q1": "Riga", "2": "the cat", "q3": "", "null": "x"}
ODDS = {"q1": -1.5, "2": 2, "q3": 0.0, "null": 1e300}
DATA = [
    {
        "paragraphs": [
            {"qas": [{"id": qas_id, "answers": [{"text": "Riga"}]} for qas_id in ("q1", 2, "q3", None)]}
        ]
    }
]


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
@pytest.mark.parametrize("what", ["predictions", "null odds"])
def test_scoring(tmp_path, what, seconds):
    path = tmp_path / "file.json"

    def read(content):
        path.write_bytes(content)
        if what == "predictions":
            format_metrics_table(evaluate(DATA, path))
            format_metrics_table(evaluate(DATA, path, ODDS, na_prob_thresh=0.0))
        else:
            format_metrics_table(evaluate(DATA, PREDICTIONS, path, na_prob_thresh=0.5))

    check_json_reader(read, [PREDICTIONS if what == "predictions" else ODDS], seconds)
