"""`get_final_text` as TensorFlow operations: from WordPieces back to the words of the passage.

The Python function searches a text for a text. Here positions are known from tokenization, so that counting
takes the place of most of it, with the same outcome:

- A prediction with an `[UNK]` in it is never found among the tokens of its words, since "[" always is a token of
  its own; any other prediction is found, at the latest where it was made.
- Both texts have as many characters, spaces not counted, or the answer is the whole words. So the n-th character
  of the tokens belongs to the n-th character of the words, and the answer is a run of characters of the passage.
- LEGACY: the first occurrence counts, which can only come earlier within the first word.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_squad.serving import ragged
from bert_squad.serving.character_classes import SPACE
from bert_squad.serving.graph_tokenizer import TokenizedTexts
from bert_squad.serving.text_keys import TextKeys

# Places at which a text is searched for at first, how these grow from time to time, and how many there are at most,
# for all texts together: that bounds the memory.
_FIRST_PLACES, _GROWTH, _MAX_PLACES = 64, 8, 1 << 20


class TextRange(NamedTuple):
    """Parts of passages: int32 [Q], the first of their doc characters and the one behind the last."""

    starts: tf.Tensor
    ends: tf.Tensor


class GraphAlignment:
    """The words of the passages beside their tokens.

    Adds two frames to those of `TokenizedTexts`: doc characters, those of words, D in all; and words, in all texts.

    Args:
      texts: tokenized passages.
    """

    def __init__(self, texts: TokenizedTexts):
        self._texts = texts
        is_doc = ~texts.separates_words
        self._char_of_doc = ragged.positions_where(is_doc)
        num_doc = tf.size(self._char_of_doc)
        # Texts end with a space, so that words of two texts are never neighbours.
        starts_word = self._char_of_doc != tf.concat([[-1], self._char_of_doc[:-1] + 1], 0)
        self._word_of_doc = tf.cumsum(tf.cast(starts_word, tf.int32)) - 1
        self._word_starts = tf.concat([ragged.positions_where(starts_word), [num_doc]], 0)
        num_words = tf.size(self._word_starts) - 1
        # No character that separates words becomes part of a token.
        doc_of_char = tf.cumsum(tf.cast(is_doc, tf.int32)) - 1
        self._word_of_token = tf.gather(self._word_of_doc, tf.gather(doc_of_char, texts.token_chars))
        self._word_token_starts = ragged.row_splits(ragged.bincount(self._word_of_token, num_words))
        self._num_unknown = ragged.row_splits(tf.cast(texts.piece_is_unknown, tf.int32))
        # The words with a space between two: a doc character stands further right by one for each word before.
        self._joined_codes = tf.tensor_scatter_nd_update(
            tf.fill([num_doc + num_words], SPACE),
            (tf.range(num_doc) + self._word_of_doc)[:, tf.newaxis],
            tf.gather(texts.codes, self._char_of_doc),
        )
        self._keys = TextKeys(self._joined_codes)

    def project(self, first_pieces: tf.Tensor, last_pieces: tf.Tensor) -> TextRange:
        """Find the part of the passage that predictions stand for.

        Args:
          first_pieces: int32 [Q], the first WordPiece of each prediction among those of all texts.
          last_pieces: int32 [Q], the last one, inclusive.
        """
        token_starts = tf.gather(self._texts.piece_starts, first_pieces)
        token_ends = tf.gather(self._texts.piece_ends, last_pieces)
        first_words = tf.gather(self._word_of_token, token_starts)
        words_end = tf.gather(self._word_of_token, token_ends - 1) + 1
        doc_starts, doc_ends = (tf.gather(self._word_starts, words) for words in (first_words, words_end))
        first_token, tokens_end = (
            tf.gather(self._word_token_starts, words) for words in (first_words, words_end)
        )
        has_unknown = tf.gather(self._num_unknown, last_pieces + 1) > tf.gather(
            self._num_unknown, first_pieces
        )
        is_projected = ~has_unknown & (tokens_end - first_token == doc_ends - doc_starts)
        found = self._first_occurrences(
            tf.where(is_projected, first_token, token_starts), token_starts, token_ends
        )
        projected_starts = doc_starts + found - first_token
        return TextRange(
            tf.where(is_projected, projected_starts, doc_starts),
            tf.where(is_projected, projected_starts + token_ends - token_starts, doc_ends),
        )

    def _first_occurrences(
        self, search_starts: tf.Tensor, token_starts: tf.Tensor, token_ends: tf.Tensor
    ) -> tf.Tensor:
        """Find the first place where a run of token characters occurs, from `search_starts` on; all int32 [Q].

        Mostly there is no place to search, or a few; but a passage may be a single word of a million characters.
        So all runs are searched for at some places, those that were not found at more, and so on.
        """
        num_places = token_starts - search_starts

        def search(begin: tf.Tensor, per_run: tf.Tensor, runs: tf.Tensor, found: tf.Tensor):
            lengths = tf.clip_by_value(tf.gather(num_places, runs) - begin, 0, per_run)
            owners, starts = ragged.ranges(tf.gather(search_starts, runs) + begin, lengths)
            matched, starts = self._matches(tf.gather(runs, owners), starts, token_starts, token_ends)
            found = tf.minimum(found, tf.math.unsorted_segment_min(starts, matched, tf.size(found)))
            begin += per_run
            runs = ragged.positions_where((found == token_starts) & (num_places > begin))
            return begin, at_most(_GROWTH * per_run, runs), runs, found

        def at_most(per_run: tf.Tensor | int, runs: tf.Tensor) -> tf.Tensor:
            return tf.clip_by_value(per_run, 1, 1 + _MAX_PLACES // (1 + tf.size(runs)))

        runs = ragged.positions_where(num_places > 0)
        *_, found = tf.while_loop(
            lambda begin, per_run, runs, found: tf.size(runs) > 0,
            search,
            (0, at_most(_FIRST_PLACES, runs), runs, token_starts),
            shape_invariants=(*[tf.TensorShape([])] * 2, *[tf.TensorShape([None])] * 2),
            parallel_iterations=1,
        )
        return found

    def _matches(
        self, runs: tf.Tensor, starts: tf.Tensor, token_starts: tf.Tensor, token_ends: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Keep those of the places `starts` at which the run of token characters number `runs` occurs."""
        texts = self._texts
        # What precedes the first character does not matter; before the others there must be a space, or none, alike.
        spaced_codes = 2 * texts.token_codes + tf.cast(texts.starts_token, tf.int32)

        def narrow(offset, runs, starts):
            run_starts = tf.gather(token_starts, runs)
            is_over = run_starts + offset >= tf.gather(token_ends, runs)
            here = tf.gather(spaced_codes, tf.where(is_over, 0, starts + offset))
            there = tf.gather(spaced_codes, tf.where(is_over, 0, run_starts + offset))
            divisor = tf.where(offset > 0, 1, 2)
            kept = ragged.positions_where(is_over | (here // divisor == there // divisor))
            return offset + 1, tf.gather(runs, kept), tf.gather(starts, kept)

        longest = tf.reduce_max(tf.concat([[0], token_ends - token_starts], 0))
        _, runs, starts = tf.while_loop(
            lambda offset, runs, _: (offset < longest) & (tf.size(runs) > 0),
            narrow,
            (0, runs, starts),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])),
            parallel_iterations=1,
        )
        return runs, starts

    def read(self, parts: TextRange) -> tf.Tensor:
        """Return parts of passages as texts, string [Q]: their words, with one space between two."""
        starts, ends = self._joined(parts)
        lengths = ends - starts
        _, positions = ragged.ranges(starts, lengths)
        codes = tf.RaggedTensor.from_row_splits(
            tf.gather(self._joined_codes, positions), ragged.row_splits(lengths), validate=False
        )
        return tf.strings.unicode_encode(codes, "UTF-8")

    def keys(self, parts: TextRange) -> tf.Tensor:
        """Return a number for each part, int64 [Q]: the same for those that `read` gives the same text for."""
        return self._keys.of(*self._joined(parts))

    def _joined(self, parts: TextRange) -> TextRange:
        return TextRange(
            parts.starts + tf.gather(self._word_of_doc, parts.starts),
            parts.ends + tf.gather(self._word_of_doc, parts.ends - 1),
        )

    def char_offsets(self, parts: TextRange, rows: tf.Tensor) -> TextRange:
        """Return where parts begin and end (exclusive) in their texts, in code points; `rows` says in which text."""
        text_starts = tf.gather(self._texts.char_splits, rows)
        firsts, lasts = (tf.gather(self._char_of_doc, doc) for doc in (parts.starts, parts.ends - 1))
        return TextRange(firsts - text_starts, lasts + 1 - text_starts)

    def byte_offsets(self, parts: TextRange) -> TextRange:
        """Return where parts begin and end (exclusive) in their texts, in bytes of UTF-8."""
        firsts, lasts = (tf.gather(self._char_of_doc, doc) for doc in (parts.starts, parts.ends - 1))
        byte_starts = tf.cast(self._texts.byte_starts, tf.int32)
        # A part ends where the character behind it begins; there is one, as each text has a space added.
        return TextRange(tf.gather(byte_starts, firsts), tf.gather(byte_starts, lasts + 1))
