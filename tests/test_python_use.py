"""The library from Python: README's lines as they stand, Keras' `fit`, and a run that no setting of Keras changes."""

import logging
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from program import ROOT, environment

import bert_squad
from bert_squad.run_parts import RunParts

QUICKSTART = ROOT / "examples" / "quickstart"
FILES = {
    "bert_config_file": str(QUICKSTART / "bert_config.json"),
    "vocab_file": str(QUICKSTART / "vocab.txt"),
}


def test_the_lines_in_the_readme(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+\.\d F1$", done.stdout, re.MULTILINE)
    assert re.search(r"^\[\{'answer': ", done.stdout, re.MULTILINE)
    assert "Gradients do not exist" not in done.stderr


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """A few training batches of the embedded example, the same at each iteration."""
    path = str(tmp_path_factory.mktemp("records") / "train.tf_record")
    questions = bert_squad.read_squad_examples(str(QUICKSTART / "train.json"), is_training=True)[:64]
    tokenizer = bert_squad.FullTokenizer(FILES["vocab_file"])
    bert_squad.write_features(
        path, questions, tokenizer, bert_squad.WindowLengths(44, 32, 16), is_training=True
    )
    return bert_squad.train_batches(path, max_seq_length=44, batch_size=8, seed=1).take(8).cache()


def new_model(**options):
    tf_keras.utils.set_random_seed(1)
    return bert_squad.BertForSquad(bert_squad.BertConfig.from_json_file(FILES["bert_config_file"]), **options)


@pytest.mark.parametrize("loss", [None, bert_squad.span_loss])
def test_keras_evaluates_with_span_loss(batches, loss):
    model = new_model()
    model.compile("adam", loss=loss)
    wanted = [
        bert_squad.span_loss(*model(batch), batch["start_positions"], batch["end_positions"])
        for batch in batches
    ]
    assert model.evaluate(batches, verbose=0)[0] == pytest.approx(np.mean(wanted), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"dtype": "mixed_bfloat16", "pad_to": "batch"}])
def test_keras_fits_on_train_batches(batches, options):
    """The loss falls, and Keras has nothing to warn of, such as variables without a gradient."""
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    tf.get_logger().addHandler(handler)
    try:
        model = new_model(**options)
        model.compile("adam", loss=bert_squad.span_loss)
        losses = model.fit(batches, epochs=2, verbose=0).history["loss"]
    finally:
        tf.get_logger().removeHandler(handler)
    assert losses[1] < losses[0] - 0.2
    assert not [line for line in said if "Gradients do not exist" in line]


def test_losses_and_labels_of_the_users_own(batches):
    """Two outputs, two labels, as for every Keras model; sample weights too."""
    model = new_model()
    own = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=own, metrics=["accuracy"])
    data = batches.map(lambda batch: (batch, (batch["start_positions"], batch["end_positions"])))
    said = model.evaluate(data, verbose=0, return_dict=True)
    model.compile("adam")
    assert said["loss"] == pytest.approx(2 * model.evaluate(data, verbose=0)[0], rel=1e-6)
    assert "start_logits_accuracy" in said
    weighted = data.map(lambda features, labels: (features, labels, tf.zeros([8])))
    assert model.evaluate(weighted, verbose=0)[0] == 0.0


def test_a_fitted_model_goes_on_after_it_is_saved(batches, tmp_path):
    model = new_model()
    model.compile("adam", loss=bert_squad.span_loss)
    model.fit(batches, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    of_both = [one.fit(batches, verbose=0).history["loss"] for one in (model, loaded)]
    assert of_both[0] == pytest.approx(of_both[1], rel=1e-5)


def test_a_run_does_not_ask_for_keras_global_policy(tmp_path):
    config = bert_squad.SquadConfig(
        **FILES,
        output_dir=str(tmp_path),
        do_predict=True,
        predict_file=str(QUICKSTART / "dev.json"),
        max_seq_length=44,
        max_query_length=16,
    )
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        bert_config = bert_squad.BertConfig.from_json_file(FILES["bert_config_file"])
        model = RunParts(config, bert_config).make_model()
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert (model.compute_dtype, model.variable_dtype) == ("float32", "float32")
    assert {weight.dtype for weight in model.weights} == {tf.float32}
