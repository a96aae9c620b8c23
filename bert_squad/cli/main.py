"""Entry point of `run_squad.py` and `bert-squad`: read flags, run, turn errors into one message."""

import contextlib
import os
import sys
import warnings

from absl import flags, logging

from bert_squad.cli import flags as cli_flags
from bert_squad.config import BertConfig, SquadConfig
from bert_squad.errors import BertSquadError, RunInterruptedError

_HELP = ("--help", "-help", "-h", "--h", "-?", "--helpshort", "--helpfull")


def main(arguments: list[str] | None = None) -> int:
    """Run the program.

    Args:
      arguments: the program's name and its flags; `sys.argv` when None.

    Returns:
      The exit code: 0, 1 after an error, 128 + the signal's number after SIGTERM or SIGINT.
    """
    arguments = sys.argv if arguments is None else arguments
    program = os.path.basename(arguments[0])
    flag_values = cli_flags.define_flags(flags.FLAGS)
    if any(argument in _HELP for argument in arguments[1:]):
        with contextlib.suppress(BrokenPipeError):  # `--help | head`
            print(cli_flags.help_text(flag_values, program), flush=True)
        return 0
    _log_to_stderr()
    try:
        config = cli_flags.parse(arguments, flag_values)
        return _run(config)
    except RunInterruptedError as stop:
        print(f"{program}: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except BertSquadError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130


def _log_to_stderr() -> None:
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)  # before the flags are read: --verbosity has the last word
    logging.set_stderrthreshold("info")


def _run(config: SquadConfig) -> int:
    # What a small file can tell is checked before TensorFlow is loaded, which takes seconds.
    config.validate(BertConfig.from_json_file(config.bert_config_file))
    config.check_input_files()
    # TensorFlow's own start-up lines say nothing that a user of this program can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from bert_squad import pipeline  # after the flags are known to be right: it imports TensorFlow

    pipeline.run(config)
    return 0


def console() -> None:
    """Entry point of the console command."""
    sys.exit(main())
