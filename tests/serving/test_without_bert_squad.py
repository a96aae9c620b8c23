"""The proof that an exported model needs no Python of ours: every way of loading it, each in a fresh process.

The server itself is in no package registry. These ways together stand in for it: it loads as the Session and the C API
do, with the operations of TensorFlow Text linked in.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from serving.other_process import assert_expected, run
from tensorflow.core.protobuf import saved_model_pb2

HERE = Path(__file__).resolve().parent
SIGNATURES = (
    "answer",
    "answer_fast",
    "serving_default",
    "serving_default_int64",
    "serving_examples",
    "serving_unique_ids",
    "serving_unique_ids_int64",
)


@pytest.mark.parametrize("how", ["load", "session"])
def test_loaded_by_tensorflow(how, exported_v2, texts, expected, tmp_path):
    out = run([HERE / "without_python.py", how, exported_v2.path], tmp_path, input=json.dumps(texts))
    assert_expected(json.loads(out), expected)


# docs/serving.md shows the same line, without its first half: here, where bert_squad may be installed, it is barred.
SAVED_MODEL_CLI = (
    "import sys; sys.modules['bert_squad'] = None; "
    "import tensorflow_text; from tensorflow.python.tools import saved_model_cli; saved_model_cli.main()"
)


def test_saved_model_cli_shows_every_signature(exported_v2, tmp_path):
    out = run(
        ["-c", SAVED_MODEL_CLI, "show", "--dir", exported_v2.path, "--tag_set", "serve", "--all"], tmp_path
    )
    for name in SIGNATURES:
        assert f"signature_def['{name}']:" in out
    assert "inputs['question'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)" in out
    assert "outputs['nbest_text'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1, 21)" in out


def test_saved_model_cli_runs_the_answer_signature(exported_v2, texts, expected, tmp_path):
    arguments = ["run", "--dir", exported_v2.path, "--tag_set", "serve", "--signature_def", "answer"]
    expressions = ";".join(f"{name}={[value.encode() for value in texts[name]]!r}" for name in texts)
    out = run(
        ["-c", SAVED_MODEL_CLI, *arguments, "--input_exprs", expressions, "--outdir", tmp_path / "out"],
        tmp_path,
    )
    assert "Result for output key answer:" in out
    outputs = {name: np.load(tmp_path / "out" / f"{name}.npy", allow_pickle=True) for name in expected}
    for name, value in expected.items():
        if value.dtype == object:
            assert outputs[name].tolist() == value.tolist()
        else:
            np.testing.assert_allclose(outputs[name], value, atol=1e-5, err_msg=name)


def package_directory(name) -> Path:
    return Path(importlib.util.find_spec(name).origin).parent


def test_the_c_api_with_one_operation_library(exported_v2, texts, expected, tmp_path):
    saved_model = saved_model_pb2.SavedModel.FromString(
        (Path(exported_v2.path) / "saved_model.pb").read_bytes()
    )
    signature = saved_model.meta_graphs[0].signature_def["answer"]
    tensorflow = package_directory("tensorflow")
    request = {
        "libraries": [str(tensorflow / f"libtensorflow_{part}.so.2") for part in ("framework", "cc")],
        "operations": str(package_directory("tensorflow_text") / "python/ops/_wordpiece_tokenizer.so"),
        "model_dir": exported_v2.path,
        "inputs": {signature.inputs[name].name: value for name, value in texts.items()},
        "outputs": {name: info.name for name, info in signature.outputs.items()},
    }
    out = run([HERE / "c_api.py"], tmp_path, input=json.dumps(request))
    assert_expected(json.loads(out), expected)


def test_the_operations_of_the_graph(exported_v2):
    """No Python callbacks, and one operation alone that is not TensorFlow's own."""
    saved_model = saved_model_pb2.SavedModel.FromString(
        (Path(exported_v2.path) / "saved_model.pb").read_bytes()
    )
    graph = saved_model.meta_graphs[0].graph_def
    operations = {node.op for node in graph.node}
    operations |= {node.op for function in graph.library.function for node in function.node_def}
    assert not {name for name in operations if "PyFunc" in name}
    assert {name for name in operations if name.startswith("Wordpiece")} == {"WordpieceTokenizeWithOffsets"}
