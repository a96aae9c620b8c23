"""Read the BERT encoder out of a TF2 object-based checkpoint of the TensorFlow Model Garden, under legacy names.

Such a checkpoint stores a graph of objects beside the tensors: which object is an attribute of which other, and
for each variable its key in the file and its full name in the program that wrote it. Keys depend on how the encoder
was saved (`tf.train.Checkpoint(model=encoder)`, inside a larger model, with or without an optimizer) and on its class;
so the encoder is found in the graph as the object that has a layer of word embeddings, and the variables below it are
told by the ends of their full names, which all releases share. The Model Garden itself is not needed.

Source: `official.nlp.modeling.networks.BertEncoderV2`, `BertEncoder` and its predecessor `TransformerEncoder`; the
names in `official.nlp.tools.tf1_bert_checkpoint_converter_lib`. The span head is that of `models.BertSpanLabeler`.
"""

import re
from collections.abc import Iterator

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from bert_squad.checkpoints.reader import CheckpointReader
from bert_squad.checkpoints.tf1 import Tf1Reader, step_in
from bert_squad.errors import CheckpointError

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_WORD_EMBEDDINGS = "word_embeddings/embeddings"
_SPAN_HEAD_ATTRIBUTE = "span_labeling"
_KEY_END = "/.ATTRIBUTES/VARIABLE_VALUE"
_SPAN_WEIGHTS = "cls/squad/output_weights"
_STEP_KEYS = ("global_step", "step", "optimizer/iter", "optimizer/_iterations")

# (end of the full name, legacy name). Kernels and biases of attention have the heads as a dimension of their own.
_ENCODER_NAMES = (
    (_WORD_EMBEDDINGS, "bert/embeddings/word_embeddings"),
    (r"type_embeddings/embeddings", "bert/embeddings/token_type_embeddings"),
    (r"position_embedding/embeddings", "bert/embeddings/position_embeddings"),
    (r"embeddings/layer_norm/(gamma|beta)", r"bert/embeddings/LayerNorm/\1"),
    (
        r"transformer/layer_(\d{1,4})/self_attention/(query|key|value)/(kernel|bias)",
        r"bert/encoder/layer_\1/attention/self/\2/\3",
    ),
    (
        r"transformer/layer_(\d{1,4})/self_attention(?:/attention|)_output/(kernel|bias)",
        r"bert/encoder/layer_\1/attention/output/dense/\2",
    ),
    (
        r"transformer/layer_(\d{1,4})/self_attention_layer_norm/(gamma|beta)",
        r"bert/encoder/layer_\1/attention/output/LayerNorm/\2",
    ),
    (
        r"transformer/layer_(\d{1,4})/intermediate/(kernel|bias)",
        r"bert/encoder/layer_\1/intermediate/dense/\2",
    ),
    (r"transformer/layer_(\d{1,4})/output/(kernel|bias)", r"bert/encoder/layer_\1/output/dense/\2"),
    (
        r"transformer/layer_(\d{1,4})/output_layer_norm/(gamma|beta)",
        r"bert/encoder/layer_\1/output/LayerNorm/\2",
    ),
    (r"pooler_transform/(kernel|bias)", r"bert/pooler/dense/\1"),
)
_SPAN_HEAD_NAMES = (
    (r"predictions/transform/logits/kernel", _SPAN_WEIGHTS),
    (r"predictions/transform/logits/bias", "cls/squad/output_bias"),
)


class ModelGardenReader(CheckpointReader):
    """Read an object-based checkpoint as a mapping from legacy names to arrays of the legacy shapes.

    Variables outside the encoder and the span head keep their key in the checkpoint, without its fixed end.

    Args:
      path: a prefix, without `.index`.

    Raises:
      CheckpointError: when the files are missing or damaged, or hold two encoders.
    """

    def __init__(self, path: str):
        self._tensors = tensors = Tf1Reader(path)
        found = _named_variables(_object_graph(tensors), path)
        missing = sorted(key for key in found.values() if key not in tensors)
        if missing:
            raise CheckpointError(f"The checkpoint {path} is damaged: it lacks {missing[0]}.")
        others = set(tensors) - set(found.values()) - {OBJECT_GRAPH}
        keys = {**found, **{key.removesuffix(_KEY_END): key for key in sorted(others)}}
        super().__init__(
            path,
            {name: _legacy_shape(name, tensors.shapes[key]) for name, key in keys.items()},
            {name: tensors.dtypes[key] for name, key in keys.items()},
            keys,
        )
        self.kind = f"TF2 object-based checkpoint{' of a Model Garden encoder' if found else ''}"

    @property
    def step(self) -> int | None:
        """Under one of the usual keys."""
        keys = (f"{name}{_KEY_END}" for name in _STEP_KEYS)
        key = next((key for key in keys if key in self._tensors), None)
        return step_in(self._tensors, key) if key else None

    @property
    def num_attention_heads(self) -> int | None:
        """A dimension of their own in the shapes here."""
        query = self.own_names.get("bert/encoder/layer_0/attention/self/query/kernel")
        shape = self._tensors.shapes[query] if query else ()
        return shape[1] if len(shape) == 3 else None

    def own_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape in the checkpoint itself."""
        return self._tensors.shapes[self.own_names[name]]

    def __getitem__(self, name: str) -> np.ndarray:
        value = np.asarray(self._tensors[self.own_names[name]])  # TensorFlow gives a lone string as bytes
        return value.T if name == _SPAN_WEIGHTS else value.reshape(self.shapes[name])


def _object_graph(tensors: Tf1Reader) -> TrackableObjectGraph:
    try:
        return TrackableObjectGraph.FromString(tensors[OBJECT_GRAPH])
    except (DecodeError, TypeError) as error:
        raise CheckpointError(f"The object graph of {tensors.path} is damaged ({error}).") from None


def _legacy_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if name == _SPAN_WEIGHTS:
        return shape[::-1]
    if "/attention/self/" in name and len(shape) > 1:
        return (*shape[:-2], shape[-2] * shape[-1])  # [H, N, D] or [N, D]
    if name.endswith("/attention/output/dense/kernel") and len(shape) == 3:
        return (shape[0] * shape[1], shape[2])  # [N, D, H]
    return shape


def _named_variables(graph: TrackableObjectGraph, path: str) -> dict[str, str]:
    """Return the key in the checkpoint of each variable of the encoder and the span head, by legacy name."""
    encoders = [index for index, node in enumerate(graph.nodes) if _has_word_embeddings(graph, node)]
    heads = {
        child.node_id
        for node in graph.nodes
        for child in node.children
        if child.local_name == _SPAN_HEAD_ATTRIBUTE
    }
    keys: dict[str, str] = {}
    for root, table in [
        *((root, _ENCODER_NAMES) for root in encoders),
        *((root, _SPAN_HEAD_NAMES) for root in heads),
    ]:
        for full_name, key in _variables_below(graph, root):
            legacy = _translate(full_name, table)
            if legacy and keys.setdefault(legacy, key) != key:
                raise CheckpointError(
                    f"{path} holds {legacy} twice, as {keys[legacy]} and as {key}; save one encoder alone."
                )
    return keys


def _has_word_embeddings(graph: TrackableObjectGraph, node) -> bool:
    """Say whether a child of the object is the layer of word embeddings."""
    return any(
        attribute.full_name.endswith(_WORD_EMBEDDINGS)
        for layer in _children(graph, node)
        for table in _children(graph, layer, "embeddings")
        for attribute in table.attributes
    )


def _children(graph: TrackableObjectGraph, node, local_name: str | None = None) -> list:
    return [
        graph.nodes[child.node_id]
        for child in node.children
        if local_name in (None, child.local_name) and 0 <= child.node_id < len(graph.nodes)
    ]


def _variables_below(graph: TrackableObjectGraph, root: int) -> Iterator[tuple[str, str]]:
    """Yield (full name, key in the checkpoint) of every variable that an object leads to."""
    waiting, seen = [root], {root}
    while waiting:
        index = waiting.pop()
        if not 0 <= index < len(graph.nodes):
            continue
        for attribute in graph.nodes[index].attributes:
            yield attribute.full_name, attribute.checkpoint_key
        for child in graph.nodes[index].children:
            if child.node_id not in seen:
                seen.add(child.node_id)
                waiting.append(child.node_id)


def _translate(full_name: str, table: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, legacy in table:
        match = re.search(rf"(?:^|/){pattern}$", full_name)
        if match:
            return match.expand(legacy)
    return None
