"""`--log_file`: what is logged, and the program's last words, at the end of a file too."""

import logging as standard_logging

from absl import logging

from bert_squad import files
from bert_squad.errors import ConfigError

_handlers: list["_LogFile"] = []


class _LogFile(standard_logging.FileHandler):
    """Appends to a file. When that fails, on a full disk say, the run goes on without it."""

    def __init__(self, path: str):
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(logging.PythonFormatter())

    def handleError(self, record: standard_logging.LogRecord) -> None:  # noqa: N802  the library's name
        stop_writing()
        logging.warning("Cannot write %s any more, so the log is not in it from here on.", self.baseFilename)

    def write(self, text: str) -> None:
        """Write a line that is no record."""
        assert self.stream is not None
        self.stream.write(f"{text}\n")
        self.flush()


def begin_writing(path: str) -> None:
    """Write to a file, too, whatever is logged from now on.

    Raises:
      ConfigError: when it cannot be opened, or is on no file system of this machine.
    """
    stop_writing()
    if files.is_remote(path):
        raise ConfigError(
            f"--log_file={path} must be a file of this machine, which can be written to at its end."
        )
    try:
        handler = _LogFile(path)
    except OSError as error:
        raise ConfigError(f"--log_file: {path} cannot be written ({files.reason_of(error)}).") from None
    _handlers.append(handler)
    logging.get_absl_logger().addHandler(handler)


def stop_writing() -> None:
    """Write no more to the file; what is in it stays."""
    while _handlers:
        handler = _handlers.pop()
        logging.get_absl_logger().removeHandler(handler)
        try:
            handler.close()
        except OSError:  # what was not written yet cannot be
            continue


def write_last_words(text: str) -> None:
    """Write a line that goes to standard error without being logged."""
    for handler in list(_handlers):
        try:
            handler.write(text)
        except (OSError, ValueError):
            stop_writing()
