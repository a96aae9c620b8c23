"""Split text into WordPieces exactly as the legacy script did.

Text goes through two tokenizers: `BasicTokenizer` cleans it and cuts it into words and punctuation characters,
`WordpieceTokenizer` cuts each of these into pieces of the vocabulary. `FullTokenizer` is both, with memory:
running text repeats its words, so each distinct one is tokenized once.

What happens to a single character never depends on its neighbours, except in `str.lower()` and Unicode
normalisation. So the character rules are tables for `str.translate`, filled as characters are met, and a whole
text passes through each rule in one call.
"""

import functools
import itertools
import unicodedata
from collections.abc import Callable, Iterable

from bert_squad import files
from bert_squad.errors import DataError
from bert_squad.json_files import what_it_looks_like
from bert_squad.text.decomposition import decomposed

UNKNOWN, CLASSIFICATION, SEPARATOR = "[UNK]", "[CLS]", "[SEP]"
_MARK = "\ufeff"  # of the byte order, as some editors write it

MAX_CHARACTERS_PER_WORD = 200
"""In characters, inclusive: a longer word is one `[UNK]`."""

_MAX_REMEMBERED_WORDS = 1 << 17  # some 30 MB; the English XQuAD has 11,000 distinct words
_MAX_REMEMBERED_LENGTH = (
    64  # characters; longer "words" are sentences of a script without spaces: never repeated
)

_CJK_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""Code points, inclusive, that stand as words of their own. Hangul and kana are not among them."""

_ASCII_SYMBOLS = ((33, 47), (58, 64), (91, 96), (123, 126))
"""Code points, inclusive, that count as punctuation though Unicode calls some, such as `$`, symbols."""


def _lies_in(code_point: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= code_point <= last for first, last in ranges)


def _clean(code_point: int) -> str:
    """Delete control characters, turn white space into a space, and set CJK ideographs off by spaces."""
    character = chr(code_point)
    if character in "\t\n\r":
        return " "
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if code_point in (0, 0xFFFD) or category in ("Cc", "Cf"):
        return ""
    return f" {character} " if _lies_in(code_point, _CJK_IDEOGRAPHS) else character


def _split_punctuation(code_point: int) -> str:
    character = chr(code_point)
    if _lies_in(code_point, _ASCII_SYMBOLS) or unicodedata.category(character).startswith("P"):
        return f" {character} "
    return character


def _drop_accent_split_punctuation(code_point: int) -> str:
    return "" if unicodedata.category(chr(code_point)) == "Mn" else _split_punctuation(code_point)


class _CharacterTable(dict[int, str]):
    """A rule from code point to replacement, in the form that `str.translate` takes, filled on demand."""

    def __init__(self, rule: Callable[[int], str]):
        super().__init__()
        self._rule = rule

    def __missing__(self, code_point: int) -> str:
        return self.setdefault(code_point, self._rule(code_point))


_CLEAN = _CharacterTable(_clean)
_SPLIT = _CharacterTable(_split_punctuation)
_STRIP_AND_SPLIT = _CharacterTable(_drop_accent_split_punctuation)


class BasicTokenizer:
    """Cut text into words and single punctuation characters.

    Args:
      do_lower_case: lower-case the text and strip its accents.

    Source: `BasicTokenizer` of the legacy tokenization.py.
    Differs: whole texts pass through each step, not one word after the other; the result is the same.

    >>> BasicTokenizer(do_lower_case=True).tokenize("Café-au-lait,\\u200b please!")
    ['cafe', '-', 'au', '-', 'lait', ',', 'please', '!']
    >>> BasicTokenizer(do_lower_case=False).tokenize("Café 東京")
    ['Café', '東', '京']
    """

    def __init__(self, do_lower_case: bool = True):
        self.do_lower_case = do_lower_case

    def tokenize(self, text: str) -> list[str]:
        """Return the words and punctuation characters of `text`; none of them is empty or holds white space."""
        if text.isascii() and text.isalnum():  # one word that no rule but case applies to, as most are
            return [text.lower() if self.do_lower_case else text]
        cleaned = text.translate(_CLEAN)
        if not self.do_lower_case:
            return cleaned.translate(_SPLIT).split()
        # LEGACY: lower(), not casefold(): "ß" stays as it is.
        return decomposed(cleaned.lower()).translate(_STRIP_AND_SPLIT).split()


class WordpieceTokenizer:
    """Cut a word into pieces of a vocabulary, greedily, the longest first.

    Args:
      vocab: the pieces as keys; one that continues a word starts with `##`.
      unk_token: stands for a word that cannot be composed of pieces.
      max_input_chars_per_word: a word of more characters than this is unknown.

    Source: `WordpieceTokenizer` of the legacy tokenization.py.

    >>> WordpieceTokenizer({"un": 0, "##aff": 1, "##able": 2}).tokenize("unaffable unable x")
    ['un', '##aff', '##able', 'un', '##able', '[UNK]']
    """

    def __init__(
        self,
        vocab: dict[str, int],
        unk_token: str = UNKNOWN,
        max_input_chars_per_word: int = MAX_CHARACTERS_PER_WORD,
    ):
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word
        self._longest_piece = max(map(len, vocab), default=0)  # in characters: no longer match need be tried

    def tokenize(self, text: str) -> list[str]:
        """Return the pieces of every word of `text`, which is divided at white space."""
        return [piece for word in text.split() for piece in self.pieces(word)]

    def pieces(self, word: str) -> list[str]:
        """Return the pieces of one word, or `[unk_token]`."""
        if len(word) > self.max_input_chars_per_word:
            return [self.unk_token]
        if word in self.vocab:
            return [word]
        pieces = []
        start = 0
        prefix = ""
        while start < len(word):
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                piece = prefix + word[start:end]
                if piece in self.vocab:
                    break
            else:
                return [self.unk_token]  # one missing piece makes the whole word unknown
            pieces.append(piece)
            start = end
            prefix = "##"
        return pieces


class _WordMemory(dict[str, tuple[str, ...]]):
    """Word → its pieces; forgets everything when it is full, so that its size is bounded."""

    def __init__(self, tokenize: Callable[[str], tuple[str, ...]]):
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, word: str) -> tuple[str, ...]:
        pieces = self._tokenize(word)
        if len(word) <= _MAX_REMEMBERED_LENGTH:
            if len(self) >= _MAX_REMEMBERED_WORDS:
                self.clear()
            self[word] = pieces
        return pieces


class FullTokenizer:
    """Cut text into WordPieces of a vocabulary file.

    Args:
      vocab_file: path of a text file, UTF-8, one piece a line; the line number, from 0, is the id.
      do_lower_case: lower-case the text and strip its accents; must fit the checkpoint.

    Raises:
      DataError: when the file cannot be read or lacks `[UNK]`, `[CLS]` or `[SEP]`.

    Source: `FullTokenizer` of the legacy tokenization.py.
    Differs: remembers the words it has seen; checks the special pieces when the vocabulary is loaded.
    """

    def __init__(self, vocab_file: str, do_lower_case: bool = True):
        self.vocab_file = str(vocab_file)
        self.vocab_content = _read_vocab(self.vocab_file)  # kept: a pipe can be read once, a file can change
        self.vocab = _parse_vocab(self.vocab_content, self.vocab_file)
        self.inv_vocab = {index: piece for piece, index in self.vocab.items()}
        self.basic_tokenizer = BasicTokenizer(do_lower_case=do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(self.vocab)
        self._pieces_of_basic = _WordMemory(lambda word: tuple(self.wordpiece_tokenizer.pieces(word)))
        self._pieces_of_word = _WordMemory(self._tokenize_word)

    def __reduce__(self):
        # The memories hold functions, which do not travel to another process; the file's name does.
        return FullTokenizer, (self.vocab_file, self.basic_tokenizer.do_lower_case)

    def _tokenize_word(self, word: str) -> tuple[str, ...]:
        basic_tokens = self.basic_tokenizer.tokenize(word)
        if len(basic_tokens) == 1:
            return self._pieces_of_basic[basic_tokens[0]]
        return tuple(itertools.chain.from_iterable(map(self._pieces_of_basic.__getitem__, basic_tokens)))

    def tokenize(self, text: str) -> list[str]:
        """Return the WordPieces of `text`."""
        # Cleaning goes before splitting: some control characters that are deleted would split a word.
        words = text.translate(_CLEAN).split()
        return [piece for pieces in self.tokenize_words(words) for piece in pieces]

    def tokenize_words(self, words: Iterable[str]) -> list[tuple[str, ...]]:
        """Return the WordPieces of each word by itself: `tokenize` for each, as fast as a look-up."""
        return list(map(self._pieces_of_word.__getitem__, words))

    @functools.cached_property
    def highest_id(self) -> int:
        """The highest id that a text can produce, which the model must have a row for.

        A piece that no text has, such as that of a blank line at the end of the file or an `[unused]` one, may be
        beyond it, as it might in the legacy script.
        """
        by_id = sorted(self.vocab.items(), key=lambda item: item[1], reverse=True)
        return next(index for piece, index in by_id if self._can_occur(piece))

    def _can_occur(self, piece: str) -> bool:
        if piece in (UNKNOWN, CLASSIFICATION, SEPARATOR):
            return True
        part = piece.removeprefix("##")
        return bool(part) and self.basic_tokenizer.tokenize(part) == [part]

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each piece.

        Raises:
          KeyError: when a piece is not in the vocabulary.
        """
        return list(map(self.vocab.__getitem__, tokens))

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id.

        Raises:
          KeyError: when an id is not in the vocabulary, or belongs to a line that a later duplicate replaced.
        """
        return list(map(self.inv_vocab.__getitem__, ids))


def load_vocab(vocab_file: str) -> dict[str, int]:
    """Read a vocabulary file.

    Args:
      vocab_file: path of a text file, UTF-8, one piece a line.

    Returns:
      Piece → id, its line number from 0. White space around a piece is stripped.

    Raises:
      DataError: when the file cannot be read, is not UTF-8, or lacks `[UNK]`, `[CLS]` or `[SEP]`.

    Source: `load_vocab` of the legacy tokenization.py.
    """
    return _parse_vocab(_read_vocab(vocab_file), vocab_file)


def _read_vocab(vocab_file: str) -> bytes:
    try:
        return files.read_bytes(vocab_file)
    except OSError as error:
        raise DataError(
            f"Cannot read the vocabulary {vocab_file} ({files.reason_of(error)}); check --vocab_file."
        ) from None


def _parse_vocab(content: bytes, vocab_file: str) -> dict[str, int]:
    looks = what_it_looks_like(content)
    if looks:
        raise DataError(f"The vocabulary {vocab_file} is not UTF-8 text: it looks like {looks}.")
    try:
        # LEGACY: a byte order mark stays, part of the first piece, which then occurs in no text.
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"The vocabulary {vocab_file} is not UTF-8 text (byte {error.start}); check --vocab_file."
        ) from None
    lines = text.split("\n")  # not splitlines(): a piece may be U+2028, which is not a line end here
    if lines[-1] == "":
        lines.pop()
    # LEGACY: a piece that occurs twice has the id of its last line.
    vocab = {line.strip(): index for index, line in enumerate(lines)}
    missing = [piece for piece in (UNKNOWN, CLASSIFICATION, SEPARATOR) if piece not in vocab]
    if any(f"{_MARK}{piece}" in vocab for piece in missing):
        raise DataError(
            f"The vocabulary {vocab_file} begins with a byte order mark, so it lacks {missing[0]}; save it "
            "without (sed -i '1s/^\\xEF\\xBB\\xBF//')."
        )
    if missing:
        raise DataError(
            f"The vocabulary {vocab_file} lacks {', '.join(missing)}; "
            "give the vocab.txt that belongs to the checkpoint with --vocab_file."
        )
    return vocab
