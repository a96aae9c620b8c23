"""What TensorFlow is told of GPUs, before it uses them."""

import tensorflow as tf


def prepare_gpus(*, tensorfloat32: bool = False, repeatable: bool = False) -> None:
    """Take of each GPU the memory that is needed, not all of it, and let products of float32 be of float32.

    TensorFlow's own choice differs in both. GPUs since compute capability 8.0 can round the factors of such products
    to 10 bits after the binary point, "TensorFloat-32": much faster, and no longer the numbers of the legacy script.

    Args:
      tensorfloat32: let them.
      repeatable: where there is a GPU, let every operation add in the same order each time, so that a training that
        goes on after a kill comes to the same bits. From then on, TensorFlow refuses random operations without a seed
        in this process.
    """
    tf.config.experimental.enable_tensor_float_32_execution(tensorfloat32)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and repeatable:
        tf.config.experimental.enable_op_determinism()
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # it is in use already, as in a notebook
            return
