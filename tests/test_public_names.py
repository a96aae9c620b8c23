import importlib
import importlib.metadata
import runpy

import pytest
import setuptools
from program import ROOT

import bert_squad

PROMISED = {
    "AdamWeightDecay",
    "ExportedModel",
    "export_model",
    "make_predictor",
    "make_train_step",
    "predict_batches",
    "train_batches",
    "write_features",
    "BertConfig",
    "BertForSquad",
    "FullTokenizer",
    "RawResult",
    "SquadConfig",
    "WindowLengths",
    "compute_predictions",
    "convert_examples_to_features",
    "evaluate",
    "get_final_text",
    "load_checkpoint",
    "read_squad_examples",
    "run",
    "save_tf1_checkpoint",
    "span_loss",
}


def test_all_lists_the_promised_names():
    assert set(bert_squad.__all__) == PROMISED
    assert set(bert_squad.__all__) <= set(dir(bert_squad))


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_each_name_is_importable_and_documented(name):
    value = getattr(bert_squad, name)
    assert getattr(importlib.import_module(value.__module__), name) is value
    assert value.__doc__


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'BertForNothing'"):
        bert_squad.BertForNothing  # noqa: B018


def test_type_checkers_find_the_types():
    """PEP 561: without the marker in the package, mypy takes it for untyped."""
    assert (ROOT / "bert_squad" / "py.typed").exists()
    assert '"bert_squad": ["py.typed"]' in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_the_extra_gpu_is_tensorflow_with_cuda_of_the_same_line(monkeypatch):
    package = {}
    monkeypatch.setattr(setuptools, "setup", lambda **said: package.update(said))
    runpy.run_path(str(ROOT / "setup.py"))
    line = package["install_requires"][0].removeprefix("tensorflow")
    assert package["extras_require"]["gpu"] == [f"tensorflow[and-cuda]{line}"]
    assert "and-cuda" in importlib.metadata.metadata("tensorflow").get_all("Provides-Extra")
