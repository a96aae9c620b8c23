"""The snippets of docs/serving.md, run as they stand."""

import base64
import json
import re
import shlex
import sys

import pytest
import tensorflow as tf
from program import ROOT
from serving.test_without_bert_squad import SAVED_MODEL_CLI

SERVING_MD = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SERVING_MD, re.MULTILINE | re.DOTALL)


def as_the_server_reads(instances, specs):
    """Turn rows into tensors as TF Serving's REST API does: the signature knows the types."""
    inputs = {}
    for name, spec in specs.items():
        values = [instance[name] for instance in instances]
        if spec.dtype == tf.string:
            values = [
                base64.b64decode(value["b64"]) if isinstance(value, dict) else value for value in values
            ]
        inputs[name] = tf.constant(values, spec.dtype)
        assert spec.is_compatible_with(inputs[name])
    return inputs


def test_every_signature_has_its_rest_request(loaded_v2):
    requests = list(map(json.loads, snippets("json")))
    assert sorted(request["signature_name"] for request in requests) == sorted(loaded_v2.signatures)
    for request in requests:
        assert set(request) == {"signature_name", "instances"}
        signature = loaded_v2.signatures[request["signature_name"]]
        specs = signature.structured_input_signature[1]
        for instance in request["instances"]:
            assert set(instance) == set(specs)
        outputs = signature(**as_the_server_reads(request["instances"], specs))
        for value in outputs.values():
            assert len(value) == len(request["instances"])
        if "unique_ids" in outputs:
            assert outputs["unique_ids"].numpy().tolist() == [1000000000]


class FakeStub:
    """Answers requests as the server would, from a loaded model; notes what it was asked."""

    def __init__(self, loaded):
        self.loaded = loaded
        self.asked = []

    def __call__(self, channel):
        return self

    def Predict(self, request, timeout):  # noqa: N802  the server's name
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
        signature = self.loaded.signatures[request.model_spec.signature_name]
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        specs = signature.structured_input_signature[1]
        assert {name: value.dtype for name, value in inputs.items()} == {
            name: spec.dtype for name, spec in specs.items()
        }
        response = predict_pb2.PredictResponse()
        for name, value in signature(**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        self.asked.append(request.model_spec.signature_name)
        return response


def test_the_grpc_snippets_ask_every_signature(loaded_v2, monkeypatch, capsys):
    pytest.importorskip("grpc")
    stubs = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    fake = FakeStub(loaded_v2)
    monkeypatch.setattr(stubs, "PredictionServiceStub", fake)
    code = [snippet for snippet in snippets("python") if "bert_squad.serving" not in snippet]
    names: dict = {}
    for snippet in code:
        exec(compile(snippet, "docs/serving.md", "exec"), names)
        if "channel" in names:
            names["channel"].close()
    assert sorted(fake.asked) == sorted(loaded_v2.signatures)
    assert "[1000000000] (1, 5)" in capsys.readouterr().out


def test_the_python_snippet(exported_v2, loads_once, capsys):
    (code,) = (snippet for snippet in snippets("python") if "bert_squad.serving" in snippet)
    assert '"output/export"' in code
    exec(code.replace('"output/export"', repr(exported_v2.path)), {})
    assert "'probability'" in capsys.readouterr().out


def test_the_shell_lines(exported_v2, loads_once, tmp_path, monkeypatch, capsys):
    # The others are tried by test_other_libraries and test_openvino_engine.
    docker, *lines = (snippet.replace("\\\n", " ") for snippet in snippets("shell"))
    ask, show = (
        next(line for line in lines if line.startswith(start)) for start in ("bert-squad ask", "python -c")
    )
    words = shlex.split(docker)
    assert words[:2] == ["docker", "run"]
    assert words[-1] == "tensorflow/serving"
    assert "$PWD/output/export:/models/squad" in words
    assert "MODEL_NAME=squad" in words

    from absl import flags

    from bert_squad.cli import ask as ask_command

    flags.FLAGS.mark_as_parsed()
    words = shlex.split(ask)
    assert words[:2] == ["bert-squad", "ask"]
    (tmp_path / "passage.txt").write_text("Isaac Reed worked in Bern and died in Malaga.")
    monkeypatch.chdir(tmp_path)
    ask_command.main(
        "bert-squad ask", [word.replace("output/export", exported_v2.path) for word in words[2:]]
    )
    assert len(capsys.readouterr().out.splitlines()) == 1

    words = shlex.split(show)
    assert words[:2] == ["python", "-c"]
    assert SAVED_MODEL_CLI.endswith(words[2])
    monkeypatch.setattr(sys, "argv", ["saved_model_cli", *words[3:]])
    assert sys.argv[1:] == ["show", "--dir", "output/export/1718000000", "--tag_set", "serve", "--all"]


def test_the_tables_name_all_inputs_and_outputs(loaded_v2):
    named = set(re.findall(r"`([a-z0-9_]+)`", SERVING_MD))
    for name, signature in loaded_v2.signatures.items():
        assert name in named
        assert named >= set(signature.structured_input_signature[1])
        assert named >= set(signature.structured_outputs)
