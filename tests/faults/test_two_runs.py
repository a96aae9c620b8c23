"""Two programs in one directory: a second training is refused at once, a prediction beside a training works."""

import json
import re

import pytest
from faults.runs import (
    PREDICT,
    TRAIN,
    has_temporary,
    make_folder,
    own_lines,
    said,
    start,
    temporaries,
    wait_for,
)


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def repeat_questions(folder, times):
    """Make a training file that takes seconds to convert, as a real one does."""
    data = json.loads((folder / "train.json").read_text())
    paragraphs = [paragraph for article in data["data"] for paragraph in article["paragraphs"]]
    many = []
    for number in range(times):
        for paragraph in paragraphs:
            questions = [{**qa, "id": f"{qa['id']}-{number}"} for qa in paragraph["qas"]]
            many.append({**paragraph, "qas": questions})
    (folder / "big.json").write_text(
        json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": many}]})
    )


def test_a_prediction_while_records_are_written_and_while_it_trains(folder):
    repeat_questions(folder, 400)
    (folder / "other").mkdir()
    make_folder(folder / "other")
    training = start(
        folder, *TRAIN, "--train_file=big.json", "--num_train_epochs=0.1", "--save_checkpoints_steps=5",
        "--keep_checkpoint_max=1", "--output_dir=output",
    )  # fmt: skip
    assert wait_for(training, lambda: has_temporary(folder / "output", "train.tf_record")), said(folder)
    second = start(folder / "other", *TRAIN, "--output_dir=../output")
    assert second.wait(timeout=120) == 1
    (line,) = own_lines(folder / "other")
    pattern = (
        rf"run_squad\.py: error: Another run is training in \.\./output: process {training.pid} of \S+ on \S+, since "
        r"\d{4}-\d\d-\d\d .*\. Wait for it, stop it, or choose another --output_dir\."
    )
    assert re.fullmatch(pattern, line), line
    assert wait_for(training, lambda: (folder / "output" / "model.ckpt-5.index").exists()), said(folder)
    prediction = start(folder / "other", *PREDICT, "--output_dir=../output")
    assert prediction.wait(timeout=240) == 0, said(folder / "other")
    assert "Predicting with ../output/model.ckpt-" in said(folder / "other")
    assert training.wait(timeout=240) == 0, said(folder)
    assert (folder / "output" / "predictions.json").exists()
    assert temporaries(folder) == []


@pytest.mark.slow
def test_a_second_training_after_a_kill_goes_on(folder):
    training = start(
        folder, *TRAIN, "--num_train_epochs=200", "--save_checkpoints_steps=5", "--output_dir=output"
    )
    assert wait_for(training, lambda: (folder / "output" / "model.ckpt-5.index").exists()), said(folder)
    training.kill()
    training.wait()
    again = start(folder, *TRAIN, "--num_train_epochs=2", "--output_dir=output")
    assert again.wait(timeout=240) == 0, said(folder)
    assert temporaries(folder) == []
