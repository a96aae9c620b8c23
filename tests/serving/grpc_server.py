"""A gRPC server of exported models, made of tensorflow-serving-api's own servicer: what TF Serving is to its clients.

Error codes are the server's: NOT_FOUND for a model, version or label that there is none of, INVALID_ARGUMENT for a
signature or inputs that are not the model's; an error of TensorFlow keeps its code, since the numbers are the same.
"""

import contextlib
from collections.abc import Iterator
from concurrent import futures

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

MODEL_NAME = "squad"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RefusedError(Exception):
    """A request that the server does not run."""

    def __init__(self, code: grpc.StatusCode, sentence: str):
        super().__init__(sentence)
        self.code = code


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers from loaded models.

    Args:
      versions: version → SavedModel, loaded.
      labels: label → version.

    Attributes:
      asked: (version, signature) of each request that was answered.
    """

    def __init__(self, versions: dict[int, object], labels: dict[str, int]):
        self.versions, self.labels = versions, labels
        self.asked: list[tuple[int, str]] = []

    def Predict(self, request, context):  # noqa: N802  the server's name
        try:
            return self._predict(request)
        except RefusedError as error:
            context.abort(error.code, str(error))
        except tf.errors.OpError as error:
            context.abort(_CODES[error.error_code], error.message)

    def _predict(self, request):
        version = self._version(request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        signature = self.versions[version].signatures.get(name)
        if signature is None:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature key "{name}" not found.')
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        _check(inputs, signature.structured_input_signature[1])
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        response.model_spec.signature_name = name
        for key, value in signature(**inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        self.asked.append((version, name))
        return response

    def _version(self, spec) -> int:
        """The version that a request names, or the latest; which the server calls a servable."""
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            version = self.labels.get(spec.version_label)
        else:
            version = spec.version.value if choice == "version" else max(self.versions)
        if spec.name != MODEL_NAME or version not in self.versions:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")
        return version


def _check(inputs: dict[str, tf.Tensor], specs: dict[str, tf.TensorSpec]) -> None:
    """Refuse inputs that are not the signature's."""
    if set(inputs) != set(specs):
        raise RefusedError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"input size does not match signature: sent {sorted(inputs)}, expected {sorted(specs)}",
        )
    for key, spec in specs.items():
        if not spec.is_compatible_with(inputs[key]):
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, f"Expects arg {key} to be {spec.dtype.name}, {spec.shape}"
            )


@contextlib.contextmanager
def serving(service: PredictionService) -> Iterator[str]:
    """Serve on a free port; yields the address."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(grace=None).wait()
