"""Input features under their legacy names, and the log lines that show the first of them."""

import dataclasses
from collections.abc import Iterable, Iterator

from absl import logging

from bert_squad.data.examples import SquadExample
from bert_squad.data.passages import Tokenizer
from bert_squad.data.windows import LossNotes, Window, WindowLengths, make_windows

_NUM_LOGGED_EXAMPLES = 20


@dataclasses.dataclass
class InputFeatures:
    """One input sequence: `[CLS] question [SEP] doc span [SEP]`, padded.

    Attributes:
      unique_id: number of the feature, counted from 1000000000.
      example_index: number of the example, from 0.
      doc_span_index: number of the span within its example, from 0.
      tokens: the WordPieces, without padding.
      token_to_orig_map: sequence position → word of `doc_tokens`, for the positions of the doc span.
      token_is_max_context: sequence position → whether no other span gives the token more context.
      input_ids: the ids of `tokens`, padded with 0 to `max_seq_length`, as are the next two.
      input_mask: 1 for tokens, 0 for padding.
      segment_ids: 0 up to the first `[SEP]`, 1 up to the second, 0 for padding.
      start_position: sequence position of the answer's first token; 0 when this span does not hold the whole
        answer or there is none; None unless training.
      end_position: the same for its last token, inclusive.
      is_impossible: the question has no answer; False unless training.

    Source: `InputFeatures` of the legacy run_squad.py.
    """

    unique_id: int
    example_index: int
    doc_span_index: int
    tokens: list[str]
    token_to_orig_map: dict[int, int]
    token_is_max_context: dict[int, bool]
    input_ids: list[int]
    input_mask: list[int]
    segment_ids: list[int]
    start_position: int | None = None
    end_position: int | None = None
    is_impossible: bool = False

    @classmethod
    def from_window(cls, window: Window) -> "InputFeatures":
        """Write a window out."""
        return cls(
            window.unique_id,
            window.example_index,
            window.doc_span_index,
            window.tokens,
            window.token_to_orig_map,
            window.token_is_max_context,
            window.input_ids,
            window.input_mask,
            window.segment_ids,
            window.start_position,
            window.end_position,
            window.is_impossible,
        )


def convert_examples_to_features(
    examples: Iterable[SquadExample],
    tokenizer: Tokenizer,
    max_seq_length: int,
    doc_stride: int,
    max_query_length: int,
    is_training: bool,
) -> Iterator[InputFeatures]:
    """Turn examples into features, one after the other as they are asked for.

    The features of the first 20 examples are logged at the debug level (`--verbosity=1`). At the end questions that
    were cut, or have no passage to look at, are named in one warning each.

    Args:
      examples: examples in the order in which features are wanted; for training, shuffled before.
      tokenizer: a `FullTokenizer`.
      max_seq_length: length of a sequence in WordPieces, `[CLS]` and both `[SEP]` included.
      doc_stride: WordPieces between the starts of two doc spans; at least 1.
      max_query_length: greatest number of WordPieces of a question, inclusive; what is longer is cut.
      is_training: give answer positions; the examples must have been read for training.

    Returns:
      The features of the first example, one a doc span, then those of the second, and so on; an example
      whose passage has no WordPieces has none.

    Raises:
      ConfigError: when a length makes no sense, or a question leaves no room for its passage.
      DataError: when training and an example was not read for training.

    Source: `convert_examples_to_features` of the legacy run_squad.py.
    Differs: an iterator, not a callback for each feature; passages are tokenized once for all questions; the
      legacy script logs the first examples always, which buries all that a user wants to read.
    """
    lengths = WindowLengths(max_seq_length, doc_stride, max_query_length)
    notes = LossNotes(is_training, max_query_length)
    windows = make_windows(examples, tokenizer, lengths, is_training, notes)
    return _then_logged(map(InputFeatures.from_window, logged(windows)), notes)


def _then_logged(features: Iterator[InputFeatures], notes: LossNotes) -> Iterator[InputFeatures]:
    yield from features
    notes.log()


def logged(windows: Iterable[Window]) -> Iterator[Window]:
    """Pass windows on, logging those of the first 20 examples at the debug level (`--verbosity=1`)."""
    for window in windows:
        if window.example_index < _NUM_LOGGED_EXAMPLES and logging.level_debug():
            _log(window)
        yield window


def _log(window: Window) -> None:
    def spaced(values: Iterable) -> str:
        return " ".join(map(str, values))

    logging.debug("*** Example ***")
    logging.debug("unique_id: %s", window.unique_id)
    logging.debug("example_index: %s", window.example_index)
    logging.debug("doc_span_index: %s", window.doc_span_index)
    logging.debug("tokens: %s", spaced(window.tokens))
    logging.debug("token_to_orig_map: %s", spaced(f"{k}:{v}" for k, v in window.token_to_orig_map.items()))
    logging.debug(
        "token_is_max_context: %s", spaced(f"{k}:{v}" for k, v in window.token_is_max_context.items())
    )
    logging.debug("input_ids: %s", spaced(window.input_ids))
    logging.debug("input_mask: %s", spaced(window.input_mask))
    logging.debug("segment_ids: %s", spaced(window.segment_ids))
    start, end = window.start_position, window.end_position
    if start is None or end is None:  # not for training
        return
    if window.is_impossible:
        logging.debug("impossible example")
    else:
        logging.debug("start_position: %d", start)
        logging.debug("end_position: %d", end)
        logging.debug("answer: %s", spaced(window.tokens[start : end + 1]))
