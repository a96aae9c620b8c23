"""The command line flags, and the way from them to a `SquadConfig`. The only reader of flags.

Nothing here imports TensorFlow: help and wrong flags are answered at once.
"""

import contextlib
import dataclasses
import difflib
from typing import Any

from absl import flags, logging

from bert_squad import files
from bert_squad.checkpoints.model_files import check_tokenizer, huggingface_files, looks_lower_cased
from bert_squad.checkpoints.tokenizer_settings import TOKENIZER_FILE
from bert_squad.config import SquadConfig, kind_of
from bert_squad.errors import BertSquadError, ConfigError, first_line
from bert_squad.text.tokenization import load_vocab

LEGACY_GROUP = "Flags of the legacy run_squad.py"
NEW_GROUP = "New flags"

# (name, help) of each legacy flag, in the legacy order; types and defaults are those of SquadConfig.
LEGACY_FLAGS = (
    (
        "bert_config_file",
        "JSON file that describes the pre-trained model (bert_config.json). Required, but see --init_checkpoint.",
    ),
    (
        "vocab_file",
        "Vocabulary of the model, one WordPiece a line. Required, but see --init_checkpoint.",
    ),
    ("output_dir", "Directory for checkpoints, records and predictions. Required."),
    (
        "train_file",
        "SQuAD JSON file to train on, e.g. train-v1.1.json. Rows as JSON lines or Parquet, MRQA's files, gzipped ones, "
        "a directory, a pattern and a list with commas work too.",
    ),
    (
        "predict_file",
        "SQuAD JSON file to answer, e.g. dev-v1.1.json or test-v1.1.json; else as --train_file.",
    ),
    (
        "init_checkpoint",
        "Checkpoint to start from, usually a pre-trained BERT model: TF1, TF2 (Model Garden) or Hugging Face. A "
        "Hugging Face directory brings its own configuration and vocabulary.",
    ),
    ("do_lower_case", "Lower-case the text: true for uncased models, false for cased ones."),
    ("max_seq_length", "Longest input sequence, in WordPieces; longer passages are cut into windows."),
    ("doc_stride", "WordPieces from the start of one window of a passage to the start of the next."),
    ("max_query_length", "Longest question, in WordPieces; the rest is cut off."),
    ("do_train", "Train on --train_file."),
    ("do_predict", "Answer the questions of --predict_file."),
    ("train_batch_size", "Windows in a training batch."),
    ("predict_batch_size", "Windows in a prediction batch."),
    ("learning_rate", "Peak learning rate of Adam."),
    ("num_train_epochs", "Passes over the training questions."),
    (
        "warmup_proportion",
        "Share of the steps with a linearly rising learning rate; 0.1 is 10 percent.",
    ),
    ("save_checkpoints_steps", "Steps from one checkpoint to the next."),
    ("iterations_per_loop", "Steps that a TPU does before it hands back to the program."),
    ("n_best_size", "Answers kept for each question in nbest_predictions.json."),
    ("max_answer_length", "Longest answer, in WordPieces."),
    ("use_tpu", "Run on a TPU; the same as --distribution_strategy=tpu."),
    ("tpu_name", "Name of the Cloud TPU; local on the TPU's own machine."),
    ("tpu_zone", "Zone of the Cloud TPU; default: found in the metadata of the machine."),
    ("gcp_project", "Project of the Cloud TPU; default: found in the metadata of the machine."),
    ("master", "Address of the TPU, such as grpc://10.0.0.2:8470, instead of --tpu_name."),
    ("num_tpu_cores", "Cores of the TPU to use."),
    ("verbose_logging", "Log why an answer could not be traced back to the passage, and more."),
    ("version_2_with_negative", "Expect questions without an answer, as in SQuAD 2.0."),
    (
        "null_score_diff_threshold",
        "Answer nothing when the null score minus the best answer's exceeds this (SQuAD 2.0).",
    ),
)

NEW_FLAGS = (
    ("seed", "Seed of initial weights, shuffling and dropout."),
    ("do_eval", "Score the predictions with the official SQuAD metrics (with --do_predict)."),
    ("allow_random_weights", "Predict although there is no checkpoint, with random weights."),
    (
        "allow_changed_run",
        "Go on with what was trained with another vocabulary, number of attention heads or activation.",
    ),
    ("do_export", "Export a SavedModel for TF Serving, of the latest checkpoint."),
    ("export_dir", "Directory of exported versions; default: export in --output_dir."),
    ("export_dtype", "Type of the exported weights: float32, or bfloat16 for half the size."),
    (
        "export_signatures",
        "What an export can be asked: all, or features only, which needs no TensorFlow Text and converts to ONNX.",
    ),
    ("keep_checkpoint_max", "Checkpoints to keep in --output_dir; older ones are deleted."),
    ("log_file", "Write the log to the end of this file, too."),
    (
        "summary_steps",
        "Steps from one point of the curves for TensorBoard to the next, which are in --output_dir; 0: no curves.",
    ),
    (
        "trainable",
        "Train the variables in whose legacy names this regular expression is found, and freeze the others; ^cls/ is "
        "the span head. Default: all.",
    ),
    (
        "layerwise_lr_decay",
        "Multiply the learning rate by this once more for each layer further from the span head, as ELECTRA does with "
        "0.8; 1: the same rate everywhere.",
    ),
    (
        "max_train_questions",
        "Train on the first so many questions of --train_file, those that are left out not counted; 0: all.",
    ),
    (
        "max_predict_questions",
        "Answer, and score, the first so many questions of --predict_file; 0: all.",
    ),
    (
        "eval_steps",
        "Answer and score --predict_file whenever so many training steps more are done, and after the last one; the "
        "best checkpoint is kept in best in --output_dir. 0: never.",
    ),
    (
        "eval_max_questions",
        "With --eval_steps, score so many questions at most, spread evenly over the file; 0: all.",
    ),
    ("best_metric", "What the best checkpoint is chosen by: f1, exact or best_f1 (SQuAD 2.0)."),
    (
        "early_stopping_evals",
        "End the training when so many evaluations in a row brought nothing better; 0: never.",
    ),
    (
        "tune_null_threshold",
        "With --do_predict of SQuAD 2.0, find the threshold of the best F1 on --predict_file, apply it, and keep it in "
        "--output_dir for later predictions and exports.",
    ),
    (
        "use_tuned_threshold",
        "Use the threshold that --tune_null_threshold has kept; false when --null_score_diff_threshold is given.",
    ),
    (
        "write_offsets",
        "With --do_predict, also write predictions_offsets.json: where each answer is in its passage, in characters.",
    ),
    ("use_best", "Predict with, and export, the best checkpoint in place of the latest."),
    (
        "fast",
        "Use what is fastest on this device: sets those of the next three flags that are not given. The log says what "
        "was chosen; numbers change a little.",
    ),
    (
        "dtype",
        "Type of matrix products and attention: float32, bfloat16, float16, or tensorfloat32, the fast float32 of "
        "NVIDIA's GPUs; default: float32.",
    ),
    (
        "pad_to",
        "max: windows are padded to --max_seq_length; batch: to the longest of their batch, and padding counts for "
        "nothing; default: max.",
    ),
    ("jit_compile", "Compile whole steps with XLA, for GPUs; default: false."),
    (
        "engine",
        "What computes predictions: tensorflow, or openvino, often quicker on CPUs (pip install "
        "'bert-squad[openvino]'). The latter pads no window, so answers low in the n-best list may differ.",
    ),
    (
        "engine_model",
        "Predict with this model instead of a checkpoint: what --do_export or `bert-squad quantize` wrote; with "
        "--engine=openvino.",
    ),
    (
        "gradient_accumulation_steps",
        "Compute each training batch in so many parts, one after the other: less memory, and the same numbers but for "
        "rounding.",
    ),
    (
        "recompute",
        "Compute the layers of the encoder once more in the backward pass of training: less memory, more time, and the "
        "same numbers.",
    ),
    (
        "distribution_strategy",
        "Share each batch among devices: one_device (no sharing), mirrored (all GPUs of this machine), multi_worker "
        "(the machines that TF_CONFIG names) or tpu. The numbers are the same but for rounding.",
    ),
    ("num_logical_devices", "Cut the CPU into so many devices, to try mirrored without GPUs."),
    (
        "cluster_timeout",
        "Seconds that multi_worker waits for a worker that does not start, or no longer answers, before it ends.",
    ),
    (
        "on_bad_question",
        "What happens in training with a question that cannot be trained on, such as one whose answer lies outside of "
        "its passage: error, or skip, to leave it out and count it.",
    ),
    (
        "several_answers",
        "What happens in training with a question that has several answers: error, or first, to train on the first.",
    ),
)

# They say something about a TPU only.
TPU_FLAGS = ("iterations_per_loop", "tpu_name", "tpu_zone", "gcp_project", "master", "num_tpu_cores")

_KINDS_AND_DEFAULTS = {
    field.name: (kind_of(field), None if field.default is dataclasses.MISSING else field.default)
    for field in dataclasses.fields(SquadConfig)
}

HELP_FLAGS = ("--help", "-help", "-h", "--h", "-?", "--helpshort", "--helpfull")


def ask_for_help(words: list[str]) -> bool:
    """Say whether the words after a subcommand ask how it is used; none at all do."""
    return not words or any(word in HELP_FLAGS for word in words)


REQUIRED = ("vocab_file", "bert_config_file", "output_dir")

_DEFINERS = {
    "str": flags.DEFINE_string,
    "bool": flags.DEFINE_boolean,
    "int": flags.DEFINE_integer,
    "float": flags.DEFINE_float,
}


_ABSL_MODULES = ("absl.logging", "absl.flags")  # not `absl.app`, which is not used, but loaded by TensorFlow


def with_absl_flags() -> flags.FlagValues:
    """Return absl's own flags, such as --verbosity, at their defaults, apart from what else the process has defined.

    So the program can run several times in one process, as notebooks do, and a run starts from nothing that an earlier
    one said.
    """
    flag_values = flags.FlagValues()
    for module, of_module in flags.FLAGS.flags_by_module_dict().items():
        for flag in of_module if module in _ABSL_MODULES else ():
            flag.unparse()
            flag_values[flag.name] = flag
    return flag_values


def define_flags(flag_values: flags.FlagValues) -> flags.FlagValues:
    """Define every flag of the program.

    Returns:
      `flag_values`.
    """
    for group, table in ((LEGACY_GROUP, LEGACY_FLAGS), (NEW_GROUP, NEW_FLAGS)):
        for name, text in table:
            kind, default = _KINDS_AND_DEFAULTS[name]
            _DEFINERS[kind](name, default, text, flag_values=flag_values, module_name=group)
    return flag_values


def parse(arguments: list[str], flag_values: flags.FlagValues) -> SquadConfig:
    """Read the command line.

    Args:
      arguments: the program's name, then flags in any absl spelling.
      flag_values: from `define_flags`.

    Returns:
      The run, not validated yet.

    Raises:
      ConfigError: for an unknown flag (the nearest known one is named), a value of the wrong type, or a
        missing required flag; the texts of the last two are the legacy ones.
    """
    positional = read_flags(arguments, flag_values)
    names = {field.name for field in dataclasses.fields(SquadConfig)}
    values = {name: flag_values[name].value for name in names}
    if flag_values["null_score_diff_threshold"].present and not flag_values["use_tuned_threshold"].present:
        values["use_tuned_threshold"] = False
    _take_from_huggingface_directory(values, flag_values["do_lower_case"].present)
    missing = [name for name in REQUIRED if values[name] is None]
    if missing:
        lines = [f"flag --{name}=None: Flag --{name} must have a value other than None." for name in missing]
        raise ConfigError("\n".join(lines) + _how_to_get_a_vocabulary(values))
    _note_what_has_no_effect(positional, flag_values)
    _warn_of_capitals(values, flag_values["do_lower_case"].present)
    return SquadConfig(**values)


def read_flags(arguments: list[str], flag_values: flags.FlagValues, *, known_only: bool = False) -> list[str]:
    """Set flags from a command line, whatever they are.

    Args:
      arguments: the program's name, then flags and other words.
      flag_values: the flags that there are.
      known_only: leave unknown flags to somebody else.

    Returns:
      The words that are no flags, and those that belong to flags that are left to somebody else.

    Raises:
      ConfigError: for an unknown flag (the nearest known one is named) or a value of the wrong type.
    """
    try:
        words = flag_values(arguments, known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(_unknown_flag(error.flagname, flag_values)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file that --flagfile names cannot be read: {first_line(error)}") from None
    except (flags.Error, ValueError) as error:  # a ValueError from a flag of absl's own
        reason = first_line(error)
        # The value may be long, and the reason is at the end.
        raise ConfigError(reason if len(reason) < 500 else f"{reason[:250]}...{reason[-200:]}") from None
    given = [(f"--{name}: ", flag_values[name].value) for name in flag_values if flag_values[name].present]
    for where, value in [*given, *(("", word) for word in words)]:
        for text in value if isinstance(value, list) else [value]:
            _check_is_text(text, where)
    return words


def _check_is_text(value: Any, where: str) -> None:
    """Refuse bytes that are not UTF-8, which Python hands on as lone surrogates and TensorFlow cannot take, and NUL."""
    if "\0" in str(value):
        raise ConfigError(f"{where}{str(value)!r} holds a NUL character, which no path can.")
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{where}{str(value)!r} holds bytes that are not UTF-8; rename the file, or name it by a link."
        ) from None


def _take_from_huggingface_directory(values: dict[str, Any], do_lower_case_is_given: bool) -> None:
    """Fill the flags that were not given with what lies beside the weights of a Hugging Face model."""
    checkpoint = values["init_checkpoint"]
    absent = [name for name in ("bert_config_file", "vocab_file") if values[name] is None]
    if not checkpoint or not absent:
        return
    found = huggingface_files(checkpoint)
    for name in absent:
        if getattr(found, name):
            values[name] = getattr(found, name)
            logging.info("--%s is not given: using %s.", name, values[name])
    if "vocab_file" not in absent or not found.vocab_file:
        return
    lower_case, reason = found.tokenizer.do_lower_case, f"as {found.tokenizer.source} says"
    if lower_case is None:
        lower_case, reason = (
            looks_lower_cased(load_vocab(found.vocab_file)),
            "as the pieces of its vocabulary look",
        )
    check_tokenizer(found.tokenizer, lower_case, checkpoint)
    if not do_lower_case_is_given:
        values["do_lower_case"] = lower_case
        logging.info("--do_lower_case is not given: using %s, %s.", lower_case, reason)
    elif values["do_lower_case"] != lower_case:
        logging.warning(
            "--do_lower_case=%s is given, and goes before what belongs to %s: %s, %s.",
            values["do_lower_case"],
            checkpoint,
            lower_case,
            reason,
        )


def _warn_of_capitals(values: dict[str, Any], do_lower_case_is_given: bool) -> None:
    """Warn when the default meets a vocabulary of a cased model. LEGACY: the text is lower-cased all the same."""
    vocab_file = values["vocab_file"]
    if do_lower_case_is_given or not values["do_lower_case"]:
        return
    if files.is_remote(vocab_file) or not files.is_regular(vocab_file):  # a pipe can be read once
        return
    with contextlib.suppress(BertSquadError, OSError):  # whoever needs the vocabulary complains of it
        if not looks_lower_cased(load_vocab(vocab_file)):
            logging.warning(
                "The vocabulary %s has many pieces with capitals, as that of a cased model, but the text is "
                "lower-cased; --do_lower_case=False keeps its capitals.",
                vocab_file,
            )


def _how_to_get_a_vocabulary(values: dict[str, Any]) -> str:
    """Transformers 5 writes only a `tokenizer.json`; say how to get a `vocab.txt` out of it."""
    directory = values["init_checkpoint"]
    if values["vocab_file"] or not directory or not files.is_file(files.join(directory, TOKENIZER_FILE)):
        return ""
    return (
        f" ({directory} has its vocabulary in {TOKENIZER_FILE} only: `bert-squad checkpoint convert {directory} "
        "NEW_DIRECTORY --to=huggingface` writes it as vocab.txt.)"
    )


def _unknown_flag(name: str, flag_values: flags.FlagValues) -> str:
    known = sorted(set(flag_values))
    nearest = difflib.get_close_matches(name.removeprefix("no"), known, n=1, cutoff=0.0)
    return f"Unknown flag --{name}; the nearest known one is --{nearest[0]}. See --help for all."


def _note_what_has_no_effect(positional: list[str], flag_values: flags.FlagValues) -> None:
    if positional:
        # LEGACY: ignored there without a word, so that `--do_lower_case False` left lower-casing on.
        logging.warning(
            "Ignored on the command line: %s. A boolean flag is written --flag=False or --noflag.",
            " ".join(positional),
        )
    has_tpu = flag_values["use_tpu"].value or flag_values["distribution_strategy"].value == "tpu"
    given = [name for name in TPU_FLAGS if flag_values[name].present and not has_tpu]
    if given:
        logging.info("Without --use_tpu these flags have no effect: %s.", " ".join(f"--{n}" for n in given))


def help_text(flag_values: flags.FlagValues, program: str) -> str:
    """Return the help: the legacy flags first, then the new ones."""
    lines = [
        f"Usage: {program} --bert_config_file=... --vocab_file=... --output_dir=... [flags]",
        "",
        "Fine-tune BERT on a SQuAD file (--do_train) and answer the questions of another (--do_predict).",
    ]
    for group, table in ((LEGACY_GROUP, LEGACY_FLAGS), (NEW_GROUP, NEW_FLAGS)):
        lines += ["", f"{group}:"]
        for name, text in table:
            kind, default = _KINDS_AND_DEFAULTS[name][0], flag_values[name].default
            shown = f"--[no]{name}" if kind == "bool" else f"--{name}"
            lines.append(f"  {shown}: {text}")
            lines.append(f"      ({kind}, default: {'none' if default is None else default})")
    lines += ["", "absl's own flags, such as --flagfile and --verbosity, work too."]
    return "\n".join(lines)
