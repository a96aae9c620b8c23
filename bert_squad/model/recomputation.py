"""What is computed once more in the backward pass, so that little of it has to be kept until then.

What is computed twice has to wait for the gradients of its results: TensorFlow would compute it again as soon as it
can, and XLA would merge it with the first time; either saves no memory.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". Differs from `tf.recompute_grad`: it waits
for the gradients of all results, not of the first alone, and adds no zero to the arguments, which would change the sign
of some zeros.
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

    A choice that depends on what it waits for is what all engines heed: XLA passes over control dependencies, and with
    its own barrier it merged what is alike all the same, on a CPU.
    """
    witness = tf.add_n([tf.cast(tf.reshape(tensor, [-1])[0], tf.float32) for tensor in first])
    return [tf.where(tf.math.is_nan(witness), tf.cast(witness, tensor.dtype), tensor) for tensor in tensors]
