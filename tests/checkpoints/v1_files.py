"""Checkpoints of one file, as TensorFlow wrote them before 1.0 and still can."""

import numpy as np
import tensorflow as tf


def write_v1(path, tensors: dict[str, np.ndarray]) -> str:
    """Write tensors by name; return the path."""
    names = sorted(tensors)
    tf.raw_ops.Save(
        filename=str(path), tensor_names=names, data=[tf.constant(tensors[name]) for name in names]
    )
    return str(path)
