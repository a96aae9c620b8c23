"""Convert questions to records in several processes."""

import collections
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from bert_squad.data.examples import SquadExample
from bert_squad.data.paragraphs import Tokenizer
from bert_squad.data.records import open_writer, serialize_without_id
from bert_squad.data.windows import make_windows
from bert_squad.errors import OutputError

EXAMPLES_IN_A_CHUNK = 512
_CHUNKS_AHEAD = 2  # for each process: what is converted but not written yet stays small


def write_features_in_processes(
    path: str,
    examples: Sequence[SquadExample],
    tokenizer: Tokenizer,
    max_seq_length: int,
    doc_stride: int,
    max_query_length: int,
    is_training: bool,
    processes: int,
) -> int:
    """Write the very file that `records.write_features` writes, converting in several processes.

    Args:
      path, ...: as `records.write_features`, but for the debug log; the tokenizer must be picklable.
      processes: how many convert; this one writes.

    Returns:
      The number of features written.

    Raises:
      ConfigError, DataError: as `records.write_features`.
      OutputError: also when one of the processes was killed.
    """
    chunks = (
        examples[begin : begin + EXAMPLES_IN_A_CHUNK]
        for begin in range(0, len(examples), EXAMPLES_IN_A_CHUNK)
    )
    # A process that is forked from one that has TensorFlow in it can hang; new ones do not load TensorFlow.
    executor = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        _start,
        (_Conversion(tokenizer, max_seq_length, doc_stride, max_query_length, is_training),),
    )
    with open_writer(path, is_training) as writer:
        try:
            for contents in _in_order(executor, chunks, processes * _CHUNKS_AHEAD):
                for content in contents:
                    writer.process_serialized(content)
        except BrokenProcessPool:
            raise OutputError(
                f"Cannot write {path}: a process that converts questions has ended, probably for lack of memory. Run "
                'without --fast; a script that calls `run` itself also needs its `if __name__ == "__main__":`.'
            ) from None
        finally:
            executor.shutdown(cancel_futures=True)
    return writer.num_features


def _in_order(
    executor: ProcessPoolExecutor, chunks: Iterator[Sequence[SquadExample]], ahead: int
) -> Iterator[list[bytes]]:
    waiting: collections.deque[Future] = collections.deque()
    for chunk in itertools.chain(chunks, itertools.repeat(None)):
        if chunk is not None:
            waiting.append(executor.submit(_convert, chunk))
        elif not waiting:
            return
        if chunk is None or len(waiting) > ahead:
            yield waiting.popleft().result()


class _Conversion(NamedTuple):
    """The arguments of `make_windows` but the examples."""

    tokenizer: Tokenizer
    max_seq_length: int
    doc_stride: int
    max_query_length: int
    is_training: bool


_conversion: _Conversion  # of this process


def _start(conversion: _Conversion) -> None:
    global _conversion
    _conversion = conversion
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends, however that happens; it would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _convert(examples: Sequence[SquadExample]) -> list[bytes]:
    windows = make_windows(examples, *_conversion)
    return [serialize_without_id(window, _conversion.is_training) for window in windows]
