"""Data sets in all the forms in which people have them become SQuAD's own."""

import datetime
import gzip
import hashlib
import importlib.util
import json
import sys
import tracemalloc
from functools import partial

import pytest
from data.row_files import flat, mrqa, qa, squad_of, write_lines, write_parquet
from golden_files import golden, read_json

from bert_squad.answers.metrics import evaluate
from bert_squad.answers.metrics_input import check_scorable, read_questions
from bert_squad.data.examples import read_squad_examples, shuffle_examples, squad_examples
from bert_squad.data.records import write_features
from bert_squad.data.sources import read_data_set
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import ConfigError, DataError
from bert_squad.text.tokenization import FullTokenizer

TRAIN = {False: "tiny/train-v1.1.json", True: "tiny/train-v2.0.json"}
DEV = {False: "tiny/dev-v1.1.json", True: "tiny/dev-v2.0.json"}


def message_of(value):
    with pytest.raises(DataError) as error:
        read_squad_examples(str(value), True)
    assert "\n" not in str(error.value)
    return str(error.value)


def in_forms(folder, squad):
    """Write a data set in each form; return name → what names it."""
    folder.mkdir(exist_ok=True)
    content = json.dumps(squad, indent=1).encode()
    rows = flat(squad)
    (folder / "squad.json.gz").write_bytes(gzip.compress(content))
    (folder / "list.json").write_text(json.dumps(rows))
    (folder / "rows-in-data.json").write_text(json.dumps({"version": "0.1.0", "data": rows}))
    lines = write_lines(folder / "rows.jsonl", rows)
    (folder / "crlf.jsonl").write_bytes(b"\r\n" + lines.read_bytes().replace(b"\n", b"\r\n\r\n"))
    write_lines(folder / "rows.jsonl.gz", rows)
    write_lines(folder / "named.json", rows)
    write_lines(folder / "tfds.jsonl", [as_tfds(row) for row in rows])
    write_lines(folder / "squad.jsonl", [{"data": [article]} for article in squad["data"]])
    shards = folder / "shards"
    shards.mkdir()
    half = len(rows) // 2
    write_lines(shards / "train-0.jsonl", rows[:half])
    write_lines(shards / "train-1.jsonl.gz", rows[half:])
    return {
        **{path.name: str(path) for path in folder.iterdir()},
        "pattern": f"{shards}/*",
        "list": f"{shards}/train-0.jsonl,{shards}/train-1.jsonl.gz",
    }


def as_tfds(row):
    """A row as `tfds.as_dataframe` has it, with its answers in columns of their own."""
    others = {key: value for key, value in row.items() if key != "answers"}
    return others | {f"answers/{key}": value for key, value in row["answers"].items()}


@pytest.mark.parametrize("version_2", [False, True])
@pytest.mark.parametrize("is_training", [True, False])
def test_records_are_those_of_the_original(tmp_path, version_2, is_training):
    """Byte for byte, so that all numbers are the same."""
    source = golden((TRAIN if is_training else DEV)[version_2])
    tokenizer = FullTokenizer(str(golden("tiny/vocab_uncased.txt")), do_lower_case=True)

    def records(value):
        examples = read_squad_examples(value, is_training, version_2_with_negative=version_2)
        shuffle_examples(examples)
        path = str(tmp_path / "x.tf_record")
        write_features(path, examples, tokenizer, WindowLengths(64, 16, 16), is_training)
        return (tmp_path / "x.tf_record").read_bytes()

    squad = read_json(source)
    expected = records(str(source))
    forms = in_forms(tmp_path / "forms", squad)
    if importlib.util.find_spec("pyarrow"):
        forms["parquet"] = str(write_parquet(tmp_path / "forms" / "rows.parquet", flat(squad)))
    assert len(forms) >= 12
    assert {name: records(value) == expected for name, value in forms.items()} == dict.fromkeys(forms, True)


@pytest.mark.parametrize("is_training", [True, False])
def test_examples_of_mrqa_are_those_of_the_original(tmp_path, is_training):
    """Of questions whose answer is at its offset; else MRQA's span decides what the passage says there."""
    squad = read_json(golden((TRAIN if is_training else DEV)[False]))
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = [
                qa
                for qa in paragraph["qas"]
                if all(map(partial(is_there, paragraph["context"]), qa["answers"]))
            ]
    path = write_lines(tmp_path / "mrqa.jsonl.gz", mrqa(squad))
    examples = read_squad_examples(str(path), is_training)
    assert len(examples) > 40
    assert examples == squad_examples(squad, "x", is_training)
    assert read_questions(read_data_set(str(path)).squad) == read_questions(squad)


def is_there(context, answer):
    return context[answer["answer_start"] :].startswith(answer["text"])


@pytest.mark.parametrize("version_2", [False, True])
def test_questions_are_scored_as_those_of_the_original(tmp_path, version_2):
    squad = read_json(golden(DEV[version_2]))
    expected = read_questions(squad)
    predictions = {question.qas_id: "the" for question in expected.questions}
    odds = dict.fromkeys(predictions, -1.0) if version_2 else None
    for name, value in in_forms(tmp_path / "forms", squad).items():
        data = read_data_set(value)
        assert read_questions(data.squad) == expected, name
        assert check_scorable(data.squad) is None
        assert evaluate(value, predictions, odds) == evaluate(squad, predictions, odds)


def test_neighbours_with_one_passage_are_one_paragraph(tmp_path):
    """Each passage is held, and tokenized, once; the order of the questions stays."""
    first, second = {"title": "a", "context": "x"}, {"title": "a", "context": "y"}
    rows = [
        {"id": number, "question": "?", **place}
        for number, place in enumerate((first, first, second, {**first, "title": "b"}, second, first))
    ]
    squad = read_data_set(str(write_lines(tmp_path / "rows", rows))).squad
    shape = [
        (article["title"], [(p["context"], [qa["id"] for qa in p["qas"]]) for p in article["paragraphs"]])
        for article in squad["data"]
    ]
    assert shape == [
        ("a", [("x", [0, 1]), ("y", [2])]),
        ("b", [("x", [3])]),
        ("a", [("y", [4]), ("x", [5])]),
    ]


def test_a_title_is_optional_and_one_row_is_a_data_set(tmp_path):
    row = {"id": 7, "context": "x", "question": "?", "answers": [{"text": "x", "answer_start": 0}]}
    (tmp_path / "one").write_text(json.dumps(row))
    assert read_data_set(str(tmp_path / "one")).squad == {
        "data": [
            {"paragraphs": [{"context": "x", "qas": [{"id": 7, "question": "?", "answers": row["answers"]}]}]}
        ]
    }


def test_what_rows_say_of_impossible_questions(tmp_path):
    """An empty list means that there is no answer; then all others are marked as answerable."""
    answers = {"text": ["x"], "answer_start": [0]}
    rows = [
        {"id": "answered", "answers": answers},
        {"id": "empty", "answers": {"text": [], "answer_start": []}},
        {"id": "none"},
        {"id": "null", "answers": None, "is_impossible": None},
        {"id": "marked", "answers": answers, "is_impossible": True, "plausible_answers": answers},
        {"id": "texts", "answers": ["x", "y"]},
    ]
    path = write_lines(tmp_path / "rows", [{"context": "x", "question": "?", **row} for row in rows])
    qas = read_data_set(str(path)).squad["data"][0]["paragraphs"][0]["qas"]
    assert {qa["id"]: qa.get("is_impossible") for qa in qas} == {
        "answered": False,
        "empty": True,
        "none": None,
        "null": None,
        "marked": True,
        "texts": False,
    }
    assert qas[4]["plausible_answers"] == [{"text": "x", "answer_start": 0}]
    assert qas[5]["answers"] == [{"text": "x", "answer_start": -1}, {"text": "y", "answer_start": -1}]
    only_answered = write_lines(tmp_path / "answered", [{"context": "x", "question": "?", **rows[0]}])
    (question,) = read_data_set(str(only_answered)).squad["data"][0]["paragraphs"][0]["qas"]
    assert "is_impossible" not in question, "the scores are those of version 1.1"


def test_mrqa_gives_the_spans_then_other_names(tmp_path):
    question = {
        "qid": "q1",
        "question": "Who?",
        "answers": ["Bob", "Robert"],
        "detected_answers": [
            {"text": "bob", "char_spans": [[8, 10]]},
            {"text": "Riga", "char_spans": [[15, 18], [400, 403]]},
        ],
    }
    rows = [{"header": {"dataset": "x"}}, {"context": "Ann met Bob in Riga.", "qas": [question]}]
    path = write_lines(tmp_path / "dev.jsonl.gz", rows)
    assert read_data_set(str(path)).squad["data"][0]["paragraphs"][0]["qas"] == [
        {
            "id": "q1",
            "question": "Who?",
            "answers": [
                {"text": "Bob", "answer_start": 8},
                {"text": "Riga", "answer_start": 15},
                {"text": "Riga", "answer_start": 400},
                {"text": "bob", "answer_start": -1},
                {"text": "Robert", "answer_start": -1},
            ],
        }
    ]
    (tmp_path / "header").write_text(json.dumps(rows[0]))
    assert read_data_set(str(tmp_path / "header")).squad == {"data": []}


def test_paragraphs_of_squad_in_lines(tmp_path):
    paragraphs = [
        {"context": "x", "qas": [qa("a"), qa("b")], "title": "t"},
        {"context": "y", "qas": [qa("c")]},
    ]
    path = write_lines(tmp_path / "lines", paragraphs)
    assert [e.qas_id for e in read_squad_examples(str(path), False)] == ["a", "b", "c"]


# ---- hashes


def test_the_hash_is_of_the_content_unpacked(tmp_path):
    content = json.dumps(squad_of(qa())).encode()
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "b.json").write_bytes(gzip.compress(content))
    plain = read_data_set(str(tmp_path / "a.json"))
    assert plain.sha256 == hashlib.sha256(content).hexdigest()
    assert read_data_set(str(tmp_path / "b.json")).sha256 == plain.sha256
    assert read_data_set(f"{tmp_path}/?.json").sha256 not in (plain.sha256, None)


# ---- what is wrong is said with file and place

ROW = {
    "id": "q1",
    "context": "Ann met Bob.",
    "question": "Who?",
    "answers": {"text": ["Bob"], "answer_start": [8]},
}


def without(key, row=ROW):
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (without("id"), "line 2 has no 'id'."),
        (without("context"), "line 2 should be an object with 'context' and 'question', as others are."),
        (without("question"), "line 2 should be an object with 'context' and 'question', as others are."),
        (5, "line 2 should be an object with 'context' and 'question', as others are."),
        ({**ROW, "context": None}, "line 2 (question 'q1') should have a text as 'context'."),
        ({**ROW, "question": ["x"]}, "line 2 (question 'q1') should have a text as 'question'."),
        (
            {**ROW, "answers": {"text": ["a"], "answer_start": [0, 1]}},
            "'answers' of line 2 (question 'q1') should hold the lists 'text' and 'answer_start', of one length.",
        ),
        ({**ROW, "answers": "Bob"}, "'answers' of line 2 (question 'q1') should be an object or a list."),
        ({"context": "x", "qas": {}}, "'qas' of line 2 should be a list."),
        ({"context": "x", "qas": [3]}, "qas[0] of line 2 should be an object."),
        ({"context": "x", "qas": [{"question": "?"}]}, "qas[0] of line 2 has no 'qid'."),
        ({"context": "x", "qas": [{"qid": "m"}]}, "qas[0] of line 2 (question 'm') has no 'question'."),
        (
            {"context": "x", "qas": [{"qid": "m", "question": "?", "detected_answers": [{"char_spans": [4]}]}]},
            "'detected_answers' of qas[0] of line 2 (question 'm') should be a list of objects with a 'text' and "
            "'char_spans', pairs of numbers.",
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_is_named(tmp_path, row, message):
    path = write_lines(tmp_path / "rows.jsonl", [ROW, row])
    assert message_of(path) == f"In the data set {path}, {message}"


def test_rows_of_a_list_are_counted_from_1(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW, without("id")]))
    assert message_of(path) == f"In the data set {path}, row 2 has no 'id'."
    path.write_text(json.dumps([ROW, [1]]))
    assert "row 2 should be an object with 'context' and 'question', not [1]." in message_of(path)


def test_what_is_wrong_with_an_answer_of_a_row_is_said_as_ever(tmp_path):
    bad = {**ROW, "id": "q2", "answers": {"text": ["Bob"], "answer_start": [800]}}
    path = write_lines(tmp_path / "rows.jsonl", [ROW, bad])
    assert message_of(path) == (
        f"In the data set {path}, the answer of question 'q2' (data[0].paragraphs[0].qas[1]) lies outside its context: "
        "characters 800 to 803 of 12. Correct its answer_start."
    )


def test_a_line_that_is_cut_short(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [ROW, ROW])
    path.write_bytes(path.read_bytes()[:-5])
    assert message_of(path).startswith(f"Line 2 of the data set {path} is not valid JSON: ")
    assert "line 1" not in message_of(path)


def test_gzip_that_is_cut_short_or_damaged(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl.gz", [{**ROW, "id": number} for number in range(50)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert message_of(path) == f"The data set {path} is gzip-compressed and cut short; is it complete?"
    path.write_bytes(whole[:-8] + bytes(8))
    assert message_of(path).startswith(
        f"The data set {path} is gzip-compressed and damaged (CRC check failed"
    )
    path.write_bytes(gzip.compress(whole))
    assert "it looks like gzip-compressed data; unpack it first" in message_of(path)


def test_json_that_is_no_data_is_refused_as_ever(tmp_path):
    path = tmp_path / "x"
    for value, message in (
        ({"a": 1}, "the file has no 'data'."),
        ([], "the file should be an object that holds 'data', not a list."),
        ([{"a": 1}], "the file should be an object that holds 'data', not a list."),
    ):
        path.write_text(json.dumps(value))
        assert message_of(path) == f"In the data set {path}, {message}"
    write_lines(path, [{"a": 1}, {"a": 2}])
    assert (
        "holds more than one JSON value, the second at line 2, column 1: it looks like JSON lines"
        in message_of(path)
    )


def test_several_files_are_named_one_by_one(tmp_path, warnings):
    for number, data in enumerate(
        [
            squad_of(qa("a")),
            squad_of(qa("b"), qa("a")),
            squad_of(qa("c"), qa("d", "x", 900), qa("e", "x", 901)),
        ]
    ):
        (tmp_path / f"{number}.json").write_text(json.dumps(data))
    pattern = f"{tmp_path}/*.json"
    assert message_of(pattern) == (
        f"In the data set {tmp_path}/2.json, the answer of question 'd' (data[0].paragraphs[0].qas[1]) lies outside "
        "its context: characters 900 to 901 of 20. Correct its answer_start. So it is, in this way or another, with 2 "
        "of 6 questions: d, e."
    )
    assert [e.qas_id for e in read_squad_examples(pattern, False)] == ["a", "b", "a", "c", "d", "e"]
    assert warnings == [
        f"Question ids that occur more than once in {pattern}: a. Of such questions, the answer to the last is kept."
    ]
    (tmp_path / "1.json").write_text('{"data": 3}')
    assert message_of(pattern) == (
        f"In the data set {tmp_path}/1.json, the file should be an object that holds the list 'data'."
    )
    (tmp_path / "1.json").write_text('{"data": [')
    assert message_of(pattern).startswith(f"The data set {tmp_path}/1.json is not valid JSON")
    assert message_of(f"{tmp_path}/0.json,{tmp_path}/9.json") == (
        f"Cannot read the data set {tmp_path}/9.json (No such file or directory); check --train_file and "
        "--predict_file."
    )


def test_squad_files_of_both_versions_are_refused_and_rows_are_as_the_others(tmp_path):
    first, second, rows = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.jsonl"
    first.write_text(json.dumps(squad_of(qa("a"))))
    second.write_text(json.dumps(squad_of(qa("b", is_impossible=False))))
    write_lines(rows, [ROW])
    assert message_of(f"{first},{second}").startswith(
        f"The data sets {first} and {second} are of different versions:"
    )
    for value, version_2 in ((f"{first},{rows}", False), (f"{rows},{second}", True)):
        assert len(read_squad_examples(value, True, version_2_with_negative=version_2)) == 2
    write_lines(rows, [{**ROW, "answers": {"text": [], "answer_start": []}}])
    assert message_of(f"{rows},{first}").startswith(
        f"The data sets {first} and {rows} are of different versions:"
    )


def test_nobody_holds_a_big_data_set_three_times(tmp_path):
    """At most the text and the values of it are held together; passages that recur are held once."""
    rows = [{**ROW, "id": str(number), "context": f"{number // 10} " * 1500} for number in range(600)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    size = path.stat().st_size
    del rows
    tracemalloc.start()
    try:
        data = read_data_set(str(path))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data.squad["data"][0]["paragraphs"]) == 60
    assert held < 0.5 * size
    assert peak < 2.2 * size


# ---- Parquet


def test_parquet_columns_of_others(tmp_path):
    """Bytes, as TFDS has them, integer ids, and what is not asked for."""
    pytest.importorskip("pyarrow")
    row = {
        "id": 7,
        "title": b"t",
        "context": "Zoë met Bob.".encode(),
        "question": b"Who?",
        "answers": {"text": [b"Bob"], "answer_start": [8]},
        "embedding": [0.5] * 3,
    }
    (example,) = read_squad_examples(str(write_parquet(tmp_path / "x", [row])), True)
    assert (example.qas_id, example.doc_tokens, example.orig_answer_text) == (
        7,
        ["Zoë", "met", "Bob."],
        "Bob",
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"a": 1}],
            "The data set {} has the columns a; those of questions are id, context, question and answers.",
        ),
        ([ROW, {**ROW, "id": None}], "In the data set {}, row 2 has no 'id'."),
        ([without("id")], "In the data set {}, row 1 has no 'id'."),
        (
            [{**ROW, "id": datetime.date(2020, 1, 1)}],
            "In the data set {}, 'id' of data[0].paragraphs[0].qas[0] should be a string, not date.",
        ),
    ],
)
def test_parquet_that_is_wrong(tmp_path, rows, message):
    pytest.importorskip("pyarrow")
    path = write_parquet(tmp_path / "x.parquet", rows)
    assert message_of(path) == message.format(path)


def test_parquet_that_is_damaged(tmp_path):
    pytest.importorskip("pyarrow")
    path = write_parquet(tmp_path / "x.parquet", [{**ROW, "id": str(number)} for number in range(50)])
    content = path.read_bytes()
    for damaged in (content[:-30], content[:4], content[:60] + bytes(60) + content[120:]):
        path.write_bytes(damaged)
        assert message_of(path).startswith(
            f"The data set {path} is a Parquet file that is cut short or damaged ("
        )


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x").write_bytes(b"PAR1...")
    with pytest.raises(ConfigError) as error:
        read_data_set(str(tmp_path / "x"))
    assert str(error.value) == (
        f"The data set {tmp_path / 'x'} is a Parquet file, which needs pyarrow, which is not here: pip install "
        "'bert-squad[parquet]'."
    )


@pytest.mark.parametrize("name", ["tiny/train-v1.1.json", "tiny/train-v2.0.json"])
def test_what_hugging_face_datasets_writes(tmp_path, name):
    """Its own JSON lines and Parquet of `squad` features."""
    datasets = pytest.importorskip("datasets")
    squad = read_json(golden(name))
    features = datasets.Features(
        {
            **{key: datasets.Value("string") for key in ("id", "title", "context", "question")},
            "answers": datasets.Sequence(
                {"text": datasets.Value("string"), "answer_start": datasets.Value("int32")}
            ),
        }
    )
    of_library = datasets.Dataset.from_list(flat(squad), features=features)
    of_library.to_json(tmp_path / "x.jsonl")
    of_library.to_parquet(tmp_path / "x.parquet")
    expected = squad_examples(squad, "x", True, version_2_with_negative="v2" in name)
    for path in ("x.jsonl", "x.parquet"):
        assert (
            read_squad_examples(str(tmp_path / path), True, version_2_with_negative="v2" in name) == expected
        )


# ---- what is done with bad questions


def read_with(squad, name="train.json", **options):
    return [example.qas_id for example in squad_examples(squad, name, True, **options)]


def test_bad_questions_are_skipped_when_asked_and_counted_in_one_line(warnings):
    squad = squad_of(
        qa("good"),
        qa("far", "x", 900),
        {"id": "none", "question": "?", "answers": []},
        {"question": "no id"},
        qa("too"),
    )
    with pytest.raises(DataError, match="with 3 of 5 questions: far, none, data"):
        read_with(squad)
    assert read_with(squad, on_bad_question="skip") == ["good", "too"]
    (line,) = warnings
    assert line.startswith(
        "Skipped 3 of 5 questions of train.json that cannot be trained on (--on_bad_question=skip): far, none, "
        "data[0].paragraphs[0].qas[3]. The first: In the data set train.json, the answer of question 'far' "
    )


def test_the_first_of_several_answers_is_trained_on_when_asked(warnings):
    both = [{"text": "Bob", "answer_start": 8}, {"text": "Ann", "answer_start": 0}]
    squad = squad_of(
        qa("one"), qa("two", answers=both), qa("three", answers=both[::-1]), {**qa("none"), "answers": []}
    )
    with pytest.raises(
        DataError, match=r"exactly 1 answer\. Keep one of them\. So it is, .* with 3 of 4 questions"
    ):
        read_with(squad)
    with pytest.raises(DataError, match=r"question 'none' .* has 0 answers"):
        read_with(squad, several_answers="first")
    assert read_with(squad, several_answers="first", on_bad_question="skip") == ["one", "two", "three"]
    examples = squad_examples(squad, "x", True, several_answers="first", on_bad_question="skip")
    assert [example.orig_answer_text for example in examples] == ["Bob", "Bob", "Ann"]
    assert warnings[1] == (
        "Only the first of several answers is trained on in 2 of 4 questions of train.json (--several_answers=first): "
        "two, three."
    )
