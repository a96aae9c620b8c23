"""Start the program: the first module that is imported, so that a signal is heeded while all others are.

They take a third of a second; a signal in that time would else be a traceback from the middle of a library.
"""

import os
import signal
import sys

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def console() -> None:
    """Entry point of `run_squad.py` and of the console command."""
    for number in _SIGNALS:
        # Under `nohup` the end of the terminal is ignored; as in `interruption`.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    from bert_squad.cli import main

    main.console()


def _stop(number: int, frame: object) -> None:
    name = os.path.basename(sys.argv[0])
    try:
        os.write(
            2, f"{name}: stopped by signal {number} while starting; nothing half-written is left.\n".encode()
        )
    finally:
        os._exit(128 + number)
