"""WordPieces as LEGACY.md describes them, one character at a time and nothing remembered.

Written from that page, not from `bert_squad.text`, with which it shares no code. Verified against the goldens by
tests/benchmarks/test_legacy_standin.py.
"""

import unicodedata

IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def basic_tokens(text: str, do_lower_case: bool) -> list[str]:
    """Return the words and punctuation characters of a text."""
    tokens: list[str] = []
    for word in _cleaned(text).split():
        if do_lower_case:
            decomposed = unicodedata.normalize("NFD", word.lower())
            word = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
        tokens += _split_at_punctuation(word)
    return tokens


def _cleaned(text: str) -> str:
    output = []
    for character in text:
        code, category = ord(character), unicodedata.category(character)
        if character in "\t\n\r" or category == "Zs":
            output.append(" ")
        elif code in (0, 0xFFFD) or category in ("Cc", "Cf"):
            continue
        elif any(first <= code <= last for first, last in IDEOGRAPHS):
            output.append(f" {character} ")
        else:
            output.append(character)
    return "".join(output)


def _split_at_punctuation(word: str) -> list[str]:
    parts, continues = [], False
    for character in word:
        code = ord(character)
        ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
        if ascii_sign or unicodedata.category(character).startswith("P"):
            parts.append(character)
            continues = False
        elif continues:
            parts[-1] += character
        else:
            parts.append(character)
            continues = True
    return [piece for part in parts for piece in part.split()]


class Tokenizer:
    """WordPiece tokenization, one character at a time and nothing remembered."""

    def __init__(self, vocab_file: str, do_lower_case: bool):
        with open(vocab_file, encoding="utf-8", newline="\n") as lines:
            self.vocab = {line.strip(): number for number, line in enumerate(lines)}
        self._lower = do_lower_case

    def tokenize(self, text: str) -> list[str]:
        """Return the WordPieces of a text."""
        return [piece for token in basic_tokens(text, self._lower) for piece in self._word_pieces(token)]

    def _word_pieces(self, word: str) -> list[str]:
        if len(word) > 200:
            return ["[UNK]"]
        pieces: list[str] = []
        begin = 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = word[begin:end] if begin == 0 else "##" + word[begin:end]
                if piece in self.vocab:
                    pieces.append(piece)
                    begin = end
                    break
            else:
                return ["[UNK]"]
        return pieces
