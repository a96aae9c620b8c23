"""Ask a model for logits, in an environment of another library: `python -I ask_features.py HOW MODEL IN.npz OUT.npz`

HOW is `load` (tf.saved_model.load), `session` (the loader of TensorFlow 1, as servers load), `openvino` or `onnx`. The
arrays of IN are `NUMBER/input_ids` and so on for each request; those of OUT are `NUMBER/start_logits` and so on. Run by
test_other_libraries.py; the oldest Python there is 3.8.
"""

import importlib.util
import sys

import numpy as np

SIGNATURE = "serving_default"


def by_load(model, requests):
    import tensorflow as tf

    signature = tf.saved_model.load(model).signatures[SIGNATURE]
    for request in requests:
        outputs = signature(**{name: tf.constant(value) for name, value in request.items()})
        yield {name: value.numpy() for name, value in outputs.items()}


def by_session(model, requests):
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], model)
        signature = meta_graph.signature_def[SIGNATURE]
        fetched = {name: info.name for name, info in signature.outputs.items()}
        for request in requests:
            yield session.run(
                fetched, {signature.inputs[name].name: value for name, value in request.items()}
            )


def by_openvino(model, requests):
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for request in requests:
        outputs = compiled(request)
        yield {name: outputs[name] for name in ("start_logits", "end_logits")}


def by_onnx(model, requests):
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for request in requests:
        yield dict(zip(names, session.run(names, request)))  # noqa: B905  not in Python 3.8


def main() -> None:
    how, model, inputs, outputs = sys.argv[1:]
    for name in ("tensorflow_text", "bert_squad"):
        assert importlib.util.find_spec(name) is None, name + " is here, so this would prove nothing"
    requests = {}
    with np.load(inputs) as arrays:
        for key in arrays.files:
            number, name = key.split("/")
            requests.setdefault(number, {})[name] = arrays[key]
    ask = {"load": by_load, "session": by_session, "openvino": by_openvino, "onnx": by_onnx}[how]
    answers = zip(requests, ask(model, requests.values()))  # noqa: B905
    np.savez(
        outputs,
        **{number + "/" + name: value for number, answer in answers for name, value in answer.items()},
    )


if __name__ == "__main__":
    main()
