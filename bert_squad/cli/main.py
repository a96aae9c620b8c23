"""Entry point of `run_squad.py` and `bert-squad`: read flags, run, turn errors into one message."""

import atexit
import importlib
import os
import sys
import traceback
import warnings

from absl import flags, logging

from bert_squad import whole_files
from bert_squad.activity import activity_at
from bert_squad.bert_config import BertConfig
from bert_squad.cli import flags as cli_flags
from bert_squad.cli import log_file, streams
from bert_squad.cli.native_logs import heed_log_level
from bert_squad.config import SquadConfig
from bert_squad.errors import BertSquadError, RunInterruptedError, first_line
from bert_squad.interruption import StopRequest, StopSignal, ignore_signals, stopping_on_signals

# A first word that stands here goes to a module of its own: its `main(program, words)` returns the exit code.
# It is imported then and imports TensorFlow later still, when its words are known to be right.
SUBCOMMANDS = {
    "checkpoint": ("bert_squad.cli.checkpoint", "look into a checkpoint of any kind, or convert it"),
    "data": ("bert_squad.cli.data", "check a data set, or convert it"),
    "evaluate": ("bert_squad.cli.evaluate", "score predictions made earlier, or every checkpoint of a run"),
    "ensemble": ("bert_squad.cli.ensemble", "combine the n-best files of several runs"),
    "report": ("bert_squad.cli.report", "write a page that shows what a run gets right and wrong"),
    "ask": ("bert_squad.cli.ask", "ask an exported model about a passage"),
    "explain": ("bert_squad.cli.explain", "show why an answer is the maximum scoring span"),
    "answer": (
        "bert_squad.cli.answer",
        "answer any number of questions with an exported model, on Apache Beam",
    ),
    "quantize": (
        "bert_squad.cli.quantize",
        "turn an exported model into one of 8-bit integers, for OpenVINO",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the program; it may be run several times in one process.

    Args:
      arguments: the program's name and its flags; `sys.argv` when None.

    Returns:
      The exit code: 0, 1 after an error, 128 + the signal's number after SIGTERM, SIGINT or SIGHUP.
    """
    arguments = sys.argv if arguments is None else arguments
    program = os.path.basename(arguments[0])
    subcommand = arguments[1] if len(arguments) > 1 and arguments[1] in SUBCOMMANDS else None
    program = f"{program} {subcommand}" if subcommand else program

    def say(text: str) -> None:
        streams.complain(f"{program}: {text}")
        log_file.write_last_words(f"{program}: {text}")

    def say_stopped(number: int, while_doing: str) -> int:
        say(
            f"stopped by signal {number} while {while_doing}; nothing half-written is left. Run the same command again "
            "to go on."
        )
        return 128 + number

    stop = StopRequest()
    streams.make_usable()
    try:
        with stopping_on_signals(say) as stop:
            if subcommand:
                module = importlib.import_module(SUBCOMMANDS[subcommand][0])
                cli_flags.with_absl_flags().mark_as_parsed()
                _prepare_output()
                return module.main(program, arguments[2:])
            return _run_squad(program, arguments)
    except RunInterruptedError as interruption:
        say(str(interruption))
        return 128 + interruption.signal_number
    except StopSignal as signal:
        return say_stopped(signal.signal_number, activity_at(signal))
    except BertSquadError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except Exception as error:  # none of ours: a defect, or a failure that nobody thought of
        if stop.signal_number is not None:  # or what TensorFlow made of a `StopSignal`
            return say_stopped(stop.signal_number, activity_at(error))
        _say_unexpected(say, error)
        return 1
    finally:
        log_file.stop_writing()


def _say_unexpected(say, error: Exception) -> None:
    details = f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
    advice = ""
    if isinstance(error, MemoryError):
        advice = " Lower --train_batch_size, --predict_batch_size or --max_seq_length."
    elif logging.get_verbosity() < logging.DEBUG:
        advice = " With --verbosity=1 it is said where."
    say(f"error: failed while {activity_at(error)} ({details}).{advice}")
    if logging.get_verbosity() >= logging.DEBUG:
        streams.complain("".join(traceback.format_exception(error)).rstrip())


def _run_squad(program: str, arguments: list[str]) -> int:
    flag_values = cli_flags.define_flags(cli_flags.with_absl_flags())
    if any(argument in cli_flags.HELP_FLAGS for argument in arguments[1:]):
        others = "".join(f"\n  bert-squad {name}: {text}" for name, (_, text) in SUBCOMMANDS.items())
        return streams.print_help(f"{cli_flags.help_text(flag_values, program)}\n\nOther commands:{others}")
    _prepare_output()
    return _run(cli_flags.parse(arguments, flag_values))


def _prepare_output() -> None:
    flags.FLAGS.mark_as_parsed()  # absl's own, which logging reads
    _log_to_stderr()
    # TensorFlow's own start-up lines say nothing that a user of this program can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def _log_to_stderr() -> None:
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)  # before the flags are read: --verbosity has the last word
    logging.set_stderrthreshold("info")


def _run(config: SquadConfig) -> int:
    # What a small file can tell is checked before TensorFlow is loaded, which takes seconds.
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    config.validate(bert_config)
    config.check_input_files()
    if config.log_file is not None:
        log_file.begin_writing(config.log_file)
    from bert_squad import pipeline  # after the flags are known to be right: it imports TensorFlow

    heed_log_level()
    pipeline.run(config, bert_config)
    return 0


def console() -> None:
    """Run the program as a process of its own, and end that."""
    code = main()
    ignore_signals()  # all is done: Python's own end, half a second of it, is no place for one
    streams.finish()
    if code >= 128:
        whole_files.discard_all()
    else:
        atexit._run_exitfuncs()
    os._exit(code)  # at once: what threads are still computing, or waiting for, is of no use any more
