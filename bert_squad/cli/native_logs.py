"""Let TF_CPP_MIN_LOG_LEVEL rule all that TensorFlow's C++ says.

Parts of TensorFlow log through Abseil, which does not know of that variable. What is logged before Abseil is told to
begin (and TensorFlow never tells it) goes to standard error, whatever its level, behind a warning that it does.
"""

import contextlib
import ctypes
import os

_LIBRARY = "libtensorflow_framework.so.2"
_SET_MIN_LOG_LEVEL = "_ZN4absl12lts_2025012714SetMinLogLevelENS0_18LogSeverityAtLeastE"  # of TensorFlow 2.20


def heed_log_level() -> None:
    """Drop Abseil's messages below TF_CPP_MIN_LOG_LEVEL: 0 none, 1 information, 2 warnings, 3 errors too.

    Where TensorFlow has no such function nothing is done. TensorFlow is imported before.
    """
    import tensorflow as tf

    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    if level in ("0", "1", "2", "3"):
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(os.path.join(tf.sysconfig.get_lib(), _LIBRARY))
            library[_SET_MIN_LOG_LEVEL](ctypes.c_int(int(level)))
