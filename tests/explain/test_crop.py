"""Which words of a window are drawn."""

from explain.small_questions import CONTEXT, NUM_PREFIX, explained

from bert_squad.explain.crop import columns_of, words_of

A = NUM_PREFIX
BEST = [(0, "start", A + 1, 6.0), (0, "end", A + 2, 5.0)]


def texts(columns):
    return [column.word.text if column.word else None for column in columns]


def test_pieces_make_words(tmp_path):
    facts = explained(tmp_path, context="a bs c .")
    assert [(word.first - A, word.last - A, word.text) for word in words_of(facts.windows[0])] == [
        (0, 0, "a"),
        (1, 2, "bs"),
        (3, 3, "c"),
        (4, 4, "."),
    ]


def test_few_words_are_all_drawn(tmp_path):
    facts = explained(tmp_path, BEST)
    assert texts(columns_of(facts, facts.windows[0])) == CONTEXT.split()[:10]


def test_of_many_words_those_that_matter_are_drawn(tmp_path):
    best = [(0, which, A, 6.0) for which in ("start", "end")]  # the next best are "a b" and "a b c"
    facts = explained(tmp_path, [*best, (0, "start", A + 9, 4.0)])
    assert texts(columns_of(facts, facts.windows[0], most=5)) == [*"abcde", None]
    assert texts(columns_of(facts, facts.windows[0], most=8)) == [*"abcde", None, *"hij"]


def test_the_right_answer_is_drawn_first(tmp_path):
    facts = explained(tmp_path, BEST, answer="i")
    assert texts(columns_of(facts, facts.windows[0], most=4)) == [None, *"ghij"]
