"""TensorFlow Text, imported when it is needed: it is the one library here that a machine may have in a broken state."""

from types import ModuleType

import tensorflow as tf

from bert_squad import files
from bert_squad.errors import ConfigError


def load_tensorflow_text() -> ModuleType:
    """Import TensorFlow Text, which registers the operation that exported models tokenize with.

    Raises:
      ConfigError: when that fails, however it fails: it is built for one TensorFlow and breaks with another.
    """
    try:
        import tensorflow_text
    except Exception as error:
        wanted = ".".join(tf.__version__.split(".")[:2])
        raise ConfigError(
            f"TensorFlow Text cannot be loaded ({files.reason_of(error)}), and exported models need it; install the "
            f"one that goes with TensorFlow {tf.__version__}: pip install 'tensorflow-text=={wanted}.*'."
        ) from error
    return tensorflow_text
