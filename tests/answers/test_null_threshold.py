import json

from bert_squad.answers.null_threshold import apply_threshold


def test_a_question_keeps_its_best_text_up_to_the_threshold(tmp_path):
    odds = {"above": 0.6, "at": 0.5, "below": -3.0, "nothing": -9.0}
    nbest = {
        qas_id: [{"text": ""}, {"text": "Zürich"}, {"text": "Bern"}]
        if qas_id != "nothing"
        else [{"text": ""}]
        for qas_id in odds
    }
    (tmp_path / "nbest_predictions.json").write_text(json.dumps(nbest))
    (tmp_path / "null_odds.json").write_text(json.dumps(odds))
    places = {qas_id: {"start": 3} if qas_id != "nothing" else None for qas_id in odds}
    (tmp_path / "predictions_offsets.json").write_text(json.dumps(places))
    apply_threshold(str(tmp_path), 0.5)
    assert json.loads((tmp_path / "predictions_offsets.json").read_text()) == places, "not of this run"
    apply_threshold(str(tmp_path), 0.5, has_offsets=True)
    assert json.loads((tmp_path / "predictions_offsets.json").read_text()) == {**places, "above": None}
    content = (tmp_path / "predictions.json").read_text()
    assert json.loads(content) == {"above": "", "at": "Zürich", "below": "Zürich", "nothing": ""}
    assert content.startswith('{\n    "above": "",\n    "at": "Z\\u00fcrich"'), (
        "as the legacy script writes it"
    )
