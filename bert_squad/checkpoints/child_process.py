"""Try in a child process what may end this one: TensorFlow aborts on some damaged checkpoints.

That is done for what cannot be checked beforehand, see `bundle`: checkpoints of one file (V1), compressed indexes and
partitioned variables. It takes the seconds in which TensorFlow starts, and reads everything once.
"""

import contextlib
import math
import os
import subprocess
import sys

from bert_squad import files
from bert_squad.errors import DamagedCheckpointError

_SECONDS = 120  # to start and to read the first bytes
_BYTES_A_SECOND = 5_000_000  # of the slowest disk
# How much larger a tensor may be than its file: Snappy makes 64 bytes of 3, and a small int64 takes one byte before.
_LARGEST_RATIO = 8 * 22
_TOO_LARGE = 3

_tried: set[tuple] = set()  # what was found to be readable in this process


def try_in_child(prefix: str, readable: bytes) -> None:
    """Let another process read a whole checkpoint. Errors that it gets are left for this process to get, too.

    Args:
      prefix: of the checkpoint, or a V1 file; for messages.
      readable: the same, as TensorFlow can read it.

    Raises:
      DamagedCheckpointError: when that process is killed by what it reads, or does not come to an end.
      OSError: when the files cannot be looked at.
    """
    sizes = _sizes(prefix)
    if sizes in _tried or not sys.executable:
        return
    size = sum(size for _, size, _ in sizes)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    command = [
        sys.executable,
        "-P",
        "-m",
        "bert_squad.checkpoints.child_process",
        os.fsdecode(readable),
        str(size),
    ]
    try:
        code = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS + size / _BYTES_A_SECOND,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        reason = "reading it does not come to an end"
    else:
        if code == 0:
            _tried.add(sizes)
        if code >= 0 and code != _TOO_LARGE:  # 1: it could not start, which says nothing of the checkpoint
            return
        reason = (
            "a tensor is larger than its file can hold" if code == _TOO_LARGE else "TensorFlow cannot read it"
        )
    raise DamagedCheckpointError(
        f"The checkpoint {prefix} is damaged: {reason}; copy it again, or take another.", reason
    )


def _sizes(prefix: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of every file of a checkpoint."""
    directory, name = os.path.split(prefix)
    names = [
        other for other in files.names_in(directory or ".") if other == name or other.startswith(f"{name}.")
    ]
    paths = [files.join(directory, other) for other in names]
    return tuple(
        (
            os.path.abspath(path),
            files.size_of(path),
            0 if files.is_remote(path) else os.stat(path).st_mtime_ns,
        )
        for path in paths
        if files.is_file(path)
    )


def _read_everything(path: str, size: int) -> int:
    import tensorflow as tf

    reader = tf.compat.v1.train.NewCheckpointReader(os.fsencode(path))
    dtypes = reader.get_variable_to_dtype_map()
    for name, shape in reader.get_variable_to_shape_map().items():
        if math.prod(shape) * dtypes[name].size > size * _LARGEST_RATIO:
            return _TOO_LARGE
        with contextlib.suppress(Exception):
            reader.get_tensor(name)
    return 0


if __name__ == "__main__":
    # An exception here is one that the process that asks will get and report.
    with contextlib.suppress(Exception):
        sys.exit(_read_everything(sys.argv[1], int(sys.argv[2])))
