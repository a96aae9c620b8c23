"""What a traced function consists of: the operations of its graph, and of all functions that it calls."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.util import pywrap_xla_ops


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a graph.

    Attributes:
      function: the name of the function that it stands in; "" for the graph itself.
      name: its own.
      type: e.g. "MatMul".
      shapes: of its outputs.
    """

    function: str
    name: str
    type: str
    shapes: tuple[tf.TensorShape, ...]


def operations(graph: tf.Graph) -> list[Operation]:
    """List the operations of a traced function, `concrete_function.graph`, and of all functions in its library."""
    definition = graph.as_graph_def(add_shapes=True)
    found = list(_of_nodes("", definition.node))
    for function in definition.library.function:
        found += _of_nodes(function.signature.name, function.node_def)
    return found


def _of_nodes(function: str, nodes) -> Iterator[Operation]:
    for node in nodes:
        shapes = tuple(tf.TensorShape(shape) for shape in node.attr["_output_shapes"].list.shape)
        yield Operation(function, node.name, node.op, shapes)


def compiled_by_xla() -> set[str]:
    """Return the types of operations that XLA compiles, whatever the device.

    TensorFlow lists what tf2xla has registered for CPUs and for GPUs (`GetRegisteredXlaOpsForDevice`). That for TPUs is
    part of another build; few operations are registered for some devices alone.
    """
    return set(pywrap_xla_ops.get_cpu_kernel_names()) & set(pywrap_xla_ops.get_gpu_kernel_names())
