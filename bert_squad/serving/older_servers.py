"""Take out of a SavedModel what servers with an older TensorFlow do not know, and nothing serves from.

`tf.saved_model.save` adds a function that writes the variables to a checkpoint. Today that function keeps each variable
from being copied when it is read, by an operation without an output, which saves memory. A loader reads all functions,
so one that does not know the operation refuses the whole model, although no signature calls the function.
Variables bear a name for debugging, too, which TensorFlow before 2.5 refuses and 2.6 complains of.
"""

from collections.abc import Callable
from typing import Any

from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

from bert_squad import files
from bert_squad.serving.versions import FINGERPRINT, SAVED_MODEL

NEW_OPERATION = "DisableCopyOnRead"
NEW_ATTRIBUTE = "debug_name"


def open_to_older_servers(model_dir: str) -> None:
    """Rewrite a SavedModel, which nobody reads yet, without what is new; it computes and saves the same.

    Args:
      model_dir: where `tf.saved_model.save` has just written it.

    Raises:
      OSError: when it cannot be read or written.
    """
    path = files.join(model_dir, SAVED_MODEL)
    saved_model = SavedModel.FromString(files.read_bytes(path))
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            if node.op == "VarHandleOp":
                node.attr.pop(NEW_ATTRIBUTE, None)
        for function in meta_graph.graph_def.library.function:
            _remove_new_operation(function)
        known = meta_graph.meta_info_def.stripped_op_list
        _keep(known.op, lambda operation: operation.name != NEW_OPERATION)
    files.write_bytes(path, saved_model.SerializeToString(deterministic=True))
    # It has the checksum of the file above.
    if files.exists(files.join(model_dir, FINGERPRINT)):
        write_fingerprint(model_dir)


def _remove_new_operation(function: FunctionDef) -> None:
    """Take the nodes of `NEW_OPERATION` out of a function, and what waits for them or names them."""
    removed = {node.name for node in function.node_def if node.op == NEW_OPERATION}
    if not removed:
        return
    _keep(function.node_def, lambda node: node.name not in removed)
    for node in function.node_def:
        _keep(node.input, lambda name: name.removeprefix("^") not in removed)
    for output, name in list(function.control_ret.items()):
        if name in removed:
            del function.control_ret[output]
    _keep(function.signature.control_output, lambda output: output in function.control_ret)


def _keep(repeated: Any, is_kept: Callable[[Any], bool]) -> None:
    """Keep those elements of a repeated field that a function says, in their order."""
    for index in reversed(range(len(repeated))):
        if not is_kept(repeated[index]):
            del repeated[index]
