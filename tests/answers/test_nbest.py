import dataclasses
import gzip
import itertools
import json
import weakref

import numpy as np
import pytest
from answers.nbest_goldens import CASES, CRASHED, load
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.legacy_standin import nbest as nested_loops
from bert_squad.answers import grouping, nbest
from bert_squad.answers.candidates import NOWHERE, ranked_candidates
from bert_squad.answers.grouping import QUESTIONS_TOGETHER
from bert_squad.answers.nbest import (
    NbestOptions,
    RawResult,
    compute_predictions,
    predict_examples,
    stream_predictions,
)
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import convert_examples_to_features
from bert_squad.errors import ConfigError, DataError
from bert_squad.text.tokenization import FullTokenizer

EMPTY_V1 = "tiny-empty-v1-gaussdoc-n20-l30-uncased-s64"
EMPTY_V2 = "tiny-empty-v2-gaussdoc-n20-l30-uncased-t0-s64"
WRITTEN = [case for case in CASES if case not in CRASHED]


def dumped(content):
    return json.dumps(content, indent=4) + "\n"


@pytest.mark.parametrize("name", WRITTEN)
def test_golden(name):
    case = load(name)
    answers = compute_predictions(case.examples, case.features, case.results, **case.options)
    assert dumped(answers.predictions) == (case.folder / "predictions.json").read_text("utf-8")
    with gzip.open(case.folder / "nbest_predictions.json.gz", "rt", encoding="utf-8", newline="") as reader:
        assert dumped(answers.nbest) == reader.read()
    if case.options["version_2_with_negative"]:
        assert dumped(answers.null_odds) == (case.folder / "null_odds.json").read_text("utf-8")
    else:
        assert answers.null_odds == {}


def reference(case):
    """The three dicts by nested loops."""
    results = {result.unique_id: result for result in case.results}
    predictions, lists, odds = {}, {}, {}
    for index, example in enumerate(case.examples):
        own = [feature for feature in case.features if feature.example_index == index]
        text, entries, null_odds = nested_loops.answer(example, own, results, case.options)
        predictions[example.qas_id], lists[example.qas_id] = text, entries
        if null_odds is not None:
            odds[example.qas_id] = null_odds
    return predictions, lists, odds


@pytest.mark.parametrize("name", [case for case in WRITTEN if case.startswith("tiny-")])
def test_the_reference_by_nested_loops_gives_the_golden_answers(name):
    case = load(name)
    predictions, lists, odds = reference(case)
    assert dumped(predictions) == (case.folder / "predictions.json").read_text("utf-8")
    with gzip.open(case.folder / "nbest_predictions.json.gz", "rt", encoding="utf-8", newline="") as reader:
        assert dumped(lists) == reader.read()
    if odds:
        assert dumped(odds) == (case.folder / "null_odds.json").read_text("utf-8")


@pytest.mark.parametrize("name", CRASHED)
def test_where_the_legacy_program_crashed(name, warnings):
    case = load(name)
    warnings.clear()  # the conversion says what it cuts
    answers = compute_predictions(case.examples, case.features, case.results, **case.options)
    # All questions: the reference differs from the legacy program in the crash alone.
    assert tuple(answers) == reference(case)

    results = {result.unique_id: result for result in case.results}
    speechless = []
    for index, example in enumerate(case.examples):
        entries = answers.nbest[example.qas_id]
        if any(entry["text"] for entry in entries):
            continue
        own = [results[feature.unique_id] for feature in case.features if feature.example_index == index]
        scores = [float(result.start_logits[0]) + float(result.end_logits[0]) for result in own]
        assert answers.predictions[example.qas_id] == ""
        assert answers.null_odds[example.qas_id] == (min(scores) if scores else 0.0)
        assert [entry["text"] for entry in entries] == [""]
        assert entries[0]["probability"] == 1.0
        hint = "" if own else ", which has no tokens"
        speechless.append(
            f'Question {example.qas_id}: the n-best list holds no text of the passage{hint}; the answer is "".'
        )
    assert speechless
    assert warnings == speechless


def test_a_passage_without_tokens():
    case = load(EMPTY_V1)
    answers = compute_predictions(case.examples, case.features, case.results, **case.options)
    qas_id = case.examples[0].qas_id
    assert answers.predictions[qas_id] == "empty"
    assert answers.nbest[qas_id] == [
        {"text": "empty", "probability": 1.0, "start_logit": 0.0, "end_logit": 0.0}
    ]

    case = load(EMPTY_V2)
    answers = compute_predictions(case.examples, case.features, case.results, **case.options)
    qas_id = case.examples[0].qas_id
    assert answers.predictions[qas_id] == ""
    assert answers.null_odds[qas_id] == 0.0
    assert answers.nbest[qas_id] == [{"text": "", "probability": 1.0, "start_logit": 0.0, "end_logit": 0.0}]


@pytest.mark.parametrize("name", CASES)
def test_one_by_one_equals_all_at_once(name):
    case = load(name)
    answers = compute_predictions(case.examples, case.features, case.results, **case.options)
    streamed = list(
        stream_predictions(case.examples, iter(case.features), iter(case.results), case.nbest_options)
    )
    assert [answer.qas_id for answer in streamed] == [example.qas_id for example in case.examples]
    assert {answer.qas_id: answer.text for answer in streamed} == answers.predictions
    assert {
        answer.qas_id: [entry.to_json() for entry in answer.nbest] for answer in streamed
    } == answers.nbest


# A passage with everything that makes a projection fail, and questions that share it.
PIECES = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "smith",
    "##son",
    "st",
    "##eve",
    "##s",
    "a",
    "##a",
    "b",
    "'",
    "(",
    ")",
    "-",
    ".",
]
WORDS = ["Smithson's", "(Steve)", "a-b", "aaa", "zzz", "\u00ad", "S\u00adteve", "b.", "Stéves", "İ"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join([*PIECES, "i"]) + "\n", encoding="utf-8")
    return FullTokenizer(str(path))


@st.composite
def data_sets(draw, tokenizer):
    examples = [
        SquadExample(f"q{number}", "a b", draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9)))
        for number in range(draw(st.integers(1, 3)))
    ]
    # With 8, the spans do not overlap, and a word may be cut between two.
    doc_stride = draw(st.sampled_from([4, 8]))
    features = list(convert_examples_to_features(examples, tokenizer, 13, doc_stride, 2, False))
    levels = st.sampled_from([-3.0, -0.25, 0.0, 0.1, 0.7, 2.0])
    lists = st.lists(levels, min_size=13, max_size=13)
    results = [
        RawResult(feature.unique_id, np.float32(draw(lists)), np.float32(draw(lists))) for feature in features
    ]
    options = {
        "n_best_size": draw(st.integers(1, 15)),
        "max_answer_length": draw(st.integers(1, 8)),
        "do_lower_case": True,
        "version_2_with_negative": draw(st.booleans()),
        "null_score_diff_threshold": draw(st.sampled_from([0.0, -1.0, 1.0])),
    }
    return examples, features, results, options


@settings(deadline=None)
@given(st.data())
def test_answers_equal_nested_loops(tokenizer, data):
    examples, features, results, options = data.draw(data_sets(tokenizer))
    result_of = {result.unique_id: result for result in results}
    answers = compute_predictions(examples, features, results, **options)
    for index, example in enumerate(examples):
        own = [feature for feature in features if feature.example_index == index]
        text, entries, odds = nested_loops.answer(example, own, result_of, options)
        assert answers.predictions[example.qas_id] == text
        assert answers.nbest[example.qas_id] == entries
        assert answers.null_odds.get(example.qas_id) == odds


@settings(deadline=None)
@given(st.data())
def test_properties_of_an_answer(tokenizer, data):
    examples, features, results, options = data.draw(data_sets(tokenizer))
    size, version_2 = options["n_best_size"], options["version_2_with_negative"]
    for answer in stream_predictions(examples, features, results, NbestOptions(**options)):
        texts = [entry.text for entry in answer.nbest]
        scores = [entry.candidate.start_logit + entry.candidate.end_logit for entry in answer.nbest]
        assert len(set(texts)) == len(texts)
        assert 1 <= len(texts) <= size + version_2
        assert sum(entry.probability for entry in answer.nbest) == pytest.approx(1)
        assert ("" in texts) == version_2
        assert all(one >= two for one, two in itertools.pairwise(scores))
        if not version_2:
            assert answer.text == texts[0]
            assert answer.null_odds is None
        elif answer.text:
            assert answer.text == next(filter(None, texts))
            assert answer.null_odds <= options["null_score_diff_threshold"]


@settings(deadline=None)
@given(st.data())
def test_the_first_entry_has_the_highest_sum_of_all_valid_spans(tokenizer, data):
    examples, features, results, options = data.draw(data_sets(tokenizer))
    options |= {"version_2_with_negative": False, "n_best_size": 13}  # every position is tried
    result_of = {result.unique_id: result for result in results}
    answers = stream_predictions(examples, features, results, NbestOptions(**options))
    for index, answer in enumerate(answers):
        sums = [
            float(result_of[feature.unique_id].start_logits[start])
            + float(result_of[feature.unique_id].end_logits[end])
            for feature in features
            if feature.example_index == index
            for start in feature.token_to_orig_map
            for end in range(start, start + options["max_answer_length"])
            if feature.token_is_max_context[start] and end in feature.token_to_orig_map
        ]
        first = answer.nbest[0].candidate
        assert first.start_logit + first.end_logit == max(sums, default=0.0)


@settings(deadline=None)
@given(st.data())
def test_verbose_logging_changes_no_answer(tokenizer, data):
    # It takes every text through the projection, the ones of whole words too.
    examples, features, results, options = data.draw(data_sets(tokenizer))
    quiet = NbestOptions(**options)
    verbose = dataclasses.replace(quiet, verbose_logging=True)
    assert list(stream_predictions(examples, features, results, quiet)) == list(
        stream_predictions(examples, features, results, verbose)
    )


QUESTION = SquadExample("q", "a b", ["Smithson's", "(Steve)", "b."])


def small_case(tokenizer, *questions):
    """Questions with passages from position 4 on; [CLS] scores 1, the question less, the rest 1 - index / 100."""
    examples = list(questions) or [QUESTION]
    features = list(convert_examples_to_features(examples, tokenizer, 20, 10, 2, False))
    logits = 1 - np.arange(20, dtype=np.float32) / 100
    logits[1:4] = -1
    return examples, features, [RawResult(feature.unique_id, logits, logits) for feature in features]


V1 = {"n_best_size": 3, "max_answer_length": 5, "do_lower_case": True}
V2 = {**V1, "version_2_with_negative": True}


def test_an_entry_knows_its_span(tokenizer):
    examples, features, results = small_case(tokenizer)
    (answer,) = stream_predictions(examples, features, results, NbestOptions(**V2))
    assert features[0].tokens[4:6] == ["smith", "##son"]
    assert [(entry.text, *entry.candidate[:3]) for entry in answer.nbest] == [
        ("", 0, 0, 0),
        ("Smith", 0, 4, 4),
        ("Smithson", 0, 4, 5),
    ]
    for entry in answer.nbest:
        assert entry.candidate.start_logit == float(results[0].start_logits[entry.candidate.start_index])
        assert entry.candidate.end_logit == float(results[0].end_logits[entry.candidate.end_index])


def test_the_passage_is_not_mixed_up_with_the_latest(tokenizer):
    # It is remembered from one question to the next: other words or another case must not meet it.
    case = small_case(tokenizer)
    for _ in range(2):
        assert compute_predictions(*case, **V1).predictions == {"q": "Smith"}
        # Nothing lower-case is found in "Smithson's" as it is: the whole word is the answer.
        assert compute_predictions(*case, **{**V1, "do_lower_case": False}).predictions == {"q": "Smithson's"}
    case[0][0] = dataclasses.replace(QUESTION, doc_tokens=["SMITHSON'S", *QUESTION.doc_tokens[1:]])
    assert compute_predictions(*case, **V1).predictions == {"q": "SMITH"}


def test_words_that_change_in_place_are_read_anew(tokenizer):
    case = small_case(tokenizer, dataclasses.replace(QUESTION, doc_tokens=list(QUESTION.doc_tokens)))
    assert compute_predictions(*case, **V1).predictions == {"q": "Smith"}
    case[0][0].doc_tokens[0] = "SMITHSON'S"
    assert compute_predictions(*case, **V1).predictions == {"q": "SMITH"}


def test_a_window_that_begins_within_a_word_has_its_rest_alone(tokenizer):
    """What stands before is not in the window, so the word cannot be taken whole."""
    example = dataclasses.replace(QUESTION, doc_tokens=["b", "Smithson", "a"])
    features = list(convert_examples_to_features([example], tokenizer, 7, 2, 2, False))
    assert [feature.tokens[4:-1] for feature in features] == [["b", "smith"], ["##son", "a"]]
    low = np.full(7, -5, np.float32)
    at_the_rest = np.where(np.arange(7) == 4, 1, low).astype(np.float32)
    results = [
        RawResult(feature.unique_id, *[logits] * 2)
        for feature, logits in zip(features, (low, at_the_rest), strict=True)
    ]
    assert compute_predictions([example], features, results, **V1).predictions == {"q": "son"}


def test_a_piece_of_two_hashes_leaves_no_white_space(tokenizer):
    """A vocabulary may list it; what is looked for in the passage must not begin with a space."""
    examples, features, results = small_case(tokenizer)
    features[0].tokens[4:6] = ["##", "smith"]
    answers = stream_predictions(examples, features, results, NbestOptions(**V1))
    assert "Smith" in [
        entry.text for answer in answers for entry in answer.nbest if entry.candidate[1:3] == (4, 5)
    ]


def test_verbose_logging_says_of_a_whole_word_too_why_it_is_not_found(tokenizer, infos):
    case = small_case(tokenizer, SquadExample("q", "a b", ["a", "\u2603\u2603", "a"]))
    assert case[1][0].tokens[5] == "[UNK]"
    options = NbestOptions(**{**V1, "n_best_size": 10})
    (quiet,) = stream_predictions(*case, options)
    assert "\u2603\u2603" in [entry.text for entry in quiet.nbest]
    assert infos == []
    assert list(stream_predictions(*case, dataclasses.replace(options, verbose_logging=True))) == [quiet]
    message = (
        "Cannot find the predicted text among the tokens of the passage words: '[UNK]' in '\u2603\u2603'"
    )
    assert infos.count(message) == 1


def test_the_word_empty_stands_nowhere(tokenizer):
    examples, features, _ = small_case(tokenizer)
    question_first = np.where(np.arange(20) < 4, 1, 0).astype(np.float32)
    results = [RawResult(features[0].unique_id, question_first, question_first)]
    (answer,) = stream_predictions(examples, features, results, NbestOptions(**V1))
    assert (answer.text, answer.nbest[0].candidate) == ("empty", NOWHERE)


def test_the_threshold_is_exclusive(tokenizer):
    case = small_case(tokenizer)
    odds = compute_predictions(*case, **V2).null_odds["q"]
    assert compute_predictions(*case, **V2, null_score_diff_threshold=odds).predictions["q"] == "Smith"
    below = np.nextafter(odds, -1)
    assert compute_predictions(*case, **V2, null_score_diff_threshold=below).predictions["q"] == ""


def test_no_answer_is_listed_beyond_n_best_size(tokenizer):
    # LEGACY: the fourth of three.
    examples, features, results = small_case(tokenizer)
    logits = results[0].start_logits.copy()
    logits[0] = 0.9
    results = [RawResult(features[0].unique_id, logits, logits)]
    (answer,) = stream_predictions(examples, features, results, NbestOptions(**V2))
    assert [entry.text for entry in answer.nbest] == ["Smith", "Smithson", "Smithson'", ""]


def test_null_scores_of_a_million_are_not_seen(tokenizer):
    # LEGACY: the score stays 1000000, and the logits of "no answer" are the integer 0.
    examples, features, results = small_case(tokenizer)
    logits = results[0].start_logits.copy()
    logits[0] = 500000
    answers = compute_predictions(
        examples, features, [RawResult(features[0].unique_id, logits, logits)], **V2
    )
    null = next(entry for entry in answers.nbest["q"] if entry["text"] == "")
    assert json.dumps([null["start_logit"], null["end_logit"]]) == "[0, 0]"
    best = answers.nbest["q"][0]
    assert answers.null_odds["q"] == 1000000 - best["start_logit"] - best["end_logit"]

    only_null = compute_predictions(
        examples, features, [RawResult(features[0].unique_id, logits, logits)], **{**V2, "n_best_size": 1}
    )
    assert json.dumps(only_null.null_odds) == '{"q": 1000000.0}'


def test_of_a_repeated_id_the_later_answer_is_kept_at_the_first_place(tokenizer):
    # LEGACY: dict assignment.
    questions = [QUESTION, SquadExample("other", "a b", ["b"]), SquadExample("q", "a b", ["aaa"])]
    answers = compute_predictions(*small_case(tokenizer, *questions), **V2, null_score_diff_threshold=9)
    assert list(answers.predictions.items()) == [("q", "a"), ("other", "b")]
    assert list(answers.nbest) == list(answers.null_odds) == ["q", "other"]
    assert [entry["text"] for entry in answers.nbest["q"]] == ["", "a", "aa"]


@pytest.mark.parametrize("kind", [list, tuple, np.float64, np.float32, np.float16])
def test_logits_of_any_kind(tokenizer, kind):
    examples, features, results = small_case(tokenizer)
    logits = np.float16(results[0].start_logits)  # exact in every kind
    expected = compute_predictions(
        examples, features, [RawResult(features[0].unique_id, np.float32(logits), np.float32(logits))], **V2
    )
    given_logits = kind(logits.tolist())
    answers = compute_predictions(
        examples, features, [RawResult(features[0].unique_id, given_logits, given_logits)], **V2
    )
    assert answers == expected


def test_sums_are_not_compensated(monkeypatch):
    # Python 3.12's sum() would give 1.0 + 2 ** -53 + 2 ** -53 another last bit than the legacy program.
    monkeypatch.setattr(nbest.math, "exp", lambda score: {0.0: 1.0}.get(score, 2.0**-53))
    assert nbest._softmax([5.0, 4.0, 3.0]) == [1.0, 2.0**-53, 2.0**-53]


# Streams


def test_a_stream_holds_what_the_present_questions_need(tokenizer):
    count = 2 * QUESTIONS_TOGETHER + 3
    examples, features, results = small_case(
        tokenizer, *[dataclasses.replace(QUESTION, qas_id=f"q{n}") for n in range(count)]
    )
    taken = {"features": 0, "results": 0}

    def counted(items, name):
        for item in items:
            taken[name] += 1
            yield item

    answers = stream_predictions(
        examples, counted(features, "features"), counted(results, "results"), NbestOptions(**V1)
    )
    assert taken == {"features": 0, "results": 0}
    for number, _ in enumerate(answers):
        present = min(count, (number // QUESTIONS_TOGETHER + 1) * QUESTIONS_TOGETHER)
        assert taken["results"] == present
        assert taken["features"] == min(present + 1, count)


@pytest.mark.parametrize(
    ("features_together", "pairs_together", "most"),
    [(4, 1 << 20, 4), (256, 1200, 3), (2, 1 << 20, 2), (256, 1, 2)],
)
def test_questions_together_are_bounded_by_what_they_hold(
    tokenizer, monkeypatch, features_together, pairs_together, most
):
    """Of questions with two windows each (of 20 x 20 pairs) as many as fit, or one, are answered at a time."""
    long = dataclasses.replace(QUESTION, doc_tokens=QUESTION.doc_tokens * 3)
    examples, features, results = small_case(
        tokenizer, *[dataclasses.replace(long, qas_id=f"q{n}") for n in range(9)]
    )
    per_question = len(features) // len(examples)
    assert per_question > 1
    options = NbestOptions(**{**V1, "n_best_size": 20})
    expected = list(stream_predictions(examples, features, results, options))
    together = []

    def seen(questions, *sizes):
        together.append(sum(len(own) for own, _ in questions))
        return ranked_candidates(questions, *sizes)

    monkeypatch.setattr(nbest, "ranked_candidates", seen)
    monkeypatch.setattr(grouping, "FEATURES_TOGETHER", features_together)
    monkeypatch.setattr(grouping, "PAIRS_TOGETHER", pairs_together)
    assert list(stream_predictions(examples, features, results, options)) == expected
    assert sum(together) == len(features)
    assert max(together) < most + per_question
    result_of = {result.unique_id: result for result in results}
    own = [[f for f in features if f.example_index == index] for index in range(len(examples))]
    together.clear()
    assert list(predict_examples(zip(examples, own, strict=True), result_of, options)) == expected
    assert max(together) < most + per_question


def test_a_stream_lets_go_of_results(tokenizer):
    count = 3 * QUESTIONS_TOGETHER
    questions = [dataclasses.replace(QUESTION, qas_id=f"q{n}") for n in range(count)]
    examples, features, results = small_case(tokenizer, *questions)
    logits, alive = results[0].start_logits, []

    def fresh():
        for feature in features:
            own = logits.copy()
            alive.append(weakref.ref(own))
            yield RawResult(feature.unique_id, own, own)
            del own

    for _ in stream_predictions(examples, features, fresh(), NbestOptions(**V1)):
        assert sum(array() is not None for array in alive) <= QUESTIONS_TOGETHER + 1
    assert len(alive) == count


def test_a_stream_takes_results_in_any_order(tokenizer):
    examples, features, results = small_case(
        tokenizer, *[dataclasses.replace(QUESTION, qas_id=f"q{n}") for n in range(5)]
    )
    results = [result._replace(start_logits=result.start_logits + n) for n, result in enumerate(results)]
    options = NbestOptions(**V1)
    in_order = list(stream_predictions(examples, features, results, options))
    assert list(stream_predictions(examples, features, results[::-1], options)) == in_order
    assert len({answer.nbest[0].candidate.start_logit for answer in in_order}) == 5


def test_a_stream_refuses_features_that_come_too_late(tokenizer):
    examples, features, results = small_case(tokenizer, QUESTION, dataclasses.replace(QUESTION, qas_id="r"))
    with pytest.raises(DataError) as error:
        list(stream_predictions(examples, features[::-1], results, NbestOptions(**V1)))
    assert str(error.value) == (
        "Feature 1000000000 belongs to question number 0, but comes after features of question number 1 (id r); "
        "give the features in the order of the questions."
    )


# Bad input


def compute_all(examples, features, results):
    return compute_predictions(examples, features, results, **V1)


def stream_all(examples, features, results):
    return list(stream_predictions(examples, features, results, NbestOptions(**V1)))


@pytest.mark.parametrize("answer_all", [compute_all, stream_all])
def test_a_missing_result(tokenizer, answer_all):
    examples, features, results = small_case(tokenizer, QUESTION, dataclasses.replace(QUESTION, qas_id="r"))
    with pytest.raises(DataError) as error:
        answer_all(examples, features, results[:1])
    assert str(error.value) == (
        "There is no result for feature 1000000001 of question r; "
        "predict all features of the data set, and with the data set they were made from."
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["start_logits", "end_logits"])
def test_logits_that_are_not_numbers(tokenizer, value, which):
    examples, features, results = small_case(tokenizer)
    logits = results[0].start_logits.copy()
    logits[19] = value
    with pytest.raises(DataError) as error:
        compute_predictions(examples, features, [results[0]._replace(**{which: logits})], **V1)
    assert str(error.value) == (
        "The result for feature 1000000000 of question q holds a NaN or infinity; "
        "check the checkpoint, its training may have diverged."
    )


def test_minus_infinity_masks_a_position(tokenizer):
    examples, features, results = small_case(tokenizer)
    logits = results[0].start_logits.copy()
    logits[:5] = -np.inf  # [CLS], the question and "smith"
    (answer,) = stream_predictions(
        examples, features, [RawResult(1000000000, logits, logits)], NbestOptions(**V1)
    )
    assert answer.nbest[0].candidate[1:3] == (5, 5)


@pytest.mark.parametrize(
    ("start_shape", "end_shape"), [((20,), (19,)), ((1, 20), (1, 20)), ((0,), (0,)), ((), ())]
)
def test_logits_of_another_shape(tokenizer, start_shape, end_shape):
    examples, features, _ = small_case(tokenizer)
    with pytest.raises(DataError) as error:
        compute_predictions(
            examples, features, [RawResult(1000000000, np.zeros(start_shape), np.zeros(end_shape))], **V1
        )
    assert str(error.value) == (
        "The result for feature 1000000000 of question q must be two lists of as many logits as the sequence has "
        f"positions; their shapes are {start_shape} and {end_shape}."
    )


@pytest.mark.parametrize("flag", ["n_best_size", "max_answer_length"])
@pytest.mark.parametrize("value", [0, -1])
def test_options_below_one(flag, value):
    with pytest.raises(ConfigError) as error:
        compute_predictions([], [], [], **{**V1, flag: value})
    assert str(error.value) == f"--{flag} must be at least 1, not {value}."


def test_surplus_results_are_ignored(tokenizer):
    examples, features, results = small_case(tokenizer)
    surplus = [results[0]._replace(unique_id=7), *results]
    assert compute_predictions(examples, features, surplus, **V1) == compute_predictions(
        examples, features, results, **V1
    )


def test_one_question_by_itself(tokenizer):
    examples, features, results = small_case(tokenizer)
    alone = predict_examples(
        [(examples[0], features)], {results[0].unique_id: results[0]}, NbestOptions(**V2)
    )
    assert list(alone) == list(stream_predictions(examples, features, results, NbestOptions(**V2)))
