"""One check for every layer: what Keras saves of it, it loads, to the same bits."""

import json

import numpy as np
import tensorflow as tf
import tf_keras


def check_saving(layer: tf_keras.layers.Layer, inputs, directory) -> None:
    """Fill a layer with random weights, save it both ways of Keras, load it, and compare all that it is.

    Args:
      layer: of bert_squad; a `tf_keras.Model` is saved as it is, any other within a functional model.
      inputs: its inputs as arrays: a list of what `call` takes, or for a model what that takes.
      directory: an empty one, for the files.
    """
    _fill(layer)
    model = layer if isinstance(layer, tf_keras.Model) else _model_of(layer, inputs)
    outputs = model(inputs)
    for name in ("saved_model", "model.keras"):
        path = str(directory / name)
        model.save(path)
        loaded = tf_keras.models.load_model(path)
        _check_same_layer(loaded.get_layer(layer.name) if layer is not model else loaded, layer)
        for got, wanted in zip(tf.nest.flatten(loaded(inputs)), tf.nest.flatten(outputs), strict=True):
            np.testing.assert_array_equal(got, wanted)
    copy = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    for weight, other in zip(layer.weights, copy.weights, strict=True):
        assert (weight.name, weight.dtype, weight.shape) == (other.name, other.dtype, other.shape)


def _fill(layer) -> None:
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(tf.cast(rng.normal(size=weight.shape), weight.dtype))


def _model_of(layer, inputs) -> tf_keras.Model:
    keras_inputs = [tf_keras.Input(x.shape[1:], dtype=x.dtype) for x in inputs]
    return tf_keras.Model(keras_inputs, layer(*keras_inputs))


def _check_same_layer(loaded, layer) -> None:
    assert type(loaded) is type(layer)
    assert loaded.get_config() == layer.get_config()
    assert loaded.compute_dtype == layer.compute_dtype
    assert len(loaded.trainable_weights) == len(layer.trainable_weights)
    for weight, other in zip(layer.weights, loaded.weights, strict=True):
        assert weight.name == other.name
        np.testing.assert_array_equal(weight, other)
