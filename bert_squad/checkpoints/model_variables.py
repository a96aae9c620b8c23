"""The variables of a model under their legacy names, which `names` states."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from bert_squad.checkpoints import names


@dataclasses.dataclass(frozen=True)
class NamedVariable:
    """A variable of the model under its legacy name.

    Args:
      name: legacy name, e.g. `bert/pooler/dense/kernel`.
      variable: the variable itself.
      transposed: whether the checkpoint holds the transpose of the variable.
      trained: whether the loss reaches it; the optimizer keeps slots for these alone.
    """

    name: str
    variable: tf.Variable
    transposed: bool = False
    trained: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the checkpoint."""
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.transposed else shape

    def to_checkpoint(self, value: tf.Tensor) -> tf.Tensor:
        """Turn a value in the shape of the variable into that of the checkpoint."""
        return tf.transpose(value) if self.transposed else tf.convert_to_tensor(value)

    def from_checkpoint(self, value: np.ndarray) -> np.ndarray:
        """Turn a value in the shape of the checkpoint into that of the variable."""
        return value.T if self.transposed else value


def tf1_variables(model) -> dict[str, NamedVariable]:
    """Name every variable of a `BertForSquad` as the legacy script did, in its order.

    Source: the variable names that `modeling.BertModel` and `run_squad.create_model` make.
    """
    encoder = names.encoder_variables(model.bert_config.num_hidden_layers)
    return {
        variable.legacy: NamedVariable(
            variable.legacy,
            _at(model, variable.attribute),
            transposed=variable.attribute_transposed,
            trained=variable not in names.POOLER,
        )
        for variable in (*encoder, *names.POOLER, *names.SPAN_HEAD)
    }


def _at(model, attribute: str) -> tf.Variable:
    """Follow a path of attributes and, where a part is a number, of indices."""
    value: Any = model
    for part in attribute.split("."):
        value = value[int(part)] if part.isdecimal() else getattr(value, part)
    return value
