"""An export holds no operation that older TensorFlow does not know; it saves, and is described, as it was before."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from bert_squad.serving.older_servers import NEW_ATTRIBUTE, NEW_OPERATION, open_to_older_servers


def saved_model_of(path) -> SavedModel:
    return SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())


def operations_of(saved_model: SavedModel) -> set[str]:
    """All operations: of the graph, of its functions, and in the list of those that it uses."""
    (meta_graph,) = saved_model.meta_graphs
    nodes = list(meta_graph.graph_def.node)
    for function in meta_graph.graph_def.library.function:
        nodes += function.node_def
    return {node.op for node in nodes} | {op.name for op in meta_graph.meta_info_def.stripped_op_list.op}


def attributes_of_variables(saved_model: SavedModel) -> set[str]:
    nodes = saved_model.meta_graphs[0].graph_def.node
    return {name for node in nodes if node.op == "VarHandleOp" for name in node.attr}


class _Variables(tf.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = tf.Variable([1.5, 2.5]), tf.Variable([[3]])

        @tf.function(input_signature=[tf.TensorSpec([2])])
        def add(x):
            return {"sum": x + self.first}

        self.functions = {"serving_default": add}


@pytest.fixture
def saved(tmp_path):
    """A SavedModel as TensorFlow writes it."""
    module = _Variables()
    tf.saved_model.save(module, str(tmp_path / "model"), module.functions)
    return tmp_path / "model"


def test_an_export_has_none_of_it(exported_v2):
    saved_model = saved_model_of(exported_v2.path)
    assert NEW_OPERATION not in operations_of(saved_model)
    assert NEW_ATTRIBUTE not in attributes_of_variables(saved_model)


def test_nothing_else_is_taken_out(saved):
    before = operations_of(saved_model_of(saved))
    attributes = attributes_of_variables(saved_model_of(saved))
    assert NEW_OPERATION in before, "else this TensorFlow needs none of this"
    assert NEW_ATTRIBUTE in attributes
    open_to_older_servers(str(saved))
    assert attributes_of_variables(saved_model_of(saved)) == attributes - {NEW_ATTRIBUTE}
    assert operations_of(saved_model_of(saved)) == before - {NEW_OPERATION}
    (meta_graph,) = saved_model_of(saved).meta_graphs
    for function in meta_graph.graph_def.library.function:
        names = {node.name for node in function.node_def}
        named = {name.removeprefix("^").split(":")[0] for node in function.node_def for name in node.input}
        assert named <= names | {argument.name for argument in function.signature.input_arg}
        assert set(function.control_ret.values()) <= names
        assert set(function.control_ret) == set(function.signature.control_output)


def test_it_loads_and_its_variables_are_there(saved):
    open_to_older_servers(str(saved))
    loaded = tf.saved_model.load(str(saved))
    assert loaded.first.numpy().tolist() == [1.5, 2.5]
    outputs = loaded.signatures["serving_default"](tf.constant([1.0, 1.0]))
    assert outputs["sum"].numpy().tolist() == [2.5, 3.5]


def test_its_own_saver_still_writes_checkpoints(saved, tmp_path):
    """What waited for the operations that are gone is the part that reads the variables and writes them."""
    open_to_older_servers(str(saved))
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(saved))
        saver = meta_graph.saver_def
        session.run(saver.save_tensor_name, {saver.filename_tensor_name: str(tmp_path / "again")})
    values = [
        tf.train.load_variable(str(tmp_path / "again"), f"{name}/.ATTRIBUTES/VARIABLE_VALUE")
        for name in ("first", "second")
    ]
    np.testing.assert_array_equal(values[0], [1.5, 2.5])
    np.testing.assert_array_equal(values[1], [[3]])


def test_the_fingerprint_is_that_of_the_new_file(saved):
    before = tf.saved_model.experimental.read_fingerprint(str(saved)).saved_model_checksum
    open_to_older_servers(str(saved))
    after = tf.saved_model.experimental.read_fingerprint(str(saved)).saved_model_checksum
    (saved / "fingerprint.pb").write_bytes(b"")
    open_to_older_servers(str(saved))
    assert before != after == tf.saved_model.experimental.read_fingerprint(str(saved)).saved_model_checksum


def test_without_a_fingerprint_there_is_none_afterwards(saved):
    (saved / "fingerprint.pb").unlink()
    open_to_older_servers(str(saved))
    assert not (saved / "fingerprint.pb").exists()
