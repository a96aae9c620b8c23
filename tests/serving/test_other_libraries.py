"""Other programs than this TensorFlow that answer with an export, each in an environment of its own.

The first run downloads them (`environments.py`); where that cannot be, tests are skipped with the reason.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from serving.environments import Environment
from serving.other_process import assert_expected, run
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

HERE = Path(__file__).resolve().parent
FEATURES = ("input_ids", "input_mask", "segment_ids")
OF_2_12 = Environment("tensorflow-2.12.1", "3.11", ("tensorflow-cpu==2.12.1", "tensorflow-text==2.12.1"))
TENSORFLOWS = [
    # The oldest that loads an export (2.0 does not know ParseExampleV2), and the default of KServe.
    Environment(
        "tensorflow-2.1.4", "3.7", ("tensorflow-cpu==2.1.4", "tensorflow-text==2.1.1", "protobuf<3.21")
    ),
    Environment(
        "tensorflow-2.6.2", "3.9", ("tensorflow-cpu==2.6.2", "tensorflow-text==2.6.0", "protobuf<3.21")
    ),
    OF_2_12,
]
OPENVINO = Environment("openvino-2026.4", "3.11", ("openvino==2026.4.0",))
# Without TensorFlow Text. onnx after 1.17 needs an ml-dtypes that this TensorFlow does not take.
ONNX = Environment(
    "onnx",
    "3.11",
    ("tensorflow-cpu==2.15.1", "tf2onnx==1.17.0", "onnx==1.17.0", "onnxruntime==1.32.0"),
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", ["load", "session"])
@pytest.mark.parametrize("environment", TENSORFLOWS, ids=lambda environment: environment.name)
def test_older_tensorflow_answers_texts(environment, how, exported_v2, texts, expected, tmp_path):
    arguments = [HERE / "without_python.py", how, exported_v2.path]
    out = run(arguments, tmp_path, python=environment.python(), input=json.dumps(texts))
    assert_expected(json.loads(out), expected)


def test_the_c_api_of_older_tensorflow(exported_v2, texts, expected, tmp_path):
    OF_2_12.python()
    packages = OF_2_12.packages_folder()
    saved_model = SavedModel.FromString((Path(exported_v2.path) / "saved_model.pb").read_bytes())
    signature = saved_model.meta_graphs[0].signature_def["answer"]
    request = {
        "libraries": [
            str(packages / f"tensorflow/libtensorflow_{part}.so.2") for part in ("framework", "cc")
        ],
        "operations": str(packages / "tensorflow_text/python/ops/_wordpiece_tokenizer.so"),
        "model_dir": exported_v2.path,
        "inputs": {signature.inputs[name].name: value for name, value in texts.items()},
        "outputs": {name: info.name for name, info in signature.outputs.items()},
    }
    out = run([HERE / "c_api.py"], tmp_path, python=sys.executable, input=json.dumps(request))
    assert_expected(json.loads(out), expected)


@pytest.fixture(scope="module")
def requests():
    """Features of several shapes and lengths."""
    made = []
    for size, lengths in ((1, [1]), (9, [9]), (64, [10, 64, 30]), (20, [5, 3])):
        mask = (np.arange(size) < np.array(lengths)[:, None]).astype(np.int32)
        ids = (np.arange(size) * 7 + np.arange(len(lengths))[:, None] * 31) % 400 + 5
        segments = mask * (np.arange(size) > size // 3)
        made.append(
            dict(zip(FEATURES, ((ids * mask).astype(np.int32), mask, segments.astype(np.int32)), strict=True))
        )
    return made


@pytest.fixture(scope="module")
def logits(loaded_v2, requests):
    """What the export with all signatures answers to them in this process."""
    signature = loaded_v2.signatures["serving_default"]
    outputs = [signature(**{name: tf.constant(value) for name, value in r.items()}) for r in requests]
    return [{name: value.numpy() for name, value in output.items()} for output in outputs]


def assert_same_logits(how, environment, model, requests, logits, tmp_path):
    inputs, outputs = tmp_path / "inputs.npz", tmp_path / "outputs.npz"
    np.savez(inputs, **{f"{i}/{name}": value for i, r in enumerate(requests) for name, value in r.items()})
    run([HERE / "ask_features.py", how, model, inputs, outputs], tmp_path, python=environment.python())
    with np.load(outputs) as answered:
        assert len(answered.files) == 2 * len(requests)
        for number, expected in enumerate(logits):
            for name, value in expected.items():
                np.testing.assert_allclose(
                    answered[f"{number}/{name}"], value, atol=1e-5, rtol=0, err_msg=name
                )


@pytest.mark.parametrize("how", ["load", "session"])
def test_plain_tensorflow_answers_features(how, exported_features, requests, logits, tmp_path):
    assert_same_logits(how, ONNX, exported_features.path, requests, logits, tmp_path)


@pytest.mark.parametrize("export", ["exported_v2", "exported_features"])
def test_openvino_reads_an_export_unconverted(export, request, requests, logits, tmp_path):
    path = request.getfixturevalue(export).path
    assert_same_logits("openvino", OPENVINO, path, requests, logits, tmp_path)


def test_features_convert_to_onnx(exported_features, requests, logits, tmp_path):
    model = tmp_path / "model.onnx"
    run(
        ["-m", "tf2onnx.convert", "--saved-model", exported_features.path, "--output", model],
        tmp_path,
        python=ONNX.python(),
    )
    assert_same_logits("onnx", ONNX, model, requests, logits, tmp_path)
