import functools
import itertools
import random

import pytest
import tensorflow as tf
from golden_files import data_file, golden, read_json_lines

from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.text.tokenization import FullTokenizer

GOLDENS = {
    "uncased": ("vocab-uncased.txt", True),
    "cased": ("vocab-multilingual-cased.txt", False),
    "cased_on_uncased": ("vocab-uncased.txt", False),
}


@functools.cache
def tokenizers(vocab: str, do_lower_case: bool):
    """Return a tokenizer and the same in a graph."""
    tokenizer = FullTokenizer(vocab, do_lower_case)
    spec = tf.TensorSpec([None], tf.string)
    graph_tokenizer = GraphTokenizer(tokenizer)
    return tokenizer, tf.function(graph_tokenizer.tokenize, input_signature=[spec], autograph=False)


def tiny(do_lower_case: bool):
    name = "uncased" if do_lower_case else "cased"
    return tokenizers(str(golden(f"tiny/vocab_{name}.txt")), do_lower_case)


def graph_ids(tokenize, texts) -> list[list[int]]:
    tokenized = tokenize(tf.constant(texts, tf.string))
    ids, splits = tokenized.piece_ids.numpy().tolist(), tokenized.piece_splits.numpy().tolist()
    return [ids[begin:end] for begin, end in itertools.pairwise(splits)]


def assert_same(pair, texts):
    tokenizer, tokenize = pair
    expected = [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in texts]
    for text, got, wanted in zip(texts, graph_ids(tokenize, texts), expected, strict=True):
        assert got == wanted, repr(text)


@pytest.mark.parametrize("name", GOLDENS)
def test_every_golden_string(name):
    vocab, do_lower_case = GOLDENS[name]
    _, tokenize = tokenizers(str(data_file(vocab)), do_lower_case)
    lines = read_json_lines(golden(f"tokenization/{name}.jsonl"))
    assert len(lines) == 357
    together = graph_ids(tokenize, [line["text"] for line in lines])
    for line, ids in zip(lines, together, strict=True):
        assert ids == line["ids"], line["text"]
        assert graph_ids(tokenize, [line["text"]]) == [line["ids"]], "alone as in company"


def around(code: int) -> str:
    """Show a character within a word, and before and behind a Σ."""
    character = chr(code)
    return f"a{character}b Σ{character}Σ A{character}Σ"


@pytest.mark.parametrize("do_lower_case", [False, True])
@pytest.mark.parametrize("first", [0, 0x1000, 0x2000, 0x3000, 0xF900, 0x1D000])
def test_characters_of_the_busiest_blocks(do_lower_case, first):
    assert_same(tiny(do_lower_case), [around(code) for code in range(first, first + 0x700)])


@pytest.mark.slow
@pytest.mark.parametrize("do_lower_case", [False, True])
def test_every_code_point(do_lower_case):
    vocab = "vocab-uncased.txt" if do_lower_case else "vocab-multilingual-cased.txt"
    pair = tokenizers(str(data_file(vocab)), do_lower_case)
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    for begin in range(0, len(codes), 20_000):
        assert_same(pair, [around(code) for code in codes[begin : begin + 20_000]])


SIGMA = "ΣΣA1'. \u200b\u0345\u0301中"  # what it looks at: letters, what it passes over, what stops it
MARKS = "aé\u0301\u0323\u302e\U0001d165\U0001d16d\U0001d160\ua9c0\u094d\u0e31 \u200b,"  # marks of all kinds
MIXED = "aA\u00e9É,.中\u00a0\u2028\t\n\x85\x00\ufffd각\u1160İßſ#_[]"


@pytest.mark.parametrize("characters", [SIGMA, MARKS, MIXED], ids=["sigma", "marks", "mixed"])
@pytest.mark.parametrize("do_lower_case", [False, True])
def test_random_strings(characters, do_lower_case):
    random_ = random.Random(1)
    assert_same(
        tiny(do_lower_case),
        ["".join(random_.choices(characters, k=random_.randint(0, 12))) for _ in range(2000)],
    )


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_a_word_of_more_than_200_characters_is_unknown(do_lower_case):
    tokenizer, tokenize = tiny(do_lower_case)
    unknown = tokenizer.vocab["[UNK]"]
    texts = [
        "a" * 200,
        "a" * 201,
        "é" * 201,
        "e\u0301" * 200,
        "\U0001d5ba" * 200,
        f"{'a' * 999} a",
        "," * 300,
    ]
    assert_same((tokenizer, tokenize), texts)
    lengths = [len(ids) for ids in graph_ids(tokenize, texts[:2])]
    assert lengths[0] > 1, "else the rule is not put to the test"
    assert graph_ids(tokenize, texts[1:2]) == [[unknown]]


def test_what_the_vocabulary_may_hold(tmp_path):
    """Duplicates, white space around pieces, an empty line, and pieces that no word can be."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "a", "##a", "", " b ", "a", "##", "Ä", "c d", "\u2028"]
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    texts = ["a aa b c d", "##a", "Ä", "ä", "a\u2028a", ""]
    for do_lower_case in (False, True):
        assert_same(tokenizers(str(vocab), do_lower_case), texts)


def test_no_texts_and_empty_texts():
    _, tokenize = tiny(True)
    assert graph_ids(tokenize, []) == []
    assert graph_ids(tokenize, ["", " ", "\x00\u200b"]) == [[], [], []]


def test_bytes_that_are_not_utf8_are_passed_over():
    _, tokenize = tiny(True)
    texts = [b"the\xff the\xe4\xb8", b"\x80", b"\xed\xa0\x80the", b"the \xf0\x9f\x98", b"\xc0\xaf"]
    as_python_reads_them = [text.decode("utf-8", errors="replace") for text in texts]
    assert graph_ids(tokenize, texts) == graph_ids(tokenize, as_python_reads_them)
    assert_same(tiny(True), as_python_reads_them)
    assert len(graph_ids(tokenize, texts)[0]) == 2


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_pieces_know_their_characters(do_lower_case):
    tokenizer, tokenize = tiny(do_lower_case)
    texts = [
        "The café, naïve!",
        "ΑΣ 中文 \u200bthe",
        "unknownish😀word " + "a" * 201,
        "E\u0301a\U0001d16d\U0001d165",
    ]
    tokenized = tokenize(tf.constant(texts))
    codes, chars = tokenized.token_codes.numpy(), tokenized.token_chars.numpy()
    starts_token = tokenized.starts_token.numpy()
    basic = [token for text in texts for token in tokenizer.basic_tokenizer.tokenize(text)]
    assert "".join(map(chr, codes)) == "".join(basic)
    assert starts_token.sum() == len(basic)
    token_ends = [*starts_token.nonzero()[0][1:].tolist(), len(codes)]
    for piece_id, start, end, is_unknown in zip(
        *(
            getattr(tokenized, f"piece_{name}").numpy().tolist()
            for name in ("ids", "starts", "ends", "is_unknown")
        ),
        strict=True,
    ):
        text = "".join(map(chr, codes[start:end]))
        if is_unknown:
            assert piece_id == tokenizer.vocab["[UNK]"]
            assert starts_token[start]
            assert end in token_ends
        else:
            assert ("" if starts_token[start] else "##") + text == tokenizer.inv_vocab[piece_id]
    # Without lower-casing, characters of tokens are those of the text, wherever they stand in it.
    if not do_lower_case:
        joined = "".join(f"{text} " for text in texts)
        assert "".join(joined[char] for char in chars) == "".join(basic)
