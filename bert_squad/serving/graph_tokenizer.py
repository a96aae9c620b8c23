"""The tokenizer as TensorFlow operations: the same WordPieces as `FullTokenizer` makes, for many texts at once.

A text becomes code points; each is replaced by its expansion (see `character_classes`), in which spaces separate
tokens; what is left between spaces are the characters of tokens. Tokens go through the WordPiece operation of
TensorFlow Text. Every WordPiece remembers the characters it came from.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_squad.serving import ragged
from bert_squad.serving.character_classes import (
    CAPITAL_SIGMA,
    CASED,
    ITSELF,
    SKIPPED,
    SPACE,
    CharacterClass,
    character_classes,
)
from bert_squad.serving.text_operations import load_tensorflow_text
from bert_squad.text.tokenization import MAX_CHARACTERS_PER_WORD, UNKNOWN, FullTokenizer

_MAX_BYTES_PER_CHARACTER = 4
_MAX_ORDER = 256  # canonical combining classes are below


class TokenizedTexts(NamedTuple):
    """T texts and their WordPieces, laid end to end (see `ragged`); all but `byte_starts` are int32 or bool.

    Three frames of positions: characters (code points) of the texts, N in all; characters of tokens, K in all;
    WordPieces, P in all. Each text has a space added at its end, so that it has a character and no token goes on
    into the next text.

    Attributes:
      codes: [N], the characters. A byte that is not UTF-8 counts as U+FFFD.
      byte_starts: int64 [N], where each begins within its text.
      char_splits: [T + 1], the texts among the characters.
      separates_words: [N], whether context words split at the character.
      token_codes: [K], the characters of tokens, after lower-casing and the like.
      token_chars: [K], the character that each came from.
      starts_token: [K], whether a token begins with it.
      piece_ids: [P], the vocabulary id of each WordPiece.
      piece_starts: [P], its first character within `token_codes`.
      piece_ends: [P], the position behind its last one.
      piece_is_unknown: [P], whether it is `[UNK]`.
      piece_splits: [T + 1], the texts among the WordPieces.
    """

    codes: tf.Tensor
    byte_starts: tf.Tensor
    char_splits: tf.Tensor
    separates_words: tf.Tensor
    token_codes: tf.Tensor
    token_chars: tf.Tensor
    starts_token: tf.Tensor
    piece_ids: tf.Tensor
    piece_starts: tf.Tensor
    piece_ends: tf.Tensor
    piece_is_unknown: tf.Tensor
    piece_splits: tf.Tensor


class GraphTokenizer:
    """Tokenizes within a graph.

    Args:
      tokenizer: the tokenizer to do the same as.

    Attributes:
      vocab_table: piece → id; what saves the graph must hold on to it.
    """

    def __init__(self, tokenizer: FullTokenizer):
        self._do_lower_case = tokenizer.basic_tokenizer.do_lower_case
        characters = character_classes(self._do_lower_case)
        self._block_size = characters.blocks.shape[1]
        self._block_of = tf.constant(characters.block_of)
        self._blocks = tf.constant(characters.blocks.reshape(-1))
        self._final_sigma = characters.final_sigma
        self._properties = {
            name: tf.constant([getattr(c, name) for c in characters.classes])
            for name in CharacterClass._fields
            if name != "expansion"
        }
        expansions = [c.expansion for c in characters.classes]
        self._expansions = tf.constant([code for expansion in expansions for code in expansion])
        self._expansion_lengths = tf.constant(list(map(len, expansions)))
        self._expansion_starts = ragged.row_splits(self._expansion_lengths)[:-1]
        vocab = tokenizer.vocab
        # Not from the vocabulary file: there, white space is yet to be stripped, and a piece may occur twice.
        self.vocab_table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(vocab), tf.string), tf.constant(list(vocab.values()), tf.int64)
            ),
            default_value=vocab[UNKNOWN],
        )
        self._wordpiece_tokenizer = load_tensorflow_text().WordpieceTokenizer(
            self.vocab_table,
            max_bytes_per_word=MAX_CHARACTERS_PER_WORD * _MAX_BYTES_PER_CHARACTER,
            max_chars_per_token=max(map(len, vocab)),
            token_out_type=tf.string,
            unknown_token=UNKNOWN,
        )

    def tokenize(self, texts: tf.Tensor) -> TokenizedTexts:
        """Tokenize string [T]; bytes that are not UTF-8 are passed over, as U+FFFD is."""
        decoded, byte_starts = tf.strings.unicode_decode_with_offsets(texts + " ", "UTF-8", errors="replace")
        codes = decoded.values
        char_splits = tf.cast(decoded.row_splits, tf.int32)
        classes = self._classes_of(codes)
        token_codes, token_chars = self._expand(codes, classes)

        positions = ragged.positions_where(token_codes != SPACE)
        token_codes = tf.gather(token_codes, positions)
        token_chars = tf.gather(token_chars, positions)
        # The first has no neighbour before it, and begins a token at any rate: -1 is none but that of position 1.
        starts_token = positions != tf.concat([[-1], positions[:-1] + 1], 0)
        ids, piece_starts, piece_ends, piece_is_unknown = self._wordpieces(token_codes, starts_token)
        piece_chars = tf.gather(token_chars, piece_starts)
        return TokenizedTexts(
            codes=codes,
            byte_starts=byte_starts.values,
            char_splits=char_splits,
            separates_words=self._property("separates_words", classes),
            token_codes=token_codes,
            token_chars=token_chars,
            starts_token=starts_token,
            piece_ids=ids,
            piece_starts=piece_starts,
            piece_ends=piece_ends,
            piece_is_unknown=piece_is_unknown,
            piece_splits=tf.searchsorted(piece_chars, char_splits),
        )

    def _classes_of(self, codes: tf.Tensor) -> tf.Tensor:
        block = tf.gather(self._block_of, codes // self._block_size)
        return tf.gather(self._blocks, block * self._block_size + codes % self._block_size)

    def _property(self, name: str, classes: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._properties[name], classes)

    def _expand(self, codes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Replace characters by their expansions.

        Returns:
          The new characters, and for each the position of the one that it came from.
        """
        if self._do_lower_case:
            classes = tf.cond(
                tf.reduce_any(codes == CAPITAL_SIGMA),
                lambda: self._with_final_sigmas(codes, classes),
                lambda: classes,
            )
        chars, positions = ragged.ranges(
            tf.gather(self._expansion_starts, classes), tf.gather(self._expansion_lengths, classes)
        )
        expanded = tf.gather(self._expansions, positions)
        expanded = tf.where(expanded == ITSELF, tf.gather(codes, chars), expanded)
        if not self._do_lower_case:
            return expanded, chars
        return tf.cond(
            tf.reduce_any(self._property("holds_mark", classes)),
            lambda: self._with_ordered_marks(expanded, chars, classes),
            lambda: (expanded, chars),
        )

    def _with_final_sigmas(self, codes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        """Give each "Σ" at the end of a word a class of its own.

        As `str.lower` has it: a letter before it, and none behind it, not counting characters in between that are
        neither letters nor interrupt a word, such as an apostrophe.
        """
        context = self._property("sigma_context", classes)
        seen = ragged.positions_where(context != SKIPPED)
        # A stop at each end, so that there always is a neighbour. Between two texts there is a space.
        seen_is_cased = tf.pad(tf.gather(context, seen) == CASED, [[1, 1]])
        sigmas = ragged.positions_where(codes == CAPITAL_SIGMA)
        rank = tf.searchsorted(seen, sigmas)  # each "Σ" is itself among those seen
        is_final = tf.gather(seen_is_cased, rank) & ~tf.gather(seen_is_cased, rank + 2)
        final_sigmas = tf.boolean_mask(sigmas, is_final)
        return tf.tensor_scatter_nd_update(
            classes,
            final_sigmas[:, tf.newaxis],
            tf.fill(tf.shape(final_sigmas), self._final_sigma),
        )

    def _with_ordered_marks(
        self, codes: tf.Tensor, chars: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Put the marks of each run in canonical order, as `unicodedata.normalize` does."""
        run = tf.gather(tf.cumsum(tf.cast(self._property("ends_mark_run", classes), tf.int64)), chars)
        order = tf.cast(self._property("mark_order", self._classes_of(codes)), tf.int64)
        ranking = tf.argsort(run * _MAX_ORDER + order, stable=True)
        return tf.gather(codes, ranking), tf.gather(chars, ranking)

    def _wordpieces(self, codes: tf.Tensor, starts_token: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Cut tokens into WordPieces; returns their ids, starts, ends and whether they are unknown."""
        num_codes = tf.size(codes)
        token_splits = tf.concat([ragged.positions_where(starts_token), [num_codes]], 0)
        tokens = tf.strings.unicode_encode(
            tf.RaggedTensor.from_row_splits(codes, token_splits, validate=False), "UTF-8"
        )
        # A space stands for a token that is too long: no token holds one, no piece of the vocabulary is one.
        is_too_long = ragged.row_lengths(token_splits) > MAX_CHARACTERS_PER_WORD
        words, word_of_token = tf.unique(tf.where(is_too_long, " ", tokens))
        pieces, byte_starts, byte_ends = self._wordpiece_tokenizer.tokenize_with_offsets(words)
        word_splits = tf.cast(pieces.row_splits, tf.int32)

        token_of_piece, piece_of_word = ragged.ranges(
            tf.gather(word_splits, word_of_token),
            tf.gather(ragged.row_lengths(word_splits), word_of_token),
        )
        is_unknown = tf.gather(pieces.values == UNKNOWN, piece_of_word)
        ids = tf.gather(tf.cast(self.vocab_table.lookup(pieces.values), tf.int32), piece_of_word)
        # From bytes, which the operation counts, to characters.
        byte_splits = ragged.row_splits(_utf8_lengths(codes))
        token_start = tf.gather(token_splits, token_of_piece)
        token_byte = tf.gather(byte_splits, token_start)

        def position(bytes_of_word: tf.Tensor) -> tf.Tensor:
            offset = tf.gather(tf.cast(bytes_of_word, tf.int32), piece_of_word)
            return tf.searchsorted(byte_splits, token_byte + offset)

        token_end = tf.gather(token_splits, token_of_piece + 1)
        ends = tf.where(is_unknown, token_end, position(byte_ends.values))
        return ids, position(byte_starts.values), ends, is_unknown


def _utf8_lengths(codes: tf.Tensor) -> tf.Tensor:
    """Return how many bytes each code point takes, int32."""
    return 1 + sum(tf.cast(codes >= first, tf.int32) for first in (0x80, 0x800, 0x10000))
