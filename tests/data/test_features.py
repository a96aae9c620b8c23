import gzip
import hashlib
import itertools
import json

import pytest
from absl import logging
from feature_cases import feature_case
from golden_files import golden, golden_cases, golden_input, read_json, read_json_lines
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data import passages
from bert_squad.data.examples import SquadExample, read_squad_examples, shuffle_examples
from bert_squad.data.features import InputFeatures, convert_examples_to_features
from bert_squad.data.windows import WindowLengths, make_windows
from bert_squad.errors import ConfigError, DataError
from bert_squad.text.tokenization import FullTokenizer

CASES = [case for case in golden_cases("features") if not case.startswith("error-")]
LEGACY_NAMES = [
    "unique_id", "example_index", "doc_span_index", "tokens", "token_to_orig_map", "token_is_max_context",
    "input_ids", "input_mask", "segment_ids", "start_position", "end_position", "is_impossible",
]  # fmt: skip


def canonical(feature):
    """The form in which goldens/README.md writes a feature."""
    d = dict(vars(feature))
    for key in ("token_to_orig_map", "token_is_max_context"):
        d[key] = {str(position): value for position, value in d[key].items()}
    return json.dumps(d, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as reader:
        return reader.read().split("\n")[:-1]


@pytest.fixture(scope="module")
def tokenizer_for():
    cache = {}

    def get(flags):
        key = flags["vocab"], flags["do_lower_case"]
        if key not in cache:
            cache[key] = FullTokenizer(str(golden_input(flags["vocab"])), flags["do_lower_case"])
        return cache[key]

    return get


def convert_case(case, tokenizer_for):
    flags, examples, sizes = feature_case(case)
    return convert_examples_to_features(examples, tokenizer_for(flags), *sizes)


@pytest.mark.parametrize("case", CASES)
def test_golden_features(case, tokenizer_for):
    summary = read_json(golden(f"features/{case}/summary.json"))
    features = list(convert_case(case, tokenizer_for))
    assert len(features) == summary["num_features"]
    lines = [canonical(feature) for feature in features]
    if case.startswith("tiny-"):
        assert lines == read_lines(golden(f"features/{case}/features.jsonl.gz"))
    else:
        assert lines[:20] == read_lines(golden(f"features/{case}/first20.jsonl.gz"))
        digests = [hashlib.sha256(line.encode()).hexdigest() for line in lines]
        expected = read_json_lines(golden(f"features/{case}/digests.jsonl.gz"))
        assert digests == [line["sha256"] for line in expected]
        assert [feature.unique_id for feature in features] == [line["unique_id"] for line in expected]
    if "num_features_answer_out_of_span" in summary:
        out_of_span = [f for f in features if f.start_position == f.end_position == 0 and not f.is_impossible]
        assert len(out_of_span) == summary["num_features_answer_out_of_span"]


@pytest.mark.parametrize("case", ["tiny-train-v2-cased-48-8-12"])
def test_golden_features_without_memory(case, tokenizer_for, monkeypatch):
    monkeypatch.setattr(passages, "_MAX_REMEMBERED_PIECES", 0)  # each passage pushes the last one out
    lines = [canonical(feature) for feature in convert_case(case, tokenizer_for)]
    assert lines == read_lines(golden(f"features/{case}/features.jsonl.gz"))


# ---- small examples of our own


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh", *(f"##{c}" for c in "abcdefgh")])
    )
    return FullTokenizer(str(path))


def convert(examples, tokenizer, max_seq_length=12, doc_stride=2, max_query_length=3, is_training=False):
    return convert_examples_to_features(
        examples, tokenizer, max_seq_length, doc_stride, max_query_length, is_training
    )


def test_feature_has_the_legacy_attributes_as_plain_values(tokenizer):
    example = SquadExample("x", "a bb", ["abc", "\u00ad", "d"], "d", 2, 2)
    (feature,) = convert([example], tokenizer, is_training=True)
    assert list(vars(feature)) == LEGACY_NAMES
    assert feature == InputFeatures(
        1_000_000_000, 0, 0,
        ["[CLS]", "a", "b", "##b", "[SEP]", "a", "##b", "##c", "d", "[SEP]"],
        {5: 0, 6: 0, 7: 0, 8: 2},
        {5: True, 6: True, 7: True, 8: True},
        [2, 4, 5, 13, 3, 4, 13, 14, 7, 3, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0],
        8, 8, False,
    )  # fmt: skip
    assert {type(value) for value in feature.token_is_max_context.values()} == {bool}
    assert {type(value) for value in feature.token_to_orig_map.values()} == {int}


def test_conversion_is_lazy(tokenizer):
    read = []

    def examples():
        for number in itertools.count():
            read.append(number)
            yield SquadExample(number, "a", ["b", "c"])

    features = convert(examples(), tokenizer)
    assert read == []
    assert [next(features).example_index for _ in range(3)] == [0, 1, 2]
    assert read == [0, 1, 2]


def test_passage_is_tokenized_once_for_all_its_questions(tokenizer, monkeypatch):
    calls = []
    original = tokenizer.tokenize_words
    monkeypatch.setattr(tokenizer, "tokenize_words", lambda words: calls.append(words) or original(words))
    first, second = ["a", "b"], ["a", "b"]
    examples = [SquadExample(i, "a", words) for i, words in enumerate([first, second, first, second, first])]
    list(convert(examples, tokenizer))
    shared = [words for words in calls if words is first or words is second]
    assert len(shared) == 2


def test_passage_without_pieces_has_no_features(tokenizer):
    examples = [
        SquadExample(0, "a", [], "", 0, 0),
        SquadExample(1, "a", ["\u00ad"], "", 0, 0),
        SquadExample(2, "a", ["b"], "b", 0, 0),
    ]
    (feature,) = convert(examples, tokenizer, is_training=True)
    assert (feature.unique_id, feature.example_index) == (1_000_000_000, 2)


@pytest.mark.parametrize("is_training", [True, False])
def test_losses_are_said_at_the_end(tokenizer, warnings, is_training):
    examples = [
        SquadExample(0, "a b c", ["b"], "b", 0, 0),
        SquadExample(1, "a b", ["b"], "b", 0, 0),
        *(SquadExample(f"q{i}", "a", ["\u00ad"], "", 0, 0) for i in range(21)),
    ]
    features = convert(examples, tokenizer, is_training=is_training, max_query_length=2)
    next(features)
    assert not warnings
    list(features)
    named = ", ".join(f"q{i}" for i in range(20))
    blank = (
        "The passage of 21 questions holds no text, so that nothing is trained on there, though the number of steps "
        f"counts them: {named} and 1 more."
    )
    cut = "Cut 1 question to --max_query_length=2 WordPieces: 0."
    assert warnings == ([blank, cut] if is_training else [cut])


def test_word_without_pieces_ends_before_it_starts(tokenizer):
    (feature,) = convert(
        [SquadExample(0, "a", ["b", "\u00ad", "c"], "\u00ad", 1, 1)], tokenizer, is_training=True
    )
    assert (feature.start_position, feature.end_position) == (4, 3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"doc_stride": 0}, "--doc_stride is 0; it must be at least 1."),
        ({"max_query_length": -1}, "--max_query_length is -1; it must be at least 0."),
    ],
)
def test_senseless_sizes_are_errors_at_once(tokenizer, sizes, message):
    with pytest.raises(ConfigError) as error:
        convert([], tokenizer, **sizes)
    assert str(error.value) == message


def test_no_room_for_the_passage(tokenizer):
    features = convert([SquadExample("x", "a b c", ["d"])], tokenizer, max_seq_length=6)
    with pytest.raises(ConfigError) as error:
        next(features)
    assert str(error.value) == (
        "--max_seq_length 6 leaves no room for the passage beside the 3 WordPieces of question 'x'; "
        "raise it or lower --max_query_length."
    )
    assert len(list(convert([SquadExample("x", "a b c", ["d"])], tokenizer, max_seq_length=7))) == 1


def test_training_needs_answers(tokenizer):
    with pytest.raises(DataError) as error:
        list(convert([SquadExample("x", "a", ["d"])], tokenizer, is_training=True))
    assert str(error.value) == "Question 'x' has no answer position; read the examples with is_training=True."


def test_long_passage_takes_time_in_proportion(tokenizer):
    words = ["abcdefgh"] * 100_000  # 800,000 WordPieces; the legacy looked at every span for every WordPiece
    kept = 0
    for feature in convert([SquadExample("x", "a", words)], tokenizer, 384, 128):
        kept += sum(feature.token_is_max_context.values())
    assert kept == 800_000


# ---- the log


@pytest.fixture
def log_lines(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "debug", lambda text, *arguments: lines.append(text % arguments))
    monkeypatch.setattr(logging, "level_debug", lambda: True)
    return lines


LOG_CASES = [("v1", "log.txt", True), ("v2", "log.txt", True), ("v1", "log_predict_only.txt", False)]


@pytest.mark.parametrize(("version", "log", "is_training"), LOG_CASES)
def test_log_is_the_legacy_log(version, log, is_training, log_lines):
    # The golden log keeps the first two of these dumps.
    folder = f"model/legacy_run/{version}"
    expected = golden(f"{folder}/{log}").read_text(encoding="utf-8").split("\n")
    begin = expected.index("*** Example ***")
    v2 = version == "v2"
    data = golden(f"{folder}/{'train' if is_training else 'dev'}.json")
    examples = read_squad_examples(str(data), is_training, version_2_with_negative=v2)
    if is_training:
        shuffle_examples(examples)
    tokenizer = FullTokenizer(str(golden(f"{folder}/vocab.txt")))
    for _ in itertools.islice(convert(examples, tokenizer, 64, 24, 16, is_training), 2):
        pass
    assert len(log_lines) >= 20
    assert log_lines == expected[begin : begin + len(log_lines)]


def test_log_shows_all_spans_of_the_first_20_examples(tokenizer, log_lines):
    examples = [SquadExample(number, "a", ["abcdefgh"] * 2) for number in range(22)]
    features = list(convert(examples, tokenizer))
    logged = [line for line in log_lines if line.startswith("unique_id: ")]
    assert logged == [f"unique_id: {f.unique_id}" for f in features if f.example_index < 20]
    assert len(logged) > 40


def test_log_costs_nothing_when_it_shows_no_information(tokenizer, log_lines, monkeypatch):
    monkeypatch.setattr(logging, "level_debug", lambda: False)
    list(convert([SquadExample(0, "a", ["b"])], tokenizer))
    assert log_lines == []


# ---- properties

words = st.lists(st.text(alphabet="abh,\u00ad\u00e9", min_size=1, max_size=6), max_size=30)


@given(st.data(), words, st.text(alphabet="ab ,", max_size=12), st.integers(1, 12), st.integers(0, 5))
def test_windows_hold_the_whole_passage(tokenizer, data, doc_tokens, question, doc_stride, max_query_length):
    example = SquadExample("x", question, doc_tokens)
    if doc_tokens:
        example.start_position = data.draw(st.integers(0, len(doc_tokens) - 1))
        example.end_position = data.draw(st.integers(example.start_position, len(doc_tokens) - 1))
        example.orig_answer_text = " ".join(doc_tokens[example.start_position : example.end_position + 1])
    features = list(convert([example], tokenizer, 16, doc_stride, max_query_length, is_training=True))
    passage = [piece for word in doc_tokens for piece in tokenizer.tokenize(word)]
    query = tokenizer.tokenize(question)[:max_query_length]
    seen, best = [], []
    for number, feature in enumerate(features):
        assert (feature.unique_id, feature.doc_span_index) == (1_000_000_000 + number, number)
        assert len(feature.input_ids) == len(feature.input_mask) == len(feature.segment_ids) == 16
        assert tokenizer.convert_ids_to_tokens(feature.input_ids[: sum(feature.input_mask)]) == feature.tokens
        assert feature.tokens[: len(query) + 2] == ["[CLS]", *query, "[SEP]"]
        positions = list(feature.token_to_orig_map)
        assert positions == list(feature.token_is_max_context)
        assert positions == list(range(len(query) + 2, len(feature.tokens) - 1))
        is_last = number == len(features) - 1
        start = len(passage) - len(positions) if is_last else number * min(doc_stride, len(positions))
        assert feature.tokens[len(query) + 2 : -1] == passage[start : start + len(positions)]
        seen += range(start, start + len(positions))
        best += [start + p - positions[0] for p in positions if feature.token_is_max_context[p]]
        if feature.start_position:
            answer = feature.tokens[feature.start_position : feature.end_position + 1]
            assert answer == tokenizer.tokenize(example.orig_answer_text)
    assert set(seen) == set(range(len(passage)))
    assert sorted(best) == list(range(len(passage)))


@given(words, st.text(alphabet="ab ,", max_size=12), st.integers(1, 12))
def test_window_is_a_view_of_its_feature(tokenizer, doc_tokens, question, doc_stride):
    examples = [SquadExample("x", question, doc_tokens)]
    views = make_windows(examples, tokenizer, WindowLengths(14, doc_stride, 4), False)
    features = convert_examples_to_features(examples, tokenizer, 14, doc_stride, 4, False)
    for view, feature in zip(views, features, strict=True):
        for name, value in vars(feature).items():
            assert getattr(view, name) == value
