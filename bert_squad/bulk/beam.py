"""Answer any number of rows with an exported model, by as many workers as Apache Beam has.

Files are read row by row, so that each row is known by its file and its line. Rows are then spread over the workers,
which answer some at a time; an answer depends on its row alone, so it does not matter which worker tries again what
another one has lost. What comes out is written beside its final place and moved there when all of it is complete.

Beam is imported where it is used: the program has to work without it.
"""

import gzip
import importlib.util
import logging
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_squad import files
from bert_squad.bulk import rows
from bert_squad.bulk.output_files import ANSWERS, ERRORS, SUFFIX, check_output, kind_of, staged
from bert_squad.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    from bert_squad.serving.asking import ExportedModel


Row = tuple[str, int, bytes | dict[str, Any] | None]
"""A file, the number of a row in it, from 1, and the row: a line of JSON, the values of a row of Parquet, or None for
what cannot be read."""


class BulkOptions(NamedTuple):
    """What is asked, and how.

    Attributes:
      model: the version directory of an exported model.
      input_pattern: of the files with rows.
      output_prefix: of the names of the files that are written.
      signature: "answer" or "answer_fast".
      engine: what computes, as for `ExportedModel`, like `dtype`.
      dtype: type of matrix products.
      nbest: answers in the list of each row, at most.
      batch_size: rows answered at a time.
      num_shards: files to write; 0 lets Beam choose.
      overwrite: whether files of that prefix may be replaced.
    """

    model: str
    input_pattern: str
    output_prefix: str
    signature: str = "answer"
    engine: str = "tensorflow"
    dtype: str | None = None
    nbest: int = 1
    batch_size: int = 16
    num_shards: int = 0
    overwrite: bool = False


def import_beam() -> None:
    """Import Beam, without what it says of services that are not installed.

    Raises:
      ConfigError: saying what to install.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise ConfigError(
            "Apache Beam is not installed, which answers in bulk; install it: pip install 'bert-squad[beam]' "
            "(for Dataflow 'apache-beam[gcp]' too)."
        )
    logging.disable(logging.WARNING)
    try:
        import apache_beam  # noqa: F401
    finally:
        logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # below that, each stage is logged
    logging.getLogger("apache_beam.io.filebasedsink").setLevel(
        logging.ERROR
    )  # it warns where no row is wrong


def answer_files(options: BulkOptions, beam_words: list[str]) -> list[str]:
    """Answer all rows of some files.

    Args:
      options: what is asked.
      beam_words: options of Beam, as on a command line.

    Returns:
      The paths of the files with rows that could not be answered; none when each has its answer.

    Raises:
      ConfigError: when no file matches, Parquet cannot be read here, the model does not answer texts, or there is no
        such runner.
      OutputError: when files of that prefix are there, or Beam gives up; nothing is changed then.
    """
    present = check_output(options.output_prefix, overwrite=options.overwrite)
    paths = _matching_files(options.input_pattern, present)
    _model(
        options.model, options.signature, options.engine, options.dtype
    )  # what is wrong with it is said here, not by a worker
    with staged(options.output_prefix, present) as (folder, published):
        _run(options, paths, folder, beam_words)
    return [path for path in published if kind_of(path, options.output_prefix) == ERRORS]


def _run(options: BulkOptions, paths: list[str], folder: str, beam_words: list[str]) -> None:
    """Run the pipeline from files to files in `folder`.

    Raises:
      ConfigError: when there is no such runner.
      OutputError: when it does not come to its end.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineState

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(beam_words))
    except ValueError as error:
        raise ConfigError(f"Beam does not take its options: {files.reason_of(error)}") from None
    results = (
        pipeline
        | "Name files" >> beam.Create(paths)
        | "Spread files" >> beam.Reshuffle()
        | "Read rows" >> beam.FlatMap(read_rows).with_output_types(Any)
        | "Spread rows" >> beam.Reshuffle()
        | "Batch rows" >> beam.BatchElements(options.batch_size, options.batch_size)
        | "Answer"
        >> beam.FlatMap(
            answer_rows,
            options.model,
            signature=options.signature,
            engine=options.engine,
            dtype=options.dtype,
            nbest=options.nbest,
        ).with_output_types(Any)
    )
    for kind in (ANSWERS, ERRORS):
        (
            results
            | f"Choose {kind}" >> beam.FlatMap(_texts_of, kind).with_output_types(str)
            | f"Write {kind}"
            >> beam.io.WriteToText(
                files.join(folder, kind),
                SUFFIX,
                num_shards=options.num_shards if kind == ANSWERS else 0,
                skip_if_empty=kind == ERRORS,
            )
        )
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:  # of a worker or of a service: it can be anything
        raise OutputError(
            f"Beam has given up ({files.reason_of(error)}); nothing of {options.output_prefix} was written."
        ) from error
    if state != PipelineState.DONE:
        raise OutputError(f"Beam has given up ({state}); nothing of {options.output_prefix} was written.")


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a file that are not blank; where the rest of it is damaged, a last one that is None.

    Raises:
      OSError: when it cannot be reached, which may be different when it is tried again.
    """
    number = 0
    is_parquet = path.endswith(".parquet")
    reader: Iterator[Any] = _parquet_rows(path) if is_parquet else _lines(path)
    try:
        for number, content in enumerate(reader, start=1):
            if is_parquet or content.strip():
                yield path, number, content
    except (EOFError, zlib.error, gzip.BadGzipFile, _DamagedParquetError):
        yield path, number + 1, None


def _lines(path: str) -> Iterator[bytes]:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    # Beam's own way of unpacking takes a file that is cut off for a whole one.
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        yield from gzip.GzipFile(fileobj=stream) if path.endswith(".gz") else stream


class _DamagedParquetError(Exception):
    pass


def _parquet_rows(path: str) -> Iterator[dict[str, Any]]:
    import pyarrow
    from apache_beam.io.filesystems import FileSystems
    from pyarrow import parquet

    with FileSystems.open(path) as stream:
        try:
            for batch in parquet.ParquetFile(stream).iter_batches(batch_size=256):
                yield from batch.to_pylist()
        except pyarrow.ArrowInvalid as error:
            raise _DamagedParquetError from error


_models: dict[tuple[str, str, str, str | None], "ExportedModel"] = {}
_models_lock = threading.Lock()


def _model(path: str, signature: str, engine: str, dtype: str | None) -> "ExportedModel":
    """Return a model that is loaded once in a process, however many threads of it answer."""
    from bert_squad.serving.asking import ExportedModel

    key = (path, signature, engine, dtype)
    with _models_lock:
        if key not in _models:
            _models[key] = ExportedModel(*key)
        return _models[key]


def answer_rows(
    batch: Iterable[Row],
    model: str,
    *,
    signature: str,
    engine: str = "tensorflow",
    dtype: str | None = None,
    nbest: int,
) -> Iterator[tuple[str, str]]:
    """Yield for each row its kind, `ANSWERS` or `ERRORS`, and a line of JSON.

    The line of an error holds `file`, `line` (the number), `reason` and `row`: the row, or null where there is none.
    """
    requests, asked = [], []
    for row in batch:
        try:
            requests.append(_request(row))
            asked.append(row)
        except DataError as error:
            yield ERRORS, _refusal(row, error)
    answers = rows.answers(_model(model, signature, engine, dtype), requests, nbest)
    for row, request, answer in zip(asked, requests, answers, strict=True):
        if isinstance(answer, DataError):
            yield ERRORS, _refusal(row, answer)
        else:
            yield ANSWERS, rows.as_json(rows.beside(request.row, answer))


def _request(row: Row) -> rows.Request:
    path, number, content = row
    what = f"Line {number} of {path}"
    if content is None:
        raise DataError(f"{what}, and what follows it, cannot be read: the file is damaged or not complete.")
    return rows.parse_request(content, what) if isinstance(content, bytes) else rows.request_of(content, what)


def _refusal(row: Row, reason: DataError) -> str:
    path, number, content = row
    text = (
        content.rstrip(b"\r\n").decode("utf-8", "backslashreplace") if isinstance(content, bytes) else content
    )
    return rows.as_json({"file": path, "line": number, "reason": str(reason), "row": text})


def _texts_of(result: tuple[str, str], kind: str) -> list[str]:
    return [result[1]] if result[0] == kind else []


def _matching_files(pattern: str, outputs: list[str]) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    try:
        paths = [metadata.path for match in FileSystems.match([pattern]) for metadata in match.metadata_list]
    except Exception as error:  # Beam's own, and those of its file systems
        raise ConfigError(f"Cannot look for {pattern} ({files.reason_of(error)}); check --input.") from None
    if not paths:
        raise ConfigError(f"No file matches {pattern}; check --input.")
    both = sorted(set(paths) & set(outputs))
    if both:
        raise ConfigError(
            f"{both[0]} matches --input, and is an output of an earlier run; name another --output."
        )
    if any(path.endswith(".parquet") for path in paths) and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("Parquet needs pyarrow, which is not installed: pip install pyarrow.")
    return sorted(paths)
