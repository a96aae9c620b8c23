"""What tests of several rooms share. TensorFlow is imported by those alone who need it."""

import os

import pytest
from absl import logging
from hypothesis import settings

# The same examples in each run, so that a failure is the fault of what was changed. To look for more of them:
# HYPOTHESIS_PROFILE=default python -m pytest tests/text
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


# Where runs of the program take most of the time. They go first, so that two processes end at about the same time.
_LONG_FILES = ("training/test_resume.py", "faults/", "cli/", "serving/test_export.py")


def pytest_collection_modifyitems(items):
    """Put the tests of long files first."""
    items.sort(key=lambda item: not any(part in item.nodeid for part in _LONG_FILES))


class LogLines(list[str]):
    """What is logged at one level, line by line.

    Attributes:
      calls: the same as it was given: format, and arguments.
    """

    def __init__(self, monkeypatch, level: str):
        super().__init__()
        self.calls: list[tuple] = []
        monkeypatch.setattr(logging, level, self._log)

    def _log(self, text: str, *arguments: object) -> None:
        self.calls.append((text, *arguments))
        self.append(text % arguments)


@pytest.fixture
def warnings(monkeypatch):
    """The warnings of the test, which are not logged."""
    return LogLines(monkeypatch, "warning")


@pytest.fixture
def infos(monkeypatch):
    """What the test would log at the level info."""
    return LogLines(monkeypatch, "info")


@pytest.fixture(scope="session")
def exported_v2(tmp_path_factory):
    """The tiny version 2 model of the legacy script, exported; tests must not change it."""
    from serving.legacy_models import Exported, legacy_model

    legacy = legacy_model("v2")
    return Exported(legacy.export(tmp_path_factory.mktemp("v2") / "export"), legacy)


@pytest.fixture(scope="session")
def exported_features(tmp_path_factory):
    """The model of `exported_v2`, exported with --export_signatures=features; tests must not change it."""
    from serving.legacy_models import Exported, legacy_model

    legacy = legacy_model("v2")
    path = legacy.export(tmp_path_factory.mktemp("features") / "export", signatures="features")
    return Exported(path, legacy)


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
