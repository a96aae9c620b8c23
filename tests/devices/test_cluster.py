"""TF_CONFIG, right and wrong, as cluster managers and people write it."""

import json
import socket

import pytest

from bert_squad.devices.cluster import Cluster, Task, check_address_is_free, cluster_is_set, read_cluster
from bert_squad.errors import ConfigError

EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
NOT_NEEDED = (
    "; a run consists of a chief and workers. Parameter servers (ps) and evaluators: neither is needed here."
)


def variables(cluster, job="worker", index=0, **others):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": job, "index": index}, **others})}


def test_the_chief_comes_first_whatever_the_order_of_the_text():
    cluster = read_cluster(variables({"worker": ["b:2", "c:3"], "chief": ["a:1"]}, index=1))
    chief, first, second = Task("chief", 0, "a:1"), Task("worker", 0, "b:2"), Task("worker", 1, "c:3")
    assert cluster == Cluster((chief, first, second), second)
    assert (cluster.chief, cluster.is_chief, cluster.peers) == (chief, False, (chief, first))
    assert str(second) == "worker 1 (c:3)"


def test_without_a_chief_worker_0_is_it():
    cluster = read_cluster(variables({"worker": ["b:2", "c:3"]}))
    assert cluster.chief == cluster.own == Task("worker", 0, "b:2")
    assert cluster.is_chief
    assert cluster.peers == (Task("worker", 1, "c:3"),)


def test_tasks_are_in_the_order_of_tensorflow():
    from tensorflow.python.distribute import multi_worker_util

    addresses = {"worker": [f"w:{port}" for port in range(1, 13)], "chief": ["a:1"]}
    tasks = read_cluster(variables(addresses)).tasks
    assert [multi_worker_util.id_in_cluster(addresses, task.job, task.index) for task in tasks] == [
        *range(13)
    ]


@pytest.mark.parametrize("index", [1, "1", "01"])
def test_an_index_may_be_a_text_of_digits(index):
    assert read_cluster(variables({"worker": ["a:1", "b:1"]}, index=index)).own.address == "b:1"


def test_what_managers_add_is_ignored():
    given = variables({"worker": ["a:1"], "ps": [], "chief": []}, environment="cloud", rpc_layer="grpc")
    assert read_cluster(given).tasks == (Task("worker", 0, "a:1"),)


@pytest.mark.parametrize(
    "address", ["host-0.name.svc:65535", "10.0.0.2:1", "[::1]:2222", "[fe80::1%eth0]:2222"]
)
def test_addresses(address):
    assert read_cluster(variables({"worker": [address]})).own.address == address


TWO = {"worker": ["a:1", "b:1"]}
WRONG = {
    "not set": (
        {},
        "--distribution_strategy=multi_worker needs the environment variable TF_CONFIG, which names all workers and "
        f"which of them this is, such as {EXAMPLE}.",
    ),
    "empty": (
        {"TF_CONFIG": " "},
        "--distribution_strategy=multi_worker needs the environment variable TF_CONFIG, which names all workers and "
        f"which of them this is, such as {EXAMPLE}.",
    ),
    "no JSON": (
        {"TF_CONFIG": "{cluster: {worker: [a:1]}}"},
        "The environment variable TF_CONFIG is not valid JSON: Expecting property name enclosed in double quotes at "
        "line 1, column 2.",
    ),
    "cut short": (
        {"TF_CONFIG": '{"cluster": {'},
        "The environment variable TF_CONFIG is not valid JSON: Expecting property name enclosed in double quotes at "
        "line 1, column 14. Is it complete?",
    ),
    "no UTF-8": (
        {"TF_CONFIG": '{"cluster": "\udcff"}'},
        "The environment variable TF_CONFIG is not UTF-8 text (byte 13).",
    ),
    "a list": ({"TF_CONFIG": "[]"}, f"TF_CONFIG must be a JSON object such as {EXAMPLE}."),
    "no cluster": (
        {"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'},
        f'TF_CONFIG has no "cluster"; it looks like {EXAMPLE}.',
    ),
    "a cluster of another kind": (
        variables(["a:1", "b:1"]),
        f'TF_CONFIG has a "cluster" that is no JSON object; it looks like {EXAMPLE}.',
    ),
    "no task": (
        {"TF_CONFIG": json.dumps({"cluster": TWO})},
        f'TF_CONFIG has no "task"; it looks like {EXAMPLE}.',
    ),
    "nobody": (variables({"worker": []}), f"The cluster of TF_CONFIG lists no worker; it looks like {EXAMPLE}."),
    "a text for a list": (
        variables({"worker": "a:1"}),
        'TF_CONFIG must list the addresses of "worker", such as ["host0:2222"].',
    ),
    "two chiefs": (
        variables({"chief": ["a:1", "b:1"]}, "chief"),
        "TF_CONFIG lists 2 chiefs; one writes, so there can be one only.",
    ),
    "parameter servers": (
        variables({**TWO, "ps": ["c:1"]}),
        f'TF_CONFIG lists tasks of "ps"{NOT_NEEDED}',
    ),
    "an evaluator": (
        variables(TWO, "evaluator"),
        f'TF_CONFIG makes this process a task of "evaluator"{NOT_NEEDED}',
    ),
    "no type": (
        {"TF_CONFIG": json.dumps({"cluster": TWO, "task": {"index": 0}})},
        f'The "task" of TF_CONFIG has no "type"; it looks like {EXAMPLE}.',
    ),
    "not listed": (
        variables(TWO, index=2),
        "TF_CONFIG makes this process worker 2, and its cluster lists only worker 0 (a:1), worker 1 (b:1).",
    ),
    "before the first": (
        variables(TWO, index=-1),
        "TF_CONFIG makes this process worker -1, and its cluster lists only worker 0 (a:1), worker 1 (b:1).",
    ),
    "a chief that is not listed": (
        variables(TWO, "chief"),
        "TF_CONFIG makes this process chief 0, and its cluster lists only worker 0 (a:1), worker 1 (b:1).",
    ),
    "one address twice": (
        variables({"chief": ["a:1"], "worker": ["b:1", "A:1"]}),
        "TF_CONFIG gives chief 0 and worker 1 the same address, A:1.",
    ),
} | {
    f"index {index!r}": (
        variables(TWO, index=index),
        f'The "index" of the "task" of TF_CONFIG must be a whole number, not {index!r}.',
    )
    for index in (None, "first", "", "-1", 1.0, True, "²")
} | {
    f"address {address!r}": (
        variables({"worker": ["a:1", address]}),
        f"TF_CONFIG: the address of worker 1 must be host:port, not {address!r}.",
    )
    for address in ("b", "b:", ":1", "b:0", "b:65536", "b:x", "grpc://b:1", "::1:2222", "b :1", 2222, None)
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_sentence(given, message):
    with pytest.raises(ConfigError) as caught:
        read_cluster(given)
    assert str(caught.value) == message


@pytest.mark.parametrize(("value", "is_set"), [(None, False), ("", False), ("{", True), ("{}", True)])
def test_whether_it_is_set(value, is_set):
    assert cluster_is_set({} if value is None else {"TF_CONFIG": value}) is is_set


def test_the_environment_of_the_process_is_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", variables(TWO)["TF_CONFIG"])
    assert cluster_is_set()
    assert read_cluster().own == Task("worker", 0, "a:1")


def test_an_address_where_somebody_listens_is_refused():
    with socket.create_server(("", 0)) as taken:
        own = Task("worker", 1, f"localhost:{taken.getsockname()[1]}")
        with pytest.raises(ConfigError) as caught:
            check_address_is_free(own)
    assert str(caught.value) == (
        f"{own} cannot serve at its address (Address already in use); is it running twice?"
    )
    check_address_is_free(own)
