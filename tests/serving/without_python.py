"""Answer one question with a SavedModel, as a program does that knows nothing of bert_squad.

    python -I without_python.py load|session MODEL_DIR < {"question": [...], "context": [...]} > outputs as JSON

`load` uses `tf.saved_model.load`, `session` the TensorFlow 1 loader and a Session, which is what the server does.
Run by test_without_bert_squad.py, in a process of its own.
"""

import json
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers its operations


def by_load(model_dir: str, texts: dict) -> dict:
    signature = tf.saved_model.load(model_dir).signatures["answer"]
    return {
        name: value.numpy()
        for name, value in signature(**{k: tf.constant(v) for k, v in texts.items()}).items()
    }


def by_session(model_dir: str, texts: dict) -> dict:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], model_dir)
        signature = meta_graph.signature_def["answer"]
        feeds = {signature.inputs[name].name: value for name, value in texts.items()}
        return session.run({name: info.name for name, info in signature.outputs.items()}, feeds)


def plain(value):
    return value.decode() if isinstance(value, bytes) else value


def main() -> None:
    assert "bert_squad" not in sys.modules
    sys.modules["bert_squad"] = None  # wherever it may be installed, importing it fails from here on
    how, model_dir = sys.argv[1:]
    outputs = {"load": by_load, "session": by_session}[how](model_dir, json.load(sys.stdin))
    nested = {name: value.tolist() for name, value in outputs.items()}
    json.dump(nested, sys.stdout, default=plain)


if __name__ == "__main__":
    main()
