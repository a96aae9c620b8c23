"""What a model looks like (`BertConfig`) and what a run does (`SquadConfig`). No TensorFlow here."""

import dataclasses
import math
import numbers
import operator
import os
import re
from typing import Any

from absl import logging

from bert_squad import files
from bert_squad.errors import ConfigError, DataError, PathError
from bert_squad.json_files import read_json

EXPORT_DTYPES = ("float32", "bfloat16")

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
                raise ConfigError(f"`{field.name}` must be at most {LARGEST_SIZE}, not {_shortened(value)}.")
            if field.type is float and not _is_finite(value, 0):
                raise ConfigError(f"`{field.name}` must be a number of 0 or more, not {_shortened(value)}.")
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


@dataclasses.dataclass(frozen=True)
class SquadConfig:
    """Say what one run does. Each field is the flag of the same name; lengths count WordPieces.

    The first group is the legacy script's, in its order and with its defaults; the second is ours. Legacy
    flags that mean nothing in TensorFlow 2 (`LEGACY_FLAGS_WITHOUT_EFFECT`) exist on the command line only.
    """

    bert_config_file: str
    vocab_file: str
    output_dir: str
    train_file: str | None = None
    predict_file: str | None = None
    init_checkpoint: str | None = None
    do_lower_case: bool = True
    max_seq_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    do_train: bool = False
    do_predict: bool = False
    train_batch_size: int = 32
    predict_batch_size: int = 8
    learning_rate: float = 5e-5
    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    save_checkpoints_steps: int = 1000
    n_best_size: int = 20
    max_answer_length: int = 30
    verbose_logging: bool = False
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0

    do_eval: bool = False
    seed: int = 12345
    allow_random_weights: bool = False
    allow_changed_run: bool = False
    keep_checkpoint_max: int = 5
    do_export: bool = False
    export_dir: str | None = None
    export_dtype: str = "float32"
    fast: bool = False
    # None: exact, or with `fast` what is best on the device (see `bert_squad.speed`).
    dtype: str | None = None
    pad_to: str | None = None
    jit_compile: bool | None = None

    def __post_init__(self):
        """Take what notebooks give, such as a `pathlib.Path` or NumPy's numbers, as what it means.

        Raises:
          ConfigError: for a value of another type than the flag's.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = (
                str(field.type).removesuffix(" | None")
                if not isinstance(field.type, type)
                else field.type.__name__
            )
            if value is None and (
                field.default is None or field.name == "bert_config_file"
            ):  # `run` may be given it
                continue
            object.__setattr__(self, field.name, _as_kind(value, kind, f"--{field.name}"))

    def validate(self, bert_config: BertConfig) -> None:
        """Check the run against itself and the model, in the legacy order and words.

        Raises:
          ConfigError: with the legacy message where the legacy script had one; ours name the flag.

        Source: `run_squad.validate_flags_or_throw`, `tokenization.validate_case_matches_checkpoint`.
        """
        check_case_matches_checkpoint(self.do_lower_case, self.init_checkpoint)
        if not self.do_train and not self.do_predict and not self.do_export:
            raise ConfigError("At least one of `do_train` or `do_predict` must be True.")
        if self.do_train and not self.train_file:
            raise ConfigError("If `do_train` is True, then `train_file` must be specified.")
        if self.do_predict and not self.predict_file:
            raise ConfigError("If `do_predict` is True, then `predict_file` must be specified.")
        if self.max_seq_length > bert_config.max_position_embeddings:
            raise ConfigError(
                f"Cannot use sequence length {self.max_seq_length} because the BERT model was only trained up "
                f"to sequence length {bert_config.max_position_embeddings}"
            )
        if self.max_seq_length <= self.max_query_length + 3:
            raise ConfigError(
                f"The max_seq_length ({self.max_seq_length}) must be greater than max_query_length "
                f"({self.max_query_length}) + 3"
            )
        if self.do_eval and not self.do_predict:
            raise ConfigError("--do_eval scores predictions: add --do_predict and --predict_file.")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigError(f"--{name} must be one of {', '.join(choices)}, not {value!r}.")
        for name, smallest in _SMALLEST_VALUES.items():
            value = getattr(self, name)
            if not _is_finite(value, -math.inf):
                raise ConfigError(f"--{name} must be a finite number, not {_shortened(value)}.")
            if value < smallest:
                raise ConfigError(f"--{name} must be at least {smallest}, not {_shortened(value)}.")
        self._check_batch()
        if self.seed > LARGEST_SEED:
            raise ConfigError(f"--seed must be at most {LARGEST_SEED}, not {_shortened(self.seed)}.")
        if math.isnan(self.null_score_diff_threshold):
            raise ConfigError("--null_score_diff_threshold must be a number, not nan.")
        self._check_size(bert_config)

    def _check_size(self, bert_config: BertConfig) -> None:
        """Refuse a model whose weights alone, with the slots of training, are larger than the memory."""
        copies = 4 if self.do_train else 1  # weights, two slots of Adam, and gradients
        needed, there = 4 * copies * bert_config.num_parameters, _memory_size()
        if there and needed > there:
            raise ConfigError(
                f"{self.bert_config_file} describes a model of {bert_config.num_parameters:,} weights, which take "
                f"{needed / 2**30:,.1f} GiB{' in training' * self.do_train}; this machine has {there / 2**30:,.1f}. "
                "Are its sizes right?"
            )

    def _check_batch(self) -> None:
        """Refuse training batches that do not fit the memory; prediction makes none larger than what there is."""
        needed, there = (
            4 * 4 * self.train_batch_size * self.max_seq_length,
            _memory_size(),
        )  # four arrays of int32
        if self.do_train and there and needed > there:
            raise ConfigError(
                f"--train_batch_size={_shortened(self.train_batch_size)} is too large: the ids of one batch alone take "
                f"more than the {there / 2**30:,.1f} GiB of this machine."
            )

    def num_train_steps(self, num_examples: int) -> int:
        """Return the number of training steps for so many questions, as the legacy script counts them.

        Raises:
          ConfigError: when it is beyond what can be counted.
        """
        steps = num_examples / self.train_batch_size * self.num_train_epochs
        if steps > LARGEST_SIZE:
            raise ConfigError(
                f"--num_train_epochs={self.num_train_epochs:g} of {num_examples} questions are {steps:.3g} steps; "
                f"there can be at most {LARGEST_SIZE}."
            )
        return int(steps)

    def validate_vocabulary(self, bert_config: BertConfig, vocab_size: int) -> None:
        """Refuse a vocabulary whose largest ids have no row in the embedding table.

        Args:
          bert_config: the model.
          vocab_size: number of lines of the vocabulary file.

        Raises:
          DataError: naming both files and both sizes.
        """
        if vocab_size > bert_config.vocab_size:
            raise DataError(
                f"The vocabulary {self.vocab_file} has {vocab_size} pieces, but {self.bert_config_file} says "
                f"vocab_size {bert_config.vocab_size}; use the vocabulary that came with the model."
            )

    def check_input_files(self) -> None:
        """Refuse a run whose input files do not exist, before anything slow starts.

        Raises:
          ConfigError: naming the flag and the file.
        """
        wanted = ["vocab_file"]
        wanted += ["train_file"] if self.do_train else []
        wanted += ["predict_file"] if self.do_predict else []
        self._check_pipes(["bert_config_file", *wanted])
        for name in wanted:
            path = getattr(self, name)
            try:
                is_there, is_directory = files.exists(path), files.is_directory(path)
            except PathError as error:
                raise ConfigError(f"--{name}: {error}") from None
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                raise ConfigError(f"--{name}: {path} cannot be reached ({files.reason_of(error)}).") from None
            if not is_there:
                raise ConfigError(f"--{name}: {path} does not exist.")
            if is_directory:
                raise ConfigError(f"--{name}: {path} is a directory; name a file.")

    def _check_pipes(self, names: list[str]) -> None:
        """Refuse a pipe that two flags name: whoever reads it second would wait for ever."""
        seen: dict[tuple[int, int], str] = {}
        for name in names:
            pipe = files.identity_of_pipe(getattr(self, name))
            if pipe and pipe in seen:
                raise ConfigError(
                    f"--{seen[pipe]} and --{name} name the same pipe, which can be read only once; name a file, or "
                    "give each a pipe of its own."
                )
            if pipe:
                seen[pipe] = name


_KINDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a text or a path"}


def _as_kind(value: Any, kind: str, flag: str) -> Any:
    """Return a value as Python's own type of that kind."""
    is_bool = isinstance(value, bool) or type(value).__name__ in (
        "bool_",
        "bool",
    )  # NumPy's, which is no number
    try:
        if kind == "str":
            text = os.fspath(value)
            if isinstance(text, str):
                if "\0" in text:
                    raise ConfigError(f"{flag}: {text!r} holds a NUL character, which no path can.")
                return text
        elif kind == "bool" and is_bool:
            return bool(value)
        elif kind == "int" and not is_bool:
            return operator.index(value)
        elif kind == "float" and isinstance(value, numbers.Real) and not is_bool:
            return value if isinstance(value, int | float) else float(value)
    except TypeError:
        pass
    raise ConfigError(f"{flag} must be {_KINDS[kind]}, not {_shortened(value)}.")


_CHOICES = {
    "export_dtype": EXPORT_DTYPES,
    "dtype": ("float32", "bfloat16", "float16"),
    "pad_to": ("max", "batch"),
}

_SMALLEST_VALUES = {
    "max_query_length": 0,
    "doc_stride": 1,
    "train_batch_size": 1,
    "predict_batch_size": 1,
    "save_checkpoints_steps": 1,
    "keep_checkpoint_max": 1,
    "n_best_size": 1,
    "max_answer_length": 1,
    "num_train_epochs": 0,
    "learning_rate": 0,
    "warmup_proportion": 0,
    "seed": 0,
}

LARGEST_SIZE = 2**31 - 1  # what indexes and shapes can hold
LARGEST_NUMBER_OF_LAYERS = 999  # the largest BERT has 72; each takes a thirtieth of a second to make
LARGEST_SEED = 2**32 - 1  # what NumPy takes


def _is_finite(value: Any, smallest: float) -> bool:
    """Say whether a value is a number from `smallest` on, neither NaN nor infinite; whole ones may be of any size."""
    if isinstance(value, int):
        return value >= smallest
    return isinstance(value, float) and math.isfinite(value) and value >= smallest


def _shortened(value: Any) -> str:
    """Write a value for a message: the digits of a very large number help nobody."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of some {int(abs(value).bit_length() * math.log10(2)) + 1} digits"
    return repr(value)


def _memory_size() -> int | None:
    """Return the memory of this machine in bytes, or None when it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


_UNCASED_MODELS = (
    "uncased_L-24_H-1024_A-16",
    "uncased_L-12_H-768_A-12",
    "multilingual_L-12_H-768_A-12",
    "chinese_L-12_H-768_A-12",
)
_CASED_MODELS = (
    "cased_L-12_H-768_A-12",
    "cased_L-24_H-1024_A-16",
    "multi_cased_L-12_H-768_A-12",
)


def check_case_matches_checkpoint(do_lower_case: bool, init_checkpoint: str | None) -> None:
    """Refuse a published checkpoint, recognised by its folder's name, with the wrong `do_lower_case`.

    Raises:
      ConfigError: with the legacy message.

    Source: `tokenization.validate_case_matches_checkpoint`.
    """
    match = re.match(r"^.*?([A-Za-z0-9_-]+)/bert_model\.ckpt", init_checkpoint or "")
    if not match:
        return
    model_name = match.group(1)
    if do_lower_case and model_name in _CASED_MODELS:
        actual, kind, right = "True", "cased", "False"
    elif not do_lower_case and model_name in _UNCASED_MODELS:
        actual, kind, right = "False", "lowercased", "True"
    else:
        return
    raise ConfigError(
        f"You passed in `--do_lower_case={actual}` with `--init_checkpoint={init_checkpoint}`. However, "
        f"`{model_name}` seems to be a {kind} model, so you should pass in `--do_lower_case={right}` so that the "
        "fine-tuning matches how the model was pre-training. If this error is wrong, please just comment out "
        "this check."
    )
