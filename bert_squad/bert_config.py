"""What a model looks like: `bert_config.json`, or what a Hugging Face `config.json` says of it. No TensorFlow here."""

import dataclasses
import numbers
from typing import Any

from absl import logging

from bert_squad.errors import ConfigError
from bert_squad.json_files import read_json
from bert_squad.values import LARGEST_SIZE, is_finite, shortened

LARGEST_NUMBER_OF_LAYERS = 999  # the largest BERT has 72; each takes a thirtieth of a second to make

# Activations by name, as the legacy `get_activation` knows them; None and "" mean linear too.
HIDDEN_ACTIVATIONS = ("gelu", "relu", "tanh", "linear")


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """Describe a BERT encoder, with the names and defaults of `bert_config.json`.

    Args:
      vocab_size: number of WordPieces.
      hidden_size: width H of the hidden states; divisible by `num_attention_heads`.
      num_hidden_layers: number of Transformer layers.
      num_attention_heads: number N of attention heads.
      intermediate_size: width of the feed-forward layer.
      hidden_act: "gelu" (tanh approximation), "relu", "tanh", or "linear" (also None).
      hidden_dropout_prob: dropout rate after dense layers and embeddings.
      attention_probs_dropout_prob: dropout rate on the attention probabilities.
      max_position_embeddings: longest sequence, in WordPieces (inclusive).
      type_vocab_size: number of segment kinds.
      initializer_range: standard deviation of the truncated normal initializer.

    Raises:
      ConfigError: when a value cannot describe a model; it names the key.

    Source: `modeling.BertConfig`.

    >>> BertConfig(vocab_size=100, hidden_size=8, num_attention_heads=2).head_size
    4
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str | None = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value).__module__ == "numpy" and isinstance(value, numbers.Real):
                value = int(value) if isinstance(value, numbers.Integral) else float(value)
                object.__setattr__(self, field.name, value)
            if field.type is int and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"`{field.name}` must be a positive whole number, not {value!r}.")
            if field.type is int and value > LARGEST_SIZE:
                raise ConfigError(f"`{field.name}` must be at most {LARGEST_SIZE}, not {shortened(value)}.")
            if field.type is float and not is_finite(value, 0):
                raise ConfigError(f"`{field.name}` must be a number of 0 or more, not {shortened(value)}.")
        if self.num_hidden_layers > LARGEST_NUMBER_OF_LAYERS:
            raise ConfigError(
                f"`num_hidden_layers` must be at most {LARGEST_NUMBER_OF_LAYERS}, not {self.num_hidden_layers}."
            )
        for name in _DROPOUTS:
            if getattr(self, name) >= 1:
                raise ConfigError(f"`{name}` must be below 1, not {getattr(self, name)!r}.")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"The hidden size ({self.hidden_size}) is not a multiple of the number of attention heads "
                f"({self.num_attention_heads}); correct `hidden_size` or `num_attention_heads`."
            )
        if self.hidden_act not in (None, "") and str(self.hidden_act).lower() not in HIDDEN_ACTIVATIONS:
            raise ConfigError(
                f"Unsupported activation: {' '.join(str(self.hidden_act).split())[:100]}; `hidden_act` is one of "
                f"{', '.join(HIDDEN_ACTIVATIONS)}."
            )

    @property
    def num_parameters(self) -> int:
        """Number of weights of the encoder and the span head."""
        hidden, between = self.hidden_size, self.intermediate_size
        embeddings = self.vocab_size + self.type_vocab_size + self.max_position_embeddings + 2
        layer = 4 * (hidden * hidden + hidden) + 2 * hidden * between + between + 5 * hidden
        return embeddings * hidden + self.num_hidden_layers * layer + hidden * (hidden + 1) + 2 * (hidden + 1)

    @property
    def description(self) -> str:
        """Its size in words.

        >>> BertConfig(vocab_size=30522).description
        '12 layers of 768 with 12 heads, 109,494,530 weights'
        """
        return (
            f"{self.num_hidden_layers} layers of {self.hidden_size} with {self.num_attention_heads} heads, "
            f"{self.num_parameters:,} weights"
        )

    @property
    def head_size(self) -> int:
        """Width D of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "the BERT configuration") -> "BertConfig":
        """Build a configuration from the keys of a `bert_config.json`; unknown keys are noted and ignored.

        A Hugging Face `config.json`, known by its `model_type`, is translated.

        Raises:
          ConfigError: when `vocab_size` is missing or a value is impossible; it names `source`.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{source} must hold a JSON object, not {type(values).__name__}.")
        known = {field.name for field in dataclasses.fields(cls)}
        if "model_type" in values:
            values = {k: v for k, v in _from_huggingface(values, source).items() if k in known}
        unknown = sorted(set(values) - known)
        if unknown:
            logging.info("%s: keys without a meaning here are ignored: %s", source, ", ".join(unknown))
        if "vocab_size" not in values:
            raise ConfigError(f"{source} lacks `vocab_size`.")
        try:
            return cls(**{name: _as_legacy(name, value) for name, value in values.items() if name in known})
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None

    @classmethod
    def from_json_file(cls, path: str) -> "BertConfig":
        """Read a `bert_config.json`.

        Raises:
          ConfigError: when the file is missing, not JSON, or describes no model; it names the file.
        """
        values = read_json(path, "BERT configuration", flag="--bert_config_file", error=ConfigError)
        return cls.from_dict(values, source=path)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys and values of a `bert_config.json`."""
        return dataclasses.asdict(self)


_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def _as_legacy(name: str, value: Any) -> Any:
    """Read a value of a configuration as the legacy script did.

    LEGACY: without a rate nothing is dropped; and a whole number may be written with a fraction, as 3072.0.
    """
    if value is None and name in _DROPOUTS:
        return 0.0
    if isinstance(value, float) and value.is_integer() and name not in _DROPOUTS:
        return int(value)
    return value


# What transformers assumes of a key that a `config.json` leaves out, where that differs from `BertConfig`.
_HUGGINGFACE_DEFAULTS = {"vocab_size": 30522, "type_vocab_size": 2}
_TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")  # its names of what is "gelu" here
# Keys that change what the model computes, and the values of the original BERT.
_ORIGINAL_BERT = {
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
    "add_cross_attention": False,
}


def _from_huggingface(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Translate a Hugging Face `config.json` to the keys and values of a `bert_config.json`."""
    if values["model_type"] != "bert":
        raise ConfigError(
            f"{source} describes a model of the type {values['model_type']!r}; only models of the type 'bert' can be "
            "used."
        )
    for name, original in _ORIGINAL_BERT.items():
        if values.get(name, original) != original:
            raise ConfigError(
                f"{source}: `{name}` is {values[name]!r}; only the original BERT, where it is {original!r}, can be "
                "used."
            )
    # LEGACY: one "gelu", the tanh approximation, so that the legacy script can go on with what is trained here;
    # transformers means the exact form by that name (see `checkpoints.loading`, which says so).
    activation = values.get("hidden_act", "gelu")
    activation = "gelu" if activation in _TANH_GELU else activation
    return {**_HUGGINGFACE_DEFAULTS, **values, "hidden_act": activation}
