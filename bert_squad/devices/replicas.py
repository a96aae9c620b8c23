"""The devices of a run, and what is done on all of them at once.

A training batch is cut into as many parts as there are devices, and its gradients are summed (`training.parts`), so
that the numbers are those of one device but for rounding. Whoever computes asks `Devices` alone, which is the same with
one device, where nothing is cut and no TensorFlow strategy is in the way.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bert_squad.devices.cluster import Cluster
from bert_squad.devices.peers import PeerWatch, listed
from bert_squad.errors import LostWorkerError, RunInterruptedError
from bert_squad.interruption import noticed_signals

_SECONDS_TO_LINGER = 10.0
_SECONDS_TO_FIND_THE_LOST = 5.0


class Share(NamedTuple):
    """The rows of each batch that one process reads.

    Attributes:
      first_row: the first of them, counted from 0.
      num_rows: how many they are.
      rows_at_a_time: how many of them one device is given; divides `num_rows`.
    """

    first_row: int
    num_rows: int
    rows_at_a_time: int


_iterators: list[Iterator] = []  # for ever: see `_kept`


def _kept(batches: Iterable) -> Iterator:
    """Iterate over distributed batches, and never delete the iterator.

    TensorFlow 2.20 may wait for up to a minute when it deletes one, for a thread that tunes what is over; the process
    has better things to do, and ends soon.
    """
    _iterators.append(iter(batches))
    yield from _iterators[-1]


class Devices:
    """What a run computes on.

    Args:
      strategy: shares batches among devices; None for one device.
      cluster: the processes of a `multi_worker` run; None when this process is alone.
      watch: of the others in it.
      steps_per_call: training steps that are done before the program is returned to; 1 but on a TPU.
      description: of the devices, for the log.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        *,
        cluster: Cluster | None = None,
        watch: PeerWatch | None = None,
        steps_per_call: int = 1,
        description: str = "",
    ):
        self.description = description
        self.strategy, self.cluster, self.steps_per_call = strategy, cluster, steps_per_call
        self._watch = watch
        self._gather: Callable | None = None  # compiled when first used
        self._vote: tf.Tensor | None = None  # on stopping, of the step before

    @property
    def num_replicas(self) -> int:
        """The number of devices that share a batch."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def needs_static_shapes(self) -> bool:
        """Whether only shapes can be computed that are known beforehand."""
        return isinstance(self.strategy, tf.distribute.TPUStrategy)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes, logs progress and prints; the only one always does."""
        return self.cluster is None or self.cluster.is_chief

    def scope(self) -> contextlib.AbstractContextManager:
        """Return the context in which a model, and its optimizer, are made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def run(self, function: Callable, *arguments: Any) -> Any:
        """Call a function on each device, on what each has of the arguments; return what the first one here returns."""
        if self.strategy is None:
            return function(*arguments)
        results = self.strategy.run(function, arguments)
        return tf.nest.map_structure(lambda result: self.of_each(result)[0], results)

    def on_each(self, function: Callable) -> Callable[[Sequence[dict[str, tf.Tensor]]], list[tuple]]:
        """Compile a function of a batch so that each device computes a batch of its own.

        Args:
          function: returns a tuple of float32 tensors [B, S].

        Returns:
          A function of the batches of all devices, in their order; the last devices may have none. It returns what
          `function` does for each batch, to all processes.
        """
        strategy = self.strategy
        assert strategy is not None

        def of_replica(batch: dict[str, tf.Tensor], shape: tf.Tensor) -> tuple[tf.Tensor, ...]:
            results = function(batch)
            return results if self.cluster is None else self._gathered_results(results, shape)

        @tf.function(autograph=False, reduce_retracing=True)
        def on_all(batches: Any, shape: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return strategy.run(of_replica, (batches, shape))

        def call(batches: Sequence[dict[str, tf.Tensor]]) -> list[tuple]:
            each = strategy.experimental_distribute_values_from_function(
                lambda context: batches[min(context.replica_id_in_sync_group, len(batches) - 1)]
            )
            shapes = [batch["input_ids"].shape for batch in batches]
            largest = np.max(shapes, axis=0)
            results = on_all(each, tf.constant(largest, tf.int32))
            if self.cluster is None:
                return list(zip(*map(self.of_each, results), strict=True))[: len(batches)]
            gathered = [self.of_each(result)[0] for result in results]
            firsts = range(0, len(batches) * largest[0], largest[0])
            return [
                tuple(result[first : first + size, :length] for result in gathered)
                for first, (size, length) in zip(firsts, shapes, strict=True)
            ]

        return call

    @staticmethod
    def _gathered_results(results: Iterable[tf.Tensor], shape: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Pad results [B, S] to one shape, and lay those of all devices end to end."""
        padded = [tf.pad(result, tf.stack([[0, 0], shape - tf.shape(result)], axis=1)) for result in results]
        return tuple(tf.distribute.get_replica_context().all_gather(padded, axis=0))

    def of_each(self, result: Any) -> Sequence[tf.Tensor]:
        """Return the tensors of the devices of this process, of which `strategy.run` has made one value."""
        return (result,) if self.strategy is None else self.strategy.experimental_local_results(result)

    def share_batches(
        self, batch_size: int, batches_of: Callable[[Share | None], tf.data.Dataset]
    ) -> Iterable[dict[str, tf.Tensor]]:
        """Make batches of which each device gets its rows.

        Args:
          batch_size: B, a multiple of the number of devices.
          batches_of: maps what this process reads to a dataset; None is all.

        Returns:
          Batches for `run`.
        """
        if self.strategy is None:
            return batches_of(None)

        def of_this_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
            num_rows = batch_size // context.num_input_pipelines
            return batches_of(
                Share(context.input_pipeline_id * num_rows, num_rows, batch_size // self.num_replicas)
            )

        batches = self.strategy.distribute_datasets_from_function(of_this_process)
        return batches if self.steps_per_call > 1 else _kept(batches)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Lay the vectors of all devices end to end, in their order; each process gives the same for all of its own.

        Args:
          values: float32 [N]; N may differ from process to process.
        """
        return self._gathered(tf.constant(values, tf.float32)).numpy()

    def _gathered(self, values: tf.Tensor) -> tf.Tensor:
        """Do what `gather` does, and do not wait for it."""
        if self._gather is None:
            strategy = self.strategy
            assert strategy is not None

            @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32)])
            def gathered(values: tf.Tensor) -> tf.Tensor:
                return strategy.run(
                    lambda: tf.distribute.get_replica_context().all_gather(tf.identity(values), axis=0)
                )

            self._gather = gathered
        return self.of_each(self._gather(values))[0]

    def texts_of_all(self, text: str) -> list[str]:
        """Tell all processes a text; return those of all, in the order of `cluster.tasks`."""
        if self.cluster is None:
            return [text]
        data = np.frombuffer(text.encode(), np.uint8)
        lengths = self.gather(np.array([len(data)])).astype(int)
        ends = np.cumsum(lengths)
        all_bytes = self.gather(data).astype(np.uint8).tobytes()
        texts = [all_bytes[end - length : end].decode() for end, length in zip(ends, lengths, strict=True)]
        return texts[:: len(texts) // len(self.cluster.tasks)]

    def from_chief(self, value: Any) -> Any:
        """Return what the chief gave, of what JSON can hold, in every process."""
        return value if self.cluster is None else json.loads(self.texts_of_all(json.dumps(value))[0])

    def copy_from_chief(self, variables: Iterable[tf.Variable]) -> None:
        """Give variables the values that they have in the chief, bit for bit."""
        if self.cluster is None:
            return
        for variable in variables:
            with self.scope():
                received = tf.Variable(variable.read_value(), trainable=False)  # made from the chief's value
            variable.assign(received.read_value())

    def agree_to_stop(self, signal_number: int | None) -> int | None:
        """Return the signal at which all processes stop now, or None.

        All have to ask after the same steps. A signal takes effect one step later than it is told, so that nobody waits
        for the vote on a step that is still computed.

        Args:
          signal_number: what this process has had, or None.
        """
        if self.cluster is None:
            return signal_number
        before, self._vote = self._vote, self._gathered(tf.constant([float(signal_number or 0)]))
        told = [] if before is None else before.numpy()
        return next((int(number) for number in told if number), None)

    def wait_for_all(self) -> None:
        """Wait until all processes have come to this place."""
        if self.cluster is not None:
            self.gather(np.zeros([1]))

    def leave(self) -> None:
        """Part from the other processes, all together: nothing is done together any more.

        Raises:
          tf.errors.OpError: when the chief is gone before, which may have had something to do still. It does not need
            the others any more, so that it does not matter to it when one of them is.
        """
        if self._watch is not None:
            try:
                self.wait_for_all()
            except tf.errors.OpError:
                if not self.is_chief:
                    raise
            self._part()

    def stop_watching(self) -> None:
        """Go on alone, whatever the others do."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _part(self) -> None:
        """Stop watching, and let the chief end first: it may still be receiving what this process has sent."""
        watch = self._watch
        self.stop_watching()
        if watch is None or self.cluster is None or self.is_chief:
            return
        deadline = time.monotonic() + _SECONDS_TO_LINGER
        while time.monotonic() < deadline and not watch.is_gone(self.cluster.chief):
            time.sleep(0.1)

    @contextlib.contextmanager
    def taking_part(self) -> Iterator[None]:
        """Be one of several processes within the block, and part from the others in the end, however that comes.

        Raises:
          LostWorkerError: as `naming_the_lost`.
        """
        try:
            with self.naming_the_lost():
                yield
        except RunInterruptedError:  # all have agreed to stop
            with noticed_signals():  # the signal is seen to; that this waits a little is no lack of reaction
                self._part()
                raise
        finally:
            self.stop_watching()

    @contextlib.contextmanager
    def naming_the_lost(self) -> Iterator[None]:
        """Turn what TensorFlow raises when another process is gone into an error that names it.

        Raises:
          LostWorkerError: saying who does not answer any more.
        """
        try:
            yield
        except tf.errors.OpError as error:
            lost = self._watch.lost(_SECONDS_TO_FIND_THE_LOST) if self._watch else []
            if not lost:
                raise
            raise LostWorkerError(
                f"{listed(lost)} {'does' if len(lost) == 1 else 'do'} not answer any more, so this worker ends too; "
                "run the same command again on all workers to go on from the last checkpoint."
            ) from error


ONE_DEVICE = Devices()
"""What computes where nothing else is said."""
