"""The worked example of docs/ARCHITECTURE.md, done as it says: a new format is one file and one line."""

import re

import numpy as np
import pytest
from program import ROOT
from tiny_config import TINY
from tiny_models import assert_same_weights, tiny_model, weights

from bert_squad.checkpoints import formats
from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.inspection import inspect_checkpoint
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.errors import CheckpointError
from bert_squad.model.squad_model import BertForSquad

PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
EXAMPLE = PAGE[PAGE.index("### A checkpoint format") :].split("\n## ")[0]


@pytest.fixture
def with_the_new_format(monkeypatch):
    """Put the example's file in its place, and its line at the end of `FORMATS`."""
    (code,) = re.findall(r"```python\n(.*?)```", EXAMPLE, re.DOTALL)
    (line,) = re.findall(r"one line in `FORMATS` of `checkpoints/formats\.py`: `(\w+),`", EXAMPLE)
    module: dict = {}
    exec(compile(code, "checkpoints/npz.py", "exec"), module)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, module[line]))


@pytest.fixture
def saved(tmp_path):
    np.savez(tmp_path / "model.npz", **weights(tiny_model(seed=3)))
    return str(tmp_path / "model.npz")


def test_without_it_there_is_no_such_format(saved):
    with pytest.raises(CheckpointError, match=r"model\.npz is a pickle file"):
        load_checkpoint(BertForSquad(TINY), saved)


@pytest.mark.usefixtures("with_the_new_format")
def test_a_model_is_loaded(saved):
    model = BertForSquad(TINY)
    summary = load_checkpoint(model, saved)
    assert summary.kind == "NumPy arrays"
    assert (summary.missing, summary.left_over) == ((), ())
    assert_same_weights(model, weights(tiny_model(seed=3)))


@pytest.mark.usefixtures("with_the_new_format")
def test_it_is_inspected_and_converted(saved, tmp_path):
    inspection = inspect_checkpoint(saved)
    assert (inspection.kind, inspection.step, inspection.slots) == ("NumPy arrays", None, 0)
    assert inspection.sizes["hidden_size"] == TINY.hidden_size
    assert {variable.dtype for variable in inspection.variables} == {"float32"}

    convert(saved, str(tmp_path / "tf1.ckpt"), "tf1")
    converted = Tf1Reader(str(tmp_path / "tf1.ckpt"))
    assert converted.step == 0
    for name, value in weights(tiny_model(seed=3)).items():
        np.testing.assert_array_equal(converted[name], value)


@pytest.mark.usefixtures("with_the_new_format")
def test_all_others_are_opened_as_before(saved, tmp_path):
    convert(saved, str(tmp_path / "tf1.ckpt"), "tf1")
    assert isinstance(formats.open_checkpoint(str(tmp_path / "tf1.ckpt")), Tf1Reader)
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        formats.open_checkpoint(str(tmp_path / "absent.npz"))
