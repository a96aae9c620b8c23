import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_squad.data import passages
from bert_squad.data.examples import SquadExample
from bert_squad.data.passages import PassageMemory, TokenizedPassage, narrow_answer
from bert_squad.text.tokenization import FullTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh,", *(f"##{c}" for c in "abcdefgh")])
    )
    return FullTokenizer(str(path))


def test_words_and_pieces_know_each_other(tokenizer):
    passage = TokenizedPassage(["ab", "\u00ad", "c,d", "e"], tokenizer)
    assert passage.tokens == ["a", "##b", "c", ",", "d", "e"]
    assert passage.ids == [4, 14, 6, 12, 7, 8]
    assert passage.tok_to_orig_index == [0, 0, 2, 2, 2, 3]
    assert passage.orig_to_tok_index == [0, 2, 2, 5]


@pytest.mark.parametrize(
    ("start_position", "end_position", "answer", "expected"),
    [
        (0, 0, "ab", (0, 1)),
        (2, 2, "c,d", (2, 4)),
        (2, 2, "d", (4, 4)),  # within the word
        (2, 3, "x", (2, 5)),  # not found: the whole words
        (3, 3, "e", (5, 5)),
        (1, 1, "\u00ad", (2, 1)),  # a word without WordPieces ends before it starts
        (-1, -1, "", (5, -1)),  # white space before the first word
    ],
)
def test_answer_in_pieces(tokenizer, start_position, end_position, answer, expected):
    passage = TokenizedPassage(["ab", "\u00ad", "c,d", "e"], tokenizer)
    example = SquadExample("x", "", passage.doc_tokens, answer, start_position, end_position)
    assert passage.tok_answer(example, tokenizer.tokenize(answer)) == expected


def test_answer_narrows_to_its_own_pieces():
    tokens = ["(", "a", "b", "a", "b", ")"]
    assert narrow_answer(tokens, 0, 5, ["a", "b"]) == (1, 2)
    assert narrow_answer(tokens, 2, 5, ["a", "b"]) == (3, 4)
    assert narrow_answer(tokens, 0, 1, ["a", "b"]) == (0, 1)
    assert narrow_answer(tokens, 3, 4, ["a", "b"]) == (3, 4)
    assert narrow_answer(tokens, 0, 5, []) == (0, 5)
    assert narrow_answer(tokens, 3, 2, ["a"]) == (3, 2)


# As the legacy looks for it: every start with every end, joined text against joined text.
@given(st.lists(st.sampled_from("ab"), max_size=8), st.data())
def test_narrowing_is_that_of_the_plain_search(tokens, data):
    start = data.draw(st.integers(0, len(tokens)))
    end = data.draw(st.integers(start - 1, len(tokens) - 1))
    answer = data.draw(st.lists(st.sampled_from("ab"), max_size=3))
    spans = [(s, e) for s in range(start, end + 1) for e in range(end, s - 1, -1)]
    matches = [(s, e) for s, e in spans if " ".join(tokens[s : e + 1]) == " ".join(answer)]
    expected = [*matches, (start, end)][0]
    assert narrow_answer(tokens, start, end, answer) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "_PLAIN_SEARCH", 0)
        assert narrow_answer(tokens, start, end, answer) == expected


class CountedList(list):
    """Counts the elements that are looked at."""

    looked_at = 0

    def __getitem__(self, place):
        self.looked_at += len(range(*place.indices(len(self)))) if isinstance(place, slice) else 1
        return super().__getitem__(place)

    def __iter__(self):
        for element in super().__iter__():
            self.looked_at += 1
            yield element


@pytest.mark.parametrize("last", ["a", "b"])
def test_narrowing_in_a_long_word_looks_at_each_piece_once(last):
    tokens = CountedList(["a"] * 20_000 + ["b"])
    answer = ["a"] * 5000 + [last]
    expected = (0, 5000) if last == "a" else (15_000, 20_000)
    assert narrow_answer(tokens, 0, 20_000, answer) == expected
    assert tokens.looked_at <= len(tokens)


def test_remembered_passages_are_bounded(tokenizer, monkeypatch):
    monkeypatch.setattr(passages, "_MAX_REMEMBERED_PIECES", 5)
    memory = PassageMemory(tokenizer)
    texts = [["a", "b"], ["c"], ["d", "e"], ["f"], ["abcdefgh"]]
    sizes = []
    for doc_tokens in texts:
        assert memory.tokenized(doc_tokens).doc_tokens is doc_tokens
        sizes.append(len(memory._passages))
    assert sizes == [1, 2, 3, 3, 1]  # of 2, 3, 5, 4 and 8 WordPieces; the last one stays however long it is
    monkeypatch.setattr(passages, "_MAX_REMEMBERED_PASSAGES", 2)
    for doc_tokens in texts[:4]:
        memory.tokenized(doc_tokens)
    assert [passage.doc_tokens for passage in memory._passages.values()] == [["d", "e"], ["f"]]


def test_the_longest_unused_passage_is_forgotten_first(tokenizer, monkeypatch):
    monkeypatch.setattr(passages, "_MAX_REMEMBERED_PASSAGES", 2)
    memory = PassageMemory(tokenizer)
    first, second, third = ["a"], ["b"], ["c"]
    for doc_tokens in (first, second, first, third):
        memory.tokenized(doc_tokens)
    assert [passage.doc_tokens for passage in memory._passages.values()] == [first, third]
