"""A data set in another form holds the same questions, and the file is there whole or not at all."""

import gzip
import importlib.util
import json
import os

import pytest
from data.row_files import flat, qa, squad_of, write_lines
from golden_files import golden, read_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert_squad.data.conversion import write_data_set
from bert_squad.data.sources import read_data_set
from bert_squad.errors import ConfigError, DataError, OutputError

FORMS = ["jsonl", "jsonl.gz", "squad", "squad.gz", *["parquet"] * bool(importlib.util.find_spec("pyarrow"))]
# Without lone surrogates, which JSON can hold and Parquet cannot.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANSWERS = st.lists(
    st.fixed_dictionaries({"text": TEXTS, "answer_start": st.integers(-1, 2**31 - 1)}), max_size=3
)


def question(is_version_2):
    entries = {"id": TEXTS, "question": TEXTS, "answers": ANSWERS}
    if not is_version_2:
        return st.fixed_dictionaries(entries)
    plausible = st.lists(st.just({"text": "x", "answer_start": 0}), min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {**entries, "is_impossible": st.booleans()}, optional={"plausible_answers": plausible}
    )


@st.composite
def data_sets(draw):
    qas = st.lists(question(draw(st.booleans())), max_size=3)
    paragraph = st.fixed_dictionaries({"context": TEXTS, "qas": qas})
    article = st.fixed_dictionaries(
        {"paragraphs": st.lists(paragraph, max_size=2)}, optional={"title": TEXTS}
    )
    return {"version": "x", "data": draw(st.lists(article, max_size=3))}


def questions_of(squad):
    return [
        (article.get("title"), paragraph["context"], qa)
        for article in squad["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data_sets(), st.sampled_from(FORMS))
def test_there_and_back_nothing_is_lost(tmp_path, squad, form):
    if form == "parquet" and not questions_of(squad):
        return  # of nothing there is no Parquet file
    source, there, back = (str(tmp_path / name) for name in ("source", f"there.{form}", "back"))
    with open(source, "w", encoding="utf-8") as writer:
        json.dump(squad, writer)
    written = write_data_set(read_data_set(source), there, form.removesuffix(".gz"), overwrite=True)
    assert written == (len(questions_of(squad)), [])
    if "jsonl" not in form or questions_of(squad):  # an empty file is no data set
        write_data_set(read_data_set(there), back, "squad", overwrite=True)
        assert questions_of(read_json(tmp_path / "back")) == questions_of(squad)


@pytest.mark.parametrize(
    "name", ["train-v1.1", "dev-v1.1", "train-v2.0", "dev-v2.0", "dev-empty-context-v2.0"]
)
def test_rows_are_those_that_others_write(tmp_path, name):
    squad = read_json(golden(f"tiny/{name}.json"))
    source = str(golden(f"tiny/{name}.json"))
    write_data_set(read_data_set(source), str(tmp_path / "x.jsonl"), "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    marks = [row.pop("is_impossible", None) for row in rows]
    assert marks == [qa.get("is_impossible") for _, _, qa in questions_of(squad)]
    plausible = [row.pop("plausible_answers", None) for row in rows]
    assert [bool(answers) for answers in plausible] == [
        bool(qa.get("plausible_answers")) for _, _, qa in questions_of(squad)
    ]
    titles = [row.pop("title", "") for row in rows]
    expected = flat(squad)
    assert titles == [row.pop("title") for row in expected]
    assert rows == expected


def test_the_dataset_library_reads_what_is_written(tmp_path):
    datasets = pytest.importorskip("datasets")
    source = golden("tiny/train-v1.1.json")
    for form in ("jsonl", "parquet"):
        path = str(tmp_path / f"x.{form}")
        write_data_set(read_data_set(str(source)), path, form)
        kind = {"jsonl": "json", "parquet": "parquet"}[form]
        read = datasets.load_dataset(kind, data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
        rows = flat(read_json(source))
        assert read["id"][:] == [row["id"] for row in rows]
        assert [dict(answers) for answers in read["answers"]] == [row["answers"] for row in rows]


def test_squad_files_keep_all_that_they_hold(tmp_path):
    squad = squad_of(qa(hint="a", answers=[{"text": "Bob", "answer_start": 8, "by": "me"}]), extra=[1])
    source = tmp_path / "x.json"
    source.write_text(json.dumps({**squad, "licence": "y"}))
    write_data_set(read_data_set(str(source)), str(tmp_path / "y.json.gz"), "squad")
    assert read_json(tmp_path / "y.json.gz") == {**squad, "licence": "y"}
    first = (tmp_path / "y.json.gz").read_bytes()
    write_data_set(read_data_set(str(source)), str(tmp_path / "y.json.gz"), "squad", overwrite=True)
    assert (tmp_path / "y.json.gz").read_bytes() == first, "no time and no name in it"
    assert write_data_set(read_data_set(str(source)), str(tmp_path / "z"), "jsonl").dropped_keys == ["hint"]


@pytest.mark.parametrize(("answers", "version"), [([], "v2.0"), ([{"text": "x", "answer_start": 0}], "1.1")])
def test_rows_become_a_file_with_its_version(tmp_path, answers, version):
    rows = write_lines(tmp_path / "x", [{"id": 1, "context": "x", "question": "?", "answers": answers}] * 2)
    write_data_set(read_data_set(str(rows)), str(tmp_path / "y"), "squad")
    assert read_json(tmp_path / "y")["version"] == version


@pytest.mark.parametrize("to", ["squad", "jsonl", "parquet"])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, to):
    if to == "parquet":
        pytest.importorskip("pyarrow")
    bad = squad_of(qa(), qa("bad", 5))
    if to == "squad":
        del bad["data"][0]["paragraphs"][0]["qas"][1]["id"]
    for squad, error, message in (
        (squad_of(qa()), OutputError, "exists already; name another file, or add --overwrite to replace it"),
        (bad, DataError, "bad|has no 'id'"),
    ):
        (tmp_path / "x.json").write_text(json.dumps(squad))
        (tmp_path / "y").write_text("mine")
        with pytest.raises(error, match=message):
            write_data_set(
                read_data_set(str(tmp_path / "x.json")), str(tmp_path / "y"), to, overwrite=squad is bad
            )
        assert (tmp_path / "y").read_text() == "mine"
        assert sorted(os.listdir(tmp_path)) == ["x.json", "y"]
    (tmp_path / "x.json").write_text(json.dumps(squad_of(qa())))
    write_data_set(read_data_set(str(tmp_path / "x.json")), str(tmp_path / "y"), to, overwrite=True)
    assert len(questions_of(read_data_set(str(tmp_path / "y")).squad)) == 1


def test_a_file_may_be_converted_in_its_place(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(squad_of(qa(), title="t")))
    write_data_set(read_data_set(str(path)), str(path), "jsonl", overwrite=True)
    assert json.loads(path.read_text())["title"] == "t"


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("x.parquet.gz", ConfigError, r"Parquet files are packed by themselves; take the \.gz from"),
        ("folder", OutputError, r"folder is a directory; name a file\."),
        ("nowhere/x.json", OutputError, r"Cannot write .*nowhere/x\.json \(No such file or directory\)"),
    ],
)
def test_targets_that_cannot_be(tmp_path, target, error, message):
    (tmp_path / "folder").mkdir()
    source = write_lines(tmp_path / "x", [squad_of(qa())])
    with pytest.raises(error, match=message):
        write_data_set(
            read_data_set(str(source)), str(tmp_path / target), "parquet" if "parquet" in target else "squad"
        )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (qa(answers="x"), "'answers' of question 'q1' should be a list of objects with a 'text'."),
        (qa(answers=[{}]), "'answers' of question 'q1' should be a list of objects with a 'text'."),
        (qa(start="8"), "'answer_start' in 'answers' of question 'q1' should be an integer."),
        (
            qa(is_impossible="false"),
            "'is_impossible' of question 'q1' should be true or false, not a string.",
        ),
    ],
)
def test_what_a_row_cannot_hold_is_named(tmp_path, question, message):
    source = write_lines(tmp_path / "x", [squad_of(question)])
    with pytest.raises(DataError) as error:
        write_data_set(read_data_set(str(source)), str(tmp_path / "y"), "jsonl")
    assert str(error.value) == f"In the data set {source}, {message}"


@pytest.mark.parametrize("odd", [7, "\ud800", None])
def test_what_parquet_cannot_hold_is_named(tmp_path, odd):
    """Numbers among texts, lone surrogates: JSON lines can hold them."""
    pytest.importorskip("pyarrow")
    source = write_lines(tmp_path / "x", [squad_of(*[qa(f"q{i}") for i in range(5)], qa(odd))])
    data = read_data_set(str(source))
    if odd is None:
        write_data_set(data, str(tmp_path / "y"), "parquet")
        with pytest.raises(DataError, match=r"row 6 has no 'id'"):
            read_data_set(str(tmp_path / "y"))
        return
    shown = {7: "7", "\ud800": r"'\\ud800'"}[odd]
    with pytest.raises(
        DataError, match=rf"^Question {shown} cannot be in a Parquet file with the others \(.*--to=jsonl"
    ):
        write_data_set(data, str(tmp_path / "y"), "parquet")
    assert not (tmp_path / "y").exists()
    write_data_set(data, str(tmp_path / "y"), "jsonl")
    assert questions_of(read_data_set(str(tmp_path / "y")).squad) == questions_of(data.squad)


def test_integer_ids_stay_integers_in_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    source = write_lines(tmp_path / "x", [squad_of(qa(7), qa(8))])
    write_data_set(read_data_set(str(source)), str(tmp_path / "y"), "parquet")
    assert [qa["id"] for _, _, qa in questions_of(read_data_set(str(tmp_path / "y")).squad)] == [7, 8]


def test_many_rows_of_parquet(tmp_path):
    """More than are written at a time."""
    pytest.importorskip("pyarrow")
    source = write_lines(tmp_path / "x", [squad_of(*[qa(str(number)) for number in range(2500)])])
    write_data_set(read_data_set(str(source)), str(tmp_path / "y"), "parquet")
    assert questions_of(read_data_set(str(tmp_path / "y")).squad) == questions_of(
        read_data_set(str(source)).squad
    )
    (tmp_path / "z").write_bytes(gzip.compress((tmp_path / "y").read_bytes()))
    assert len(questions_of(read_data_set(str(tmp_path / "z")).squad)) == 2500
