"""The gRPC snippets of docs/serving.md, run as they stand against a real server; and what clients get otherwise."""

import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from serving.pages import snippets

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")

ADDRESS = "localhost:8500"
VERSION = 1718000000


@pytest.fixture
def service(loaded_v2):
    from serving.grpc_server import PredictionService

    return PredictionService({VERSION: loaded_v2}, {"stable": VERSION})


@pytest.fixture
def address(service):
    from serving.grpc_server import serving

    with serving(service) as address:
        yield address


class Page(NamedTuple):
    """The snippets of the page, run in its order: what they define, and what they print."""

    names: dict
    printed: list[str]

    def predict(self, *arguments, **inputs):
        return self.names["predict"](*arguments, **inputs)


@pytest.fixture
def page(address):
    code = snippets("python", "gRPC")
    assert sum(ADDRESS in snippet for snippet in code) == 1
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for snippet in code:
            exec(compile(snippet.replace(ADDRESS, address), "docs/serving.md", "exec"), names)
    yield Page(names, out.getvalue().splitlines())
    names["channel"].close()


def test_the_snippets_ask_every_signature(page, service, loaded_v2):
    assert {version for version, _ in service.asked} == {VERSION}
    assert {name for _, name in service.asked} == set(loaded_v2.signatures)


def test_what_the_snippets_print(page):
    assert "[1000000000] (1, 5)" in page.printed
    assert sum(line.startswith("StatusCode.INVALID_ARGUMENT ") for line in page.printed) == 1
    assert any("there must be as many contexts as questions" in line for line in page.printed)


def refusal(page, signature_name, **inputs):
    with pytest.raises(grpc.RpcError) as caught:
        page.predict(signature_name, **inputs)
    return caught.value


FEATURES = {
    "input_ids": [[101, 102, 5, 102]],
    "input_mask": [[1, 1, 1, 1]],
    "segment_ids": [[0, 0, 1, 1]],
}


@pytest.mark.parametrize(
    ("signature_name", "inputs", "sentence"),
    [
        ("answers", {"question": ["who ?"], "context": ["the fox"]}, 'signature key "answers" not found'),
        ("answer", {"question": ["who ?"]}, "input size does not match signature"),
        ("answer", {"question": ["who ?"], "context": ["the fox"], "n": [1]}, "input size does not match"),
        ("answer", {"question": [1], "context": ["the fox"]}, "Expects arg question to be string"),
        ("answer", {"question": ["a", "b"], "context": ["a"]}, "as many contexts as questions"),
        ("serving_default", FEATURES | {"input_mask": [[1, 1, 1, 7]]}, "input_mask must be 0 or 1"),
        ("serving_default", FEATURES | {"input_ids": [[101, 102, 5, 9999]]}, "input_ids must be from 0 to"),
        ("serving_examples", {"examples": [b"no example"]}, "Could not parse"),
    ],
)
def test_what_cannot_be_answered_is_an_invalid_argument(page, signature_name, inputs, sentence):
    def as_sent(value):
        return np.array(value, np.int32) if isinstance(value[0], list | int) else value

    error = refusal(page, signature_name, **{name: as_sent(value) for name, value in inputs.items()})
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.details()
    assert sentence in error.details()


def test_a_version_by_its_label(page, service, texts, expected):
    outputs = page.predict("answer", version_label="stable", **texts)
    assert outputs["answer"].tolist() == expected["answer"].tolist()
    service.labels["canary"] = 7  # of a version that is not loaded
    for label in ("canary", "newest"):
        error = refusal(page, "answer", version_label=label, **texts)
        assert error.code() == grpc.StatusCode.NOT_FOUND


def test_clients_at_the_same_time_get_their_own_answers(page, texts, expected):
    def ask(row):
        return page.predict("answer", **{name: [value[row]] for name, value in texts.items()})

    rows = list(range(len(texts["question"]))) * 4
    with ThreadPoolExecutor(8) as clients:
        answered = list(clients.map(ask, rows))
    for row, outputs in zip(rows, answered, strict=True):
        for name, value in expected.items():
            if value.dtype == object:
                assert np.array_equal(outputs[name][0], value[row]), name
            else:
                np.testing.assert_allclose(outputs[name][0], value[row], atol=1e-5, err_msg=name)
