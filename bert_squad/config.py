"""What a run does: `SquadConfig`, the flags and what can be said against them. No TensorFlow here."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import TypeVar

from bert_squad import data_files, files
from bert_squad.bert_config import BertConfig
from bert_squad.errors import ConfigError, DataError, PathError
from bert_squad.values import LARGEST_SIZE, as_kind, is_finite, memory_size, shortened

EXPORT_DTYPES = ("float32", "bfloat16")
EXPORT_SIGNATURES = ("all", "features")
ENGINES = ("tensorflow", "openvino")

_Seen = TypeVar("_Seen")
DISTRIBUTION_STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


@dataclasses.dataclass(frozen=True)
class SquadConfig:
    """Say what one run does. Each field is the flag of the same name; lengths count WordPieces.

    The first group is the legacy script's, in its order and with its defaults; the second is ours.
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
    iterations_per_loop: int = 1000
    n_best_size: int = 20
    max_answer_length: int = 30
    use_tpu: bool = False
    tpu_name: str | None = None
    tpu_zone: str | None = None
    gcp_project: str | None = None
    master: str | None = None
    num_tpu_cores: int = 8
    verbose_logging: bool = False
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0

    do_eval: bool = False
    seed: int = 12345
    allow_random_weights: bool = False
    allow_changed_run: bool = False
    keep_checkpoint_max: int = 5
    log_file: str | None = None
    summary_steps: int = 100
    trainable: str | None = None  # None: all
    layerwise_lr_decay: float = 1.0
    max_train_questions: int = 0
    max_predict_questions: int = 0
    eval_steps: int = 0
    eval_max_questions: int = 0
    best_metric: str = "f1"
    early_stopping_evals: int = 0
    use_best: bool = False
    tune_null_threshold: bool = False
    use_tuned_threshold: bool = True
    write_offsets: bool = False
    do_export: bool = False
    export_dir: str | None = None
    export_dtype: str = "float32"
    export_signatures: str = "all"
    fast: bool = False
    # None: exact, or with `fast` what is best on the device (see `bert_squad.compute_options`).
    dtype: str | None = None
    pad_to: str | None = None
    jit_compile: bool | None = None
    engine: str = "tensorflow"
    engine_model: str | None = None
    gradient_accumulation_steps: int = 1
    recompute: bool = False
    distribution_strategy: str = "one_device"
    num_logical_devices: int = 1
    cluster_timeout: float = 120.0  # seconds
    on_bad_question: str = "error"
    several_answers: str = "error"

    def __post_init__(self):
        """Take what notebooks give, such as a `pathlib.Path` or NumPy's numbers, as what it means.

        Raises:
          ConfigError: for a value of another type than the flag's.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_optional = field.default is None or field.name == "bert_config_file"  # `run` may be given it
            if not (value is None and is_optional):
                object.__setattr__(self, field.name, as_kind(value, kind_of(field), f"--{field.name}"))

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
            if not is_finite(value, -math.inf):
                raise ConfigError(f"--{name} must be a finite number, not {shortened(value)}.")
            if value < smallest:
                raise ConfigError(f"--{name} must be at least {smallest}, not {shortened(value)}.")
        self._check_batch()
        self._check_distribution()
        self._check_trained()
        self._check_evaluations()
        self._check_engine()
        if self.seed > LARGEST_SEED:
            raise ConfigError(f"--seed must be at most {LARGEST_SEED}, not {shortened(self.seed)}.")
        self._check_threshold()
        self._check_size(bert_config)

    def _check_size(self, bert_config: BertConfig) -> None:
        """Refuse a model whose weights alone are larger than the memory."""
        needed, there = 4 * bert_config.num_parameters, memory_size()
        if there and needed > there:
            raise ConfigError(
                f"{self.bert_config_file} describes a model of {bert_config.num_parameters:,} weights, which take "
                f"{needed / 2**30:,.1f} GiB; this machine has {there / 2**30:,.1f}. "
                "Are its sizes right?"
            )

    def _check_batch(self) -> None:
        """Refuse training batches that do not fit the memory, or cannot be cut; prediction makes none larger than what
        there is.
        """
        needed, there = (
            4 * 4 * self.train_batch_size * self.max_seq_length,
            memory_size(),
        )  # four arrays of int32
        if self.do_train and there and needed > there:
            raise ConfigError(
                f"--train_batch_size={shortened(self.train_batch_size)} is too large: the ids of one batch alone take "
                f"more than the {there / 2**30:,.1f} GiB of this machine."
            )
        if self.do_train and self.train_batch_size % self.gradient_accumulation_steps:
            raise ConfigError(
                f"--gradient_accumulation_steps={shortened(self.gradient_accumulation_steps)} cuts each batch into "
                f"parts of one size, so it must divide --train_batch_size={self.train_batch_size}."
            )

    @property
    def takes_tuned_threshold(self) -> bool:
        """Whether a threshold that was tuned before is used: unless another one is given."""
        return (
            self.version_2_with_negative
            and self.use_tuned_threshold
            and self.null_score_diff_threshold == 0
            and not self.tune_null_threshold
        )

    def _check_trained(self) -> None:
        """Refuse what says nothing of which variables are trained, and how fast."""
        if self.trainable is not None:
            try:
                re.compile(self.trainable)
            except (re.error, RecursionError, OverflowError) as error:
                raise ConfigError(
                    f"--trainable={shortened(self.trainable)} is no regular expression ({error})."
                ) from None
        if self.trainable == "":
            raise ConfigError(
                "--trainable is empty; name variables, as in --trainable=^cls/, or leave it out."
            )
        if not 0 < self.layerwise_lr_decay <= 1:
            raise ConfigError(
                f"--layerwise_lr_decay must be above 0 and at most 1, not {shortened(self.layerwise_lr_decay)}."
            )

    def _check_threshold(self) -> None:
        """Refuse to tune a threshold that is given, or that no question could be scored by."""
        if math.isnan(self.null_score_diff_threshold):
            raise ConfigError("--null_score_diff_threshold must be a number, not nan.")
        if not self.tune_null_threshold:
            return
        if not self.version_2_with_negative:
            raise ConfigError(
                "--tune_null_threshold is for SQuAD 2.0, where questions may have no answer: add "
                "--version_2_with_negative."
            )
        if not self.do_predict:
            raise ConfigError(
                "--tune_null_threshold searches on predictions: add --do_predict, and --predict_file with answers."
            )
        if self.null_score_diff_threshold:
            raise ConfigError(
                f"--tune_null_threshold finds the threshold, and --null_score_diff_threshold="
                f"{self.null_score_diff_threshold:g} gives it; leave one of them out."
            )

    def _check_evaluations(self) -> None:
        """Refuse flags of scores on the way that do not go together."""
        if self.eval_steps and not (self.do_train and self.predict_file):
            raise ConfigError(
                "--eval_steps scores the model while it is trained: add --do_train, and --predict_file with answers."
            )
        if self.early_stopping_evals and not self.eval_steps:
            raise ConfigError("--early_stopping_evals counts evaluations: add --eval_steps.")
        if self.best_metric == "best_f1" and not self.version_2_with_negative:
            raise ConfigError(
                "--best_metric=best_f1 is the F1 at the best threshold, which version 1.1 has not; add "
                "--version_2_with_negative, or choose f1 or exact."
            )
        if self.write_offsets and not self.do_predict:
            raise ConfigError("--write_offsets says where the answers of --do_predict are: add that.")
        if self.use_best and not (self.do_predict or self.do_export):
            raise ConfigError("--use_best is for prediction and export: add --do_predict or --do_export.")

    @property
    def strategy(self) -> str:
        """What the run is distributed by: `distribution_strategy`, or "tpu" with `use_tpu`."""
        return "tpu" if self.use_tpu else self.distribution_strategy

    def _check_distribution(self) -> None:
        """Refuse flags of several devices that do not go together; `devices` sees which there are."""
        if self.use_tpu and self.distribution_strategy not in ("one_device", "tpu"):
            raise ConfigError(
                f"--use_tpu means --distribution_strategy=tpu, and {self.distribution_strategy} is given; leave one of "
                "them out."
            )
        if self.num_logical_devices > 1 and self.strategy != "mirrored":
            raise ConfigError(
                f"--num_logical_devices={shortened(self.num_logical_devices)} cuts the CPU into devices for "
                "--distribution_strategy=mirrored; add that, or leave it out."
            )
        if self.strategy != "tpu":
            return
        if not (self.tpu_name or self.master):
            raise ConfigError(
                "A TPU needs a name: add --tpu_name (on the TPU's own machine: --tpu_name=local), or --master with its "
                "address."
            )
        if self.dtype in ("float16", "tensorfloat32"):
            raise ConfigError(f"A TPU has no {self.dtype}; give --dtype=bfloat16, or leave --dtype out.")
        if self.pad_to == "batch":
            raise ConfigError(
                "--pad_to=batch makes batches of many lengths, which a TPU cannot have; leave it out."
            )
        self._check_reached_by_tpu()

    def _check_engine(self) -> None:
        """Refuse flags that the engine of prediction does not go with."""
        if self.engine == "tensorflow":
            if self.engine_model is not None:
                raise ConfigError(
                    "--engine_model is what --engine=openvino predicts with; add that, or leave it out."
                )
            return
        if self.strategy != "one_device":
            raise ConfigError(
                f"--engine={self.engine} predicts on this machine's CPU alone; leave it out, or predict in another run."
            )
        if self.dtype in ("float16", "tensorfloat32"):
            raise ConfigError(
                f"--engine={self.engine} computes in float32 or bfloat16, not in {self.dtype} (--dtype)."
            )
        if self.pad_to == "max" and not self.do_train:
            raise ConfigError(
                f"--engine={self.engine} pads no window to --max_seq_length; leave --pad_to=max out."
            )
        if self.engine_model is not None and not self.do_predict:
            raise ConfigError("--engine_model is for prediction: add --do_predict and --predict_file.")
        if self.engine_model is not None and self.do_train:
            raise ConfigError(
                "--engine_model predicts with other weights than --do_train makes; leave one of them out."
            )

    def _check_reached_by_tpu(self) -> None:
        """Refuse an output directory whose records the TPU's own machine could not read."""
        is_local = self.tpu_name == "local"
        if (self.do_train or self.do_predict) and not is_local and not files.is_remote(self.output_dir):
            raise ConfigError(
                f"The TPU reads its records from --output_dir, and does not reach {self.output_dir}; name a directory "
                "of Cloud Storage (gs://...)."
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
        wanted = {"vocab_file": [self.vocab_file]}
        answers = self.do_predict or self.eval_steps > 0
        for name, is_read in (("train_file", self.do_train), ("predict_file", answers)):
            if is_read:
                wanted[name] = _reached(name, getattr(self, name), data_files.paths_of)
        self._check_pipes({"bert_config_file": [self.bert_config_file], **wanted})
        for name, paths in wanted.items():
            for path in paths:
                if not _reached(name, path, files.exists):
                    raise ConfigError(f"--{name}: {path} does not exist.")
                if _reached(name, path, files.is_directory):
                    raise ConfigError(f"--{name}: {path} is a directory; name a file.")

    def _check_pipes(self, paths: dict[str, list[str]]) -> None:
        """Refuse a pipe that is named twice: whoever reads it second would wait for ever."""
        seen: dict[tuple[int, int], str] = {}
        for name, path in [(flag, path) for flag, named in paths.items() for path in named]:
            pipe = files.identity_of_pipe(path)
            if pipe and pipe in seen:
                raise ConfigError(
                    f"--{seen[pipe]} and --{name} name the same pipe, which can be read only once; name a file, or "
                    "give each a pipe of its own."
                )
            if pipe:
                seen[pipe] = name


def _reached(name: str, path: str, look: Callable[[str], _Seen]) -> _Seen:
    """Look at a path, and name the flag of that name when it cannot be reached."""
    try:
        return look(path)
    except (PathError, DataError) as error:
        raise ConfigError(f"--{name}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError(f"--{name}: {path} cannot be reached ({files.reason_of(error)}).") from None


def kind_of(field: dataclasses.Field) -> str:
    """Return the type of a flag's values, "str", "bool", "int" or "float", as its field of `SquadConfig` states it."""
    return str(getattr(field.type, "__name__", field.type)).removesuffix(" | None")


_CHOICES = {
    "export_dtype": EXPORT_DTYPES,
    "export_signatures": EXPORT_SIGNATURES,
    "dtype": ("float32", "bfloat16", "float16", "tensorfloat32"),
    "pad_to": ("max", "batch"),
    "best_metric": ("f1", "exact", "best_f1"),
    "engine": ENGINES,
    "distribution_strategy": DISTRIBUTION_STRATEGIES,
    "on_bad_question": ("error", "skip"),
    "several_answers": ("error", "first"),
}

_SMALLEST_VALUES = {
    "max_query_length": 0,
    "doc_stride": 1,
    "train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "predict_batch_size": 1,
    "save_checkpoints_steps": 1,
    "keep_checkpoint_max": 1,
    "summary_steps": 0,
    "max_train_questions": 0,
    "max_predict_questions": 0,
    "eval_steps": 0,
    "eval_max_questions": 0,
    "early_stopping_evals": 0,
    "n_best_size": 1,
    "max_answer_length": 1,
    "num_train_epochs": 0,
    "iterations_per_loop": 1,
    "num_tpu_cores": 1,
    "num_logical_devices": 1,
    "cluster_timeout": 1,
    "learning_rate": 0,
    "warmup_proportion": 0,
    "seed": 0,
}

LARGEST_SEED = 2**32 - 1  # what NumPy takes


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
