"""Run the program as a user does: a process of its own, real files, what it prints."""

import os
import subprocess
import sys
from pathlib import Path

from warm_program import warm_program

ROOT = Path(__file__).resolve().parent.parent


def run_program(
    *arguments: object,
    cwd: Path | None = None,
    program: str = "run_squad.py",
    starts_cold: bool = False,
    **options,
):
    """Run `run_squad.py` (or another file of the project's top level) and return the completed process.

    Args:
      arguments: the command line.
      cwd: its directory.
      program: path of the file.
      starts_cold: start Python anew, as another file always does; else fork what has imported TensorFlow.
      options: `input` and `stdout` as for `subprocess.run`, `timeout` in seconds.
    """
    words = [str(ROOT / program), *map(str, arguments)]
    if starts_cold or program != "run_squad.py":
        return _run_cold([sys.executable, *words], cwd, **options)
    return _run_warm(words, cwd, **options)


def run_console(*arguments: object, cwd: Path | None = None, **options):
    """Run the `bert-squad` console command of this environment, without needing it to be installed."""
    return _run_warm(["bert-squad", *map(str, arguments)], cwd, **options)


def _run_cold(command: list[str], cwd: Path | None, **options):
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        timeout=options.pop("timeout", 300),
        check=False,
        **options,
    )


def _run_warm(words: list[str], cwd: Path | None, **options):
    stdout = options.pop("stdout", None)
    return warm_program(ROOT).run(
        words,
        cwd=str(cwd or Path.cwd()),
        environment=environment(),
        text=options.pop("input", None),
        stdout=None if stdout is None else stdout.fileno(),
        timeout=options.pop("timeout", 300),
        **options,
    )


def environment() -> dict[str, str]:
    """The environment for such a process: this checkout is importable from any directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
