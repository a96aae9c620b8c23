import functools
import json
import random

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden, golden_cases, golden_input, read_json
from serving.legacy_models import legacy_model, questions_of
from serving.scripted_model import ScriptedModel, assert_offsets_say_the_same, assert_same_answer

from bert_squad.answers.nbest import NbestOptions, RawResult, compute_predictions
from bert_squad.data.doc_spans import cut_doc_spans
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.data.windows import WindowLengths
from bert_squad.serving.graph_alignment import GraphAlignment
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.serving.graph_windows import WindowLayout
from bert_squad.serving.text_model import TextModel
from bert_squad.text.tokenization import FullTokenizer

LENGTHS = ("max_seq_length", "doc_stride", "max_query_length")
CHOICE = ("n_best_size", "max_answer_length", "version_2_with_negative", "null_score_diff_threshold")


@functools.cache
def tokenizers(vocab: str, do_lower_case: bool):
    tokenizer = FullTokenizer(vocab, do_lower_case)
    return tokenizer, GraphTokenizer(tokenizer)


def converted(data, tokenizer, flags):
    examples = read_squad_examples(str(data), False)
    lengths = (flags[name] for name in LENGTHS)
    return examples, list(convert_examples_to_features(examples, tokenizer, *lengths, False))


def python_answers(examples, features, flags, start_logits, end_logits):
    """Return the three files of our Python program, with ids as texts."""
    results = [
        RawResult(feature.unique_id, *logits)
        for feature, *logits in zip(features, start_logits, end_logits, strict=True)
    ]
    options = {name: flags[name] for name in (*CHOICE, "do_lower_case")}
    predictions = compute_predictions(examples, features, results, **options)
    return tuple({str(key): value for key, value in part.items()} for part in predictions)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case.startswith("xq") else ())
        for case in golden_cases("nbest")
    ],
)
def test_answers_of_the_legacy_program_from_the_same_logits(case):
    """All of goldens/nbest, with their ties and extremes; where the legacy program crashed, as ours in Python."""
    folder = golden(f"nbest/{case}")
    flags = read_json(folder / "flags.json")
    data = golden_input(flags["dataset"])
    ids, questions, contexts = questions_of(data)
    stored = np.load(folder / "logits.npz")
    logits = (stored["start_logits"], stored["end_logits"])
    tokenizer, graph_tokenizer = tokenizers(str(golden_input(flags["vocab"])), flags["do_lower_case"])
    if (folder / "crash.txt").exists():
        predictions, nbest, null_odds = python_answers(*converted(data, tokenizer, flags), flags, *logits)
    else:
        predictions = read_json(folder / "predictions.json")
        nbest = read_json(folder / "nbest_predictions.json.gz")
        null_odds = read_json(folder / "null_odds.json") if flags["version_2_with_negative"] else {}

    outputs = ScriptedModel(tokenizer, graph_tokenizer, flags, logits).answer(questions, contexts)
    for row, qas_id in enumerate(ids):
        assert_same_answer(outputs, row, predictions[qas_id], nbest[qas_id], null_odds.get(qas_id))
    assert_offsets_say_the_same(outputs, contexts)


WORDS = [
    "the",
    "the",
    "of",
    "(the",
    "of)",
    "is.",
    "x-x",
    "naïve",
    "İs",
    "\u00ad",
    "中文",
    "\u00a0a",
    "zzz",
    "a" * 201,
]
SPACES = [" ", " ", "  ", "\n", "\u202f", "\t "]


def random_text(random_, longest):
    return "".join(
        random_.choice(WORDS) + random_.choice(SPACES)
        for _ in range(random_.choice([0, 1, longest, longest]))
    )


@pytest.mark.parametrize("seed", range(8))
def test_random_passages_and_logits(seed, tmp_path):
    """Passages that repeat themselves, logits with many ties: answers as those of the Python program."""
    random_ = random.Random(seed)
    do_lower_case = bool(seed % 2)
    flags = {
        "do_lower_case": do_lower_case,
        "max_seq_length": 32,
        "doc_stride": random_.choice([1, 5, 40]),
        "max_query_length": 8,
        "n_best_size": random_.choice([1, 2, 7, 40]),
        "max_answer_length": random_.choice([1, 4, 30]),
        "version_2_with_negative": seed > 3,
        "null_score_diff_threshold": random_.choice([-1.0, 0.0, 1.0]),
    }
    paragraphs = [
        {"context": random_text(random_, 25), "qas": [{"id": f"{i}", "question": random_text(random_, 3)}]}
        for i in range(40)
    ]
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    name = "uncased" if do_lower_case else "cased"
    tokenizer, graph_tokenizer = tokenizers(str(golden(f"tiny/vocab_{name}.txt")), do_lower_case)
    examples, features = converted(data, tokenizer, flags)
    assert len({feature.example_index for feature in features}) < 40, "some passages should have no tokens"
    levels = random_.choice([1, 3, 1000])
    shape = (2, len(features), flags["max_seq_length"])
    logits = np.random.default_rng(seed).integers(-levels, levels + 1, shape).astype(np.float32) / 3

    predictions, nbest, null_odds = python_answers(examples, features, flags, *logits)
    ids, questions, contexts = questions_of(data)
    scripted = ScriptedModel(
        tokenizer, graph_tokenizer, flags, logits, windows_per_step=random_.choice([7, 16])
    )
    outputs = scripted.answer(questions, contexts, batch_size=random_.choice([13, 40]))
    for row, qas_id in enumerate(ids):
        assert_same_answer(outputs, row, predictions[qas_id], nbest[qas_id], null_odds.get(qas_id))
    assert_offsets_say_the_same(outputs, contexts)


def test_many_candidates_with_one_text():
    """Where all candidates but the last one have the same text, all of them have to be read."""
    flags = {
        **dict(zip(LENGTHS, (32, 8, 8), strict=True)),
        **dict(zip(CHOICE, (3, 1, False, 0.0), strict=True)),
    }
    tokenizer, graph_tokenizer = tokenizers(str(golden("tiny/vocab_uncased.txt")), True)
    context = "the " * 2000 + "of"
    spans = cut_doc_spans(2001, max_tokens_for_doc=32 - 1 - 3, doc_stride=8)
    logits = np.full((len(spans), 32), -9.0, np.float32)
    logits[:-1, 14:17] = 0.0  # in the middle, where a WordPiece has most context
    logits[-1, 3 + spans[-1].length - 1] = -1.0
    outputs = ScriptedModel(tokenizer, graph_tokenizer, flags, (logits, logits)).answer(["of"], [context])
    assert outputs["nbest_text"].tolist() == [[b"the", b"of", b""]]
    assert outputs["nbest_start_logit"].tolist() == [[0.0, -1.0, 0.0]]
    assert outputs["nbest_start_char"].tolist() == [[4 * (14 - 3), 8000, -1]]


def test_only_answers_are_read(monkeypatch):
    """Texts of all candidates together are far longer than the passage."""
    read = []

    def counted(self, parts, read_=GraphAlignment.read):
        read.append(len(parts.starts))
        return read_(self, parts)

    monkeypatch.setattr(GraphAlignment, "read", counted)
    flags = {
        **dict(zip(LENGTHS, (32, 8, 8), strict=True)),
        **dict(zip(CHOICE, (32, 32, False, 0.0), strict=True)),
    }
    tokenizer, graph_tokenizer = tokenizers(str(golden("tiny/vocab_uncased.txt")), True)
    spans = cut_doc_spans(500, max_tokens_for_doc=32 - 1 - 3, doc_stride=8)
    logits = np.zeros((len(spans), 32), np.float32)
    outputs = ScriptedModel(tokenizer, graph_tokenizer, flags, (logits, logits)).answer(
        ["of"], ["the " * 500]
    )
    count = int(outputs["nbest_count"][0])
    assert 20 < count <= 28, "one for each length"
    assert read == [count]


@pytest.mark.parametrize("n_best_size", [33, 10_000, 2**31 - 1])
def test_a_list_is_no_longer_than_there_are_candidates(n_best_size):
    flags = {
        **dict(zip(LENGTHS, (32, 8, 8), strict=True)),
        **dict(zip(CHOICE, (n_best_size, 2, False, 0.0), strict=True)),
    }
    tokenizer, graph_tokenizer = tokenizers(str(golden("tiny/vocab_uncased.txt")), True)
    logits = np.zeros((1, 32), np.float32)
    model = ScriptedModel(tokenizer, graph_tokenizer, flags, (logits, logits))
    outputs = model.answer(["of", "of"], ["the of", " "])
    assert outputs["nbest_text"].tolist() == [[b"the", b"the of", b"of"], [b"empty", b"", b""]]
    assert outputs["nbest_count"].tolist() == [3, 1]
    model = ScriptedModel(tokenizer, graph_tokenizer, flags, (logits[:0], logits[:0]))
    assert model.answer(["of"], [" "])["nbest_text"].tolist() == [[b"empty"]]


@functools.cache
def legacy_text_model(version: str, **options):
    """Return the tiny legacy model as a function from strings to answers."""
    legacy = legacy_model(version)
    config = legacy.config
    layout = WindowLayout(
        WindowLengths(*(getattr(config, name) for name in LENGTHS)),
        legacy.tokenizer.vocab["[CLS]"],
        legacy.tokenizer.vocab["[SEP]"],
    )
    chosen = NbestOptions(**{name: getattr(config, name) for name in (*CHOICE, "do_lower_case")})
    model = TextModel(GraphTokenizer(legacy.tokenizer), layout, legacy.model, chosen, **options)
    strings = tf.TensorSpec([None], tf.string)
    return tf.function(model.answer, input_signature=[strings, strings], autograph=False)


def answers(version, questions, contexts, **options):
    outputs = legacy_text_model(version, **options)(
        tf.constant(questions, tf.string), tf.constant(contexts, tf.string)
    )
    return {name: value.numpy() for name, value in outputs.items()}


def assert_close(got, wanted):
    for name, value in wanted.items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_the_legacy_answers_of_the_version_1_model():
    """The version 2 model answers in test_exported_answers.py."""
    folder = legacy_model("v1").folder
    predictions = read_json(folder / "predict_only/predictions.json")
    nbest = read_json(folder / "predict_only/nbest_predictions.json")
    ids, questions, contexts = questions_of(folder / "dev.json")
    outputs = answers("v1", questions, contexts, pads_windows=True)
    for row, qas_id in enumerate(ids):
        assert_same_answer(outputs, row, predictions[qas_id], nbest[qas_id], None)
    assert_offsets_say_the_same(outputs, contexts)
    assert not {"null_score", "null_odds"} & set(outputs)


ODD = [
    ("who ?", ""),
    ("", ""),
    ("", "The quick fox."),
    ("who ?", " \t\r\n\u202f"),
    ("\x00\x01\u200b", "\x00\x01\u200b\ufffd"),
    (b"\xff\xfe", b"\xff\xfe"),
    ("who ?", b"The quick\xff fox \xe4\xb8"),
    ("who ? " * 100, "x"),
    ("\U0001f600", "\U0001f600" * 300),
    ("中文", "中文" * 300),
]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("pads_windows", [True, False])
def test_odd_inputs_have_answers_and_leave_their_neighbours_alone(version, pads_windows):
    _, questions, contexts = (
        column[:6] for column in questions_of(legacy_model(version).folder / "dev.json")
    )
    odd_questions, odd_contexts = (list(column) for column in zip(*ODD, strict=True))
    alone = answers(version, questions, contexts, pads_windows=pads_windows)
    mixed = answers(
        version,
        [*odd_questions[:5], *questions, *odd_questions[5:]],
        [*odd_contexts[:5], *contexts, *odd_contexts[5:]],
        pads_windows=pads_windows,
    )
    assert_close({name: value[5:11] for name, value in mixed.items()}, alone)
    odd = {name: np.concatenate([value[:5], value[11:]]) for name, value in mixed.items()}
    for row, (question, context) in enumerate(ODD):
        one = answers(version, [question], [context], pads_windows=pads_windows)
        assert_close({name: value[row : row + 1] for name, value in odd.items()}, one)
        assert np.isfinite(odd["nbest_probability"][row]).all()
        np.testing.assert_allclose(odd["nbest_probability"][row].sum(), 1.0, atol=1e-5)
    nothing = b"" if version == "v2" else b"empty"
    for row in (0, 1, 3, 4, 5):
        assert odd["answer"][row] == nothing
        assert (odd["start_char"][row], odd["end_char"][row], odd["start_byte"][row]) == (-1, -1, -1)
        assert (odd["score"][row], odd["probability"][row], odd["nbest_count"][row]) == (0.0, 1.0, 1)
        assert bool(odd["is_impossible"][row]) == (version == "v2")
    for row, (_, context) in enumerate(ODD):
        raw = context if isinstance(context, bytes) else context.encode()
        for rank in range(odd["nbest_count"][row]):
            part = raw[slice(*(int(odd[f"nbest_{side}_byte"][row, rank]) for side in ("start", "end")))]
            if odd["nbest_start_byte"][row, rank] >= 0:
                assert part.decode("utf-8", errors="replace") == odd["nbest_text"][row, rank].decode()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_questions(version):
    outputs = answers(version, [], [], pads_windows=True)
    assert {name: len(value) for name, value in outputs.items()} == dict.fromkeys(outputs, 0)


@pytest.mark.parametrize("pads_windows", [True, False])
def test_neither_the_batch_nor_the_step_matters(pads_windows):
    _, questions, contexts = questions_of(legacy_model("v2").folder / "dev.json")
    contexts[3] = " ".join(contexts)  # much longer than the others
    together = answers("v2", questions, contexts, pads_windows=pads_windows)
    if not pads_windows:  # its steps depend on the lengths of the windows
        fewer = answers("v2", questions, contexts, pads_windows=pads_windows, windows_per_step=3)
        assert_close(fewer, together)
    for row in (0, 3, 7):
        alone = answers("v2", questions[row : row + 1], contexts[row : row + 1], pads_windows=pads_windows)
        assert_close(alone, {name: value[row : row + 1] for name, value in together.items()})
