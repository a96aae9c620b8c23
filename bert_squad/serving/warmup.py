"""Requests that TF Serving runs when it loads a model, before it takes any others.

The first request of a kind is slow; these are slow in its place. A file that the server cannot run keeps the model
from loading, so what was written is read back and run.
"""

import numpy as np
import tensorflow as tf
from absl import logging

from bert_squad import files, links
from bert_squad.errors import OutputError
from bert_squad.serving.signatures import FEATURES, UNIQUE_IDS

WARMUP_REQUESTS = "tf_serving_warmup_requests"
_MODEL_NAME = "squad"  # the server does not look at it

_QUESTION = "Who wrote the first program?"
_CONTEXT = "Ada Lovelace wrote the first program, in 1843, for a machine that was never built."
_SEQUENCE_LENGTH = 8
_UNIQUE_ID = 1000000000


def write_warmup_requests(model_dir: str, extra_dir: str) -> bool:
    """Write one request for each signature of a SavedModel, and try them all.

    Args:
      model_dir: the SavedModel.
      extra_dir: its `assets.extra`, which exists.

    Returns:
      Whether there is a file now. Without the package tensorflow-serving-api there is none, and the log says so.

    Raises:
      OutputError: when the SavedModel does not answer a request; that is a defect of this program.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except Exception as error:  # not installed, or with a protobuf that it does not go with
        logging.warning(
            "No warm-up requests are written, since tensorflow-serving-api is not installed or broken (%s): the "
            "server's first answers will be slow. To have them: pip install 'bert_squad[serving]'.",
            files.reason_of(error),
        )
        return False

    owner = tf.Module()
    signatures = tf.saved_model.load(links.without_pattern(model_dir, owner)).signatures
    path = files.join(extra_dir, WARMUP_REQUESTS)
    with tf.io.TFRecordWriter(path) as writer:
        for name, signature in signatures.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = _MODEL_NAME
            request.model_spec.signature_name = name
            for key, value in sample_inputs(signature).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())

    tried = []
    for record in tf.data.TFRecordDataset(path):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        name = request.model_spec.signature_name
        try:
            run_request(signatures, request)
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise OutputError(
                f"The SavedModel in {model_dir} does not answer its warm-up request for {name}: {error}"
            ) from error
        tried.append(name)
    if sorted(tried) != sorted(signatures):
        raise OutputError(f"The warm-up requests in {path} are not those that were written.")
    return True


def run_request(signatures, request) -> dict[str, tf.Tensor]:
    """Run a request as the server does: the inputs by name through the signature by name.

    Args:
      signatures: of a loaded SavedModel.
      request: a `PredictRequest`.
    """
    inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
    return signatures[request.model_spec.signature_name](**inputs)


def sample_inputs(signature) -> dict[str, tf.Tensor]:
    """Return inputs of the types that a signature asks for, one row of each."""
    specs = signature.structured_input_signature[1]
    samples = {
        "question": tf.constant([_QUESTION]),
        "context": tf.constant([_CONTEXT]),
        "examples": tf.constant([_sample_example().SerializeToString()]),
        UNIQUE_IDS: tf.constant([_UNIQUE_ID]),
        **{name: values[tf.newaxis, :] for name, values in _sample_features().items()},
    }
    return {
        name: samples[name] if spec.dtype == tf.string else tf.cast(samples[name], spec.dtype)
        for name, spec in specs.items()
    }


def _sample_features() -> dict[str, np.ndarray]:
    ids = np.arange(_SEQUENCE_LENGTH)
    return dict(zip(FEATURES, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))


def _sample_example() -> tf.train.Example:
    def feature(values: list[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    sequences = {name: feature(values.tolist()) for name, values in _sample_features().items()}
    return tf.train.Example(
        features=tf.train.Features(feature={**sequences, UNIQUE_IDS: feature([_UNIQUE_ID])})
    )
