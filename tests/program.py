"""Run the program as a user does: a process of its own, real files, what it prints."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_program(*arguments: object, cwd: Path | None = None, program: str = "run_squad.py", **options):
    """Run `run_squad.py` (or another file of the project's top level) and return the completed process."""
    return subprocess.run(
        [sys.executable, str(ROOT / program), *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=options.pop("timeout", 300),
        check=False,
        **options,
    )


def run_console(*arguments: object, cwd: Path | None = None, **options):
    """Run the `bert-squad` console command of this environment, without needing it to be installed."""
    code = "from bert_squad.cli.main import console; import sys; sys.argv[0] = 'bert-squad'; console()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        timeout=options.pop("timeout", 300),
        check=False,
        **options,
    )


def environment() -> dict[str, str]:
    """The environment for such a process: this checkout is importable from any directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
