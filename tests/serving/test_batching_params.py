"""What a version says about requests that are answered together, and that its signatures allow it."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from serving.server_protos import BatchingParameters

from bert_squad.serving.warmup import sample_inputs

NAME = "batching_params.pbtxt"


@pytest.mark.parametrize("export", ["exported_v2", "exported_features"])
def test_every_version_has_the_file_where_the_server_looks(export, request):
    text = (Path(request.getfixturevalue(export).path) / NAME).read_text(encoding="ascii")
    said = text_format.Parse(text, BatchingParameters())
    assert (said.max_batch_size.value, said.max_enqueued_batches.value) == (128, 10)
    assert said.HasField("batch_timeout_micros")
    assert said.batch_timeout_micros.value == 0
    assert not said.allowed_batch_sizes, "the server would answer what fills up a batch"
    assert not said.pad_variable_length_inputs, "the server would pad with [CLS], and say that it is real"
    assert not said.HasField("num_batch_threads"), "it is read from the file of the whole server alone"
    assert max(map(len, text.splitlines())) <= 120


def test_a_field_that_no_server_knows_is_noticed():
    with pytest.raises(text_format.ParseError, match="max_batch_sizes"):
        text_format.Parse("max_batch_sizes { value: 1 }", BatchingParameters())


def outputs_of(signature, inputs) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in signature(**inputs).items()}


def assert_same(ours, theirs, name):
    if ours.dtype == object:
        assert ours.tolist() == theirs.tolist(), name
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["answer", "answer_fast"])
def test_requests_laid_end_to_end_have_the_answers_of_each(name, loaded_v2, texts):
    """What the server does: it concatenates inputs, and cuts each output by its first dimension."""
    signature = loaded_v2.signatures[name]
    together = outputs_of(signature, {key: tf.constant(value) for key, value in texts.items()})
    for rows in (slice(0, 1), slice(1, 6)):
        alone = outputs_of(signature, {key: tf.constant(value[rows]) for key, value in texts.items()})
        for key, value in alone.items():
            assert_same(together[key][rows], value, key)


def test_every_output_of_every_signature_has_the_rows_of_its_inputs(loaded_v2):
    for name, signature in loaded_v2.signatures.items():
        inputs = {key: tf.repeat(value, 3, axis=0) for key, value in sample_inputs(signature).items()}
        for key, value in outputs_of(signature, inputs).items():
            assert len(value) == 3, f"{key} of {name}"
