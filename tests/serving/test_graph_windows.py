import random

import numpy as np
import pytest
import tensorflow as tf
from golden_files import data_file, golden
from serving.legacy_models import questions_of
from serving.test_graph_tokenizer import tokenizers

from bert_squad.data.doc_spans import cut_doc_spans, max_context_span_indexes
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.windows import WindowLengths, make_windows
from bert_squad.serving.graph_windows import WindowLayout, is_max_context
from bert_squad.text.tokenization import FullTokenizer

FEATURES = ("input_ids", "input_mask", "segment_ids")
BATCH = 200


def assert_same_windows(data, vocab, do_lower_case, *lengths):
    """Compare all windows of a data set, and where each WordPiece has most context."""
    tokenizer, tokenize = tokenizers(str(vocab), do_lower_case)
    layout = WindowLayout(WindowLengths(*lengths), tokenizer.vocab["[CLS]"], tokenizer.vocab["[SEP]"])
    examples = read_squad_examples(str(data), is_training=False)
    expected = make_windows(examples, tokenizer, layout.lengths, is_training=False)
    _, questions, contexts = questions_of(data)
    count = 0
    for begin in range(0, len(questions), BATCH):
        texts = tokenize(tf.constant(contexts[begin : begin + BATCH] + questions[begin : begin + BATCH]))
        windows = layout.cut(texts.piece_splits)
        features = layout.features(windows, texts.piece_ids, layout.lengths.max_seq_length)
        rows = {name: features[name].numpy().tolist() for name in FEATURES}
        span_starts, prefix_lengths = windows.span_start.numpy(), windows.prefix_length.numpy()
        span_lengths = windows.span_length.numpy()
        offsets = np.arange(span_lengths.max(initial=0))
        best = is_max_context(windows, tf.constant(span_starts[:, None] + offsets, tf.int32)).numpy()
        for number, row in enumerate(windows.row.numpy().tolist()):
            wanted = next(expected)
            assert wanted.example_index == begin + row
            assert wanted.doc_span_index == windows.index.numpy()[number]
            for name in FEATURES:
                assert rows[name][number] == getattr(wanted, name), (wanted.unique_id, name)
            assert (
                dict(
                    zip(
                        range(prefix_lengths[number], prefix_lengths[number] + span_lengths[number]),
                        best[number, : span_lengths[number]].tolist(),
                        strict=True,
                    )
                )
                == wanted.token_is_max_context
            )
            assert wanted.input_mask.count(1) == windows.length.numpy()[number]
            count += 1
    assert next(expected, None) is None
    return count


@pytest.mark.parametrize(
    ("do_lower_case", "lengths"),
    [
        (True, (64, 16, 16)),
        (True, (48, 8, 12)),
        (True, (384, 128, 64)),
        (True, (20, 1, 8)),
        (True, (16, 3, 0)),
        (False, (64, 64, 16)),
        (False, (64, 1000, 16)),
    ],
)
def test_tiny_data(do_lower_case, lengths):
    name = "uncased" if do_lower_case else "cased"
    count = assert_same_windows(
        golden("tiny/dev-v2.0.json"), golden(f"tiny/vocab_{name}.txt"), do_lower_case, *lengths
    )
    assert count >= 70


def test_a_passage_without_tokens_has_no_windows():
    data = golden("tiny/dev-empty-context-v1.1.json")
    num_examples = len(questions_of(data)[0])
    count = assert_same_windows(data, golden("tiny/vocab_uncased.txt"), True, 384, 128, 64)
    assert 0 < count < num_examples


def test_no_questions():
    layout = WindowLayout(WindowLengths(64, 16, 16), 1, 2)
    windows = layout.cut(tf.constant([0]))
    assert windows.row.shape == (0,)
    assert layout.features(windows, tf.constant([], tf.int32), 64)["input_ids"].shape == (0, 64)


@pytest.mark.parametrize("language", ["zh", "ar", "es"])
def test_every_window_of_xquad_with_the_multilingual_vocabulary(language):
    vocab = data_file("vocab-multilingual-cased.txt")
    assert assert_same_windows(data_file(f"xquad.{language}.json"), vocab, False, 256, 128, 64) > 1190


def test_every_window_of_english_xquad():
    assert (
        assert_same_windows(data_file("xquad.en.json"), data_file("vocab-uncased.txt"), True, 384, 128, 64)
        > 1190
    )


def test_a_question_is_cut():
    tokenizer = FullTokenizer(str(golden("tiny/vocab_uncased.txt")), True)
    long_question = tf.constant([0, 5, 5 + 40])  # a passage of 5 WordPieces, a question of 40
    layout = WindowLayout(WindowLengths(64, 16, 16), tokenizer.vocab["[CLS]"], tokenizer.vocab["[SEP]"])
    assert layout.cut(long_question).query_length.numpy().tolist() == [16]


@pytest.mark.parametrize("seed", range(4))
def test_most_context_whatever_the_step_and_the_last_window(seed):
    """Each WordPiece of each window, beside the Python loop: short last windows, steps of 1, of a window, beyond."""
    random_ = random.Random(seed)
    for _ in range(60):
        room = random_.randint(1, 40)
        step, doc_length = random_.randint(1, room + 3), random_.randint(1, 150)
        spans = cut_doc_spans(doc_length, room, step)
        best = max_context_span_indexes(spans)
        layout = WindowLayout(WindowLengths(room + 3, step, 0), 1, 2)
        windows = layout.cut(tf.constant([0, doc_length, doc_length]))
        assert windows.span_start.numpy().tolist() == [span.start for span in spans]
        assert set(windows.last_index.numpy().tolist()) == {len(spans) - 1}
        offsets = np.arange(room)
        got = is_max_context(windows, tf.constant(windows.span_start.numpy()[:, None] + offsets, tf.int32))
        for number, span in enumerate(spans):
            wanted = best[span.start : span.start + span.length] == number
            assert got[number, : span.length].numpy().tolist() == wanted.tolist(), (room, step, doc_length)


def test_most_context_takes_no_more_when_windows_overlap_more():
    """With a step of 1, some 700 windows hold each WordPiece; a few of them are looked at."""

    @tf.function(autograph=False)
    def best(splits, positions):
        windows = WindowLayout(WindowLengths(384, 1, 0), 1, 2).cut(splits)
        return is_max_context(windows, positions + tf.zeros_like(windows.row)[:, tf.newaxis])

    graph = best.get_concrete_function(tf.TensorSpec([3], tf.int32), tf.TensorSpec([1, 20], tf.int32)).graph
    last = {
        tensor.shape[-1]
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank == 3
    }
    assert last == {1, 5}
