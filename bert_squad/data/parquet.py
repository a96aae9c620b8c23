"""Parquet files of rows, by pyarrow, which is an extra."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from bert_squad.data.question_ids import quoted_id
from bert_squad.errors import ConfigError, DataError, first_line

MAGIC = b"PAR1"

_ROWS_AT_A_TIME = 1024
_COLUMNS = (
    *("id", "title", "context", "question", "answers", "is_impossible", "plausible_answers", "qas"),
    *("answers/text", "answers/answer_start", "plausible_answers/text", "plausible_answers/answer_start"),
)


def _import_pyarrow(what: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            f"{what} needs pyarrow, which is not here: pip install 'bert-squad[parquet]'."
        ) from None
    return pyarrow


def read_rows(content: bytes, path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file.

    Args:
      content: of the file.
      path: of it, for messages.

    Raises:
      ConfigError: when there is no pyarrow.
      DataError: when the file is damaged, or has other columns than questions have.
    """
    pyarrow = _import_pyarrow(f"The data set {path} is a Parquet file, which")
    with _named_damage(pyarrow, path):
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        names = table.schema_arrow.names
    wanted = [name for name in names if name in _COLUMNS]
    if "context" not in wanted or not {"question", "qas"} & set(wanted):
        raise DataError(
            f"The data set {path} has the columns {', '.join(names)[:200]}; those of questions are id, context, "
            "question and answers."
        )
    has_bytes = "binary" in str(table.schema_arrow)
    batches = table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=wanted, use_threads=False)
    while True:
        with _named_damage(pyarrow, path):
            batch = next(batches, None)
            rows = [] if batch is None else batch.to_pylist()
            rows = [_decoded(row) for row in rows] if has_bytes else rows
        if batch is None:
            return
        yield from rows


def _decoded(value: Any) -> Any:
    """Return a value with its bytes, which TFDS has where others have texts, decoded."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_decoded(element) for element in value]
    return {key: _decoded(of) for key, of in value.items()} if isinstance(value, dict) else value


@contextlib.contextmanager
def _named_damage(pyarrow: Any, path: str) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"The data set {path} is a Parquet file that is cut short or damaged ({first_line(error)[:200]})."
        ) from None


def write_rows(stream: IO[bytes], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows to a Parquet file, with the columns and types of Hugging Face's `squad`.

    Args:
      stream: an open file.
      rows: with `id` (all texts, or all integers), `title`, `context`, `question`, `answers`, `is_impossible` and
        `plausible_answers`; what is not there is null.

    Raises:
      ConfigError: when there is no pyarrow.
      DataError: naming the question that cannot be in a Parquet file.
    """
    pyarrow = _import_pyarrow("Writing Parquet")
    answers = pyarrow.struct(
        [("text", pyarrow.list_(pyarrow.string())), ("answer_start", pyarrow.list_(pyarrow.int32()))]
    )
    writer: Any = None
    schema: Any = None
    try:
        for chunk in _chunks(rows):
            if schema is None:
                id_type = pyarrow.int64() if type(chunk[0]["id"]) is int else pyarrow.string()
                texts = [(name, pyarrow.string()) for name in ("title", "context", "question")]
                schema = pyarrow.schema(
                    [
                        ("id", id_type),
                        *texts,
                        ("answers", answers),
                        ("is_impossible", pyarrow.bool_()),
                        ("plausible_answers", answers),
                    ]
                )
                writer = pyarrow.parquet.ParquetWriter(stream, schema)
            writer.write_batch(_batch(pyarrow, chunk, schema))
        if writer is None:
            raise DataError("There are no questions, of which a Parquet file could be made.")
    finally:
        if writer is not None:
            writer.close()


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _ROWS_AT_A_TIME:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _batch(pyarrow: Any, chunk: list[dict[str, Any]], schema: Any) -> Any:
    try:
        return pyarrow.RecordBatch.from_pylist(chunk, schema)
    except (pyarrow.ArrowException, UnicodeError, OverflowError, TypeError, ValueError) as error:
        if len(chunk) > 1:
            for row in chunk:  # find the one, to name it
                _batch(pyarrow, [row], schema)
        raise DataError(
            f"Question {quoted_id(chunk[0]['id'])} cannot be in a Parquet file with the others "
            f"({first_line(error)[:200]}); JSON lines can hold it (--to=jsonl)."
        ) from None
