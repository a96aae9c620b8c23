"""What a flag names: a path that is there is meant as it is; else patterns, lists and directories."""

import gzip
import os

import pytest

from bert_squad.data_files import digest_of, joined_digest, paths_of
from bert_squad.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize("name", ["a,b.json", "x*.json", "[1].json", "what?.json"])
def test_a_path_that_is_there_is_meant_as_it_is(folder, name):
    """Old command lines have such names; what they would match as patterns lies beside."""
    touch(folder, name, "a", "b.json", "xy.json", "1.json", "whats.json")
    assert paths_of(name) == [name]


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("d/train-*.json", ["d/train-0.json", "d/train-1.json"]),
        ("d/train-[1-9].json", ["d/train-1.json"]),
        ("d/train-?.json", ["d/train-0.json", "d/train-1.json"]),
        ("d/train-1.json,d/train-0.json", ["d/train-1.json", "d/train-0.json"]),
        ("d/train-1.json, d/train-0.json", ["d/train-1.json", "d/train-0.json"]),
        ("more,d/train-*", ["more/a.jsonl.gz", "more/b.PARQUET", "d/train-0.json", "d/train-1.json"]),
        ("more", ["more/a.jsonl.gz", "more/b.PARQUET"]),
        ("more/", ["more/a.jsonl.gz", "more/b.PARQUET"]),
        ("nowhere.json", ["nowhere.json"]),
        ("nowhere.json,d/train-0.json", ["nowhere.json", "d/train-0.json"]),
        ("file://{folder}/d/train-*.json", ["file://{folder}/d/train-0.json", "file://{folder}/d/train-1.json"]),
        ("file://{folder}/more", ["file://{folder}/more/a.jsonl.gz", "file://{folder}/more/b.PARQUET"]),
        ("file://{folder}/x.json,d/train-1.json", ["file://{folder}/x.json", "d/train-1.json"]),
    ],
)  # fmt: skip
def test_patterns_lists_and_directories(folder, value, paths):
    touch(folder, "d/train-0.json", "d/train-1.json", "d/train-2.json/inside.json", "x.json")
    touch(folder, "more/a.jsonl.gz", "more/b.PARQUET", "more/README.md", "more/.hidden.json")
    touch(folder, "more/dataset_infos.json", "more/below/c.json", "more/a.json.tmp-1-00000000000000000000")
    assert paths_of(value.format(folder=folder)) == [path.format(folder=folder) for path in paths]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("d/dev-*.json", r"No file matches d/dev-\*\.json\."),
        ("d/a.json,e*", r"No file matches e\*\."),
        ("d/a.json,", r"d/a\.json, is not there, and as a list of files it has an empty part"),
        ("empty", r"The directory empty holds no data: no file whose name ends in \.json,"),
        ("saved", r"The directory saved holds no data: .* It holds Arrow files, as save_to_disk writes them"),
        (
            "both",
            r"The directory both holds files of several splits \(dev-0\.json, train-v1\.1\.json\); .* both/dev\*",
        ),
    ],
)
def test_what_names_no_data(folder, value, message):
    touch(folder, "d/a.json", "saved/data-00000-of-00001.arrow", "saved/state.json")
    touch(folder, "both/train-v1.1.json", "both/dev-0.json", "both/validation-1.json")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        paths_of(value)


def test_words_that_begin_like_a_split_are_none(folder):
    touch(folder, "d/training-0.json", "d/devices.json", "d/testimony.json")
    assert len(paths_of("d")) == 3


def test_the_digest_of_one_file_is_that_of_its_bytes_and_tells_several_apart(folder):
    touch(folder, "a.json", "b.json")
    ours, other = digest_of("a.json"), digest_of("b.json")
    assert joined_digest([ours]) == ours
    digests = {ours, other, digest_of("a.json,b.json"), digest_of("b.json,a.json")}
    assert len(digests) == 4
    assert digest_of("?.json") == digest_of("a.json,b.json")
    (folder / "a.json.gz").write_bytes(gzip.compress(b"a.json"))
    assert digest_of("a.json.gz") not in digests
    os.mkfifo(folder / "pipe")
    assert digest_of("a.json,pipe") is None
