"""Every variable of BERT, once: its legacy name, its Hugging Face name, and its shape.

Hugging Face keeps a dense kernel as [out, in] where the legacy script keeps [in, out]; LayerNorm's gamma and
beta are called weight and bias there. The Hugging Face names below are those of `BertForPreTraining` and
`BertForQuestionAnswering`; `BertModel` leaves the leading `bert.` out, and old files say gamma and beta too.
"""

import dataclasses
import re
from collections.abc import Iterable

from bert_squad.bert_config import BertConfig


@dataclasses.dataclass(frozen=True)
class BertVariable:
    """One variable, or with `#` in its names one of every layer.

    Args:
      legacy: name in a TF1 checkpoint.
      huggingface: name in a Hugging Face checkpoint.
      shape: of the legacy variable, a letter a dimension: V vocabulary, T token types, P positions, H hidden,
        I intermediate, or a digit.
      transposed: whether the Hugging Face array is the transpose.
    """

    legacy: str
    huggingface: str
    shape: str
    transposed: bool = False


def _dense(legacy: str, huggingface: str, shape: str) -> list[BertVariable]:
    return [
        BertVariable(f"{legacy}/kernel", f"{huggingface}.weight", shape, transposed=True),
        BertVariable(f"{legacy}/bias", f"{huggingface}.bias", shape[1]),
    ]


def _layer_norm(legacy: str, huggingface: str) -> list[BertVariable]:
    return [
        BertVariable(f"{legacy}/LayerNorm/gamma", f"{huggingface}.LayerNorm.weight", "H"),
        BertVariable(f"{legacy}/LayerNorm/beta", f"{huggingface}.LayerNorm.bias", "H"),
    ]


_LEGACY_LAYER, _HF_LAYER = "bert/encoder/layer_#", "bert.encoder.layer.#"

ENCODER = (
    BertVariable("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight", "VH"),
    BertVariable(
        "bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings.weight", "TH"
    ),
    BertVariable("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings.weight", "PH"),
    *_layer_norm("bert/embeddings", "bert.embeddings"),
    *_dense(f"{_LEGACY_LAYER}/attention/self/query", f"{_HF_LAYER}.attention.self.query", "HH"),
    *_dense(f"{_LEGACY_LAYER}/attention/self/key", f"{_HF_LAYER}.attention.self.key", "HH"),
    *_dense(f"{_LEGACY_LAYER}/attention/self/value", f"{_HF_LAYER}.attention.self.value", "HH"),
    *_dense(f"{_LEGACY_LAYER}/attention/output/dense", f"{_HF_LAYER}.attention.output.dense", "HH"),
    *_layer_norm(f"{_LEGACY_LAYER}/attention/output", f"{_HF_LAYER}.attention.output"),
    *_dense(f"{_LEGACY_LAYER}/intermediate/dense", f"{_HF_LAYER}.intermediate.dense", "HI"),
    *_dense(f"{_LEGACY_LAYER}/output/dense", f"{_HF_LAYER}.output.dense", "IH"),
    *_layer_norm(f"{_LEGACY_LAYER}/output", f"{_HF_LAYER}.output"),
)
# Question answering does without it: Hugging Face's BertForQuestionAnswering has none.
POOLER = tuple(_dense("bert/pooler/dense", "bert.pooler.dense", "HH"))
SPAN_HEAD = (
    BertVariable("cls/squad/output_weights", "qa_outputs.weight", "2H"),
    BertVariable("cls/squad/output_bias", "qa_outputs.bias", "2"),
)
PRE_TRAINING_HEADS = (
    *_dense("cls/predictions/transform/dense", "cls.predictions.transform.dense", "HH"),
    *_layer_norm("cls/predictions/transform", "cls.predictions.transform"),
    BertVariable("cls/predictions/output_bias", "cls.predictions.bias", "V"),
    BertVariable("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", "2H"),
    BertVariable("cls/seq_relationship/output_bias", "cls.seq_relationship.bias", "2"),
)

_ALL = (*ENCODER, *POOLER, *SPAN_HEAD, *PRE_TRAINING_HEADS)
_BY_LEGACY = {variable.legacy: variable for variable in _ALL}
_BY_HUGGINGFACE = {variable.huggingface: variable for variable in _ALL}


def from_legacy(name: str) -> BertVariable | None:
    """Look up a legacy name.

    Returns:
      The variable with both names written out, or None when BERT has no such variable.

    >>> from_legacy("bert/encoder/layer_11/output/dense/kernel").huggingface
    'bert.encoder.layer.11.output.dense.weight'
    >>> from_legacy("global_step") is None
    True
    """
    return _look_up(_BY_LEGACY, name, r"^bert/encoder/layer_(\d{1,4})/")


def from_huggingface(name: str) -> BertVariable | None:
    """Look up a Hugging Face name, of any of the classes that the module's docstring names.

    >>> from_huggingface("encoder.layer.11.output.LayerNorm.gamma").legacy
    'bert/encoder/layer_11/output/LayerNorm/gamma'
    >>> from_huggingface("roberta.pooler.dense.weight") is None
    True
    """
    name = re.sub(r"(?<=\bLayerNorm\.)(gamma|beta)$", lambda part: _NEW_PART[part[1]], name)
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return _look_up(_BY_HUGGINGFACE, name, r"^bert\.encoder\.layer\.(\d{1,4})\.")


_NEW_PART = {"gamma": "weight", "beta": "bias"}


def _look_up(table: dict[str, BertVariable], name: str, layer_pattern: str) -> BertVariable | None:
    match = re.match(layer_pattern, name)
    if not match:
        return None if "#" in name else table.get(name)
    variable = table.get(f"{name[: match.start(1)]}#{name[match.end(1) :]}")
    return variable and _of_layer(variable, match[1])


def _of_layer(variable: BertVariable, layer: int | str) -> BertVariable:
    return dataclasses.replace(
        variable,
        legacy=variable.legacy.replace("#", str(layer)),
        huggingface=variable.huggingface.replace("#", str(layer)),
    )


def encoder_variables(num_hidden_layers: int) -> list[BertVariable]:
    """List every variable that an encoder must have, the pooler left out."""
    return [
        _of_layer(variable, layer)
        for variable in ENCODER
        for layer in (range(num_hidden_layers) if "#" in variable.legacy else range(1))
    ]


def layer_count(legacy_names: Iterable[str]) -> int:
    """Count the Transformer layers that legacy names speak of: 1 + the highest number.

    >>> layer_count(["bert/encoder/layer_0/output/dense/bias", "bert/encoder/layer_3/output/dense/bias"])
    4
    """
    matches = (re.match(r"bert/encoder/layer_(\d{1,4})/", name) for name in legacy_names)
    return max((int(match[1]) + 1 for match in matches if match), default=0)


def expected_shape(variable: BertVariable, config: BertConfig) -> tuple[int, ...]:
    """Return the shape of a legacy variable in a model of this configuration."""
    sizes = {
        "V": config.vocab_size,
        "T": config.type_vocab_size,
        "P": config.max_position_embeddings,
        "H": config.hidden_size,
        "I": config.intermediate_size,
    }
    return tuple(sizes[letter] if letter in sizes else int(letter) for letter in variable.shape)
