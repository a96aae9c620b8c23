"""Let a process that joins a cluster be watched and stopped while it waits for the others.

TensorFlow 2.20 joins within `TFE_EnableCollectiveOps`, which waits for all others without end and holds Python's lock
meanwhile: no other thread runs, so nobody notices that a worker is absent, and no signal is heeded. Here a thread calls
the same function of TensorFlow's C API through ctypes, which gives the lock away.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

from bert_squad.interruption import heed_signals_again

_NAME = "TFE_EnableCollectiveOps"
_SECONDS = 0.1  # between two looks


@contextlib.contextmanager
def interruptible_joining(patience: float) -> Iterator[None]:
    """Within the block, let other threads run and signals be heeded while a MultiWorkerMirroredStrategy is made.

    Args:
      patience: seconds that a worker may be silent before TensorFlow takes it for dead; 10 by its own default, after
        which it would end a run whose worker is only held up.

    A signal raises its exception in the main thread, as elsewhere, and TensorFlow goes on waiting in a thread of its
    own; the process has to end then. Signals are heeded after the block too, though TensorFlow puts its own handler
    over ours.
    """
    from tensorflow.python import pywrap_tfe

    original = getattr(pywrap_tfe, _NAME)
    setattr(pywrap_tfe, _NAME, _JoinFunction(patience))
    try:
        yield
    finally:
        setattr(pywrap_tfe, _NAME, original)
        heed_signals_again()


class _JoinFunction:
    """Do what `pywrap_tfe.TFE_EnableCollectiveOps` does, in another thread, without Python's lock."""

    def __init__(self, patience: float) -> None:
        self._milliseconds = round(1000 * patience)
        from tensorflow.python import _pywrap_tensorflow_internal

        library = ctypes.CDLL(_pywrap_tensorflow_internal.__file__)
        self._enable = _function(
            library[_NAME], None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
        )
        self._new_status = _function(library["TF_NewStatus"], ctypes.c_void_p)
        self._code = _function(library["TF_GetCode"], ctypes.c_int, ctypes.c_void_p)
        self._message = _function(library["TF_Message"], ctypes.c_char_p, ctypes.c_void_p)
        self._delete_status = _function(library["TF_DeleteStatus"], None, ctypes.c_void_p)

    def __call__(self, context: Any, server_def: bytes) -> None:
        """Join the cluster.

        Args:
          context: TensorFlow's own, a capsule.
          server_def: a serialized `ServerDef`.

        Raises:
          tf.errors.OpError: when that fails.
        """
        is_done = threading.Event()
        server_def = self._patient(server_def)
        status = self._new_status()  # it outlives this call when that is interrupted

        def join() -> None:
            self._enable(_pointer(context), server_def, len(server_def), status)
            is_done.set()

        threading.Thread(target=join, name="joining the cluster", daemon=True).start()
        while not is_done.wait(_SECONDS):
            heed_signals_again()
        code, message = self._code(status), self._message(status)
        self._delete_status(status)
        if code:
            from tensorflow.python.framework import errors_impl

            raise errors_impl.exception_type_from_error_code(code)(
                None, None, message.decode(errors="replace")
            )

    def _patient(self, content: bytes) -> bytes:
        """Put the time into a serialized `ServerDef` after which a silent worker is dead."""
        from tensorflow.core.protobuf import tensorflow_server_pb2

        server_def = tensorflow_server_pb2.ServerDef.FromString(content)
        options = server_def.default_session_config.experimental.coordination_config
        options.heartbeat_timeout_in_ms = self._milliseconds
        return server_def.SerializeToString()


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    """Give a function of a C library its types."""
    function.restype, function.argtypes = result, arguments
    return function


def _pointer(capsule: Any) -> int:
    """Return the address that a capsule holds."""
    name_of = _function(ctypes.pythonapi.PyCapsule_GetName, ctypes.c_char_p, ctypes.py_object)
    pointer_of = _function(
        ctypes.pythonapi.PyCapsule_GetPointer, ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p
    )
    return pointer_of(capsule, name_of(capsule))
