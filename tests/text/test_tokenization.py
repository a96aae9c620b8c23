import pickle
import unicodedata

import pytest
from golden_files import data_file, golden, read_json_lines
from hypothesis import example, given
from hypothesis import strategies as st

from bert_squad.errors import DataError
from bert_squad.text import tokenization
from bert_squad.text.tokenization import BasicTokenizer, FullTokenizer, WordpieceTokenizer, load_vocab

GOLDENS = {
    "uncased": ("vocab-uncased.txt", True),
    "cased": ("vocab-multilingual-cased.txt", False),
    "cased_on_uncased": ("vocab-uncased.txt", False),
}


@pytest.fixture(scope="module")
def tokenizers():
    return {}


def full_tokenizer(cache, name):
    if name not in cache:
        vocab, do_lower_case = GOLDENS[name]
        cache[name] = FullTokenizer(str(data_file(vocab)), do_lower_case=do_lower_case)
    return cache[name]


@pytest.mark.parametrize("name", GOLDENS)
def test_every_golden_line(name, tokenizers):
    tokenizer = full_tokenizer(tokenizers, name)
    lines = read_json_lines(golden(f"tokenization/{name}.jsonl"))
    assert len(lines) == 357
    for _ in range(2):  # the second time out of the memory
        for line in lines:
            tokens = tokenizer.tokenize(line["text"])
            assert tokens == line["tokens"], line["text"]
            assert tokenizer.convert_tokens_to_ids(tokens) == line["ids"], line["text"]


def write_vocab(directory, text, encoding="utf-8"):
    path = directory / "vocab.txt"
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_vocabulary_ids_are_line_numbers_and_the_last_duplicate_wins(tmp_path):
    path = write_vocab(tmp_path, "[PAD]\n[UNK]\n [CLS]\t\r\n[SEP]\nthe\n\u2028\nthe\na")
    assert load_vocab(path) == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "the": 6, "": 5, "a": 7}


def tokenizer_of(tmp_path, text, do_lower_case=True):
    path = tmp_path / "vocab.txt"
    path.write_bytes(text.encode())
    return FullTokenizer(str(path), do_lower_case)


@pytest.mark.parametrize(
    ("lines", "do_lower_case", "highest"),
    [
        ("\n", True, 4),
        ("\n \n\t\n", True, 4),
        ("[unused1]\n", True, 4),
        ("a b\n", True, 4),
        ("Ann\n", True, 4),
        ("Ann\n", False, 5),
        ("caf\u00e9\n", True, 4),
        ("[PAD]\n\u4eac\n", True, 6),
        ("##s\n##\n", True, 5),
        ("\u200b\n", True, 4),
        ("\n[SEP]\n\n", True, 6),
        ("?\n\n", True, 5),
    ],
)
def test_highest_id_is_that_of_a_piece_that_text_can_have(tmp_path, lines, do_lower_case, highest):
    assert tokenizer_of(tmp_path, f"[UNK]\n[CLS]\n[SEP]\n\nann\n{lines}", do_lower_case).highest_id == highest


@given(st.text(max_size=30))
def test_no_text_has_a_piece_beyond_the_highest_id(tokenizers, text):
    for tokenizer in (full_tokenizer(tokenizers, name) for name in GOLDENS):
        assert all(tokenizer._can_occur(piece) for piece in tokenizer.tokenize(text))


def test_vocabulary_in_utf16(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\n[CLS]\n[SEP]\n", encoding="utf-16")
    with pytest.raises(DataError) as error:
        FullTokenizer(str(path))
    assert str(error.value) == (
        f"The vocabulary {path} is not UTF-8 text: it looks like UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 "
        "-t UTF-8)."
    )


def test_vocabulary_without_padding_piece_is_fine(tmp_path):
    tokenizer = FullTokenizer(write_vocab(tmp_path, "[CLS]\n[UNK]\n[SEP]\na\n##b\n"))
    assert tokenizer.tokenize("AB c") == ["a", "##b", "[UNK]"]
    assert tokenizer.convert_tokens_to_ids(["[CLS]", "a", "##b"]) == [0, 3, 4]
    assert tokenizer.convert_ids_to_tokens([4, 1]) == ["##b", "[UNK]"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("[PAD]\n[CLS]\n[SEP]\n", "lacks [UNK];"),
        ("[UNK]\n[SEP]\n", "lacks [CLS];"),
        ("[UNK]\n[CLS]\n", "lacks [SEP];"),
        ("", "lacks [UNK], [CLS], [SEP];"),
        ("[UNK] [CLS] [SEP]\n", "lacks [UNK], [CLS], [SEP];"),
    ],
)
def test_vocabulary_without_a_special_piece_is_an_error(tmp_path, text, missing):
    path = write_vocab(tmp_path, text)
    with pytest.raises(DataError) as error:
        FullTokenizer(path)
    assert str(error.value) == (
        f"The vocabulary {path} {missing} give the vocab.txt that belongs to the checkpoint with --vocab_file."
    )


def test_a_mark_before_a_special_piece_is_named(tmp_path):
    path = write_vocab(tmp_path, "\ufeff[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(DataError) as error:
        FullTokenizer(path)
    assert str(error.value) == (
        f"The vocabulary {path} begins with a byte order mark, so it lacks [UNK]; save it without "
        r"(sed -i '1s/^\xEF\xBB\xBF//')."
    )


def test_missing_vocabulary(tmp_path):
    path = str(tmp_path / "none.txt")
    with pytest.raises(DataError) as error:
        FullTokenizer(path)
    assert (
        str(error.value)
        == f"Cannot read the vocabulary {path} (No such file or directory); check --vocab_file."
    )


def test_vocabulary_in_another_encoding(tmp_path):
    path = write_vocab(tmp_path, "[UNK]\n[CLS]\n[SEP]\né\n", encoding="latin-1")
    with pytest.raises(DataError) as error:
        FullTokenizer(path)
    assert str(error.value) == f"The vocabulary {path} is not UTF-8 text (byte 18); check --vocab_file."


def test_unknown_piece_has_no_id(tmp_path):
    tokenizer = FullTokenizer(write_vocab(tmp_path, "[CLS]\n[UNK]\n[SEP]\n"))
    with pytest.raises(KeyError, match="nothing"):
        tokenizer.convert_tokens_to_ids(["nothing"])


def test_a_word_of_200_characters_has_pieces_and_one_of_201_is_unknown():
    tokenizer = WordpieceTokenizer({"a": 0, "##a": 1})
    assert tokenizer.tokenize("a" * 200) == ["a"] + ["##a"] * 199
    assert tokenizer.tokenize("a" * 201 + " a") == ["[UNK]", "a"]
    assert WordpieceTokenizer({}).tokenize("a") == ["[UNK]"]


def test_longest_match_first_and_no_way_back():
    # "abc" + "##d" fails although "ab" + "##cd" would do: greedy.
    assert WordpieceTokenizer({"ab": 0, "abc": 1, "##cd": 2}).tokenize("abcd abc") == ["[UNK]", "abc"]


def test_memory_is_bounded_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenization, "_MAX_REMEMBERED_WORDS", 3)
    monkeypatch.setattr(tokenization, "_MAX_REMEMBERED_LENGTH", 4)
    tokenizer = FullTokenizer(write_vocab(tmp_path, "[CLS]\n[UNK]\n[SEP]\na\n##b\nb\n##a\n"))
    words = ["a", "b", "ab", "ba", "aa", "ababababab", "c", "a"]
    expected = [
        ("a",),
        ("b",),
        ("a", "##b"),
        ("b", "##a"),
        ("a", "##a"),
        ("a", *["##b", "##a"] * 4, "##b"),
        ("[UNK]",),
    ]
    for _ in range(2):
        assert tokenizer.tokenize_words(words) == [*expected, ("a",)]
        assert len(tokenizer._pieces_of_word) <= 3
        assert "ababababab" not in tokenizer._pieces_of_word


def test_tokenizer_travels_to_another_process(tmp_path):
    tokenizer = FullTokenizer(write_vocab(tmp_path, "[CLS]\n[UNK]\n[SEP]\nA\n##b\n"), do_lower_case=False)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.vocab == tokenizer.vocab
    assert copy.tokenize("Ab a") == ["A", "##b", "[UNK]"]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("3400", "4DBF"),
        ("4E00", "9FFF"),
        ("F900", "FAFF"),
        ("20000", "2A6DF"),
        ("2A700", "2CEAF"),  # three blocks side by side
        ("2F800", "2FA1F"),
    ],
)
def test_ideographs_stand_alone_from_the_first_to_the_last(first, last):
    first, last = int(first, 16), int(last, 16)
    tokenizer = BasicTokenizer(do_lower_case=False)

    def stands_alone(code_point):
        return tokenizer.tokenize(f"a{chr(code_point)}b") == ["a", chr(code_point), "b"]

    assert [stands_alone(code_point) for code_point in (first - 1, first, last, last + 1)] == [
        False, True, True, False,
    ]  # fmt: skip


# Word by word and character by character, as LEGACY.md tells it: slow, and sharing no code with ours.
def plain_basic_tokens(text, do_lower_case):
    kept = ""
    for character in text:
        category = unicodedata.category(character)
        code = ord(character)
        if character in "\t\n\r" or category == "Zs":
            kept += " "
        elif code in (0, 0xFFFD) or category in ("Cc", "Cf"):
            continue
        elif (
            0x4E00 <= code <= 0x9FFF
            or 0x3400 <= code <= 0x4DBF
            or 0x20000 <= code <= 0x2A6DF
            or 0x2A700 <= code <= 0x2CEAF
            or 0xF900 <= code <= 0xFAFF
            or 0x2F800 <= code <= 0x2FA1F
        ):
            kept += f" {character} "
        else:
            kept += character
    tokens = []
    for word in kept.split():
        if do_lower_case:
            word = "".join(
                c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn"
            )
        run = ""
        for character in word:
            ascii_symbol = character.isascii() and character.isprintable() and not character.isalnum()
            if ascii_symbol or unicodedata.category(character)[0] == "P":
                tokens += [run, character]
                run = ""
            else:
                run += character
        tokens.append(run)
    return [token for token in tokens if token]


any_text = st.text(alphabet=st.characters(), max_size=60)
awkward_text = st.text(
    alphabet="aΣσς'’.·\u0301\u0345İıßǅ \t\x0b\x1c\x85\u00ad\u200b\u2028\u3000中\uf900가か\ud800$-",
    max_size=12,
)


@given(st.one_of(any_text, awkward_text), st.booleans())
@example("ΑΣ ΑΣ. Σ\u0301Α ΑΣ\u2028Α", True)
def test_basic_tokens_are_those_of_the_plain_rules(text, do_lower_case):
    assert BasicTokenizer(do_lower_case).tokenize(text) == plain_basic_tokens(text, do_lower_case)


@given(st.one_of(any_text, awkward_text), st.booleans())
def test_pieces_join_back_to_the_words(tokenizers, text, do_lower_case):
    tokenizer = full_tokenizer(tokenizers, "uncased" if do_lower_case else "cased")
    words = tokenizer.basic_tokenizer.tokenize(text)
    pieces = tokenizer.tokenize(text)
    for word in words:
        first, *rest = (pieces.pop(0) for _ in tokenizer.wordpiece_tokenizer.tokenize(word))
        if first != "[UNK]":
            assert all(piece.startswith("##") for piece in rest)
            assert first + "".join(piece[2:] for piece in rest) == word
    assert pieces == []


@given(any_text)
def test_tokenize_words_is_tokenize_for_each(tokenizers, text):
    tokenizer = full_tokenizer(tokenizers, "uncased")
    words = text.split(" ")
    assert [list(pieces) for pieces in tokenizer.tokenize_words(words)] == [
        tokenizer.tokenize(w) for w in words
    ]
