import json
import time

import pytest
from golden_files import data_file, golden, golden_cases, golden_input, read_json, read_json_lines
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data.examples import (
    SquadExample,
    read_squad_examples,
    shuffle_examples,
    squad_examples,
)
from bert_squad.data.reading_notes import ReadingNotes
from bert_squad.data.sources import read_data_set
from bert_squad.errors import DataError

CASES = golden_cases("features")
COMPLETE_CASES = [case for case in CASES if not case.startswith("error-")]
SKIPPING = "Could not find answer: '%s' vs. '%s' (question %s)"


def read_case(case):
    flags = read_json(golden(f"features/{case}/flags.json"))
    return flags, read_squad_examples(
        str(golden_input(flags["dataset"])),
        flags["is_training"],
        version_2_with_negative=flags["version_2_with_negative"],
    )


@pytest.mark.parametrize("case", COMPLETE_CASES)
def test_golden_examples(case, warnings):
    flags, examples = read_case(case)
    summary = read_json(golden(f"features/{case}/summary.json"))
    assert len(examples) == summary["num_examples"]

    data = read_json(golden_input(flags["dataset"]))["data"]
    qas_ids = [qa["id"] for entry in data for paragraph in entry["paragraphs"] for qa in paragraph["qas"]]
    assert len(qas_ids) == summary["num_questions"]
    kept = {example.qas_id for example in examples}
    assert [qas_id for qas_id in qas_ids if qas_id not in kept] == summary.get("skipped_qas_ids", [])
    skipped = summary.get("skipped_qas_ids", [])
    assert [call[3] for call in warnings.calls if call[0] == SKIPPING] == skipped
    assert len(warnings.calls) == len(skipped) + bool(skipped), "a line each, and one with the total"

    if flags["shuffle_seed"]:
        shuffle_examples(examples)
    if case.startswith("tiny-"):
        expected = read_json_lines(golden(f"features/{case}/examples.jsonl.gz"))
        assert [vars(example) for example in examples] == expected
        assert list(vars(examples[0])) == [
            "qas_id", "question_text", "doc_tokens", "orig_answer_text", "start_position", "end_position",
            "is_impossible",
        ]  # fmt: skip


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("error-")])
def test_golden_errors(case):
    message = read_json(golden(f"features/{case}/summary.json"))["exception"]["message"]
    with pytest.raises(DataError) as error:
        read_case(case)
    assert message in str(error.value)  # more is said than the legacy did


# ---- small files of our own


def qa(qas_id="q1", question="Who?", **more):
    return {"id": qas_id, "question": question, **more}


def answered(qas_id="q1", text="Ann", start=0, **more):
    return qa(qas_id, answers=[{"text": text, "answer_start": start}], **more)


@pytest.fixture
def squad_file(tmp_path):
    path = tmp_path / "set.json"

    def write(content, *qas):
        if isinstance(content, str) and qas:
            content = {"data": [{"paragraphs": [{"context": content, "qas": list(qas)}]}]}
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def error_of(path, is_training=True, **kwargs):
    with pytest.raises(DataError) as error:
        read_squad_examples(path, is_training, **kwargs)
    return str(error.value)


def test_words_split_at_five_characters_only(squad_file):
    path = squad_file("\u202f a\tb\rc\nd\u202fe f\u00a0g\u3000h\x0bi\u2028j ", qa())
    (example,) = read_squad_examples(path, False)
    assert example.doc_tokens == ["a", "b", "c", "d", "e", "f\u00a0g\u3000h\x0bi\u2028j"]


def test_questions_of_a_paragraph_share_its_words(squad_file):
    first, second = read_squad_examples(squad_file("Ann met Bob and Ann", qa("1"), qa("2")), False)
    assert first.doc_tokens is second.doc_tokens
    assert first.doc_tokens[0] is first.doc_tokens[4]


def test_prediction_reads_no_answers(squad_file):
    path = squad_file("Ann ran.", qa(7, answers="none of your business", is_impossible=True))
    assert read_squad_examples(path, False, version_2_with_negative=True) == [
        SquadExample(7, "Who?", ["Ann", "ran."])
    ]


def test_answer_inside_words_takes_whole_words(squad_file):
    path = squad_file("old Annabel  ran", answered(text="nabel  r", start=6))
    with_answer = SquadExample("q1", "Who?", ["old", "Annabel", "ran"], "nabel  r", 1, 2)
    assert read_squad_examples(path, True) == [with_answer]


def test_impossible_question_needs_no_answers(squad_file):
    path = squad_file("Ann ran", qa("1", is_impossible=True), answered("2", is_impossible=False))
    assert read_squad_examples(path, True, version_2_with_negative=True) == [
        SquadExample("1", "Who?", ["Ann", "ran"], "", -1, -1, True),
        SquadExample("2", "Who?", ["Ann", "ran"], "Ann", 0, 0, False),
    ]


def test_answer_that_is_not_there_is_skipped_with_the_legacy_warning(squad_file, warnings):
    path = squad_file(
        "Ann  met Bob\u00a0Lee", answered(1, "met", 0), answered(2, "Bob\u00a0Lee", 9), answered(3)
    )
    assert [example.qas_id for example in read_squad_examples(path, True)] == [3]
    assert warnings == [
        "Could not find answer: 'Ann' vs. 'met' (question 1)",
        "Could not find answer: 'Bob\u00a0Lee' vs. 'Bob Lee' (question 2)",
        f"Left out 2 of 3 questions of {path}, since their answers are not where answer_start says: 1, 2.",
    ]


def test_wrong_offset_inside_the_context_stays(squad_file):
    path = squad_file("Ann met Ann", answered(text="Ann", start=7))  # the space before: word 1 to word 2
    (example,) = read_squad_examples(path, True)
    assert (example.start_position, example.end_position) == (1, 2)


def test_white_space_before_the_first_word_is_position_minus_one(squad_file):
    (example,) = read_squad_examples(squad_file("  Ann", answered(text="", start=1)), True)
    assert (example.start_position, example.end_position) == (-1, -1)


def test_empty_answer_at_the_start_ends_at_the_last_word(squad_file):
    (example,) = read_squad_examples(squad_file("Ann met Bob", answered(text="", start=0)), True)
    assert (example.start_position, example.end_position) == (0, 2)


def test_byte_order_mark_is_no_harm(squad_file):
    path = squad_file("\ufeff" + json.dumps({"data": []}))
    assert read_squad_examples(path, True) == []


def test_duplicate_ids_are_named_and_kept(squad_file, warnings):
    path = squad_file("Ann", qa("a"), qa("b"), qa("a"), qa(3), qa(3), qa("3"))
    assert [example.qas_id for example in read_squad_examples(path, False)] == ["a", "b", "a", 3, 3, "3"]
    ((text, *arguments),) = warnings.calls
    assert text % tuple(arguments) == (
        f"Question ids that occur more than once in {path}: a, 3. "
        "Of such questions, the answer to the last is kept."
    )


def test_many_duplicate_ids_are_counted(squad_file, warnings):
    path = squad_file("Ann", *[qa(i) for i in [*range(25), *range(25)]])
    read_squad_examples(path, False)
    assert f"{', '.join(map(str, range(20)))} and 5 more" == str(warnings.calls[0][2])


PLACE = "data[0].paragraphs[0].qas[0]"


def test_missing_file(tmp_path):
    path = str(tmp_path / "none.json")
    assert error_of(path) == (
        f"Cannot read the data set {path} (No such file or directory); check --train_file and --predict_file."
    )


def test_malformed_json_is_located(squad_file):
    path = squad_file('{"data": [\n  {"paragraphs": [}]}')
    assert error_of(path) == (f"The data set {path} is not valid JSON: Expecting value at line 2, column 19.")


def test_deeply_nested_json(squad_file):
    path = squad_file("[" * 100_000)
    assert error_of(path) == f"The data set {path} is nested too deeply to be what it should be."


def test_other_encoding(tmp_path):
    path = tmp_path / "set.json"
    path.write_bytes(b'{"data": "\xe9"}')
    assert error_of(str(path)) == f"The data set {path} is not UTF-8 text (byte 10)."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the file should be an object that holds 'data', not a list."),
        ({"version": "1.1"}, "the file has no 'data'."),
        ({"data": {}}, "'data' of the file should be a list, not an object."),
        ({"data": [None]}, "data[0] should be an object that holds 'paragraphs', not null."),
        ({"data": [{"title": "x"}]}, "data[0] has no 'paragraphs'."),
        (
            {"data": [{"paragraphs": []}, {"paragraphs": [{"qas": []}]}]},
            "data[1].paragraphs[0] has no 'context'.",
        ),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, "data[0].paragraphs[0] has no 'qas'."),
        (
            {"data": [{"paragraphs": [{"context": 1.5, "qas": []}]}]},
            "'context' of data[0].paragraphs[0] should be a string, not a number with a fraction.",
        ),
    ],
)
def test_wrong_structure_is_located(squad_file, content, message):
    path = squad_file(content)
    assert error_of(path, False) == f"In the data set {path}, {message}"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"question": "x"}, f"{PLACE} has no 'id'."),
        (qa(["x"]), f"'id' of {PLACE} should be a string, not a list."),
        ({"id": 5}, f"question 5 ({PLACE}) has no 'question'."),
        (qa("x", None), f"'question' of question 'x' ({PLACE}) should be a string, not null."),
        (qa("x"), f"question 'x' ({PLACE}) has no 'answers'."),
        (
            qa("x", answers=[]),
            f"question 'x' ({PLACE}) has 0 answers. For training, each question should have exactly 1 answer. "
            "Add it, or take the question out.",
        ),
        (
            qa("x", answers=[], is_impossible=True),
            f"question 'x' ({PLACE}) has 0 answers. For training, each question should have exactly 1 answer. "
            "It is marked is_impossible: train with --version_2_with_negative.",
        ),
        (
            qa("x", answers=[{}, {}]),
            f"question 'x' ({PLACE}) has 2 answers. For training, each question should have exactly 1 answer. "
            "Keep one of them.",
        ),
        (
            qa("x", answers=["Ann"]),
            f"the answer of question 'x' ({PLACE}) should be an object that holds 'text', not a string.",
        ),
        (qa("x", answers=[{"text": "Ann"}]), f"the answer of question 'x' ({PLACE}) has no 'answer_start'."),
        (
            answered("x", start="0"),
            f"'answer_start' of the answer of question 'x' ({PLACE}) should be an integer, not a string.",
        ),
        (
            answered("x", "Ann", 6),
            f"the answer of question 'x' ({PLACE}) lies outside its context: characters 6 to 9 of 8. "
            "Correct its answer_start.",
        ),
        (
            answered("x", "", 8),
            f"the answer of question 'x' ({PLACE}) lies outside its context: characters 8 to 8 of 8. "
            "Correct its answer_start.",
        ),
        (
            answered("x", "Ann", -9),
            f"the answer of question 'x' ({PLACE}) lies outside its context: characters -9 to -6 of 8. "
            "Correct its answer_start.",
        ),
        (
            answered("x", "", -8),
            f"the answer of question 'x' ({PLACE}) lies outside its context: characters -8 to -8 of 8. "
            "Correct its answer_start.",
        ),
        (
            answered("x", start=0.0),
            f"'answer_start' of the answer of question 'x' ({PLACE}) should be an integer, not a number with a "
            "fraction.",
        ),
    ],
)
def test_bad_training_question_is_named(squad_file, question, message):
    path = squad_file("Ann ran.", question)
    assert error_of(path) == f"In the data set {path}, {message}"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            answered("x"),
            f"question 'x' ({PLACE}) has no 'is_impossible'. "
            "If this is SQuAD 1.1, train without --version_2_with_negative.",
        ),
        (
            answered("x", is_impossible="false"),
            f"'is_impossible' of question 'x' ({PLACE}) should be true or false, not a string.",
        ),
    ],
)
def test_bad_is_impossible_is_named(squad_file, question, message):
    path = squad_file("Ann ran.", question)
    assert error_of(path, version_2_with_negative=True) == f"In the data set {path}, {message}"
    assert len(read_squad_examples(path, True)) == 1  # not asked for in version 1.1


def test_all_unusable_questions_are_named_in_one_error(squad_file):
    bad = [answered(f"b{i}", start=100) for i in range(21)] + [qa("none"), qa("two", answers=[{}, {}]), "x"]
    path = squad_file("Ann ran.", answered("good"), *bad)
    named = ", ".join(f"b{i}" for i in range(20))
    assert error_of(path) == (
        f"In the data set {path}, the answer of question 'b0' (data[0].paragraphs[0].qas[1]) lies outside its "
        "context: characters 100 to 103 of 8. Correct its answer_start. So it is, in this way or another, with 24 of "
        f"25 questions: {named} and 4 more."
    )


def test_a_negative_offset_counts_from_the_end_as_in_the_legacy_script(squad_file, warnings):
    path = squad_file(
        "Ann met Bob",
        answered("aligned", "met", 4),
        answered("not aligned", "Ann", -1),  # ends at character 1, before it starts
        answered("at the end", "Bob", -3),
        answered("in the middle", "met", -7),
        answered("nothing", "", -1),
        answered("true", "nn", True),
    )
    examples = read_squad_examples(path, True)
    assert [(e.qas_id, e.start_position, e.end_position) for e in examples] == [
        ("aligned", 1, 1),
        ("at the end", 2, 2),
        ("in the middle", 1, 1),
        ("nothing", 2, 2),
        ("true", 0, 0),
    ]
    assert warnings == [
        "Could not find answer: '' vs. 'Ann' (question not aligned)",
        f"answer_start is below 0 in 4 of 6 questions of {path}: not aligned, at the end, in the middle, nothing. As "
        "in the legacy script it counts from the end of the passage; where the answer is not there, the question is "
        "left out.",
        f"Left out 1 of 6 questions of {path}, since their answers are not where answer_start says: not aligned.",
    ]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (None, False),
        ("", False),
        (0.0, False),
        ([], False),
        (1.0, True),
        ("True", True),
        ([0], True),
        ({}, False),
    ],
)
def test_is_impossible_is_read_as_in_the_legacy_script(squad_file, warnings, value, meaning):
    path = squad_file("Ann ran", answered("x", is_impossible=value), answered("y", is_impossible=True))
    examples = read_squad_examples(path, True, version_2_with_negative=True)
    assert [example.is_impossible for example in examples] == [meaning, True]
    assert type(examples[0].is_impossible) is bool
    assert warnings == [
        f"is_impossible is neither true nor false in 1 of 2 questions of {path}: x. As in the legacy script, null, 0 "
        "and what is empty mean false, all else true."
    ]


def test_is_impossible_as_a_number_needs_no_word(squad_file, warnings):
    path = squad_file("Ann ran", answered(1, is_impossible=0), answered(2, is_impossible=1))
    examples = read_squad_examples(path, True, version_2_with_negative=True)
    assert [example.is_impossible for example in examples] == [False, True]
    assert not warnings.calls


@pytest.mark.parametrize("is_training", [False, True])
def test_ids_of_all_kinds_that_can_be_keys(squad_file, is_training):
    ids = [None, True, 1.5, -0.0, 10**400, "\ud800", "", float("inf")]
    examples = read_squad_examples(squad_file("Ann ran", *map(answered, ids)), is_training)
    assert [example.qas_id for example in examples] == ids


def test_left_out_questions_are_handed_over(squad_file):
    path = squad_file("Ann met Bob", *[answered(i, "met", 0) for i in range(22)], answered("good"))
    notes = ReadingNotes()
    assert len(squad_examples(read_data_set(path).squad, path, True, notes=notes)) == 1
    named = ", ".join(map(str, range(20)))
    assert notes.loss_note() == (
        f" (22 were left out, since their answers are not where answer_start says: {named} and 2 more)"
    )
    assert ReadingNotes().loss_note() == ""


def test_spaces_that_run_from_the_end_to_the_beginning_are_left_out(squad_file):
    assert read_squad_examples(squad_file("Ann met Bob", answered("x", "  ", -1)), True) == []


# The legacy way: one character after the other, an offset for each.
def plain_words(context):
    doc_tokens, char_to_word_offset, after_space = [], [], True
    for character in context:
        if character in " \t\r\n\u202f":
            after_space = True
        else:
            if after_space:
                doc_tokens.append("")
            doc_tokens[-1] += character
            after_space = False
        char_to_word_offset.append(len(doc_tokens) - 1)
    return doc_tokens, char_to_word_offset


def plain_answer(context, answer_text, answer_start):
    """What the legacy program makes of an answer: its positions, None if it leaves the question out."""
    doc_tokens, char_to_word_offset = plain_words(context)
    start = char_to_word_offset[answer_start]
    end = char_to_word_offset[answer_start + len(answer_text) - 1]
    actual = " ".join(doc_tokens[start : end + 1])
    if start > end + 1:
        return None  # differs: spaces that run round, with labels outside of the window
    return None if actual.find(" ".join(answer_text.split())) == -1 else (start, end)


@given(
    st.text(alphabet="ab \n\u00a0", max_size=9),
    st.text(alphabet="ab \u00a0", max_size=4),
    st.integers(-11, 11),
)
def test_any_offset_gives_what_the_legacy_program_gives(tmp_path_factory, context, answer_text, start):
    path = tmp_path_factory.mktemp("set") / "set.json"
    question = answered("x", answer_text, start)
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]}))
    try:
        expected = plain_answer(context, answer_text, start)
    except IndexError:
        assert "lies outside its context" in error_of(str(path))
    else:
        trained = read_squad_examples(str(path), True)
        assert [(e.start_position, e.end_position) for e in trained] == ([expected] if expected else [])


@given(st.text(alphabet="ab \n\u202f\u00a0", min_size=1, max_size=12), st.data())
def test_positions_are_those_of_the_characters(tmp_path_factory, context, data):
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start, len(context)))
    path = tmp_path_factory.mktemp("set") / "set.json"
    question = answered("x", context[start:end], start)
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]}))
    doc_tokens, char_to_word_offset = plain_words(context)
    (predicted,) = read_squad_examples(str(path), False)
    assert predicted.doc_tokens == doc_tokens
    expected = (char_to_word_offset[start], char_to_word_offset[end - 1])
    cleaned = " ".join(context[start:end].split())
    found = " ".join(doc_tokens[expected[0] : expected[1] + 1]).find(cleaned) != -1
    trained = read_squad_examples(str(path), True)
    assert [(e.start_position, e.end_position) for e in trained] == ([expected] if found else [])


def test_reading_takes_time_in_proportion_to_the_text(squad_file):
    context = "word " * 200_000  # the legacy, one character after the other, was slow here but not quadratic
    started = time.process_time()
    read_squad_examples(squad_file(context, *[answered(i, "word", 5 * i) for i in range(200)]), True)
    assert time.process_time() - started < 5


def test_real_set_reads_whole():
    examples = read_squad_examples(str(data_file("policyqa-train.json")), True)
    assert len(examples) == 4152
