"""Lay each example out as windows: `[CLS] question [SEP] doc span [SEP]`, of fixed length.

Each distinct word is tokenized once (the tokenizer sees to that), each passage once for all of its questions.
A `Window` is a view of one span of a tokenized example that makes its lists by slicing when asked for them, so
that writing records makes only what a record holds.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from absl import logging

from bert_squad.data.doc_spans import DocSpan, cut_doc_spans, max_context_span_indexes
from bert_squad.data.examples import SquadExample
from bert_squad.data.passages import PassageMemory, TokenizedPassage, Tokenizer
from bert_squad.data.question_ids import NamedIds, quoted_id
from bert_squad.errors import ConfigError, DataError
from bert_squad.text.tokenization import CLASSIFICATION, SEPARATOR

FIRST_UNIQUE_ID = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class WindowLengths:
    """The lengths that rule how passages are cut, in WordPieces, with the names of the legacy flags.

    Args:
      max_seq_length: length of a window, `[CLS]` and both `[SEP]` included.
      doc_stride: from the start of one doc span to the start of the next; at least 1.
      max_query_length: the most of a question that is kept; what is longer is cut.

    Raises:
      ConfigError: when a length makes no sense; it names the flag.
    """

    max_seq_length: int
    doc_stride: int
    max_query_length: int

    def __post_init__(self):
        if self.doc_stride < 1:
            raise ConfigError(f"--doc_stride is {self.doc_stride}; it must be at least 1.")
        if self.max_query_length < 0:
            raise ConfigError(f"--max_query_length is {self.max_query_length}; it must be at least 0.")


class LossNotes:
    """Remembers, while windows are made, of which questions something is lost, and says so once.

    Args:
      is_training: the windows are made for training.
      max_query_length: greatest number of WordPieces of a question.
    """

    def __init__(self, is_training: bool, max_query_length: int):
        self._is_training = is_training
        self._max_query_length = max_query_length
        self.without_text = NamedIds()
        self.cut = NamedIds()

    def log(self) -> None:
        """Log a warning for each kind of loss; windows must all have been made."""
        if self.without_text and self._is_training:  # in prediction they are answered, with "empty" or ""
            logging.warning(
                "The passage of %d %s holds no text, so that nothing is trained on there, though the number of steps "
                "counts them: %s.",
                len(self.without_text),
                "question" if len(self.without_text) == 1 else "questions",
                self.without_text,
            )
        if self.cut:
            logging.warning(
                "Cut %d %s to --max_query_length=%d WordPieces: %s.",
                len(self.cut),
                "question" if len(self.cut) == 1 else "questions",
                self._max_query_length,
                self.cut,
            )


@dataclasses.dataclass(eq=False)
class TokenizedExample:
    """What all windows of an example have in common.

    Attributes:
      example_index: number of the example, from 0.
      is_training: whether windows have answer positions.
      is_impossible: the question has no answer.
      prefix_tokens: `[CLS] question [SEP]`, the question cut to `max_query_length`.
      prefix_ids: their ids.
      separator_id: the id of the `[SEP]` behind the span.
      passage: the tokenized passage.
      doc_spans: its spans, one a window.
      max_seq_length: length of the padded lists.
      tok_answer: first and last passage WordPiece of the answer, inclusive; None where there is none.
    """

    example_index: int
    is_training: bool
    is_impossible: bool
    prefix_tokens: list[str]
    prefix_ids: list[int]
    separator_id: int
    passage: TokenizedPassage
    doc_spans: list[DocSpan]
    max_seq_length: int
    tok_answer: tuple[int, int] | None

    @functools.cached_property
    def best_span_indexes(self) -> np.ndarray:
        """For each passage WordPiece, the index of the span in which it has most context."""
        return max_context_span_indexes(self.doc_spans)


class Window:
    """One span of an example, with the attributes of `InputFeatures`, each made anew when asked for."""

    __slots__ = ("_end", "_example", "_num_padding", "_num_prefix", "_start", "doc_span_index", "unique_id")

    def __init__(self, unique_id: int, example: TokenizedExample, doc_span_index: int):
        self.unique_id = unique_id
        self.doc_span_index = doc_span_index
        self._example = example
        self._start, length = example.doc_spans[doc_span_index]
        self._end = self._start + length  # exclusive
        self._num_prefix = len(example.prefix_ids)
        self._num_padding = example.max_seq_length - self._num_prefix - length - 1

    @property
    def example_index(self) -> int:
        """Number of the example, from 0."""
        return self._example.example_index

    @property
    def is_impossible(self) -> bool:
        """The question has no answer."""
        return self._example.is_impossible

    @property
    def length(self) -> int:
        """Number of `tokens`."""
        return self._num_prefix + self._end - self._start + 1

    @property
    def tokens(self) -> list[str]:
        """The WordPieces, without padding."""
        example = self._example
        return [*example.prefix_tokens, *example.passage.tokens[self._start : self._end], SEPARATOR]

    @property
    def input_ids(self) -> list[int]:
        """The ids of `tokens`, padded with 0."""
        example = self._example
        span_ids = example.passage.ids[self._start : self._end]
        return example.prefix_ids + span_ids + [example.separator_id] + [0] * self._num_padding

    @property
    def input_mask(self) -> list[int]:
        """1 for each of `tokens`, 0 for padding."""
        return [1] * (self._example.max_seq_length - self._num_padding) + [0] * self._num_padding

    @property
    def segment_ids(self) -> list[int]:
        """0 for the question, 1 for the doc span, 0 for padding."""
        num_second = self._end - self._start + 1
        return [0] * self._num_prefix + [1] * num_second + [0] * self._num_padding

    @property
    def _seq_positions(self) -> range:
        return range(self._num_prefix, self._num_prefix + self._end - self._start)

    @property
    def token_to_orig_map(self) -> dict[int, int]:
        """Sequence position → word of the passage, for the doc span."""
        words = self._example.passage.tok_to_orig_index[self._start : self._end]
        return dict(zip(self._seq_positions, words, strict=True))

    @property
    def token_is_max_context(self) -> dict[int, bool]:
        """Sequence position → whether no other span gives the token more context."""
        is_best = self._example.best_span_indexes[self._start : self._end] == self.doc_span_index
        return dict(zip(self._seq_positions, is_best.tolist(), strict=True))

    def _answer_position(self, which: int) -> int | None:
        if not self._example.is_training:
            return None
        answer = self._example.tok_answer
        if answer is None or answer[0] < self._start or answer[1] >= self._end:
            # LEGACY: in version 1.1 too, a span without the whole answer is trained on, as answered by [CLS].
            return 0
        return answer[which] - self._start + self._num_prefix

    @property
    def start_position(self) -> int | None:
        """Sequence position of the answer's first token, 0 if it is not wholly here; None unless training."""
        return self._answer_position(0)

    @property
    def end_position(self) -> int | None:
        """Sequence position of the answer's last token, inclusive; otherwise as `start_position`."""
        return self._answer_position(1)


def make_windows(
    examples: Iterable[SquadExample],
    tokenizer: Tokenizer,
    lengths: WindowLengths,
    is_training: bool,
    notes: LossNotes | None = None,
) -> Iterator[Window]:
    """Lay examples out as windows, one after the other as they are asked for.

    Args:
      examples: in the order in which windows are wanted.
      tokenizer: a `FullTokenizer`.
      lengths: of the windows.
      is_training: give answer positions; the examples must have been read for training.
      notes: gets the questions that are cut, or lack a passage.

    Returns:
      The windows of the first example, then those of the second, and so on; an example whose passage has no
      WordPieces has none.

    Raises:
      ConfigError: on the way, when a question leaves no room for its passage.
      DataError: on the way, when training and an example was not read for training.

    Source: `convert_examples_to_features` of the legacy run_squad.py.
    """
    if notes is None:
        notes = LossNotes(is_training, lengths.max_query_length)
    passages = PassageMemory(tokenizer)
    unique_ids = itertools.count(FIRST_UNIQUE_ID)
    (separator_id,) = tokenizer.convert_tokens_to_ids([SEPARATOR])
    for example_index, example in enumerate(examples):
        query_tokens = tokenizer.tokenize(example.question_text)
        if len(query_tokens) > lengths.max_query_length:
            notes.cut.add(example.qas_id)
            query_tokens = query_tokens[: lengths.max_query_length]
        prefix_tokens = [CLASSIFICATION, *query_tokens, SEPARATOR]
        max_tokens_for_doc = lengths.max_seq_length - len(prefix_tokens) - 1
        if max_tokens_for_doc < 1:
            raise ConfigError(
                f"--max_seq_length {lengths.max_seq_length} leaves no room for the passage beside the "
                f"{len(query_tokens)} WordPieces of question {quoted_id(example.qas_id)}; raise it or lower "
                "--max_query_length."
            )
        passage = passages.tokenized(example.doc_tokens)
        if not passage.tokens:
            notes.without_text.add(example.qas_id)
            continue
        tok_answer = None
        if is_training and not example.is_impossible:
            if (
                example.start_position is None
                or example.end_position is None
                or example.orig_answer_text is None
            ):
                raise DataError(
                    f"Question {quoted_id(example.qas_id)} has no answer position; read the examples with "
                    "is_training=True."
                )
            tok_answer = passage.tok_answer(example, tokenizer.tokenize(example.orig_answer_text))
        tokenized = TokenizedExample(
            example_index=example_index,
            is_training=is_training,
            is_impossible=example.is_impossible,
            prefix_tokens=prefix_tokens,
            prefix_ids=tokenizer.convert_tokens_to_ids(prefix_tokens),
            separator_id=separator_id,
            passage=passage,
            doc_spans=cut_doc_spans(len(passage.tokens), max_tokens_for_doc, lengths.doc_stride),
            max_seq_length=lengths.max_seq_length,
            tok_answer=tok_answer,
        )
        for doc_span_index in range(len(tokenized.doc_spans)):
            yield Window(next(unique_ids), tokenized, doc_span_index)
