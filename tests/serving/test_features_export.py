"""What --export_signatures=features writes: logits alone, without TensorFlow Text or shapes that data decide."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from serving.other_process import run
from serving.test_warmup import requests_of
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from bert_squad.errors import ConfigError
from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.export import EXPORT_SIGNATURES, check_exportable

SIGNATURES = [
    "serving_default",
    "serving_default_int64",
    "serving_examples",
    "serving_unique_ids",
    "serving_unique_ids_int64",
]

ASK_PLAIN_TENSORFLOW = """
import sys
sys.modules["tensorflow_text"] = sys.modules["bert_squad"] = None
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
ids = tf.constant([[2, 7, 8, 3, 0]])
print(signature(input_ids=ids, input_mask=tf.sign(ids), segment_ids=0 * ids)["start_logits"].numpy().tolist())
"""


@pytest.fixture(scope="module")
def loaded_features(exported_features):
    return tf.saved_model.load(exported_features.path)


def test_it_offers_features_alone(exported_features, loaded_features):
    assert sorted(loaded_features.signatures) == SIGNATURES
    said = json.loads((Path(exported_features.path) / "export.json").read_text())
    assert sorted(said["signatures"]) == SIGNATURES
    assert said["tensorflow_text"] is None
    assert (Path(exported_features.path) / "assets.extra" / "vocab.txt").is_file()


def test_each_signature_has_a_warm_up_request(exported_features):
    pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    requests = requests_of(exported_features.path)
    assert sorted(request.model_spec.signature_name for request in requests) == SIGNATURES


def test_its_logits_are_those_of_the_other_signatures(loaded_features, loaded_v2):
    mask = (np.arange(40) < np.array([[40], [17], [1]])).astype(np.int32)
    ids = (np.arange(40) * 7 + np.arange(3)[:, None]) % 400 + 5
    features = {"input_ids": (ids * mask).astype(np.int32), "input_mask": mask, "segment_ids": 0 * mask}
    features = {name: tf.constant(value) for name, value in features.items()}
    found = loaded_features.signatures["serving_default"](**features)
    for name, value in loaded_v2.signatures["serving_default"](**features).items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_plain_tensorflow_loads_it(exported_features, loaded_features, tmp_path):
    out = run(["-c", ASK_PLAIN_TENSORFLOW, exported_features.path], tmp_path)
    ids = tf.constant([[2, 7, 8, 3, 0]])
    signature = loaded_features.signatures["serving_default"]
    here = signature(input_ids=ids, input_mask=tf.sign(ids), segment_ids=0 * ids)
    np.testing.assert_allclose(json.loads(out), here["start_logits"], atol=1e-5)


def test_no_reshape_follows_another(exported_features):
    """tf2onnx makes one of the two, of a shape that is wrong."""
    (meta_graph,) = SavedModel.FromString(
        (Path(exported_features.path) / "saved_model.pb").read_bytes()
    ).meta_graphs
    scores = [f for f in meta_graph.graph_def.library.function if "_score_" in f.signature.name]
    assert scores
    for score in scores:
        nodes = {node.name: node for node in score.node_def}
        reshapes = [node for node in score.node_def if node.op == "Reshape"]
        assert reshapes, "heads are split"
        for node in reshapes:
            before = node.input[0].split(":")[0]
            assert before not in nodes or nodes[before].op != "Reshape", (node.name, before)


def test_asking_it_texts_is_one_sentence(exported_features):
    with pytest.raises(ConfigError) as error:
        ExportedModel(exported_features.path)
    assert re.fullmatch(
        r"The model \S+ has no signature 'answer', so it answers no texts; give one that was exported "
        r"with --do_export, and not with --export_signatures=features\.",
        str(error.value),
    )


def test_unknown_signatures_are_refused(exported_v2, tmp_path):
    assert EXPORT_SIGNATURES == ("all", "features")
    with pytest.raises(ConfigError, match="--export_signatures must be one of all, features, not 'logits'"):
        exported_v2.legacy.export(tmp_path / "export", signatures="logits")
    assert not (tmp_path / "export").exists()


def test_it_is_exported_without_tensorflow_text(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ConfigError, match="TensorFlow Text cannot be loaded"):
        check_exportable(str(tmp_path / "export"))
    check_exportable(str(tmp_path / "export"), "features")
    assert os.path.isdir(tmp_path / "export")
