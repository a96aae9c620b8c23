"""Who is absent, dead or stopped is found out and named: servers that answer as TensorFlow's does, and real ones."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from program import environment

from bert_squad.devices import peers
from bert_squad.devices.cluster import Cluster, Task
from bert_squad.devices.peers import PeerWatch

TIMEOUT = 1.4  # seconds


def free_addresses(count):
    """Return addresses at which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def cluster_of(count):
    tasks = tuple(Task("worker", i, address) for i, address in enumerate(free_addresses(count)))
    return Cluster(tasks, tasks[0])


class Worker:
    """Listens at a task's address and answers `GetStatus`, or is silent as a stopped process is."""

    def __init__(self, task):
        self.is_awake = threading.Event()
        self.is_awake.set()
        self.num_refusals = 0  # to come
        self._server = grpc.server(ThreadPoolExecutor(8))
        method = grpc.unary_unary_rpc_method_handler(self._answer)
        handlers = grpc.method_handlers_generic_handler("tensorflow.WorkerService", {"GetStatus": method})
        self._server.add_generic_rpc_handlers((handlers,))
        assert self._server.add_insecure_port(task.address)
        self._server.start()

    def _answer(self, request, context):
        assert request == b""
        self.is_awake.wait()
        if self.num_refusals:
            self.num_refusals -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "as from a connection that is reset")
        return b"status"

    def end(self):
        self.is_awake.set()
        self._server.stop(None).wait()


@pytest.fixture
def world():
    """Workers 1 and 2 of three, what `end` was told, and a watch of worker 0; all of it ends with the test."""
    cluster = cluster_of(3)
    sentences = []
    with contextlib.ExitStack() as stack:

        def start(index):
            worker = Worker(cluster.tasks[index])
            stack.callback(worker.end)
            return worker

        watch = PeerWatch(cluster, TIMEOUT, sentences.append)
        stack.callback(watch.stop)
        yield SimpleNamespace(
            cluster=cluster, tasks=cluster.tasks, start=start, watch=watch, sentences=sentences
        )


def wait_until(is_true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_true()


ADVICE_AT_START = "start the same command on all workers, each with its own TF_CONFIG."
ADVICE_LATER = "run the same command again on all workers to go on from the last checkpoint."


def test_all_who_have_not_started_are_named_once(world):
    began = time.monotonic()
    world.watch.start()
    wait_until(lambda: world.sentences)
    assert TIMEOUT <= time.monotonic() - began < 3 * TIMEOUT
    time.sleep(2)  # to be called again
    _, one, two = world.tasks
    assert world.sentences == [
        f"{one} and {two} have not started within {TIMEOUT:g} s (--cluster_timeout); {ADVICE_AT_START}"
    ]


def test_one_who_has_not_started_is_named_alone(world):
    world.start(1)
    world.watch.start()
    wait_until(lambda: world.sentences)
    assert world.sentences == [
        f"{world.tasks[2]} has not started within {TIMEOUT:g} s (--cluster_timeout); {ADVICE_AT_START}"
    ]


def test_who_starts_late_is_in_time(world):
    world.start(1)
    world.watch.start()
    time.sleep(TIMEOUT / 2)
    world.start(2)
    time.sleep(TIMEOUT)
    assert world.sentences == []


@pytest.mark.parametrize("how", ["ends", "is silent"])
def test_who_does_not_answer_any_more_is_named(world, how):
    world.start(1)
    worker = world.start(2)
    world.watch.start()
    time.sleep(1.5 * TIMEOUT)
    assert world.sentences == []
    began = time.monotonic()
    worker.end() if how == "ends" else worker.is_awake.clear()
    wait_until(lambda: world.sentences)
    assert time.monotonic() - began > 0.6 * TIMEOUT
    assert world.sentences == [
        f"{world.tasks[2]} does not answer any more, for {TIMEOUT:g} s (--cluster_timeout); {ADVICE_LATER}"
    ]


@pytest.mark.parametrize("how", ["ends", "is silent"])
def test_who_has_ended_is_not_waited_for_as_long_as_who_is_silent(world, monkeypatch, how):
    monkeypatch.setattr(peers, "_SECONDS_UNTIL_GONE", 0.7 * TIMEOUT)
    watch = PeerWatch(world.cluster, 20 * TIMEOUT, world.sentences.append)
    worker = [world.start(1), world.start(2)][1]
    watch.start()
    try:
        time.sleep(TIMEOUT)
        worker.end() if how == "ends" else worker.is_awake.clear()
        time.sleep(3 * TIMEOUT)
        gone = f"{world.tasks[2]} does not answer any more; {ADVICE_LATER}"
        assert world.sentences == ([gone] if how == "ends" else [])
    finally:
        watch.stop()


def test_all_who_die_together_are_named(world):
    workers = [world.start(1), world.start(2)]
    world.watch.start()
    time.sleep(TIMEOUT)
    for worker in workers:
        worker.end()
    wait_until(lambda: world.sentences)
    _, one, two = world.tasks
    assert world.sentences == [
        f"{one} and {two} do not answer any more, for {TIMEOUT:g} s (--cluster_timeout); {ADVICE_LATER}"
    ]


def test_who_comes_back_in_time_is_forgiven(world):
    world.start(1)
    worker = world.start(2)
    world.watch.start()
    time.sleep(TIMEOUT)
    worker.is_awake.clear()
    time.sleep(TIMEOUT / 2)
    worker.is_awake.set()
    time.sleep(TIMEOUT)
    assert world.sentences == []


def test_after_stop_nobody_is_named(world):
    world.watch.start()
    time.sleep(TIMEOUT / 2)
    world.watch.stop()
    time.sleep(TIMEOUT)
    assert world.sentences == []


def test_stop_waits_for_nobody_who_is_silent(world):
    for index in (1, 2):
        world.start(index).is_awake.clear()
    world.watch.start()
    time.sleep(TIMEOUT / 2)
    began = time.monotonic()
    world.watch.stop()
    assert time.monotonic() - began < 0.4


def test_stop_forestalls_an_end_that_is_about_to_come(world, monkeypatch):
    """The watch has its sentence and waits for the lock that `stop` holds."""
    is_near = threading.Event()
    complain = PeerWatch._complaint

    def complain_slowly(watch):
        complaint = complain(watch)
        if complaint:
            is_near.set()
            time.sleep(0.5)
        return complaint

    monkeypatch.setattr(PeerWatch, "_complaint", complain_slowly)
    world.watch.start()
    assert is_near.wait(20)
    world.watch.stop()
    assert world.sentences == []


def test_end_may_stop_the_watch(world):
    called = []

    def end(sentence):
        watch.stop()
        called.append(sentence)

    watch = PeerWatch(world.cluster, 1.0, end)
    watch.start()
    wait_until(lambda: called)


def test_no_exception_ends_the_watch(world, monkeypatch):
    look = peers._Peer.look
    failures = iter([RuntimeError("no memory"), ValueError("closed")])

    def look_or_fail(peer, elapsed, seconds):
        for failure in failures:
            raise failure
        look(peer, elapsed, seconds)

    logged = []
    monkeypatch.setattr(peers.logging, "exception", logged.append)
    monkeypatch.setattr(peers._Peer, "look", look_or_fail)
    world.watch.start()
    wait_until(lambda: world.sentences)
    assert logged == ["Cannot ask the other workers"] * 2


def test_time_in_which_this_process_was_stopped_is_nobodys_silence(world, monkeypatch):
    workers = [world.start(1), world.start(2)]
    world.watch.start()
    time.sleep(TIMEOUT)
    for worker in workers:
        worker.is_awake.clear()
    time.sleep(TIMEOUT / 4)  # a question is open
    monotonic = time.monotonic
    jump = SimpleNamespace(monotonic=lambda: monotonic() + 1000, sleep=time.sleep)
    monkeypatch.setattr(peers, "time", jump)
    time.sleep(TIMEOUT / 4)
    for worker in workers:
        worker.is_awake.set()
    time.sleep(TIMEOUT)
    assert world.sentences == []


def test_lost_asks_until_somebody_does_not_answer(world):
    workers = [world.start(1), world.start(2)]
    threading.Timer(1.0, workers[1].end).start()
    began = time.monotonic()
    assert world.watch.lost(30.0) == [world.tasks[2]]
    assert 1.0 <= time.monotonic() - began < 5.0


def test_lost_gives_up_when_all_answer(world):
    world.start(1)
    world.start(2)
    began = time.monotonic()
    assert world.watch.lost(1.0) == []
    assert 1.0 <= time.monotonic() - began < 5.0


def test_lost_names_who_is_silent(world):
    world.start(1).is_awake.clear()
    world.start(2)
    assert world.watch.lost(0.5) == [world.tasks[1]]


def test_lost_names_first_who_was_lost_first(world):
    """The other one may have ended because of it."""
    workers = [world.start(1), world.start(2)]
    watch = PeerWatch(world.cluster, 30.0, world.sentences.append)
    watch.start()
    time.sleep(1.5)
    workers[1].end()
    time.sleep(1.5)
    workers[0].end()
    assert watch.lost(10.0) == [world.tasks[2], world.tasks[1]]
    watch.stop()


def test_gone_is_who_refuses_and_not_who_is_silent(world):
    worker = world.start(1)
    task = world.tasks[1]
    assert not world.watch.is_gone(task)
    worker.is_awake.clear()
    assert not world.watch.is_gone(task)
    worker.end()
    assert world.watch.is_gone(task)
    assert world.watch.is_gone(world.tasks[2])


def test_a_connection_that_breaks_once_is_no_loss(world):
    worker = world.start(1)
    worker.num_refusals = 1
    assert not world.watch.is_gone(world.tasks[1])
    worker.num_refusals = 1
    assert world.watch.lost(0.5) == [world.tasks[2]]


# Imports TensorFlow once, and forks for each server.
SERVERS = """
import os, sys, time
import tensorflow as tf
addresses = sys.argv[1].split(",")
for index in (1, 2):
    if os.fork() == 0:
        server = tf.distribute.Server({"worker": addresses}, task_index=index)
        print(index, os.getpid(), flush=True)
        time.sleep(600)
os.wait(), os.wait()
"""


@contextlib.contextmanager
def real_servers(cluster):
    """Start TensorFlow's servers of workers 1 and 2; yield their processes' numbers by task."""
    pids = {}
    parent = subprocess.Popen(
        [sys.executable, "-c", SERVERS, ",".join(task.address for task in cluster.tasks)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in cluster.peers:
            index, pid = map(int, parent.stdout.readline().split())
            pids[cluster.tasks[index]] = pid
        yield pids
    finally:
        for pid in pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.communicate()


def test_real_servers_that_are_killed_and_stopped():
    cluster = cluster_of(3)
    killed, stopped = cluster.peers
    with real_servers(cluster) as pids:
        sentences = []
        watch = PeerWatch(cluster, TIMEOUT, sentences.append)
        watch.start()
        assert watch.lost(1.0) == []
        os.kill(pids[stopped], signal.SIGSTOP)
        assert watch.lost(1.0) == [stopped]
        assert not watch.is_gone(stopped)
        wait_until(lambda: sentences)
        assert sentences == [
            f"{stopped} does not answer any more, for {TIMEOUT:g} s (--cluster_timeout); {ADVICE_LATER}"
        ]
        os.kill(pids[stopped], signal.SIGCONT)
        wait_until(lambda: watch.lost(0.1) == [])
        os.kill(pids[killed], signal.SIGKILL)
        assert watch.lost(10.0) == [killed]
        assert watch.is_gone(killed)
        watch.stop()


ASKER = """
import subprocess, sys, time
from bert_squad.devices.cluster import Cluster, Task
from bert_squad.devices.peers import PeerWatch

tasks = tuple(Task("worker", i, address) for i, address in enumerate(sys.argv[1:]))
watch = PeerWatch(Cluster(tasks, tasks[0]), 100.0, print)
watch.start()
time.sleep(1.5)
subprocess.run(["true"], check=True)
watch.stop()
"""


def test_a_watch_is_in_nobodys_way_when_the_process_starts_another_and_ends(world):
    world.start(1)
    world.start(2).is_awake.clear()
    done = subprocess.run(
        [sys.executable, "-c", ASKER, *(task.address for task in world.tasks)],
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
