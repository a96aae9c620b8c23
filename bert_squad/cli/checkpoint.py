"""`bert-squad checkpoint`: look into a checkpoint of any kind, or convert it."""

import contextlib

from absl import flags

from bert_squad.activity import doing
from bert_squad.cli import streams
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError, OutputError

_USAGE = """\
Usage: {program} inspect PATH
       {program} convert SOURCE TARGET --to=tf1|huggingface [flags]

PATH and SOURCE are a prefix of a TF1 or TF2 checkpoint, a directory that holds one, a Hugging Face directory or a
.safetensors file.

inspect prints the kind, the step, the encoder's sizes, and every variable with its type and shape.

convert copies the weights unchanged.
  --to=tf1: TARGET is the prefix of the new checkpoint, or a directory for it. A TF1 source keeps its Adam slots.
  --to=huggingface: TARGET is a new directory for config.json, model.safetensors, vocab.txt and
      tokenizer_config.json, which transformers loads as BertForQuestionAnswering. It has no Adam slots. README.md is a
      model card with the scores of eval_results.json beside SOURCE, if they are of this checkpoint.
  --bert_config_file, --vocab_file: what goes with the weights. By default what lies beside SOURCE.
  --[no]do_lower_case: whether the model is uncased. By default what the tokenizer's settings say, or what the
      vocabulary looks like.
  --base_model: for the model card, the name on the hub of the model that this one was trained from."""


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_enum("to", None, ["tf1", "huggingface"], "What to write.", flag_values=flag_values)
    flags.DEFINE_string("bert_config_file", None, "Configuration of the model.", flag_values=flag_values)
    flags.DEFINE_string("vocab_file", None, "Vocabulary of the model.", flag_values=flag_values)
    flags.DEFINE_boolean("do_lower_case", None, "Whether the model is uncased.", flag_values=flag_values)
    flags.DEFINE_string("base_model", None, "For the model card.", flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags, takes_words=True)
def main(asked: Asked) -> int:
    """Look into a checkpoint, or convert it."""
    program, flag_values = asked.program, asked.flag_values
    action, *paths = asked.others or [""]
    wanted = {"inspect": 1, "convert": 2}.get(action)
    if wanted is None:
        raise ConfigError(f"Unknown action {action!r}; it is inspect or convert. See {program} --help.")
    names = "PATH" if action == "inspect" else "SOURCE and TARGET"
    if len(paths) != wanted:
        raise ConfigError(f"{action} takes {names}, not {len(paths)} paths. See {program} --help.")
    if not all(paths):
        raise ConfigError(f"{action} takes {names}, and one of them is empty.")
    given = sorted(name for name in flag_values if flag_values[name].present)
    if action == "inspect":
        if given:
            raise ConfigError(f"inspect takes no --{given[0]}.")
        from bert_squad.checkpoints.inspection import inspect_checkpoint  # imports TensorFlow

        with doing(f"reading {paths[0]}"):
            _print(inspect_checkpoint(paths[0]))
        return 0
    if flag_values["to"].value is None:
        raise ConfigError("convert needs --to=tf1 or --to=huggingface.")
    if flag_values["base_model"].present and flag_values["to"].value != "huggingface":
        raise ConfigError("--base_model is for the model card, which --to=huggingface writes.")
    from bert_squad.checkpoints.convert import convert

    source, target = paths
    options = ("bert_config_file", "vocab_file", "do_lower_case", "base_model")
    values = {name: flag_values[name].value for name in options}
    with doing(f"converting {source}"):
        summary = convert(source, target, flag_values["to"].value, **values)
    with contextlib.suppress(OutputError):  # what it says is of less worth than what was written
        _print(summary)
    return 0


def _print(text: object) -> None:
    """Print what the command was given for."""
    with contextlib.suppress(streams.ReaderGoneError):  # `inspect ... | head`
        streams.print_line(str(text))
