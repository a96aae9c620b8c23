"""Every error that bert_squad raises on purpose.

    BertSquadError
    ├── ConfigError        a flag or a configuration value is wrong       (also a ValueError)
    ├── DataError          a data set, vocabulary or record file is wrong (also a ValueError)
    ├── CheckpointError    a checkpoint is missing, of another shape or of another program
    │   └── DamagedCheckpointError  its files are torn or changed: an older one may be whole
    ├── TrainingError      training cannot go on, e.g. the loss is not finite
    ├── LostWorkerError    another process of a cluster does not answer any more
    ├── OutOfMemoryError   what was asked for does not fit in memory      (also a MemoryError)
    ├── PathError          a path cannot be reached                       (also an OSError)
    ├── OutputError        an output file cannot be written               (also an OSError)
    │   └── DirectoryInUseError     another run writes there
    └── RunInterruptedError  a signal asked the run to stop, and it saved its work first

The message of each is one sentence or two: it names the file, the question id or the flag, and says what
to do. The command line prints the message without a traceback and exits with 1 (128 + the signal's number
for RunInterruptedError).
"""


class BertSquadError(Exception):
    """Base of every error that bert_squad raises on purpose."""

    # Where one is raised within a model, AutoGraph must not replace it by an error of its own, nor Keras add to it.
    ag_pass_through = True
    _keras_call_info_injected = True


class ConfigError(BertSquadError, ValueError):
    """A flag or a configuration value is wrong."""


class DataError(BertSquadError, ValueError):
    """A data set, a vocabulary or a record file is wrong."""


class CheckpointError(BertSquadError):
    """A checkpoint is missing, damaged, or does not fit the model."""


class DamagedCheckpointError(CheckpointError):
    """The files of a checkpoint are cut short or changed; another checkpoint may be whole.

    Args:
      message: as of every error.
      reason: what is wrong, for a line that names the checkpoint already.
    """

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class TrainingError(BertSquadError):
    """Training cannot go on."""


class LostWorkerError(BertSquadError):
    """Another process of the cluster does not answer any more, so that nothing can be done together."""


class OutOfMemoryError(BertSquadError, MemoryError):
    """What was asked for does not fit in memory."""


class PathError(BertSquadError, OSError):
    """A path cannot be reached, on a remote file system mostly."""


class OutputError(BertSquadError, OSError):
    """An output file or directory cannot be written."""


class DirectoryInUseError(OutputError):
    """Another run writes to the same place."""


class RunInterruptedError(BertSquadError):
    """A signal asked the run to stop; what it had done is saved.

    Args:
      message: what was saved and how to go on.
      signal_number: e.g. 15; the command line exits with 128 + this.
    """

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.signal_number = signal_number


def first_line(error: BaseException) -> str:
    """Return what an error says in one line, without its number and file name; its kind when it says nothing.

    >>> first_line(FileNotFoundError(2, "No such file or directory", "x"))
    'No such file or directory'
    >>> first_line(MemoryError())
    'MemoryError'
    """
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    lines = str(text).strip().splitlines()
    return lines[0] if lines else type(error).__name__
