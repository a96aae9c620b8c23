"""Read the data set that a flag names, of whatever kind and however many files, as one SQuAD data set."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from absl import logging

from bert_squad import data_files
from bert_squad.data import formats
from bert_squad.data.squad_rows import RowArticles
from bert_squad.errors import DataError
from bert_squad.json_files import decode_utf8, read_content


class Member(NamedTuple):
    """A file of a data set, and how many of its articles come from it."""

    path: str
    num_articles: int


class DataSet(NamedTuple):
    """What was read.

    Attributes:
      squad: SQuAD's JSON, an object with the list "data"; of a single file of that kind, whatever it holds.
      name: what to call the data set in messages.
      sha256: of what it holds, unpacked; of several files, of all their hashes.
      members: its files.
    """

    squad: Any
    name: str
    sha256: str
    members: tuple[Member, ...]


def read_data_set(value: str, flag: str | None = "--train_file and --predict_file") -> DataSet:
    """Read a data set.

    Args:
      value: a path, a pattern, a list with commas or a directory, as `data_files.paths_of` takes it. Each file is
        opened once, so that it may be a pipe.
      flag: that named it, for messages.

    Raises:
      ConfigError: when a Parquet file needs pyarrow.
      DataError: when a file cannot be read, is not what can be read, or is of another version than the others; it
        names the file.
    """
    paths = data_files.paths_of(value)
    name = data_files.described(value, paths)
    rows = RowArticles()
    if len(paths) == 1:
        squad, digest = _read_file(paths[0], flag, rows)
        rows.finish()
        return DataSet(squad, name, digest, (Member(paths[0], len(_articles_in(squad) or ())),))
    logging.info("%s: %d files (%s).", value, len(paths), data_files.listed(paths))
    articles: list[Any] = []
    digests, members, nested = [], [], []
    for path in paths:
        squad, digest = _read_file(path, flag, rows)
        of_file = _articles_of(squad, path)
        if of_file is not rows.articles:
            nested.append((path, of_file))
        articles += of_file
        digests.append(digest)
        members.append(Member(path, len(of_file)))
    _agree_on_version(nested, rows)
    rows.finish()
    return DataSet({"data": articles}, name, data_files.joined_digest(digests), tuple(members))


def _read_file(path: str, flag: str | None, rows: RowArticles) -> tuple[Any, str]:
    """Return SQuAD JSON and a hash. Of bytes, text and values, two are held at a time."""
    content = formats.unpacked(read_content(path, "data set", flag=flag), path)
    digest = hashlib.sha256(content).hexdigest()
    if formats.is_parquet(content):
        return formats.from_parquet(content, path, rows), digest
    text = decode_utf8(content, f"The data set {path}")
    del content
    return formats.from_text(text, path, rows), digest


def _articles_of(squad: Any, path: str) -> list[Any]:
    articles = _articles_in(squad)
    if articles is None:
        raise DataError(f"In the data set {path}, the file should be an object that holds the list 'data'.")
    return articles


def _articles_in(squad: Any) -> list[Any] | None:
    articles = squad.get("data") if isinstance(squad, dict) else None
    return articles if isinstance(articles, list) else None


def _agree_on_version(nested: list[tuple[str, list[Any]]], rows: RowArticles) -> None:
    """Refuse SQuAD files of both versions; rows are of the version that the others have."""
    versions: dict[bool, str] = {}  # of which questions are marked is_impossible → the first such file
    for path, articles in nested:
        marks = ["is_impossible" in qa for qa in _questions_of(articles)]
        if marks:
            versions.setdefault(any(marks), path)
    marked = versions.get(True) or rows.impossible_in
    if marked and False in versions:
        raise DataError(
            f"The data sets {versions[False]} and {marked} are of different versions: only in the second are questions "
            "marked 'is_impossible'. Name files of one version."
        )
    rows.impossible_in = marked


def _questions_of(articles: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield what are questions; what is wrong in the structure is said elsewhere."""

    def objects(holders: Iterable[Any], key: str) -> Iterator[dict[str, Any]]:
        for holder in holders:
            values = holder.get(key) if isinstance(holder, dict) else None
            yield from values if isinstance(values, list) else ()

    return (qa for qa in objects(objects(articles, "paragraphs"), "qas") if isinstance(qa, dict))
