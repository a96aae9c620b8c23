import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import logging as absl_logging

from bert_squad.errors import OutputError
from bert_squad.serving import warmup
from bert_squad.serving.warmup import run_request, sample_inputs, write_warmup_requests

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def requests_of(path):
    file = Path(path) / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(file))
    ]
    assert [log.WhichOneof("log_type") for log in logs] == ["predict_log"] * len(logs)
    return [log.predict_log.request for log in logs]


def test_there_is_a_request_for_every_signature_and_each_runs(exported_v2, loaded_v2):
    signatures = loaded_v2.signatures
    requests = requests_of(exported_v2.path)
    assert sorted(request.model_spec.signature_name for request in requests) == sorted(signatures)
    assert len(requests) <= 1000, "the server's limit"
    for request in requests:
        outputs = run_request(signatures, request)
        assert all(len(value) == 1 for value in outputs.values())
    (answer,) = (request for request in requests if request.model_spec.signature_name == "answer")
    assert run_request(signatures, answer)["nbest_count"].numpy()[0] > 1, "a passage with something to choose"


def test_requests_have_the_types_of_the_signature(loaded_v2):
    signatures = loaded_v2.signatures
    for name, signature in signatures.items():
        for key, spec in signature.structured_input_signature[1].items():
            value = sample_inputs(signature)[key]
            assert value.dtype == spec.dtype, (name, key)
            assert spec.shape.is_compatible_with(value.shape)


def test_without_the_package_the_log_names_the_extra(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with caplog.at_level("WARNING", absl_logging.get_absl_logger().name):
        assert not write_warmup_requests("unused", str(tmp_path))
    assert "pip install 'bert_squad[serving]'" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_the_model_does_not_answer_is_an_error(exported_v2, tmp_path, monkeypatch):
    def one_too_few(signature):
        return dict(list(sample_inputs(signature).items())[1:])

    monkeypatch.setattr(warmup, "sample_inputs", one_too_few)
    with pytest.raises(OutputError, match="does not answer its warm-up request for"):
        write_warmup_requests(exported_v2.path, str(tmp_path))


def test_a_sample_example_has_the_legacy_keys():
    example = warmup._sample_example()
    values = {key: list(feature.int64_list.value) for key, feature in example.features.feature.items()}
    assert set(values) == {"unique_ids", "input_ids", "input_mask", "segment_ids"}
    assert len({len(values[key]) for key in ("input_ids", "input_mask", "segment_ids")}) == 1
    assert np.array(values["input_mask"]).all()
