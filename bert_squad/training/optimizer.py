"""The legacy optimizer: Adam without bias correction, decoupled weight decay, linear warm-up and decay."""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import tensorflow as tf
from absl import logging

from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.names import layer_of
from bert_squad.errors import ConfigError
from bert_squad.model.fusion import compiled
from bert_squad.model.squad_model import BertForSquad

CLIP_NORM = 1.0
WEIGHT_DECAY_RATE = 0.01
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-6
_NOT_DECAYED = re.compile(r"LayerNorm|layer_norm|bias")


def learning_rate_at(
    step: tf.Tensor, initial: float, num_train_steps: int, num_warmup_steps: int
) -> tf.Tensor:
    """Return the learning rate of one step.

    Args:
      step: int scalar, number of steps done before this one; the first step is 0.
      initial: the peak learning rate.
      num_train_steps: step at which the rate reaches 0.
      num_warmup_steps: while `step` is below this, the rate is initial * step / num_warmup_steps instead, so
        that with warm-up the first step has rate 0.

    Returns:
      float32 scalar.

    Source: `optimization.create_optimizer`. Differs: there, on CPU, warm-up often saw the step after the
    increment (a race in the graph); here it sees what the source states.
    """
    step = tf.cast(step, tf.float32)
    done = tf.minimum(step, float(num_train_steps)) / float(num_train_steps)
    rate = tf.constant(initial, tf.float32) * (1.0 - done)
    if num_warmup_steps:
        warmup_rate = tf.constant(initial, tf.float32) * (step / float(num_warmup_steps))
        rate = tf.where(step < float(num_warmup_steps), warmup_rate, rate)
    return rate


def layerwise_rates(names: Iterable[str], decay: float, num_layers: int) -> dict[str, float]:
    """Return what the learning rate of each variable is multiplied by, so that lower layers learn slower.

    The span head has 1; the highest Transformer layer decay², the one below it decay³ and so on; the embeddings
    decay^(num_layers + 2).

    Args:
      names: legacy names of variables.
      decay: above 0, at most 1; with 1 all are 1.
      num_layers: of the encoder.

    Source: `_get_layer_lrs` of ELECTRA's model/optimization.py, where a head is two steps above the highest layer.

    >>> layerwise_rates(["bert/encoder/layer_0/output/dense/bias", "cls/squad/output_bias"], 0.5, num_layers=2)
    {'bert/encoder/layer_0/output/dense/bias': 0.125, 'cls/squad/output_bias': 1.0}
    """

    def depth(name: str) -> int:
        layer = layer_of(name)
        if layer is not None:
            return layer + 1
        return 0 if name.startswith("bert/embeddings/") else num_layers + 2

    return {name: decay ** (num_layers + 2 - depth(name)) for name in names}


class AdamWeightDecay(tf.Module):
    """Update variables as the legacy `AdamWeightDecayOptimizer` did.

    For a gradient g: m = 0.9 m + 0.1 g; v = 0.999 v + 0.001 g²; then the variable loses
    learning_rate * (m / (sqrt(v) + 1e-6) + 0.01 * variable), the second term not for biases and LayerNorm.
    m and v are not corrected for their start at zero, unlike in Kingma and Ba 2015.

    Args:
      variables: legacy name → variable, those that the loss reaches.
      frozen: names of those that are not updated. Their slots, zeros at first, are in a checkpoint all the same, where
        the legacy program looks for them.
      rates: name → what the learning rate of a variable is multiplied by; 1 for those that are not named.

    Source: `optimization.AdamWeightDecayOptimizer`.
    """

    def __init__(
        self,
        variables: Mapping[str, tf.Variable],
        *,
        frozen: Collection[str] = (),
        rates: Mapping[str, float] | None = None,
    ):
        super().__init__(name="adam_weight_decay")
        self._variables = {name: variable for name, variable in variables.items() if name not in frozen}
        self._rates = dict(rates or {})
        self._m = {name: self._zeros_like(variable) for name, variable in variables.items()}
        self._v = {name: self._zeros_like(variable) for name, variable in variables.items()}

    @classmethod
    def for_model(
        cls, model: BertForSquad, *, trainable: str | None = None, layerwise_lr_decay: float = 1.0
    ) -> "AdamWeightDecay":
        """Make the optimizer of a model: over all variables that the loss reaches, the pooler's left out.

        Args:
          model: what is trained.
          trainable: regular expression that is found in the legacy names of those that are updated; None for all.
          layerwise_lr_decay: see `layerwise_rates`.

        Raises:
          ConfigError: when the model's weights are not float32, some are frozen, or `trainable` is found in no name.
        """
        model.check_trained_type()
        variables = {name: entry.variable for name, entry in tf1_variables(model).items() if entry.trained}
        updated_by_keras = {weight.name for weight in model.trainable_weights}
        for name, variable in variables.items():
            if variable.name not in updated_by_keras:
                raise ConfigError(
                    f"{name} is frozen, and the legacy optimizer trains all weights; let `trainable` be True "
                    "everywhere, or train with Keras' `fit`."
                )
        frozen = [] if trainable is None else _frozen(variables, trainable)
        num_layers = model.bert_config.num_hidden_layers
        return cls(variables, frozen=frozen, rates=layerwise_rates(variables, layerwise_lr_decay, num_layers))

    @staticmethod
    def _zeros_like(variable: tf.Variable) -> tf.Variable:
        """Make a slot: float32 of the variable's shape."""
        return tf.Variable(tf.zeros(variable.shape, tf.float32), trainable=False)

    @property
    def variables_by_name(self) -> dict[str, tf.Variable]:
        """The updated variables by legacy name; frozen ones are not among them."""
        return dict(self._variables)

    def slots(self, name: str) -> tuple[tf.Variable, tf.Variable]:
        """Return (m, v) of a variable by its legacy name, in the variable's own shape; of a frozen one too."""
        return self._m[name], self._v[name]

    def all_slots(self) -> list[tf.Variable]:
        """Return m and v of all variables."""
        return [*self._m.values(), *self._v.values()]

    def apply_gradients(
        self, gradients: Sequence[tf.Tensor | tf.IndexedSlices], learning_rate: tf.Tensor
    ) -> tf.Tensor:
        """Clip the gradients to a global norm of 1 and update variables and slots.

        Args:
          gradients: one for each of `variables_by_name`, in their order.
          learning_rate: float scalar.

        Returns:
          float32 scalar, the global norm before clipping. LEGACY: a gradient that is an IndexedSlices counts
          with its values as they are, rows of the same id not summed.
        """
        global_norm = tf.linalg.global_norm(gradients)
        # As tf.clip_by_global_norm does: a norm that is not finite makes everything NaN.
        scale = CLIP_NORM * tf.minimum(1.0 / global_norm, 1.0 / CLIP_NORM)
        scale = tf.where(tf.math.is_finite(global_norm), scale, float("nan"))
        for (name, variable), gradient in zip(self._variables.items(), gradients, strict=True):
            m, v = self._m[name], self._v[name]
            rate = self._rates.get(name, 1.0)
            own_rate = learning_rate if rate == 1.0 else learning_rate * rate
            tensors = (variable, m, v, gradient, scale, own_rate)
            next_values = _update_of(name, variable)(*map(tf.convert_to_tensor, tensors))
            for target, value in zip((variable, m, v), next_values, strict=True):
                target.assign(value)
        return global_norm


def _frozen(variables: Mapping[str, tf.Variable], trainable: str) -> list[str]:
    """Return the names that a regular expression is not found in, and log how many it is found in."""
    trained = [name for name in variables if re.search(trainable, name)]
    if not trained:
        raise ConfigError(
            f"--trainable={trainable} is found in the name of no variable that is trained, such as "
            "bert/embeddings/word_embeddings, bert/encoder/layer_0/output/dense/kernel and cls/squad/output_weights."
        )
    num_weights = sum(variables[name].shape.num_elements() for name in trained)
    logging.info(
        "  %d of %d variables are trained, %d weights (--trainable); the others are frozen.",
        len(trained),
        len(variables),
        num_weights,
    )
    return [name for name in variables if name not in set(trained)]


def _update_of(name: str, variable: tf.Variable) -> Callable:
    """Return the update of a variable: with decay or without, and compiled where that is worth its start."""
    is_decayed = not _NOT_DECAYED.search(name)
    if variable.shape.num_elements() < _WORTH_COMPILING:
        return _update_with_decay if is_decayed else _update
    return _compiled_update_with_decay if is_decayed else _compiled_update


def _update(variable, m, v, gradient, scale, learning_rate, decay_rate=None):
    """Map four float32 tensors of one shape and two scalars to the next (variable, m, v), all of that shape."""
    gradient = gradient * scale
    next_m = BETA_1 * m + (1.0 - BETA_1) * gradient
    next_v = BETA_2 * v + (1.0 - BETA_2) * tf.square(gradient)
    update = next_m / (tf.sqrt(next_v) + EPSILON)
    if decay_rate is not None:
        update += decay_rate * variable
    return variable - learning_rate * update, next_m, next_v


_update_with_decay = functools.partial(_update, decay_rate=WEIGHT_DECAY_RATE)
_WORTH_COMPILING = 2**16  # elements
_compiled_update, _compiled_update_with_decay = compiled(_update), compiled(_update_with_decay)
