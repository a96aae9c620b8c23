"""Convert questions to records in several processes."""

import collections
import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

from bert_squad.data.examples import SquadExample
from bert_squad.data.paragraphs import Tokenizer
from bert_squad.data.records import open_writer, serialize_without_id
from bert_squad.data.windows import make_windows

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
      path, ...: as `records.write_features`; the tokenizer must be picklable.
      processes: how many convert; this one writes.

    Returns:
      The number of features written.

    Raises:
      As `records.write_features`.
    """
    chunks = (
        examples[begin : begin + EXAMPLES_IN_A_CHUNK]
        for begin in range(0, len(examples), EXAMPLES_IN_A_CHUNK)
    )
    # A process that is forked from one that has TensorFlow in it can hang; new ones do not load TensorFlow.
    executor = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        _remember,
        (tokenizer, max_seq_length, doc_stride, max_query_length, is_training),
    )
    with open_writer(path, is_training) as writer:
        try:
            for contents in _in_order(executor, chunks, processes * _CHUNKS_AHEAD):
                for content in contents:
                    writer.process_serialized(content)
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


_arguments: tuple


def _remember(*arguments) -> None:
    global _arguments
    _arguments = arguments


def _convert(examples: Sequence[SquadExample]) -> list[bytes]:
    is_training = _arguments[-1]
    return [serialize_without_id(window, is_training) for window in make_windows(examples, *_arguments)]
