import json

import pytest

from bert_squad.answers.metrics import evaluate, format_metrics_table
from bert_squad.answers.metrics_input import check_scorable, read_questions
from bert_squad.errors import DataError

QUESTION = {"id": "q", "answers": [{"text": "cat"}]}
DATA = [{"paragraphs": [{"qas": [QUESTION]}]}]


def message(*arguments, **options):
    with pytest.raises(DataError) as error:
        evaluate(*arguments, **options)
    return str(error.value)


def data_of(qa):
    return [{"paragraphs": [{"qas": [QUESTION, qa]}]}]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ({"questions": []}, "The data set should hold the list 'data'; is this SQuAD data?"),
        (7, "The data set should hold the list 'data'; is this SQuAD data?"),
        ({"data": "x"}, "The data set should hold the list 'data'; is this SQuAD data?"),
        ([[]], "data[0] of the data set should hold the list 'paragraphs'; is this SQuAD data?"),
        ([*DATA, {}], "data[1] of the data set should hold the list 'paragraphs'; is this SQuAD data?"),
        (
            [{"paragraphs": [3]}],
            "A paragraph in data[0] of the data set should hold the list 'qas'; is this SQuAD data?",
        ),
        (
            data_of({"answers": []}),
            "A question in data[0] of the data set should have an 'id'; is this SQuAD data?",
        ),
        (data_of([]), "A question in data[0] of the data set should have an 'id'; is this SQuAD data?"),
        (
            data_of({"id": ["x"]}),
            "A question in data[0] of the data set should have an 'id'; is this SQuAD data?",
        ),
        ([], "The data set holds no questions."),
        ({"data": [{"paragraphs": []}]}, "The data set holds no questions."),
    ],
)
def test_data_that_is_not_squad(dataset, expected):
    assert message(dataset, {"q": "cat"}) == expected


@pytest.mark.parametrize(
    "answers",
    [{}, {"answers": None}, {"answers": {"text": "x"}}, {"answers": ["x"]}, {"answers": [{"text": 1}]}],
)
def test_answers_that_are_none(answers):
    assert message(data_of({"id": "r", **answers}), {"q": "cat"}) == (
        "Question r of the data set should have 'answers', a list of objects with a 'text'."
    )


def test_a_question_without_answers_in_version_1():
    assert message(data_of({"id": "r", "answers": []}), {"q": "cat", "r": "dog"}) == (
        "Question r has no answer to compare with; "
        "unanswerable questions are marked with 'is_impossible' as in SQuAD 2.0."
    )


def test_questions_that_cannot_be_scored_are_all_named():
    unanswered = [{"id": i, "answers": []} for i in range(22)]
    dataset = [{"paragraphs": [{"qas": [QUESTION, *unanswered]}]}]
    named = ", ".join(map(str, range(20)))
    expected = (
        f"Questions {named} and 2 more have no answer to compare with; "
        "unanswerable questions are marked with 'is_impossible' as in SQuAD 2.0."
    )
    assert message(dataset, {"q": "cat"} | {str(i): "dog" for i in range(22)}) == expected
    assert check_scorable(dataset) == expected
    assert check_scorable(read_questions(dataset)) == expected
    assert check_scorable(dataset, is_version_2=True) is None
    assert evaluate(dataset, {"q": "cat"}, {"q": 0.0})["total"] == 1
    for qa in unanswered:
        qa["answers"] = None
    expected = (
        f"Questions {named} and 2 more of the data set dev.json should have 'answers', a list of "
        "objects with a 'text'."
    )
    assert check_scorable(dataset, name="data set dev.json") == expected


def test_a_question_without_answers_or_prediction_scores_nothing_as_in_the_official_script():
    assert evaluate(data_of({"id": "r", "answers": []}), {"q": "cat"}) == {"exact_match": 50.0, "f1": 50.0}


def test_marked_questions_need_no_answers():
    assert check_scorable(data_of({"id": "r", "answers": [], "is_impossible": True})) is None


def test_questions_that_were_read_are_as_good_as_the_data():
    assert evaluate(read_questions(DATA), {"q": "a cat"}) == {"exact_match": 100.0, "f1": 100.0}


@pytest.mark.parametrize("qas_id", [None, True, 1.5, -0.0, 10**400, "\ud800", float("inf")])
def test_ids_of_all_kinds_that_can_be_keys(qas_id):
    predictions = json.loads(json.dumps({qas_id: "dog"}))
    answered = {"id": qas_id, "answers": [{"text": "dog"}]}
    assert evaluate(data_of(answered), {"q": "cat", **predictions}) == {"exact_match": 100.0, "f1": 100.0}


@pytest.mark.parametrize("value", [["cat"], None, 3, [{"text": "cat", "probability": 1.0}]])
def test_predictions_that_are_no_texts(value):
    assert message(DATA, {"q": value}) == (
        "The prediction for question q of the predictions is not a text; give a predictions.json."
    )


def test_predictions_for_other_data_are_not_looked_at():
    assert evaluate(DATA, {"q": "cat", "other": None}) == {"exact_match": 100.0, "f1": 100.0}


@pytest.mark.parametrize("value", ["1.0", None, True, float("nan"), 10**400, -(10**400)])
def test_null_odds_that_are_no_numbers(value):
    assert message(DATA, {"q": "cat"}, {"q": value}) == (
        "The value for question q of the null odds is not a number; give a null_odds.json."
    )


def test_infinite_null_odds_can_be_compared():
    metrics = evaluate(DATA, {"q": "cat"}, {"q": json.loads("1e400")})
    assert (metrics["best_exact"], metrics["best_exact_thresh"]) == (100.0, float("inf"))
    assert format_metrics_table(metrics).splitlines()[-1].endswith("inf")


def test_not_an_object():
    assert message(DATA, [["q", "cat"]]) == "The predictions should be an object with question ids as keys."
    assert message(DATA, {}, 5) == "The null odds should be an object with question ids as keys."


def test_null_odds_that_lack_a_question():
    assert message(DATA, {"q": "cat"}, {"x": 0.0}) == (
        "Question q has a prediction but no null odds; give the null_odds.json of the same run."
    )


def test_predictions_of_other_questions():
    assert message(DATA, {"x": "cat"}, {"x": 0.0}) == (
        "None of the questions has a prediction; do the predictions belong to this data set?"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "Cannot read the {} (No such file or directory)."),
        (b"\xff", "The {} is not UTF-8 text (byte 0)."),
        (b'{"data":\n [}', "The {} is not valid JSON: Expecting value at line 2, column 3."),
        (b"", "The {} is empty."),
        (b"[" * 200_000, "The {} is nested too deeply to be what it should be."),
    ],
)
@pytest.mark.parametrize("what", ["data set", "predictions", "null odds"])
def test_files_that_cannot_be_used(tmp_path, content, expected, what):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    arguments = {"data set": DATA, "predictions": {"q": "cat"}, "null odds": {"q": 0.0}} | {what: path}
    assert message(*arguments.values()) == expected.format(f"{what} {path}")


def test_messages_name_the_file(tmp_path):
    path = tmp_path / "nbest_predictions.json"
    path.write_text(json.dumps({"q": [{"text": "cat"}]}), encoding="utf-8")
    assert message(DATA, str(path)) == (
        f"The prediction for question q of the predictions {path} is not a text; give a predictions.json."
    )


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    path = tmp_path / "dev.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"data": DATA}).encode())
    assert evaluate(path, {"q": "cat"}) == {"exact_match": 100.0, "f1": 100.0}
