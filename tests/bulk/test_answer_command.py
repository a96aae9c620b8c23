"""`bert-squad answer`: files of rows in, files of rows with their answers out, on Beam's runner in this process."""

import contextlib
import gzip
import importlib.util
import io
import json
import os

import pytest
from absl import flags
from serving.legacy_models import questions_of

from bert_squad.bulk import beam, output_files, rows
from bert_squad.cli import answer, ask
from bert_squad.errors import ConfigError, DataError, OutputError

needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed (extra beam)"
)
# Of Beam itself, and of its runner when it ends.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def model(exported_v2, loads_once):
    return exported_v2.path


@pytest.fixture(scope="module")
def asked_rows(exported_v2):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    return [
        {"id": number, "question": question, "context": context, "tags": ["é", None]}
        for number, (question, context) in enumerate(zip(questions, contexts, strict=True))
    ]


def run(*words, code=0):
    flags.FLAGS.mark_as_parsed()
    assert answer.main("bert-squad answer", [str(word) for word in words]) == code


def lines_of(some_rows):
    return "".join(json.dumps(row) + "\n" for row in some_rows).encode()


def written(folder, prefix="x"):
    """Return the rows of the files of a prefix, and those of its errors."""
    kinds = {False: [], True: []}
    for path in sorted(folder.glob(f"{prefix}-*.jsonl")):
        kinds["-errors-" in path.name] += map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return kinds[False], kinds[True]


def test_without_beam_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error:
        run("--model=m", "--input=i", "--output=o")
    assert str(error.value) == (
        "Apache Beam is not installed, which answers in bulk; install it: pip install 'bert-squad[beam]' (for Dataflow "
        "'apache-beam[gcp]' too)."
    )


@pytest.mark.parametrize("name", ["model", "input", "output"])
def test_what_is_missing_is_named(name):
    words = [f"--{other}=x" for other in ("model", "input", "output") if other != name]
    with pytest.raises(ConfigError, match=f"--{name} is missing"):
        run(*words)


def test_a_wrong_row_and_one_that_cannot_be_answered_keep_what_they_hold(monkeypatch):
    class Model:
        def answer(self, questions, contexts):
            if "dragon" in contexts:
                raise DataError("There is not enough memory.")
            return [{"answer": text[:3], "start_char": 0, "nbest": [1, 2]} for text in contexts]

    monkeypatch.setitem(beam._models, ("m", "answer", "tensorflow", None), Model())
    batch = [
        ("f", 1, b'{"question": "who ?", "context": "the fox", "id": "\\ud83d"}\r\n'),
        ("f", 2, b'{"question": "\xe9"}\r\n'),
        ("f", 4, lines_of([{"question": "who ?", "context": "dragon"}])),
        ("g", 1, {"question": "who ?", "context": 5}),
        ("h", 7, None),
    ]
    found = [
        (kind, json.loads(text)) for kind, text in beam.answer_rows(batch, "m", signature="answer", nbest=1)
    ]
    (kind, good), *errors = sorted(found, key=lambda pair: pair[0])
    assert (kind, good["id"], good["answer"], good["nbest"]) == ("answers", "\ud83d", "the", [1])
    by_place = {(error["file"], error["line"]): error for _, error in errors}
    assert by_place["f", 2]["row"] == '{"question": "\\xe9"}'
    assert by_place["f", 2]["reason"] == "Line 2 of f is not UTF-8 text (byte 14)."
    assert by_place["f", 4]["reason"] == "There is not enough memory."
    assert json.loads(by_place["f", 4]["row"])["context"] == "dragon"
    assert by_place["g", 1]["row"] == {"question": "who ?", "context": 5}
    assert by_place["g", 1]["reason"] == "Line 1 of g must be a JSON object with a string 'context'."
    assert by_place["h", 7]["row"] is None
    assert len(by_place) == len(errors) == 4


@needs_beam
def test_rows_are_answered_as_ask_answers_them(model, asked_rows, tmp_path, capsys):
    """Files of three kinds; a bad line takes no other along; all of each row comes out."""
    third = len(asked_rows) // 3
    (tmp_path / "a.jsonl").write_bytes(b"\n" + lines_of(asked_rows[:third]) + b'{"id": 1}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines_of(asked_rows[third : 2 * third])))
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(asked_rows[2 * third :]), tmp_path / "c.parquet")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    output = tmp_path / "out" / "x"
    run(
        *(f"--model={os.path.dirname(model)}", f"--input={tmp_path}/*", f"--output={output}"),
        *("--num_shards=2", "--nbest=3", "--batch_size=5"),
        code=1,
    )
    (tmp_path / "all.jsonl").write_bytes(lines_of(asked_rows))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ask.main(
            "ask",
            [f"--model={model}", f"--batch_file={tmp_path / 'all.jsonl'}", "--nbest=3", "--batch_size=5"],
        )
    expected = list(map(json.loads, printed.getvalue().splitlines()))
    answers, errors = written(tmp_path / "out")
    answers.sort(key=lambda row: row["id"])
    assert [without_numbers(row) for row in answers] == [without_numbers(row) for row in expected]
    assert [row["probability"] for row in answers] == pytest.approx([row["probability"] for row in expected])
    (error,) = errors
    assert (error["file"], error["line"], error["row"]) == (str(tmp_path / "a.jsonl"), third + 2, '{"id": 1}')
    assert "must be a JSON object with a string 'question'" in error["reason"]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "x-00000-of-00002.jsonl",
        "x-00001-of-00002.jsonl",
        "x-errors-00000-of-00001.jsonl",
    ]
    assert f"{output}-errors-* says which and why" in capsys.readouterr().err


def without_numbers(row):
    """Leave out logits and what follows from them, which differ in the last bit with the batch."""
    if isinstance(row, dict):
        return {key: without_numbers(value) for key, value in row.items() if not isinstance(value, float)}
    return [without_numbers(value) for value in row] if isinstance(row, list) else row


@needs_beam
def test_files_that_exist_are_refused_or_replaced_by_the_new_ones_alone(model, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines_of([{"question": "who ?", "context": "the fox"}]))
    names = [
        "x-00000-of-00007.jsonl",
        "x-errors-00000-of-00001.jsonl",
        "x-y-00000-of-00001.jsonl",
        "x-00000.jsonl",
    ]
    for name in names:
        (tmp_path / name).write_text("mine")
    words = (f"--model={model}", f"--input={tmp_path}/in.jsonl", f"--output={tmp_path}/x")
    with pytest.raises(
        OutputError, match=r"x-00000-of-00007\.jsonl exists already; name another --output, or add"
    ):
        run(*words)
    assert {(tmp_path / name).read_text() for name in names} == {"mine"}
    with pytest.raises(
        ConfigError, match=r"x-00000-of-00007\.jsonl matches --input, and is an output of an earlier"
    ):
        run(words[0], f"--input={tmp_path}/*.jsonl", words[2], "--overwrite")
    run(*words, "--overwrite", "--num_shards=1")
    assert sorted(os.listdir(tmp_path)) == sorted(["in.jsonl", *names[2:], "x-00000-of-00001.jsonl"])
    assert "answer" in json.loads((tmp_path / "x-00000-of-00001.jsonl").read_text())


@needs_beam
def test_a_remote_output(model, tmp_path):
    """A bucket is Beam's affair: here one whose objects lie in a directory."""
    from apache_beam.io.localfilesystem import LocalFileSystem

    def local(path):
        return path.replace("bucket://", f"{tmp_path}/bucket/")

    class Bucket(LocalFileSystem):
        @classmethod
        def scheme(cls):
            return "bucket"

        def _list(self, folder):
            for metadata in super()._list(local(folder)):
                metadata.path = metadata.path.replace(f"{tmp_path}/bucket/", "bucket://")
                yield metadata

        def create(self, path, *words, **options):
            return super().create(local(path), *words, **options)

        def rename(self, sources, targets):
            super().rename(list(map(local, sources)), list(map(local, targets)))

        def delete(self, paths):
            super().delete(list(map(local, paths)))

        def mkdirs(self, path):
            super().mkdirs(local(path))

        def exists(self, path):
            return super().exists(local(path))

        def join(self, folder, *names):
            return "/".join([folder, *names])

        def split(self, path):
            return tuple(path.rsplit("/", 1))

    (tmp_path / "bucket" / "d").mkdir(parents=True)
    (tmp_path / "in.jsonl").write_bytes(lines_of([{"question": "who ?", "context": "the fox"}]) + b"{}\n")
    words = (f"--model={model}", f"--input={tmp_path}/in.jsonl", "--output=bucket://d/x", "--num_shards=1")
    run(*words, code=1)
    names = ["x-00000-of-00001.jsonl", "x-errors-00000-of-00001.jsonl"]
    assert sorted(os.listdir(tmp_path / "bucket" / "d")) == names
    (tmp_path / "in.jsonl").write_bytes(lines_of([{"question": "who ?", "context": "the fox", "id": 2}]))
    with pytest.raises(OutputError, match=r"bucket://d/x-00000-of-00001\.jsonl exists already"):
        run(*words)
    run(*words, "--overwrite")
    ((row,), errors) = written(tmp_path / "bucket" / "d")
    assert (row["id"], errors) == (2, [])
    assert os.listdir(tmp_path / "bucket" / "d") == names[:1]


@needs_beam
def test_what_fails_on_the_way_leaves_all_as_it_was(model, tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").write_bytes(lines_of([{"question": "who ?", "context": "the fox"}] * 20))
    (tmp_path / "x-00000-of-00001.jsonl").write_text("mine")
    words = (f"--model={model}", f"--input={tmp_path}/in.jsonl", f"--output={tmp_path}/x", "--overwrite")

    def fail(*_):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(rows, "answers", fail)
        with pytest.raises(
            OutputError, match=rf"Beam has given up \(.*a defect.*\); nothing of {tmp_path}/x was written"
        ):
            run(*words, "--batch_size=4")
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "x-00000-of-00001.jsonl"]
    assert (tmp_path / "x-00000-of-00001.jsonl").read_text() == "mine"
    run(*words)
    assert len(written(tmp_path)[0]) == 20


@needs_beam
def test_a_damaged_file_is_a_dead_letter_and_what_is_whole_is_answered(model, tmp_path, capsys):
    some = [
        {"id": number, "question": "who ?", "context": f"the fox {number * 7919}"} for number in range(50)
    ]
    packed = gzip.compress(lines_of(some))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "none.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "none.parquet").write_bytes(b"no Parquet")
    (tmp_path / "long.jsonl").write_bytes(lines_of([{**some[0], "id": "long", "more": "x" * 5_000_000}]))
    run(f"--model={model}", f"--input={tmp_path}/*.*", f"--output={tmp_path}/out/x", code=1)
    answers, errors = written(tmp_path / "out")
    long = [row for row in answers if row["id"] == "long"]
    assert [len(row["more"]) for row in long] == [5_000_000]
    ids = sorted(row["id"] for row in answers if row["id"] != "long")
    assert ids == list(range(len(ids)))
    lines = {os.path.basename(error["file"]): error["line"] for error in errors}
    assert lines == {"cut.jsonl.gz": len(ids) + 1, "none.jsonl.gz": 1, "none.parquet": 1}
    assert {error["row"] for error in errors} == {None}
    assert all("the file is damaged or not complete" in error["reason"] for error in errors)


@needs_beam
@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--input={0}/none*"], ConfigError, "No file matches .*/none\\*; check --input."),
        (["--output={0}/"], ConfigError, "is the beginning of names of files, and .* names a directory"),
        (["--output={0}/x[1]"], ConfigError, "for a pattern; name an --output without"),
        (["--output={0}/in.jsonl/x"], OutputError, "The output directory .* cannot be written"),
        (["--model={0}/absent"], ConfigError, "There is no exported model in .*/absent"),
        (["stray"], ConfigError, "Do not know what to do with 'stray'"),
        (["--nbset=3"], ConfigError, "Unknown flag --nbset; the nearest known one is --nbest"),
        (
            ["--runner=Absent"],
            ConfigError,
            "Beam does not take its options: Unexpected pipeline runner: Absent",
        ),
        (["--direct_running_mode=x"], ConfigError, "argument --direct_running_mode: invalid choice: 'x'"),
    ],
)
def test_what_is_wrong_is_said(words, error, message, model, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"")
    good = (f"--model={model}", f"--input={tmp_path}/in.jsonl", f"--output={tmp_path}/x")
    with pytest.raises(error, match=message):
        run(*good, *(word.format(tmp_path) for word in words))
    assert os.listdir(tmp_path) == ["in.jsonl"]


SHARDS = ("answers-00000-of-00002.jsonl", "answers-00001-of-00002.jsonl", "errors-00000-of-00001.jsonl")


@pytest.mark.parametrize("killed_after", range(6))
def test_files_of_two_runs_never_lie_side_by_side(killed_after, tmp_path, monkeypatch):
    """Whenever the run is killed, what lies there is of one run, and the next command brings the rest."""
    prefix = str(tmp_path / "x")
    (tmp_path / "x-00000-of-00001.jsonl").write_text("old")
    (tmp_path / "x-errors-00000-of-00001.jsonl").write_text("old")
    (tmp_path / "x.complete").mkdir()
    for name in SHARDS:
        (tmp_path / "x.complete" / name).write_text("new")
    left = [killed_after]

    class Killed(BaseException):
        pass

    def counted(function):
        def call(*arguments):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return function(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "remove", "remove_tree"):
            patch.setattr(output_files.files, name, counted(getattr(output_files.files, name)))
        with contextlib.suppress(Killed):
            output_files._finish_publishing(prefix)
    assert len({path.read_text() for path in tmp_path.glob("x-*.jsonl")}) <= 1
    output_files._finish_publishing(prefix)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "x-00000-of-00002.jsonl": "new",
        "x-00001-of-00002.jsonl": "new",
        "x-errors-00000-of-00001.jsonl": "new",
    }


def test_a_directory_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "x.complete").mkdir()
    (tmp_path / "x.complete/notes.txt").write_text("mine")
    assert not output_files._finish_publishing(str(tmp_path / "x"))
    assert (tmp_path / "x.complete/notes.txt").read_text() == "mine"
