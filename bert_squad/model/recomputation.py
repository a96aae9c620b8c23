"""What is computed once more in the backward pass, so that little of it has to be kept until then.

`tf.recompute_grad` is for the same, and saves nothing in compiled functions (TensorFlow's issue 36981): TensorFlow and
XLA merge what is computed twice, or compute it again before it is needed. Here it waits for the gradients of its
results.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from collections.abc import Callable, Sequence

import tensorflow as tf


def recomputed(function: Callable) -> Callable:
    """Keep only the arguments of a function for its gradient.

    Args:
      function: of float tensors, returns a tuple of float tensors; computes the same each time. It may read variables,
        which have gradients too; whatever else it uses has none.

    Returns:
      A function that computes the same, and whose gradients are the same bits.
    """

    @tf.custom_gradient
    def differentiable(*arguments):
        """Return what `function` does."""
        outputs = function(*arguments)

        def gradient(*upstream, variables=()):
            """Map the gradients of the outputs to those of the arguments, and of the variables that were read."""
            again = _after(upstream, arguments)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([*again, *variables])
                outputs_again = function(*again)
            found = tape.gradient(outputs_again, [*again, *variables], output_gradients=upstream)
            of_arguments, of_variables = found[: len(again)], found[len(again) :]
            return (of_arguments, of_variables) if variables else of_arguments

        return outputs, gradient

    @tf.autograph.experimental.do_not_convert
    def call(*arguments):
        return differentiable(*arguments)

    return call


def _after(first: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return float tensors as they are, but not before others are computed; where those hold NaN, so may these.

    A choice that depends on what it waits for is what all engines heed: XLA passes over control dependencies, and its
    own barrier is gone on CPUs before it merges what is alike for the last time.
    """
    witness = tf.add_n([tf.cast(tf.reshape(tensor, [-1])[0], tf.float32) for tensor in first])
    return [tf.where(tf.math.is_nan(witness), tf.cast(witness, tensor.dtype), tensor) for tensor in tensors]
