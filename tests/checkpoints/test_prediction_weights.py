"""Which weights are predicted with, and what they say of themselves. Whole runs are in tests/cli."""

import pytest
from tiny_models import assert_same_weights, tiny_model, weights

from bert_squad.checkpoints import directory
from bert_squad.checkpoints.prediction_weights import load_to_predict
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.errors import CheckpointError
from bert_squad.training.optimizer import AdamWeightDecay


def load(model, output_dir, init_checkpoint=None, **options):
    options = {"allow_random_weights": False, "has_trained": False, **options}
    return load_to_predict(model, str(output_dir), init_checkpoint and str(init_checkpoint), **options)


@pytest.fixture(scope="module")
def trained():
    return tiny_model(seed=1)


@pytest.fixture
def init_checkpoint(tmp_path, trained):
    (tmp_path / "init").mkdir()
    save_tf1_checkpoint(str(tmp_path / "init" / "model.ckpt"), trained, step=30)
    return tmp_path / "init" / "model.ckpt"


def test_the_latest_checkpoint_of_the_directory_goes_first(tmp_path, trained, init_checkpoint):
    later = tiny_model(seed=2)
    directory.save(str(tmp_path / "out"), later, AdamWeightDecay.for_model(later), 70, 5)
    model = tiny_model()
    assert load(model, tmp_path / "out", init_checkpoint) == (str(tmp_path / "out"), 70)
    assert_same_weights(model, weights(later))


def test_else_the_one_that_was_named(tmp_path, trained, init_checkpoint):
    model = tiny_model()
    assert load(model, tmp_path / "out", init_checkpoint) == (str(tmp_path / "init"), 30)
    assert_same_weights(model, weights(trained))


def test_without_any_only_random_weights_that_are_allowed(tmp_path):
    with pytest.raises(CheckpointError, match="there is nothing to predict with"):
        load(tiny_model(), tmp_path)
    assert load(tiny_model(), tmp_path, allow_random_weights=True) == (None, None)
