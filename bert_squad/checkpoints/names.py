"""Every variable of BERT, once: its legacy name, its Hugging Face name, its place in our model, and its shape.

Hugging Face keeps a dense kernel as [out, in] where the legacy script keeps [in, out]; LayerNorm's gamma and
beta are called weight and bias there. The Hugging Face names below are those of `BertForPreTraining` and
`BertForQuestionAnswering`; `BertModel` leaves the leading `bert.` out, and old files say gamma and beta too. But for
the last part they are the legacy names with dots.
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
      attribute: place in a `BertForSquad`, attributes and indices joined by dots; empty when it has none.
      shape: of the legacy variable, a letter a dimension: V vocabulary, T token types, P positions, H hidden,
        I intermediate, or a digit.
      transposed: whether the Hugging Face array is the transpose.
      attribute_transposed: whether the variable of our model is the transpose.
    """

    legacy: str
    huggingface: str
    attribute: str
    shape: str
    transposed: bool = False
    attribute_transposed: bool = False


def _dense(legacy: str, attribute: str, shape: str) -> list[BertVariable]:
    huggingface = _dotted(legacy)
    return [
        BertVariable(
            f"{legacy}/kernel", f"{huggingface}.weight", _part(attribute, "kernel"), shape, transposed=True
        ),
        BertVariable(f"{legacy}/bias", f"{huggingface}.bias", _part(attribute, "bias"), shape[1]),
    ]


def _layer_norm(legacy: str, attribute: str) -> list[BertVariable]:
    legacy, huggingface = f"{legacy}/LayerNorm", f"{_dotted(legacy)}.LayerNorm"
    return [
        BertVariable(f"{legacy}/beta", f"{huggingface}.bias", _part(attribute, "beta"), "H"),
        BertVariable(f"{legacy}/gamma", f"{huggingface}.weight", _part(attribute, "gamma"), "H"),
    ]


def _embedding(name: str, shape: str) -> BertVariable:
    legacy = f"bert/embeddings/{name}"
    return BertVariable(legacy, f"{_dotted(legacy)}.weight", f"bert.embeddings.{name}", shape)


def _dotted(legacy: str) -> str:
    return legacy.replace("layer_#", "layer.#").replace("/", ".")


def _part(attribute: str, name: str) -> str:
    return f"{attribute}.{name}" if attribute else ""


_LAYER, _OUR_LAYER = "bert/encoder/layer_#", "bert.transformer_layers.#"

# In the order of the legacy script.
ENCODER = (
    _embedding("word_embeddings", "VH"),
    _embedding("token_type_embeddings", "TH"),
    _embedding("position_embeddings", "PH"),
    *_layer_norm("bert/embeddings", "bert.embeddings.layer_norm"),
    *_dense(f"{_LAYER}/attention/self/query", f"{_OUR_LAYER}.attention.query", "HH"),
    *_dense(f"{_LAYER}/attention/self/key", f"{_OUR_LAYER}.attention.key", "HH"),
    *_dense(f"{_LAYER}/attention/self/value", f"{_OUR_LAYER}.attention.value", "HH"),
    *_dense(f"{_LAYER}/attention/output/dense", f"{_OUR_LAYER}.attention_output", "HH"),
    *_layer_norm(f"{_LAYER}/attention/output", f"{_OUR_LAYER}.attention_layer_norm"),
    *_dense(f"{_LAYER}/intermediate/dense", f"{_OUR_LAYER}.intermediate", "HI"),
    *_dense(f"{_LAYER}/output/dense", f"{_OUR_LAYER}.output_dense", "IH"),
    *_layer_norm(f"{_LAYER}/output", f"{_OUR_LAYER}.output_layer_norm"),
)
# Question answering does without it: Hugging Face's BertForQuestionAnswering has none.
POOLER = tuple(_dense("bert/pooler/dense", "bert.pooler", "HH"))
SPAN_HEAD = (
    BertVariable(
        "cls/squad/output_weights",
        "qa_outputs.weight",
        "span_head.dense.kernel",
        "2H",
        attribute_transposed=True,
    ),
    BertVariable("cls/squad/output_bias", "qa_outputs.bias", "span_head.dense.bias", "2"),
)
# Our model has none of these.
PRE_TRAINING_HEADS = (
    *_dense("cls/predictions/transform/dense", "", "HH"),
    *_layer_norm("cls/predictions/transform", ""),
    BertVariable("cls/predictions/output_bias", "cls.predictions.bias", "", "V"),
    BertVariable("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", "", "2H"),
    BertVariable("cls/seq_relationship/output_bias", "cls.seq_relationship.bias", "", "2"),
)
# What a legacy training keeps besides: the number of steps done, and for each trained variable Adam's two means.
GLOBAL_STEP = "global_step"
SLOT_NAMES = ("adam_m", "adam_v")

_ALL = (*ENCODER, *POOLER, *SPAN_HEAD, *PRE_TRAINING_HEADS)
_LAYER_NUMBER = r"bert/encoder/layer_(\d{1,4})/"
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
    return _look_up(_BY_LEGACY, name, _LAYER_NUMBER)


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
    return _look_up(_BY_HUGGINGFACE, name, r"bert\.encoder\.layer\.(\d{1,4})\.")


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
        attribute=variable.attribute.replace("#", str(layer)),
    )


def encoder_variables(num_hidden_layers: int) -> list[BertVariable]:
    """List every variable that an encoder must have, layer by layer, the pooler left out."""
    of_a_layer = [variable for variable in ENCODER if "#" in variable.legacy]
    return [
        *(variable for variable in ENCODER if "#" not in variable.legacy),
        *(_of_layer(variable, layer) for layer in range(num_hidden_layers) for variable in of_a_layer),
    ]


def layer_of(legacy_name: str) -> int | None:
    """Return the number of the Transformer layer that a variable belongs to; None when it belongs to none.

    >>> layer_of("bert/encoder/layer_3/output/dense/bias"), layer_of("bert/pooler/dense/bias")
    (3, None)
    """
    match = re.match(_LAYER_NUMBER, legacy_name)
    return int(match[1]) if match else None


def layer_count(legacy_names: Iterable[str]) -> int:
    """Count the Transformer layers that legacy names speak of: 1 + the highest number.

    >>> layer_count(["bert/encoder/layer_0/output/dense/bias", "bert/encoder/layer_3/output/dense/bias"])
    4
    """
    layers = (layer_of(name) for name in legacy_names)
    return max((layer + 1 for layer in layers if layer is not None), default=0)


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
