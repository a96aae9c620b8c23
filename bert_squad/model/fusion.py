"""Chains of elementwise operations, compiled by XLA to one loop each, forward and backward.

Between two matrix products the encoder adds, drops, scales and normalises. TensorFlow does one operation at a time:
each reads a whole tensor and writes another, which is kept for the backward pass. XLA makes one loop of the chain, so
that memory is read once and written once. XLA's matrix products are slower than TensorFlow's on CPUs, so they are not
part of it (BUILD_NOTES.md, "Where the time goes"). With a GPU nothing is compiled here: --jit_compile compiles whole
steps there. Nor where several devices share a batch, since every piece would be compiled for each of them.
"""

import functools
from collections.abc import Callable

import tensorflow as tf


def compiled(function: Callable) -> Callable:
    """Compile a function of tensors, where one CPU computes.

    Args:
      function: of tensors, returns a tensor or a tuple of them, of any shapes; compiled once for each shape given.

    Returns:
      A function that computes the same.
    """
    by_xla = tf.function(function, jit_compile=True, autograph=False)

    @tf.autograph.experimental.do_not_convert
    def call(*tensors):
        if has_gpu() or has_several_devices():
            return function(*tensors)
        # The graph around it does not see the shapes inside, and its optimizer complains of what it does not know.
        return tf.nest.map_structure(lambda x: tf.ensure_shape(x, x.shape), by_xla(*tensors))

    return call


def fused(function: Callable) -> Callable:
    """Compile a function of tensors, and its gradient apart from it.

    The backward pass computes `function` once more from its arguments. That takes less time than to keep what the
    forward pass computed on the way: elementwise operations are cheap, memory is slow.

    Args:
      function: differentiable, of tensors; returns a tensor or a tuple of them. Those of its arguments that are not
        floats have no gradient.

    Returns:
      A function that computes the same.
    """
    forward = compiled(function)

    @compiled
    def backward(arguments, upstream):
        """Return the gradient of each float among the arguments, in its shape."""
        floats = [argument for argument in arguments if argument.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(floats)
            outputs = function(*arguments)
        return tape.gradient(outputs, floats, output_gradients=upstream)

    @tf.custom_gradient
    def differentiable(*arguments):
        """Return what `function` does."""
        outputs = forward(*arguments)

        def gradient(*upstream):
            """Map the gradients of the outputs, each in its shape, to those of all arguments; None for no float."""
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


def has_several_devices() -> bool:
    """Say whether this process shares each batch among devices, or has a TPU, whose steps are compiled whole."""
    if not tf.distribute.has_strategy():
        return False
    strategy = tf.distribute.get_strategy()
    return len(strategy.extended.worker_devices) > 1 or isinstance(strategy, tf.distribute.TPUStrategy)
