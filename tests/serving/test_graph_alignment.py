import random
import re

import pytest
import tensorflow as tf

from bert_squad.serving import graph_alignment
from bert_squad.serving.graph_alignment import GraphAlignment
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.text.alignment import project_text
from bert_squad.text.tokenization import FullTokenizer

# Few letters, so that texts repeat themselves, signs that split, an unknown letter; and characters that change in
# length or vanish.
PLAIN = "aab b(.,- \nx"
LENGTHS = "aAe\u0301éİß\u00ad\ufffd\u00a0\u2028中Σ x \u202f"
PIECES = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *"aeb(.,-iσς中ß",
    "ab",
    "##a",
    "##b",
    "##ab",
    "##e",
    "##i",
    "##σ",
    "##ς",
    "##A",
]


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def tokenizers(request, tmp_path_factory):
    vocab = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    vocab.write_text("\n".join([*PIECES, "A", "é", "##é"]), encoding="utf-8")
    tokenizer = FullTokenizer(str(vocab), request.param)
    return tokenizer, GraphTokenizer(tokenizer)


def random_texts(characters, count, longest):
    random_ = random.Random(3)
    return ["".join(random_.choices(characters, k=random_.randint(1, longest))) for _ in range(count)]


def pieces_and_words(tokenizer, text):
    """Return the words, and of each WordPiece its text and its word."""
    words = re.findall("[^ \t\r\n\u202f]+", text)
    pieces = [(piece, number) for number, word in enumerate(words) for piece in tokenizer.tokenize(word)]
    return words, pieces


def predicted_text(pieces):
    return " ".join(" ".join(pieces).replace(" ##", "").replace("##", "").split())


def compare(tokenizers, texts, spans_of):
    """Project spans of WordPieces of each text in the graph, and with `get_final_text`; count the branches."""
    tokenizer, graph_tokenizer = tokenizers
    do_lower_case = tokenizer.basic_tokenizer.do_lower_case
    tokenized = graph_tokenizer.tokenize(tf.constant(texts))
    splits = tokenized.piece_splits.numpy().tolist()
    firsts, lasts, rows, expected, branches = [], [], [], [], set()
    for row, text in enumerate(texts):
        words, pieces = pieces_and_words(tokenizer, text)
        assert len(pieces) == splits[row + 1] - splits[row]
        for first, last in spans_of(len(pieces)):
            own = [piece for piece, _ in pieces[first : last + 1]]
            orig_text = " ".join(words[pieces[first][1] : pieces[last][1] + 1])
            answer, branch = project_text(predicted_text(own), orig_text, do_lower_case)
            firsts.append(splits[row] + first)
            lasts.append(splits[row] + last)
            rows.append(row)
            expected.append(answer)
            branches.add(branch)
    alignment = GraphAlignment(tokenized)
    parts = alignment.project(tf.constant(firsts), tf.constant(lasts))
    got = [text.decode() for text in alignment.read(parts).numpy().tolist()]
    chars = alignment.char_offsets(parts, tf.constant(rows))
    octets = alignment.byte_offsets(parts)
    assert got == expected
    for row, text, char, octet in zip(
        rows,
        got,
        zip(chars.starts.numpy(), chars.ends.numpy(), strict=True),
        zip(octets.starts.numpy(), octets.ends.numpy(), strict=True),
        strict=True,
    ):
        part = texts[row][char[0] : char[1]]
        assert " ".join(re.findall("[^ \t\r\n\u202f]+", part)) == text
        assert texts[row].encode()[octet[0] : octet[1]].decode() == part
    return branches


def every_span(num_pieces):
    return [(first, last) for first in range(num_pieces) for last in range(first, min(first + 6, num_pieces))]


@pytest.mark.parametrize("characters", [PLAIN, LENGTHS], ids=["plain", "lengths"])
def test_random_passages(tokenizers, characters):
    branches = compare(tokenizers, random_texts(characters, 400, 16), every_span)
    assert branches >= {"projected", "not_found"}
    if characters == LENGTHS:
        assert "length_mismatch" in branches


@pytest.mark.parametrize("places", [1, 3])
def test_a_search_in_many_steps(tokenizers, monkeypatch, places):
    """The same with words so long, in comparison, that one look does not do."""
    monkeypatch.setattr(graph_alignment, "_FIRST_PLACES", places)
    monkeypatch.setattr(graph_alignment, "_GROWTH", 2)
    monkeypatch.setattr(graph_alignment, "_MAX_PLACES", 50)
    compare(tokenizers, random_texts("aab(", 60, 30), every_span)


def test_the_first_occurrence_in_the_word_counts(tokenizers):
    _, graph_tokenizer = tokenizers
    tokenized = graph_tokenizer.tokenize(tf.constant(["x(ab,ab)"]))  # x is unknown, then ( ab , ab )
    alignment = GraphAlignment(tokenized)
    parts = alignment.project(tf.constant([4]), tf.constant([4]))
    assert alignment.read(parts).numpy().tolist() == [b"ab"]
    assert alignment.char_offsets(parts, tf.constant([0])).starts.numpy().tolist() == [2]


def test_passages_without_words(tokenizers):
    _, graph_tokenizer = tokenizers
    for texts in ([], [""], ["", " ", "\n"]):
        alignment = GraphAlignment(graph_tokenizer.tokenize(tf.constant(texts, tf.string)))
        nothing = tf.constant([], tf.int32)
        assert alignment.read(alignment.project(nothing, nothing)).shape == (0,)
