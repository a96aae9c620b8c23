"""The program with its imports done: a process that waits, and forks for each run that a test asks for.

TensorFlow takes seconds to import. A fork of this process runs the same `console` with a command line, directory,
environment and streams of its own, and ends as any process does. How the program starts is tested where it is started
from nothing (`tests/faults`, `run_program(..., starts_cold=True)`).
"""

import atexit
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

_LENGTH = 8  # bytes of the number before a message
_IMPORTED = (
    "bert_squad.pipeline",
    "bert_squad.cli.main",
    "bert_squad.cli.ask",
    "bert_squad.cli.checkpoint",
    "bert_squad.report.report",
    "bert_squad.checkpoints.convert",
    "bert_squad.serving.export",
    "bert_squad.serving.saved_model",
    "tensorflow_text",
)


def _send(connection: socket.socket, message: object, descriptors: list[int] | None = None) -> None:
    content = json.dumps(message).encode()
    header = len(content).to_bytes(_LENGTH, "little")
    if descriptors:
        socket.send_fds(connection, [header], descriptors)
    else:
        connection.sendall(header)
    connection.sendall(content)


def _receive(connection: socket.socket, num_descriptors: int = 0) -> tuple[object, list[int]]:
    """Return a message and the descriptors that came with it; (None, []) when the other side is gone."""
    header, descriptors, _, _ = socket.recv_fds(connection, _LENGTH, num_descriptors)
    if not header:
        return None, []
    size, content = int.from_bytes(header, "little"), b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    return json.loads(content), list(descriptors)


class WarmProgram:
    """Starts the waiting process when it is first needed, and asks it for runs, one after the other."""

    def __init__(self, environment: dict[str, str]):
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        self._connection.close()
        self._process.wait()

    def run(
        self,
        arguments: list[str],
        *,
        cwd: str,
        environment: dict[str, str],
        text: str | None,
        stdout: int | None,
        timeout: float,
    ) -> subprocess.CompletedProcess:
        """Run the program as `subprocess.run` would, with pipes for its streams.

        Args:
          arguments: its name, and the command line.
          cwd: its directory.
          environment: its environment.
          text: what it reads from standard input; None: nothing.
          stdout: descriptor of its standard output; None: a pipe, of which the text is returned.
          timeout: seconds until it is killed.
        """
        with self._lock:
            pipes = {1: os.pipe() if stdout is None else (None, os.dup(stdout)), 2: os.pipe()}
            stdin = os.pipe() if text is not None else (os.open(os.devnull, os.O_RDONLY), None)
            theirs = [stdin[0], pipes[1][1], pipes[2][1]]
            _send(self._connection, {"arguments": arguments, "cwd": cwd, "environment": environment}, theirs)
            for descriptor in theirs:
                os.close(descriptor)
            pid, _ = _receive(self._connection)
            texts: dict[int, bytes] = {}
            threads = [
                threading.Thread(target=self._read, args=(number, pipe[0], texts))
                for number, pipe in pipes.items()
                if pipe[0] is not None
            ]
            if text is not None:
                threads.append(threading.Thread(target=self._write, args=(stdin[1], text.encode())))
            for thread in threads:
                thread.start()
            killer = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
            killer.start()
            code, _ = _receive(self._connection)
            is_late = not killer.is_alive()
            killer.cancel()
            for thread in threads:
                thread.join()
            if is_late:
                raise subprocess.TimeoutExpired(arguments, timeout, texts.get(1), texts.get(2))
            out, err = (texts[number].decode() if number in texts else None for number in (1, 2))
            return subprocess.CompletedProcess(arguments, code, out, err)

    @staticmethod
    def _read(number: int, descriptor: int, texts: dict[int, bytes]) -> None:
        with os.fdopen(descriptor, "rb") as reader:
            texts[number] = reader.read()

    @staticmethod
    def _write(descriptor: int, content: bytes) -> None:
        try:
            with os.fdopen(descriptor, "wb") as writer:
                writer.write(content)
        except BrokenPipeError:
            pass  # the program has read enough


@functools.cache
def warm_program(root: Path) -> WarmProgram:
    """Return the one of this test process."""
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return WarmProgram(environment)


def _serve(connection: socket.socket) -> None:
    import importlib

    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared
    while True:
        request, streams = _receive(connection, 3)
        if request is None:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _run(request, streams)
        for descriptor in streams:
            os.close(descriptor)
        _send(connection, pid)
        _, status = os.waitpid(pid, 0)
        _send(connection, os.waitstatus_to_exitcode(status))


def _run(request: dict, streams: list[int]) -> None:
    """Be the program; never returns."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = request["arguments"]
    from bert_squad.cli.start import console

    code = 1
    try:
        console()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            pass
        atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
