"""`bert-squad quantize`: turn an exported model into one of 8-bit integers."""

import contextlib

from absl import flags

from bert_squad.activity import doing
from bert_squad.cli import streams
from bert_squad.cli.subcommand import Asked, subcommand
from bert_squad.errors import ConfigError

_USAGE = """\
Usage: {program} EXPORT DIR --calibration_file=FILE [flags]

Turn a model that --do_export wrote into one that multiplies 8-bit integers: smaller, quicker on CPUs, and its answers
differ a little. `ask`, `answer` and --do_predict take it with --engine=openvino, and OpenVINO Model Server loads it.
Needs: pip install 'bert-squad[openvino]'.

  EXPORT: a version directory, or the one with all versions, of which the latest is taken.
  DIR: a new directory; the model is in DIR/1.
  --calibration_file: a SQuAD file with questions and passages like those that will be asked; answers are not needed.
  --num_windows: how many windows of it to look at (default: 100).
  --seed: of their choice (default: 12345)."""


def _define_flags() -> flags.FlagValues:
    flag_values = flags.FlagValues()
    flag_values.set_gnu_getopt(True)
    flags.DEFINE_string("calibration_file", None, "SQuAD file.", flag_values=flag_values)
    flags.DEFINE_integer("num_windows", 100, "Windows to look at.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_integer("seed", 12345, "Of their choice.", lower_bound=0, flag_values=flag_values)
    return flag_values


@subcommand(_USAGE, _define_flags, takes_words=True)
def main(asked: Asked) -> int:
    """Quantize an exported model."""
    program, flag_values = asked.program, asked.flag_values
    paths = asked.others
    if len(paths) != 2 or not all(paths):
        raise ConfigError(f"quantize takes EXPORT and DIR, not {paths}. See {program} --help.")
    values = {name: flag_values[name].value for name in ("calibration_file", "num_windows", "seed")}
    if not values["calibration_file"]:
        raise ConfigError(f"--calibration_file is missing. See {program} --help.")
    from bert_squad.serving.quantization import quantize

    export, target = paths
    with doing(f"quantizing {export}"):
        summary = quantize(export, target, **values)
    with contextlib.suppress(streams.ReaderGoneError):
        streams.print_line(summary)
    return 0
