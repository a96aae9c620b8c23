"""Everything that is wrong with a data set is found at once, and what is right is not."""

import pytest
from data.row_files import qa, squad_of
from golden_files import golden, read_json

from bert_squad.data.checking import CheckOptions, check_data_set
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.sources import DataSet, Member, read_data_set
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import DataError
from bert_squad.text.tokenization import FullTokenizer

CONTEXT = "Ann met Bob in Riga."
NEITHER, TRAIN, PREDICT = CheckOptions(), CheckOptions(trains=True), CheckOptions(scores=True)


def report_of(squad, options=NEITHER, *pieces):
    data = DataSet(squad, "x.json", "", (Member("x.json", len(squad["data"])),))
    return check_data_set(data, options, *pieces)


def found(squad, options=NEITHER, *pieces):
    """Kind → ids."""
    return {finding.kind: finding.questions.ids for finding in report_of(squad, options, *pieces).findings}


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer and lengths: windows of 24, of which a question takes at most 8."""
    return FullTokenizer(str(golden("tiny/vocab_uncased.txt")), True), WindowLengths(24, 4, 8)


def test_what_is_right():
    squad = squad_of(qa("a"), qa("b", "Riga", 15))
    for options in (NEITHER, TRAIN, PREDICT):
        report = report_of(squad, options)
        assert report.findings == []
        assert report.counts == {
            "files": 1,
            "version": "1.1",
            "passages": 1,
            "questions": 2,
            "impossible": 0,
            "answers": 2,
        }


BOTH = [{"text": "Bob", "answer_start": 8}, {"text": "Ann", "answer_start": 0}]
TRAINED_BADLY = "untrainable not_at_offset"


@pytest.mark.parametrize(
    ("question", "kinds"),
    [  # kinds found for neither, training, prediction
        (qa("x", "bob"), ("not_at_offset left_out", "not_at_offset left_out", "")),
        (qa("x", "Ann", 8), ("not_at_offset left_out", "not_at_offset left_out", "")),
        (qa("x", "Bob", 9), ("not_at_offset", "not_at_offset", "")),  # the legacy script trains on it
        (qa("x", "Bob", 900), ("not_at_offset", "untrainable not_at_offset", "")),
        (qa("x", "Bob", "8"), ("not_at_offset", "untrainable not_at_offset", "")),
        (qa("x", 5, 8), ("not_at_offset", "untrainable not_at_offset", "")),
        (qa("x", answers=["Bob"]), ("not_at_offset", "untrainable not_at_offset", "")),
        (qa("x", "Bob", -1), ("not_at_offset left_out negative_offset",) * 2 + ("",)),
        (qa("x", answers=BOTH), ("", "untrainable", "")),
        (qa("x", answers=[*BOTH, {"text": "Robert", "answer_start": -1}]), ("", "untrainable", "")),
        (qa("x", answers=[*BOTH, {"text": "Al", "answer_start": 8}]), ("not_at_offset", TRAINED_BADLY, "")),
        (qa("x", answers=[]), ("", "untrainable", "without_answer")),
        ({"id": "x", "question": "?"}, ("", "untrainable", "without_answer")),
        ({"id": "x"}, ("unusable", "unusable", "unusable without_answer")),
        ({"id": "x", "question": 5, "answers": BOTH[:1]}, ("unusable",) * 3),
        (qa("good"), ("duplicate_id",) * 3),
    ],
)  # fmt: skip
def test_version_1(question, kinds):
    squad = squad_of(qa("good"), question)
    for options, expected in zip((NEITHER, TRAIN, PREDICT), kinds, strict=True):
        assert found(squad, options) == {kind: [question["id"]] for kind in expected.split()}, options


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        (qa("x", answers=[], is_impossible=True), ("",) * 3),
        (qa("x", is_impossible=True), ("impossible_with_answers",) * 3),
        (qa("x", answers=[], is_impossible=False), ("without_answer", "untrainable without_answer", "without_answer")),
        (qa("x", is_impossible=0), ("",) * 3),
        (qa("x", is_impossible=None), ("odd_is_impossible",) * 3),
        (qa("x", is_impossible="false"), ("", "untrainable", "")),
        (qa("x"), ("", "untrainable", "")),
    ],
)  # fmt: skip
def test_version_2(question, kinds):
    squad = squad_of(qa("good", is_impossible=False), question)
    for options, expected in zip((NEITHER, TRAIN, PREDICT), kinds, strict=True):
        assert found(squad, options) == {kind: [question["id"]] for kind in expected.split()}, options


def test_version_2_trained_on_as_version_1():
    squad = squad_of(qa("good", is_impossible=False), qa("x", answers=[], is_impossible=True))
    assert found(squad, CheckOptions(trains=True, version_2_with_negative=False)) == {"untrainable": ["x"]}


def test_the_first_of_several_answers():
    squad = squad_of(qa("x", answers=BOTH))
    assert found(squad, CheckOptions(trains=True, several_answers="first")) == {}


def test_what_has_no_id_is_named_by_its_place_and_all_reasons_are_there():
    report = report_of(squad_of(qa("good"), 5, {"question": "?"}, qa("far", "Bob", 900)), TRAIN)
    unusable, untrainable, misplaced = report.findings
    assert unusable.questions.ids == ["data[0].paragraphs[0].qas[1]", "data[0].paragraphs[0].qas[2]"]
    assert unusable.reasons["data[0].paragraphs[0].qas[2]"].endswith("qas[2] has no 'id'.")
    assert list(untrainable.reasons) == ["far"]
    assert "lies outside its context: characters 900 to 903 of 20" in untrainable.reasons["far"]
    assert misplaced.reasons == {"far": "'Bob' is not '' (answer_start 900)"}


def test_what_is_no_squad_data_cannot_be_checked():
    for squad in ({"data": [{}]}, {"data": [{"paragraphs": [{"qas": []}]}]}):
        with pytest.raises(DataError, match=r"In the data set x\.json"):
            report_of(squad)


def test_all_ids_are_there():
    squad = squad_of(*[qa(number, "no") for number in range(100)])
    assert found(squad)["left_out"] == list(range(100))


def test_lengths(pieces):
    """A question of one piece leaves 20 for the passage, one of two 19."""
    words = ["the"] * 40
    context = " ".join(words)
    wide, wider = " ".join(words[:14]), " ".join(words[:21])
    squad = squad_of(
        qa("good", "the", 0, question="the"),
        qa("cut", "the", 0, question="the " * 9),
        qa("held", wide, 0, question="the"),
        qa("long", wider, 0, question="the"),
        qa("between", wide, 40, question="the the"),
        context=context,
    )
    squad["data"].append(
        {"paragraphs": [{"context": " \u00ad ", "qas": [qa("blank", " ", 0, question="the")]}]}
    )
    report = report_of(squad, TRAIN, *pieces)
    of_kind = {finding.kind: finding.questions.ids for finding in report.findings}
    assert of_kind == {
        "question_cut": ["cut"],
        "passage_without_text": ["blank"],
        "answer_in_no_window": ["long"],
    }
    assert report.counts["longest_question"] == 9
    assert found(squad, CheckOptions(trains=True, max_answer_length=13), *pieces)["answer_too_long"] == [
        "held",
        "between",
    ]
    assert found(squad, PREDICT, *pieces) == {"question_cut": ["cut"], "passage_without_text": ["blank"]}
    strides = (pieces[0], WindowLengths(24, 18, 8))
    assert found(squad, TRAIN, *strides)["answer_in_no_window"] == ["long", "between"]
    strides = (pieces[0], WindowLengths(24, 10, 8))
    assert found(squad, TRAIN, *strides)["answer_in_no_window"] == ["long"]


@pytest.mark.parametrize("name", ["train-v1.1", "train-v2.0"])
def test_what_training_leaves_out_is_what_is_found(name, pieces):
    path = str(golden(f"tiny/{name}.json"))
    version_2 = "v2" in name
    trained = {
        example.qas_id for example in read_squad_examples(path, True, version_2_with_negative=version_2)
    }
    report = check_data_set(read_data_set(path), TRAIN, *pieces)
    (left_out,) = [finding.questions.ids for finding in report.findings if finding.kind == "left_out"]
    qas = [
        qa["id"]
        for a in read_json(golden(f"tiny/{name}.json"))["data"]
        for p in a["paragraphs"]
        for qa in p["qas"]
    ]
    assert left_out == [qas_id for qas_id in qas if qas_id not in trained]
    assert report.counts["version"] == name[-3:]


def test_files_of_several_are_named(tmp_path):
    import json

    for number, question in enumerate((qa("a"), {"id": "b"})):
        (tmp_path / f"{number}.json").write_text(json.dumps(squad_of(question)))
    report = check_data_set(read_data_set(f"{tmp_path}/*.json"), NEITHER)
    assert report.counts["files"] == 2
    assert report.findings[0].reasons["b"].startswith(f"In the data set {tmp_path}/1.json, question 'b'")
