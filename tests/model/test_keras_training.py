"""Keras' ways of training that `tests/test_python_use.py` has not: one batch, compiled steps, frozen layers."""

import numpy as np
import pytest
from tiny_config import TINY
from tiny_models import random_inputs, tiny_model

from bert_squad.errors import ConfigError
from bert_squad.model.span_head import span_loss
from bert_squad.model.squad_model import BertForSquad

LABELS = {
    "start_positions": np.array([3, 2, 1, 0], np.int32),
    "end_positions": np.array([5, 4, 1, 0], np.int32),
}
BATCH = {**random_inputs(), **LABELS}


def compiled_model(**options):
    model = tiny_model()
    model.compile("adam", loss=span_loss, **options)
    return model


@pytest.mark.parametrize("way", ["train_on_batch", "test_on_batch"])
def test_one_batch_may_hold_its_labels(way):
    """Keras wraps it in a tuple."""
    wanted = float(span_loss(*tiny_model()(BATCH), *LABELS.values()))
    assert getattr(compiled_model(), way)(BATCH)[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow
def test_whole_steps_are_compiled_where_shapes_are_known():
    plain, by_xla = compiled_model(), compiled_model(jit_compile=True)
    losses = [model.fit(BATCH, epochs=2, verbose=0).history["loss"] for model in (plain, by_xla)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    with pytest.raises(ConfigError, match=r"`jit_compile` needs shapes that pad_to=\"batch\" does not know"):
        BertForSquad(TINY, pad_to="batch").compile("adam", jit_compile=True)


def test_weights_that_are_not_float32_are_not_fitted():
    model = BertForSquad(TINY, dtype="bfloat16")
    model.compile("adam")
    with pytest.raises(
        ConfigError, match=r"weights are bfloat16, and training needs float32; make it with compute_d"
    ):
        model.fit(BATCH, verbose=0)


def test_frozen_layers_stay_as_they_are():
    model = compiled_model()
    model.bert.trainable = False
    model.compile("adam")
    before = model.get_weights()
    model.fit(BATCH, verbose=0)
    moved = [w.name for w, old in zip(model.weights, before, strict=True) if not np.array_equal(w, old)]
    assert moved == ["span_head/dense/kernel:0", "span_head/dense/bias:0"]
