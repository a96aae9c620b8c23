"""Elementwise functions compiled to one pass over memory, forward and backward.

Between two matrix products the encoder adds, drops, scales and normalises. Done by TensorFlow one operation at a time,
each reads and writes the whole tensor, and automatic differentiation keeps what each has written. XLA makes one loop of
such a chain. It is slower than TensorFlow at matrix products on CPUs, so those stay outside (BUILD_NOTES.md, "Where the
time goes"). On machines with a GPU nothing is compiled here: --jit_compile compiles whole steps there.
"""

import functools
from collections.abc import Callable

import tensorflow as tf


def one_pass(function: Callable) -> Callable:
    """Compile a function of tensors, on machines without a GPU.

    Args:
      function: of tensors, returns a tensor or a tuple of them; compiled once for each shape it is given.

    Returns:
      A function that computes the same.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @tf.autograph.experimental.do_not_convert
    def call(*tensors):
        if has_gpu():
            return function(*tensors)
        # The graph around it does not see the shapes inside, and its optimizer complains of what it does not know.
        return tf.nest.map_structure(lambda x: tf.ensure_shape(x, x.shape), compiled(*tensors))

    return call


def fused(function: Callable) -> Callable:
    """Compile a function of tensors and its gradient, each to one pass.

    The backward pass computes `function` again instead of remembering what it computed on the way: for elementwise
    chains that is cheaper than memory.

    Args:
      function: differentiable, of tensors; returns a tensor or a tuple of them. Those of its arguments that are not
        floats have no gradient.

    Returns:
      A function that computes the same.
    """
    forward = one_pass(function)

    @one_pass
    def backward(arguments, upstream):
        floats = [argument for argument in arguments if argument.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(floats)
            outputs = function(*arguments)
        return tape.gradient(outputs, floats, output_gradients=upstream)

    @tf.custom_gradient
    def differentiable(*arguments):
        outputs = forward(*arguments)

        def gradient(*upstream):
            found = iter(backward(arguments, upstream if isinstance(outputs, tuple) else upstream[0]))
            return [next(found) if argument.dtype.is_floating else None for argument in arguments]

        return outputs, gradient

    @tf.autograph.experimental.do_not_convert
    def call(*arguments):
        return differentiable(*map(tf.convert_to_tensor, arguments))

    return call


@functools.cache
def has_gpu() -> bool:
    """Say whether TensorFlow computes on a GPU here."""
    return bool(tf.config.list_logical_devices("GPU"))
