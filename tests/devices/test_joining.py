"""A process that joins a cluster, or waits for that, hears signals and who is absent; real ones, of TensorFlow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from devices.test_peers import ADVICE_AT_START, free_addresses
from program import environment

# Imports TensorFlow once, and forks for each process of the test.
PROGRAM = """
import json, os, sys, time
import tensorflow as tf
from bert_squad.devices.cluster import read_cluster
from bert_squad.devices.joining import interruptible_joining
from bert_squad.devices.peers import PeerWatch
from bert_squad.interruption import StopSignal, end_process, stopping_on_signals

def say(text):
    print(f"program: {text}", flush=True)

def join(config, timeout):
    os.environ["TF_CONFIG"] = config
    with stopping_on_signals(say):
        watch = PeerWatch(read_cluster(), timeout, end_process)
        watch.start()
        say("joining")
        try:
            with interruptible_joining(timeout):
                tf.distribute.MultiWorkerMirroredStrategy()
            say("joined")
            time.sleep(60)
        except StopSignal as stop:
            say("stopped")
            os._exit(128 + stop.signal_number)
        except tf.errors.OpError as error:
            say(f"{type(error).__name__}: {error.message}")
            os._exit(1)

names = {}
for name, config, timeout in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), 1)
        join(config, timeout)
        os._exit(0)
    names[pid] = name
print(json.dumps({name: pid for pid, name in names.items()}), flush=True)
for _ in range(len(names)):
    pid, status = os.wait()
    print(json.dumps([names[pid], os.waitstatus_to_exitcode(status)]), flush=True)
"""


class Processes:
    """Processes that join clusters, by name."""

    def __init__(self, folder, configs):
        self._folder = folder
        arguments = [(name, json.dumps(config), timeout) for name, (config, timeout) in configs.items()]
        self._parent = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.pids = json.loads(self._parent.stdout.readline())
        self._codes = {}

    def said(self, name):
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, name, line):
        deadline = time.monotonic() + 60
        while line not in self.said(name):
            assert time.monotonic() < deadline, self.said(name)
            time.sleep(0.05)

    def code(self, name):
        while name not in self._codes:
            ended, code = json.loads(self._parent.stdout.readline())
            self._codes[ended] = code
        return self._codes[name]

    def end(self):
        for name, pid in self.pids.items():
            if name not in self._codes:
                os.kill(pid, signal.SIGKILL)
        self._parent.communicate()


ABSENT, WAITING, TAKEN, JOINED = (free_addresses(2) for _ in range(4))


def config(addresses, index=0):
    return {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    with socket.socket() as taken:
        host, port = TAKEN[0].split(":")
        taken.bind((host, int(port)))
        taken.listen()
        found = Processes(
            tmp_path_factory.mktemp("joining"),
            {
                "absent": (config(ABSENT), 3.0),
                "waiting": (config(WAITING), 100.0),
                "taken": (config(TAKEN), 100.0),
                "joined 0": (config(JOINED), 100.0),
                "joined 1": (config(JOINED, 1), 100.0),
            },
        )
        yield found
        found.end()


def test_who_waits_for_an_absent_worker_ends_in_time(processes):
    assert processes.code("absent") == 1
    assert processes.said("absent") == [
        "program: joining",
        f"program: error: worker 1 ({ABSENT[1]}) has not started within 3 s (--cluster_timeout); {ADVICE_AT_START}",
    ]


def test_a_signal_reaches_who_waits_for_another(processes):
    processes.wait_for("waiting", "program: joining")
    time.sleep(3)  # TensorFlow puts its handler over ours soon after
    os.kill(processes.pids["waiting"], signal.SIGTERM)
    assert processes.code("waiting") == 143
    assert processes.said("waiting") == ["program: joining", "program: stopped"]


def test_what_tensorflow_says_against_joining_is_raised(processes):
    assert processes.code("taken") == 1
    assert processes.said("taken")[1:] == ["program: UnknownError: Could not start gRPC server"]


def test_a_signal_reaches_who_has_joined(processes):
    names = ("joined 0", "joined 1")
    for name in names:
        processes.wait_for(name, "program: joined")
    for name in names:
        os.kill(processes.pids[name], signal.SIGTERM)
    for name in names:
        assert processes.code(name) == 143
        assert processes.said(name) == ["program: joining", "program: joined", "program: stopped"]
