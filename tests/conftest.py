"""What tests of several rooms share. TensorFlow is imported by those alone who need it."""

import pytest


@pytest.fixture(scope="session")
def exported_v2(tmp_path_factory):
    """The tiny version 2 model of the legacy script, exported; tests must not change it."""
    from serving.legacy_models import Exported, legacy_model

    legacy = legacy_model("v2")
    return Exported(legacy.export(tmp_path_factory.mktemp("v2") / "export"), legacy)


@pytest.fixture(scope="session")
def loaded_v2(exported_v2):
    """The SavedModel of `exported_v2`, in this process."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers its operations

    return tf.saved_model.load(exported_v2.path)


@pytest.fixture
def loads_once(exported_v2, loaded_v2, monkeypatch):
    """Let whoever loads `exported_v2` have `loaded_v2`: loading takes seconds."""
    import tensorflow as tf

    load = tf.saved_model.load
    monkeypatch.setattr(
        tf.saved_model, "load", lambda path: loaded_v2 if path == exported_v2.path else load(path)
    )
