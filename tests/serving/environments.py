"""Python environments of other libraries than ours, such as an older TensorFlow: made once, kept for the next run.

They lie outside of the repository, in the directory that BERT_SQUAD_TEST_ENVIRONMENTS names (default:
~/.cache/bert_squad/environments), take up to 2 GB each, and may be deleted at any time.
"""

import dataclasses
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

VARIABLE = "BERT_SQUAD_TEST_ENVIRONMENTS"
NEEDED_BYTES = 3_000_000_000
STAMP = "installed.txt"


@dataclasses.dataclass(frozen=True)
class Environment:
    name: str
    python_version: str
    packages: tuple[str, ...]

    @property
    def folder(self) -> Path:
        parent = os.environ.get(VARIABLE) or Path.home() / ".cache" / "bert_squad" / "environments"
        return Path(parent) / self.name

    def python(self) -> Path:
        """Return its interpreter; the environment is made if it is not there. Skips the test where that cannot be."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.folder}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._is_whole():
                self._make()
        return self.folder / "bin" / "python"

    def packages_folder(self) -> Path:
        return self.folder / "lib" / f"python{self.python_version}" / "site-packages"

    def _is_whole(self) -> bool:
        stamp = self.folder / STAMP
        return stamp.is_file() and stamp.read_text().split() == list(self.packages)

    def _make(self) -> None:
        base = _base_python(self.python_version)
        free = shutil.disk_usage(self.folder.parent).free
        if free < NEEDED_BYTES:
            pytest.skip(f"{self.folder.parent} has {free / 1e9:.1f} GB free; {self.name} may need 3")
        shutil.rmtree(self.folder, ignore_errors=True)
        for command in (
            [base, "-m", "venv", self.folder],
            [
                self.folder / "bin" / "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *self.packages,
            ],
        ):
            done = subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, timeout=1800, check=False
            )
            if done.returncode:
                reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
                    "no reason"
                ]
                pytest.skip(f"{self.name} cannot be installed: {reason[-1]}")
        (self.folder / STAMP).write_text("\n".join(self.packages) + "\n")


def _base_python(version: str) -> str:
    """Return a Python of a version, such as "3.9"."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [f"python{version}", *map(str, reversed(pyenv))]:
        ask = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version:  # a shim of pyenv may be there that leads nowhere
            return candidate
    pytest.skip(f"there is no Python {version} here")
