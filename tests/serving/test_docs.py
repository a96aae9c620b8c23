"""The snippets of docs/serving.md, run as they stand; those over gRPC are run by test_grpc.py."""

import base64
import json
import re
import shlex
import sys

import pytest
import tensorflow as tf
from google.protobuf import text_format
from serving.pages import SERVING_MD, snippets
from serving.server_protos import BatchingParameters, MonitoringConfig
from serving.test_without_bert_squad import SAVED_MODEL_CLI


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
    requests = list(map(json.loads, snippets("json", "REST")))
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


def test_the_python_snippet(exported_v2, loads_once, capsys):
    (code,) = snippets("python", "From Python")
    assert '"output/export"' in code
    exec(code.replace('"output/export"', repr(exported_v2.path)), {})
    assert "'probability'" in capsys.readouterr().out


def test_the_shell_lines(exported_v2, loads_once, tmp_path, monkeypatch, capsys):
    # What converts an export is tried by test_other_libraries.
    docker, ask, show = (
        snippets("shell", title)[0].replace("\\\n", " ")
        for title in ("Start a server", "Ask from the shell", "Look into a model")
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


def test_the_files_of_a_server_are_what_it_reads():
    """Each has the fields that the server's own protocol buffers have, and says what the page says of it."""
    config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    first, then = (
        text_format.Parse(text, config_pb2.ModelServerConfig())
        for text in snippets("proto", "Versions and labels")
    )
    for models, labels in (
        (first, {"stable": 1718000000}),
        (then, {"stable": 1718000000, "canary": 1718090000}),
    ):
        (model,) = models.model_config_list.config
        assert (model.name, model.base_path, model.model_platform) == ("squad", "/models/squad", "tensorflow")
        assert dict(model.version_labels) == labels
        assert set(labels.values()) <= set(model.model_version_policy.specific.versions)

    (metrics,) = snippets("proto", "Metrics")
    monitoring = text_format.Parse(metrics, MonitoringConfig())
    assert monitoring.prometheus_config.enable
    assert f"http://localhost:8501{monitoring.prometheus_config.path}" in SERVING_MD

    (threads,) = snippets("proto", "Requests together")
    assert text_format.Parse(threads, BatchingParameters()).num_batch_threads.value == 2


@pytest.mark.parametrize(
    "title", ["Versions and labels", "Requests together", "Metrics", "bfloat16 in the server"]
)
def test_every_line_that_starts_a_server_gives_it_the_files(title):
    (docker,) = (snippet for snippet in snippets("shell", title) if snippet.startswith("docker"))
    words = shlex.split(docker.replace("\\\n", " "))
    image = words.index("tensorflow/serving")
    mounted = [word.split(":")[1] for word in words[:image] if word.startswith("$PWD/")]
    for word in words[image + 1 :]:
        flag, _, value = word.partition("=")
        assert flag in SERVER_FLAGS
        assert not value.startswith("/") or value in mounted


# Of tensorflow/serving, model_servers/main.cc; mixed_precision since its pull request 2193 of 2024.
SERVER_FLAGS = {
    "--allow_version_labels_for_unavailable_models",
    "--batching_parameters_file",
    "--enable_batching",
    "--enable_per_model_batching_parameters",
    "--mixed_precision",
    "--model_config_file",
    "--model_config_file_poll_wait_seconds",
    "--monitoring_config_file",
    "--rest_api_port",
}


def test_the_tables_name_all_inputs_and_outputs(loaded_v2):
    named = set(re.findall(r"`([a-z0-9_]+)`", SERVING_MD))
    for name, signature in loaded_v2.signatures.items():
        assert name in named
        assert named >= set(signature.structured_input_signature[1])
        assert named >= set(signature.structured_outputs)
