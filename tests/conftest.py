"""What tests of several rooms share. TensorFlow is imported by those alone who need it."""

import pytest


@pytest.fixture(scope="session")
def exported_v1(tmp_path_factory):
    """The tiny version 1.1 model of the legacy script, exported; tests must not change it."""
    return _exported("v1", tmp_path_factory)


@pytest.fixture(scope="session")
def exported_v2(tmp_path_factory):
    """The version 2 model, with a threshold between its null odds, exported; tests must not change it."""
    return _exported("v2", tmp_path_factory)


@pytest.fixture(scope="session")
def loaded_v1(exported_v1):
    """The SavedModel of `exported_v1`, in this process."""
    return _loaded(exported_v1)


@pytest.fixture(scope="session")
def loaded_v2(exported_v2):
    """The SavedModel of `exported_v2`, in this process."""
    return _loaded(exported_v2)


def _exported(version, tmp_path_factory):
    from serving.legacy_models import Exported, legacy_model

    legacy = legacy_model(version)
    return Exported(legacy.export(tmp_path_factory.mktemp(version) / "export"), legacy)


def _loaded(exported):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers its operations

    return tf.saved_model.load(exported.path)
