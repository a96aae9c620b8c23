"""What tests of several loaders share."""

import pytest


@pytest.fixture(scope="session")
def texts(exported_v2):
    from serving.legacy_models import questions_of

    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    return {"question": [*questions[:5], ""], "context": [*contexts[:5], "Straße im Σ\u0301, 東京"]}


@pytest.fixture(scope="session")
def expected(loaded_v2, texts):
    """What the export answers in this process."""
    import tensorflow as tf

    outputs = loaded_v2.signatures["answer"](**{name: tf.constant(value) for name, value in texts.items()})
    return {name: value.numpy() for name, value in outputs.items()}
