"""Workers of the tiny model that train together as real processes, and what is done to them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from devices.test_peers import free_addresses
from faults.runs import TRAIN, make_folder, own_lines, said, start, temporaries

TRAINING = [*TRAIN, "--num_train_epochs=10", "--save_checkpoints_steps=10", "--output_dir=output"]
"""60 steps; a checkpoint before the first one and after each tenth."""
LAST = "model.ckpt-60"
SECONDS = 150  # for what takes 20 when the machine does nothing else


def config_of(addresses: list[str], index: int) -> str:
    """Return the TF_CONFIG of a worker."""
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


class Worker:
    """One process, with a directory of its own for its data, its output and what is temporary.

    Attributes:
      folder: the directory.
      name: as messages name it.
    """

    def __init__(self, folder: Path, name: str, process: subprocess.Popen):
        self.folder, self.name, self._process = folder, name, process

    def wait_for(self, is_there, seconds: float = SECONDS) -> None:
        """Wait for what a function of the folder finds; fail when the process ends before."""
        deadline = time.monotonic() + seconds
        while not is_there(self.folder):
            assert self._process.poll() is None, f"{self.name} ended: {said(self.folder)}"
            assert time.monotonic() < deadline, f"{self.name}: {said(self.folder)}"
            time.sleep(0.005)

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def code(self, within: float = SECONDS) -> int:
        """Return the exit code; fail when the process does not end within so many seconds."""
        try:
            return self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} hangs: {said(self.folder)}") from None

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        """Return the one line that is no log; fail when there are more, or complaints of TensorFlow."""
        lines = own_lines(self.folder)
        assert len(lines) == 1, said(self.folder)
        assert complaints(self.folder) == [], said(self.folder)
        return lines[0].removeprefix("run_squad.py: ")


def complaints(folder: Path) -> list[str]:
    """Return the lines of a process that are neither its last words nor a log of what it does."""
    harmless = re.compile(
        r"run_squad\.py: |I[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+ +[0-9]+ [a-z_]+\.py:"
    )
    return [line for line in said(folder).splitlines() if line and not harmless.match(line)]


class Workers:
    """A cluster whose workers are started one by one; all that still run are killed in the end."""

    def __init__(self, place: Path, size: int = 2):
        self.addresses = free_addresses(size)
        self.names = [f"worker {index} ({address})" for index, address in enumerate(self.addresses)]
        self.folders = [_folder(place / str(index)) for index in range(size)]
        self._started: list[Worker] = []

    def start(
        self,
        index: int,
        *arguments: str,
        addresses: list[str] | None = None,
        place: Path | None = None,
        **environment: str,
    ) -> Worker:
        """Start a worker.

        Args:
          index: which one.
          arguments: flags besides those of all.
          addresses: those that it believes in.
          place: its folder, when it is not its own.
          environment: more variables.
        """
        folder = place or self.folders[index]
        for path in (folder / "tmp").glob("__autograph_generated_file*"):
            path.unlink()  # TensorFlow's own, of a process that was killed
        process = start(
            folder,
            "--distribution_strategy=multi_worker",
            *arguments,
            env={
                "TF_CONFIG": config_of(addresses or self.addresses, index),
                "TMPDIR": str(folder / "tmp"),
                **environment,
            },
        )
        worker = Worker(folder, self.names[index], process)
        self._started.append(worker)
        return worker

    def start_all(self, *arguments: str) -> list[Worker]:
        """Start all of them with the same flags."""
        return [self.start(index, *arguments) for index in range(len(self.addresses))]

    def run(self, *arguments: str) -> None:
        """Start all of them, and wait for their success."""
        started = self.start_all(*arguments)
        for worker in started:
            assert worker.code() == 0, said(worker.folder)
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """Check that nothing temporary is left, and that nobody but the chief wrote an output."""
        for folder in self.folders:
            assert temporaries(folder) == []
            assert os.listdir(folder / "tmp") == []
        for folder in self.folders[1:]:
            assert not (folder / "output").exists()

    def kill_all(self) -> None:
        """End all of them."""
        for worker in self._started:
            worker.kill()


def _folder(place: Path) -> Path:
    """Make a folder with the data, a model of one layer, which is compiled sooner, and a temporary directory."""
    place.mkdir()
    make_folder(place)
    (place / "tmp").mkdir()
    path = place / "bert_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_hidden_layers": 1}))
    return place


def has_saved(step: int):
    """Return a function that says whether so many steps are saved in a folder."""
    return lambda folder: (folder / "output" / f"model.ckpt-{step}.index").exists()


def weights(folder: Path) -> bytes:
    """Return the bytes of the last checkpoint's values."""
    return (folder / "output" / f"{LAST}.data-00000-of-00001").read_bytes()


NAMES = {signal.SIGKILL: "kill", signal.SIGSTOP: "stop", signal.SIGTERM: "term", signal.SIGINT: "int"}
