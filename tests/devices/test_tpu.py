"""A TPU is opened as the flags say. There is none here: stand-ins take its place, and what can be real is."""

import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from program import environment

from bert_squad.config import SquadConfig
from bert_squad.devices import tpu
from bert_squad.devices.tpu import open_tpu_strategy
from bert_squad.errors import ConfigError


def config(**flags) -> SquadConfig:
    return SquadConfig(bert_config_file="", vocab_file="", output_dir="", use_tpu=True, **flags)


def topology(mesh_shape=(2, 2, 1, 2), num_hosts=1):
    """A real topology, that of a TPU v3-8 unless other sizes are given: chips [X, Y, Z], each of some cores."""
    places = np.array(list(np.ndindex(*mesh_shape)), np.int32)
    coordinates = places.reshape([num_hosts, -1, len(mesh_shape)])
    return tf.tpu.experimental.Topology(mesh_shape=list(mesh_shape), device_coordinates=coordinates)


class Recorder:
    """Stands in for TensorFlow's TPU; `calls` is what was called, in order, with what."""

    task_type = "worker"

    def __init__(self, monkeypatch, there=None, addresses=()):
        self.calls, self.there, self.addresses = [], there or topology(), list(addresses)
        monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", self.resolve)
        monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", self.connect)
        monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", self.initialize)
        monkeypatch.setattr(tf.distribute, "TPUStrategy", self.make_strategy)

    def resolve(self, **arguments):
        self.calls.append(("resolve", arguments))
        return self

    def cluster_spec(self):
        return tf.train.ClusterSpec({"worker": self.addresses} if self.addresses else {})

    def connect(self, resolver):
        assert resolver is self
        self.calls.append(("connect",))

    def initialize(self, resolver):
        assert resolver is self
        self.calls.append(("initialize",))
        return self.there

    def make_strategy(self, resolver, experimental_device_assignment):
        assert resolver is self
        self.calls.append(("strategy", experimental_device_assignment))
        return "the strategy"


@pytest.fixture
def listening():
    """An address where somebody listens, as the TPU's host does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def deaf():
    """An address where nobody listens: the port is taken, and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_named_tpu_is_resolved_connected_to_and_started(monkeypatch, listening):
    there = Recorder(monkeypatch, addresses=[listening])
    flags = config(
        tpu_name="mine", tpu_zone="europe-west4-a", gcp_project="squad", master="grpc://10.0.0.2:8470"
    )
    assert open_tpu_strategy(flags) == "the strategy"
    assert there.calls == [
        ("resolve", {"tpu": "mine", "zone": "europe-west4-a", "project": "squad"}),
        ("connect",),
        ("initialize",),
        ("strategy", None),
    ]


def test_without_a_name_it_is_that_of_master(monkeypatch, listening):
    there = Recorder(monkeypatch, addresses=[listening])
    open_tpu_strategy(config(master=f"grpc://{listening}"))
    assert there.calls[0] == ("resolve", {"tpu": f"grpc://{listening}", "zone": None, "project": None})


def test_on_its_own_machine_there_is_nothing_to_connect_to(monkeypatch):
    there = Recorder(monkeypatch)
    open_tpu_strategy(config(tpu_name="local"))
    assert [call[0] for call in there.calls] == ["resolve", "initialize", "strategy"]


@pytest.mark.parametrize("num_cores", range(1, 8))
def test_fewer_cores_than_there_are(num_cores, monkeypatch, infos):
    there = Recorder(monkeypatch)
    open_tpu_strategy(config(tpu_name="local", num_tpu_cores=num_cores))
    assignment = there.calls[-1][1]
    assert (assignment.num_replicas, assignment.num_cores_per_replica) == (num_cores, 1)
    assert len({tuple(place) for place in assignment.core_assignment[:, 0]}) == num_cores
    assert infos == [f"Using {num_cores} of the 8 cores of the TPU of --tpu_name=local (--num_tpu_cores)."]


def test_the_cores_of_all_hosts_count(monkeypatch):
    there = Recorder(monkeypatch, topology((4, 4, 1, 2), num_hosts=4))
    open_tpu_strategy(config(tpu_name="local", num_tpu_cores=32))
    assert there.calls[-1] == ("strategy", None)


def test_more_cores_than_there_are_is_refused(monkeypatch):
    there = Recorder(monkeypatch, topology((2, 2, 1, 1)))
    message = (
        "--num_tpu_cores=8, but the TPU of --tpu_name=mine, zone z, project p has 4; give --num_tpu_cores=4."
    )
    with pytest.raises(ConfigError) as raised:
        open_tpu_strategy(config(tpu_name="mine", tpu_zone="z", gcp_project="p"))
    assert str(raised.value) == message
    assert [call[0] for call in there.calls] == ["resolve", "initialize"]


class GooglesOwnError(Exception):
    """What a package raises that need not be installed, and whose classes cannot be named here."""


@pytest.mark.parametrize("step", ["resolve", "cluster_spec", "connect", "initialize", "make_strategy"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("No such TPU.\nMore about it."),
        RuntimeError("No such TPU."),
        OSError(2, "No such TPU."),
        tf.errors.NotFoundError(None, None, "No such TPU."),
        GooglesOwnError("No such TPU."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_is_one_error_that_names_the_flags(step, error, monkeypatch, listening):
    def failing(*arguments, **named):
        raise error

    monkeypatch.setattr(Recorder, step, failing)
    Recorder(monkeypatch, addresses=[listening])
    with pytest.raises(ConfigError) as raised:
        open_tpu_strategy(config(tpu_name="mine", tpu_zone="z", gcp_project="p"))
    assert str(raised.value) == (
        "The TPU of --tpu_name=mine, zone z, project p cannot be opened (No such TPU.); are --tpu_name, --tpu_zone "
        "and --gcp_project right, and is the TPU running?"
    )
    assert raised.value.__cause__ is error


def test_an_address_where_nobody_answers_is_not_waited_for_without_end(monkeypatch, deaf, listening):
    there = Recorder(monkeypatch, addresses=[listening, deaf])
    monkeypatch.setattr(tpu, "_SECONDS_BETWEEN_TRIES", 0.01)
    started = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        open_tpu_strategy(config(master=f"grpc://{listening}", cluster_timeout=0.2))
    assert time.monotonic() - started < 10
    assert str(raised.value) == (
        f"The TPU of --master=grpc://{listening}: nobody answers at {deaf} within 0.2 s (Connection refused); is the "
        "TPU running, or its address wrong? --cluster_timeout waits longer."
    )
    assert [call[0] for call in there.calls] == ["resolve"]


def test_a_tpu_that_is_late_is_waited_for(monkeypatch, deaf):
    host, port = deaf.split(":")
    tries, connect = [], socket.create_connection

    def connecting(address, timeout):
        assert address == (host, int(port))
        assert timeout >= 1
        tries.append(address)
        if len(tries) < 3:
            return connect(address, timeout)
        return socket.socket()

    there = Recorder(monkeypatch, addresses=[deaf])
    monkeypatch.setattr(tpu, "_SECONDS_BETWEEN_TRIES", 0.01)
    monkeypatch.setattr(socket, "create_connection", connecting)
    open_tpu_strategy(config(master=f"grpc://{deaf}"))
    assert len(tries) == 3
    assert [call[0] for call in there.calls] == ["resolve", "connect", "initialize", "strategy"]


def test_what_answers_and_is_no_tpu_is_not_waited_for_without_end(listening):
    """TensorFlow itself waits here, and hears of nothing; so the process ends."""
    code = [
        "from bert_squad.config import SquadConfig",
        "from bert_squad.devices.tpu import open_tpu_strategy",
        "files = {'bert_config_file': '', 'vocab_file': '', 'output_dir': ''}",
        f"open_tpu_strategy(SquadConfig(**files, master='grpc://{listening}', cluster_timeout=1))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert (
        f"error: The TPU of --master=grpc://{listening} takes longer than 1 s to start; is there a TPU at that address?"
        " --cluster_timeout waits longer."
    ) in done.stderr


def test_the_process_does_not_end_once_a_tpu_has_started(monkeypatch):
    Recorder(monkeypatch)
    ended, heeded = [], []
    monkeypatch.setattr(tpu, "end_process", ended.append)
    monkeypatch.setattr(tpu, "heed_signals_again", lambda: heeded.append(True))
    open_tpu_strategy(config(tpu_name="local", cluster_timeout=0.3))
    time.sleep(0.6)
    assert ended == []
    assert heeded == [True], "TensorFlow puts its own handler of SIGTERM over ours"


@pytest.mark.slow
def test_where_there_is_no_tpu_tensorflow_says_so():
    """Nothing is a stand-in here: this machine has none."""
    with pytest.raises(ConfigError) as raised:
        open_tpu_strategy(config(tpu_name="local"))
    said = str(raised.value)
    assert said.startswith("The TPU of --tpu_name=local cannot be opened (TPUs not found in the cluster.")
    assert said.endswith(
        "is this its own machine, and TensorFlow the build for TPUs (pip install tensorflow-tpu)?"
    )
    assert "\n" not in said


def test_tensorflow_takes_the_names_of_the_arguments(monkeypatch):
    """The real resolver, of an address: it asks nobody before it is connected to."""
    resolvers = []

    def connect(resolver):
        resolvers.append(resolver)
        raise RuntimeError("Far enough.")

    monkeypatch.setattr(tpu, "_wait_for", lambda addresses, config: resolvers.append(addresses))
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", connect)
    with pytest.raises(ConfigError, match=r"Far enough\."):
        open_tpu_strategy(config(master="grpc://10.0.0.2:8470"))
    addresses, resolver = resolvers
    assert addresses == ["10.0.0.2:8470"]
    assert resolver.master() == "grpc://10.0.0.2:8470"
