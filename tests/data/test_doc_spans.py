import itertools

from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data.doc_spans import DocSpan, cut_doc_spans, max_context_span_indexes

lengths = st.integers(0, 120)
sizes = st.integers(1, 40)


def test_short_passage_is_one_span():
    assert cut_doc_spans(7, 7, 3) == [DocSpan(0, 7)]
    assert max_context_span_indexes([DocSpan(0, 7)]).tolist() == [0] * 7


def test_empty_passage_has_no_span():
    assert cut_doc_spans(0, 7, 3) == []
    assert max_context_span_indexes([]).tolist() == []


def test_last_span_ends_with_the_passage_and_may_be_short():
    assert cut_doc_spans(9, 4, 4) == [DocSpan(0, 4), DocSpan(4, 4), DocSpan(8, 1)]
    assert cut_doc_spans(8, 4, 2) == [DocSpan(0, 4), DocSpan(2, 4), DocSpan(4, 4)]


def test_stride_longer_than_a_span_leaves_nothing_out():
    assert cut_doc_spans(9, 4, 100) == cut_doc_spans(9, 4, 4)


def test_first_of_equal_contexts_wins():
    # Token 3 has two tokens to its right in the first span and two to its left in the second.
    spans = cut_doc_spans(7, 6, 1)
    assert spans == [DocSpan(0, 6), DocSpan(1, 6)]
    assert max_context_span_indexes(spans).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert max_context_span_indexes([DocSpan(0, 3), DocSpan(0, 3)]).tolist() == [0, 0, 0]


def test_length_of_the_span_counts_a_hundredth():
    # Token 250 has 49 tokens to its right in the first span, which is worth 49 + 3.00, and 50 to its left in the
    # second, worth 50 + 1.50: the first wins, though by context alone the second would. Token 251: 48 against 51.
    best = max_context_span_indexes([DocSpan(0, 300), DocSpan(200, 150)])
    assert best[249:253].tolist() == [0, 0, 1, 1]


@given(lengths, sizes, sizes)
def test_spans_cover_every_token_in_order(num_tokens, max_tokens_for_doc, doc_stride):
    spans = cut_doc_spans(num_tokens, max_tokens_for_doc, doc_stride)
    covered = set()
    for span in spans:
        assert 1 <= span.length <= max_tokens_for_doc
        covered.update(range(span.start, span.start + span.length))
    assert covered == set(range(num_tokens))
    starts = [span.start for span in spans]
    assert all(b - a == min(doc_stride, max_tokens_for_doc) for a, b in itertools.pairwise(starts))
    ends = [span.start + span.length for span in spans]
    assert sorted(set(ends)) == ends, "no span lies within another"


@given(lengths, sizes, sizes)
def test_each_token_has_one_span_of_most_context(num_tokens, max_tokens_for_doc, doc_stride):
    spans = cut_doc_spans(num_tokens, max_tokens_for_doc, doc_stride)
    best = max_context_span_indexes(spans)
    assert len(best) == num_tokens
    for position in range(num_tokens):
        scores = {}
        for index, span in enumerate(spans):
            left, right = position - span.start, span.start + span.length - 1 - position
            if left >= 0 and right >= 0:
                scores[index] = min(left, right) + 0.01 * span.length
        assert best[position] == min(scores, key=lambda index: (-scores[index], index))
