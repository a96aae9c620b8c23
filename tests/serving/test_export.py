import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from serving.legacy_models import METRICS, THRESHOLD, questions_of

from bert_squad.errors import ConfigError, OutputError
from bert_squad.serving import export as export_module
from bert_squad.serving.export import EXPORT_DTYPES, versions


def test_a_version_is_complete(exported_v2):
    path = Path(exported_v2.path)
    assert path.name.isdecimal()
    assert int(path.name) > 1_700_000_000
    assert os.listdir(path.parent) == [path.name], "nothing temporary is left beside it"
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert files >= {
        "saved_model.pb",
        "variables/variables.index",
        "assets.extra/tf_serving_warmup_requests",
        "assets.extra/vocab.txt",
        "export.json",
    }
    vocab = Path(exported_v2.legacy.config.vocab_file).read_bytes()
    assert (path / "assets.extra/vocab.txt").read_bytes() == vocab


def test_what_export_json_says(exported_v2):
    vocab = Path(exported_v2.legacy.config.vocab_file).read_bytes()
    said = json.loads((Path(exported_v2.path) / "export.json").read_text())
    assert said["vocabulary"]["sha256"] == hashlib.sha256(vocab).hexdigest()
    assert said["vocabulary"]["pieces"] == 434
    assert said["metrics"] == METRICS
    assert said["null_score_diff_threshold"] == THRESHOLD
    assert said["flags"]["doc_stride"] == 24
    assert said["bert_config"] == exported_v2.legacy.bert_config.to_dict()
    assert said["export_dtype"] == "float32"
    assert "answer" in said["signatures"]
    legacy = exported_v2.legacy
    v1 = dataclasses.replace(legacy.config, version_2_with_negative=False)
    unsaid = export_module._description(v1, legacy.bert_config, legacy.tokenizer, None, "float32", [])
    assert unsaid["null_score_diff_threshold"] is None, "it means nothing in version 1.1"
    assert unsaid["metrics"] is None


def test_the_model_is_saved_once_and_without_keras(exported_v2):
    path = Path(exported_v2.path)
    assert not (path / "keras_metadata.pb").exists()
    used = sum(weight.shape.num_elements() for weight in exported_v2.legacy.model.bert.weights)
    size = (path / "variables/variables.data-00000-of-00001").stat().st_size
    assert used * 4 <= size < used * 4 * 1.05


def test_bfloat16_halves_the_weights_and_keeps_the_signatures(exported_v2, loaded_v2, tmp_path):
    path = exported_v2.legacy.export(tmp_path / "export", dtype="bfloat16")
    assert tf_keras.mixed_precision.global_policy().name == "float32", "left as it was"

    def weights_size(version):
        return (Path(version) / "variables/variables.data-00000-of-00001").stat().st_size

    assert weights_size(path) < 0.55 * weights_size(exported_v2.path)
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    outputs = []
    for model in (loaded_v2, tf.saved_model.load(path)):
        answers = model.signatures["answer"](question=tf.constant(questions), context=tf.constant(contexts))
        outputs.append({name: value.numpy() for name, value in answers.items()})
    exact, rounded = outputs
    assert {name: value.dtype for name, value in exact.items()} == {
        name: value.dtype for name, value in rounded.items()
    }
    np.testing.assert_allclose(rounded["null_score"], exact["null_score"], atol=0.3)
    assert (rounded["nbest_text"][:, 0] == exact["nbest_text"][:, 0]).mean() > 0.8
    assert not np.array_equal(rounded["null_score"], exact["null_score"]), "these are other weights"


def test_unknown_types_are_refused(exported_v2, tmp_path):
    assert EXPORT_DTYPES == ("float32", "bfloat16")
    with pytest.raises(ConfigError, match="--export_dtype must be one of float32, bfloat16, not 'int8'"):
        exported_v2.legacy.export(tmp_path / "export", dtype="int8")
    assert not (tmp_path / "export").exists()


def test_versions_grow_even_within_a_second(tmp_path, monkeypatch):
    assert versions(str(tmp_path / "absent")) == []
    for name in ("7", "12", "temp-13-1", "notes.txt"):
        (tmp_path / name).mkdir()
    assert versions(str(tmp_path)) == [7, 12]
    monkeypatch.setattr(export_module.time, "time", lambda: 12.5)
    assert export_module._next_version(str(tmp_path)) == 13
    monkeypatch.setattr(export_module.time, "time", lambda: 99.9)
    assert export_module._next_version(str(tmp_path)) == 99


def test_a_failed_export_leaves_no_version(exported_v2, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "ServedModel", lambda *_: _Servable())
    monkeypatch.setattr(export_module, "write_warmup_requests", refuse)
    with pytest.raises(OutputError, match=r"Cannot export to .*/export/\d+ \(.*No space left on device\)"):
        exported_v2.legacy.export(tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []


class _Servable(tf.Module):
    """The least that can be saved."""

    def __init__(self):
        super().__init__()
        twice = tf.function(lambda x: {"y": 2 * x}, autograph=False)
        self.functions = {
            "serving_default": twice.get_concrete_function(tf.TensorSpec([None], tf.int32, "x"))
        }


def test_a_directory_that_cannot_be_written(exported_v2, tmp_path):
    (tmp_path / "export").write_text("a file is in the way")
    with pytest.raises(OutputError, match="export cannot be written"):
        exported_v2.legacy.export(tmp_path / "export")


def test_a_server_never_sees_half_a_model(exported_v2, tmp_path, monkeypatch):
    """Whenever something is written, all numbered directories are complete."""
    seen = []

    def watch(*arguments):
        seen.append(sorted(os.listdir(tmp_path / "export")))
        return True

    monkeypatch.setattr(export_module, "ServedModel", lambda *_: _Servable())
    monkeypatch.setattr(export_module, "write_warmup_requests", watch)
    path = exported_v2.legacy.export(tmp_path / "export")
    assert len(seen) == 1
    assert [name.startswith("temp-") for name in seen[0]] == [True]
    assert os.listdir(tmp_path / "export") == [Path(path).name]
