"""Watch whether the other workers are alive, from outside of TensorFlow, which may wait for one of them without end.

Each worker's TensorFlow listens at its address and answers `GetStatus` as long as its process runs, whatever that
computes. No TensorFlow here: the package grpc asks, and lets other threads run meanwhile.
"""

import threading
import time
from collections.abc import Callable, Sequence

import grpc
from absl import logging

from bert_squad.devices.cluster import Cluster, Task

_METHOD = "/tensorflow.WorkerService/GetStatus"
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A worker that starts is found soon, and what was refused once can be asked again at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
)
_SECONDS_UNTIL_RECONNECTED = 0.3  # more than the pause above
_SECONDS_BETWEEN_QUESTIONS = 0.5
_LONGEST_QUESTION = 5.0  # seconds
_SECONDS_UNTIL_GONE = (
    10.0  # without anybody listening; a machine that is only slow, or cut off, refuses nothing
)
_ADVICE = "run the same command again on all workers to go on from the last checkpoint."
_ANSWERED, _REFUSED = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


class _Peer:
    """One other task, and what is known of it.

    Attributes:
      task: which one.
      has_answered: at least once.
      silence: seconds since it last answered, or since the watch began.
      refusal: seconds since its process was found to be gone, while all questions have been refused.
    """

    def __init__(self, task: Task):
        self.task = task
        self.has_answered = False
        self.silence = self.refusal = 0.0
        self._ask = grpc.insecure_channel(task.address, options=_OPTIONS).unary_unary(_METHOD)
        self._question: grpc.Future | None = None

    def ask(self, seconds: float) -> grpc.Future:
        """Begin to ask; the `code()` of what is returned waits for the answer, at most so many seconds."""
        return self._ask.future(b"", timeout=seconds)

    def look(self, elapsed: float, seconds: float) -> None:
        """Take note of an answer that has come since the last look, `elapsed` seconds ago, and ask again."""
        question = self._question
        self.silence += elapsed
        if question is not None:
            if not question.done():
                return
            self.refusal = self.refusal + elapsed if question.code() is _REFUSED else 0.0
            if question.code() is _ANSWERED:
                self.has_answered, self.silence = True, 0.0
        self._question = self.ask(seconds)

    def cancel(self) -> None:
        """Give up the question that is open."""
        if self._question is not None:
            self._question.cancel()


class PeerWatch:
    """Ask the other workers of a cluster every half second whether they are there.

    Args:
      cluster: all workers; the own one is not asked.
      timeout: seconds that a worker may take to start, or be silent.
      end: called once, by a thread of its own, with a sentence that names the workers which took longer;
        `interruption.end_process` for a program.
    """

    def __init__(self, cluster: Cluster, timeout: float, end: Callable[[str], None]):
        self._peers = {task: _Peer(task) for task in cluster.peers}
        self._timeout = timeout
        self._end = end
        self._seconds = min(timeout / 4, _LONGEST_QUESTION)
        self._pause = min(timeout / 4, _SECONDS_BETWEEN_QUESTIONS)
        self._lock = threading.RLock()  # `end` may call `stop`
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer watch", daemon=True)

    def start(self) -> None:
        """Begin to ask. Time to start counts from here."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; when this returns, `end` is not called any more."""
        with self._lock:
            self._is_over.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        for peer in self._peers.values():
            peer.cancel()

    def lost(self, within: float) -> list[Task]:
        """Ask until one or more workers do not answer, for when something has failed that needs all of them.

        Args:
          within: about how many seconds to go on while all of them answer.

        Returns:
          Who is not there, the one first that has been silent for longest; the others may have ended because of it.
        """
        deadline = time.monotonic() + within
        peers = list(self._peers.values())
        while True:
            codes = _ask_all(peers, min(within, _LONGEST_QUESTION))
            silent = [peer for peer, code in zip(peers, codes, strict=True) if code is not _ANSWERED]
            if silent or time.monotonic() >= deadline:
                return [peer.task for peer in sorted(silent, key=lambda peer: -peer.silence)]
            time.sleep(_SECONDS_UNTIL_RECONNECTED)

    def is_gone(self, task: Task) -> bool:
        """Say whether nobody listens at a worker's address any more. One that is silent is not gone."""
        return _ask_all([self._peers[task]], self._seconds) == [_REFUSED]

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._is_over.wait(self._pause):
            now = time.monotonic()
            # A process that was itself stopped for a while has not listened: that time is nobody's silence.
            elapsed, before = min(now - before, 2 * self._pause), now
            try:
                self._look(elapsed)
            except Exception:  # whatever it is, without this thread nobody would notice a peer's end
                logging.exception("Cannot ask the other workers")

    def _look(self, elapsed: float) -> None:
        for peer in self._peers.values():
            peer.look(elapsed, self._seconds)
        complaint = self._complaint()
        if complaint:
            with self._lock:
                if not self._is_over.is_set():
                    self._is_over.set()
                    self._end(complaint)

    def _complaint(self) -> str | None:
        """Return what is to be said when somebody took too long."""
        peers = self._peers.values()
        late = [peer for peer in peers if peer.silence >= self._timeout]
        if any(not peer.has_answered for peer in late):
            absent = [peer.task for peer in peers if not peer.has_answered]
            return (
                f"{listed(absent)} {'has' if len(absent) == 1 else 'have'} not started within {self._timeout:g} s "
                "(--cluster_timeout); start the same command on all workers, each with its own TF_CONFIG."
            )
        if late:
            # What died together is named together, though each was asked at another moment.
            silent = [peer.task for peer in peers if peer.silence > self._timeout / 2]
            return (
                f"{listed(silent)} {'does' if len(silent) == 1 else 'do'} not answer any more, for {self._timeout:g} "
                f"s (--cluster_timeout); {_ADVICE}"
            )
        gone = [peer.task for peer in peers if peer.has_answered and peer.refusal >= _SECONDS_UNTIL_GONE]
        if gone:
            return f"{listed(gone)} {'does' if len(gone) == 1 else 'do'} not answer any more; {_ADVICE}"
        return None


def _ask_all(peers: Sequence[_Peer], seconds: float) -> list[grpc.StatusCode]:
    """Ask some peers at the same time, and who refuses once more: it may be an old connection that is gone."""
    codes = [question.code() for question in [peer.ask(seconds) for peer in peers]]
    if _REFUSED not in codes:
        return codes
    time.sleep(_SECONDS_UNTIL_RECONNECTED)
    again = {i: peers[i].ask(seconds) for i, code in enumerate(codes) if code is _REFUSED}
    return [again[i].code() if i in again else code for i, code in enumerate(codes)]


def listed(tasks: Sequence[Task]) -> str:
    """Name tasks in a sentence.

    >>> listed([Task("chief", 0, "a:1"), Task("worker", 0, "b:1"), Task("worker", 1, "c:1")])
    'chief 0 (a:1), worker 0 (b:1) and worker 1 (c:1)'
    """
    *most, last = map(str, tasks)
    return f"{', '.join(most)} and {last}" if most else last
