"""Into how many windows each passage is cut, and whether any of them can hold the answer. No TensorFlow here."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from bert_squad import files, progress
from bert_squad.config import SquadConfig
from bert_squad.data.doc_spans import DocSpan, cut_doc_spans
from bert_squad.data.examples import split_words
from bert_squad.data.passages import PassageMemory, TokenizedPassage, narrow_answer
from bert_squad.errors import BertSquadError
from bert_squad.report.questions import QuestionResult, Results
from bert_squad.report.run_folder import RunFolder
from bert_squad.run_record import RUN_RECORD, hash_of_vocabulary
from bert_squad.text.tokenization import FullTokenizer

HELD = "a window holds it"
TOO_LONG = "too long for --max_answer_length"
CUT = "no window holds it"
UNPLACED = "where it is, is not known"
NONE = "no answer"
HOLDABLE = (HELD, TOO_LONG, CUT, UNPLACED, NONE)

_LENGTHS = ("max_seq_length", "doc_stride", "max_query_length")
_BESIDE_THE_TEXTS = 3  # [CLS] and twice [SEP]


class WindowFacts(NamedTuple):
    """For each question, the number of windows, and one of `HOLDABLE`."""

    num_windows: list[int]
    holdable: list[str]


def window_facts(results: Results, run: RunFolder, vocab_file: str | None) -> tuple[WindowFacts | None, str]:
    """Cut the passages as the run did.

    Args:
      results: the questions.
      run: whose flags count.
      vocab_file: the vocabulary; None takes the one that the run's record names.

    Returns:
      The facts and "", or None and a sentence that says why they are not known.

    Raises:
      BertSquadError: when `vocab_file` is given and cannot be used.
    """
    lengths: dict[str, Any] = {name: run.flag(name) for name in (*_LENGTHS, "do_lower_case")}
    missing = next((name for name, value in lengths.items() if type(value) not in (int, bool)), None)
    if missing:
        return (
            None,
            f"The folder has no {RUN_RECORD} that says --{missing}, so how passages were cut is not known.",
        )
    recorded = run.record.get("vocabulary")
    recorded = recorded if isinstance(recorded, dict) else {}
    place = vocab_file or str(recorded.get("file"))
    if not vocab_file and not files.is_file(place):
        return None, f"The run's vocabulary {place} is not there; --vocab_file names it at another place."
    try:
        tokenizer = FullTokenizer(place, do_lower_case=bool(lengths["do_lower_case"]))
    except BertSquadError as error:
        if vocab_file:
            raise
        return None, f"The run's vocabulary cannot be read: {error}"
    if recorded.get("sha256") not in (None, hash_of_vocabulary(tokenizer.vocab)):
        return (
            None,
            f"The vocabulary {place} is not that of the run any more ({RUN_RECORD} has another SHA-256).",
        )
    return _facts(results, tokenizer, lengths, _max_answer_length(run)), ""


def _max_answer_length(run: RunFolder) -> int:
    value = run.flag("max_answer_length")
    return value if type(value) is int else SquadConfig.max_answer_length


def _facts(
    results: Results, tokenizer: FullTokenizer, lengths: dict[str, Any], max_answer_length: int
) -> WindowFacts:
    memory = PassageMemory(tokenizer)
    words = [split_words(passage) for passage in results.passages]
    num_windows, holdable = [], []
    for question in progress.shown(
        results.questions, "cut into windows", len(results.questions), "questions"
    ):
        doc_tokens, char_starts = words[question.passage]
        passage = memory.tokenized(doc_tokens)
        num_query = min(len(tokenizer.tokenize(question.question)), lengths["max_query_length"])
        room = max(1, lengths["max_seq_length"] - num_query - _BESIDE_THE_TEXTS)
        spans = cut_doc_spans(len(passage.tokens), room, max(1, lengths["doc_stride"]))
        num_windows.append(len(spans))
        places = [
            _pieces_of(gold.text, gold.char_start, char_starts, passage, tokenizer)
            for gold in question.golds
            if gold.char_start is not None
        ]
        holdable.append(_holdable(question, places, spans, max_answer_length))
    return WindowFacts(num_windows, holdable)


def _pieces_of(
    text: str, char_start: int, char_starts: list[int], passage: TokenizedPassage, tokenizer: FullTokenizer
) -> tuple[int, int] | None:
    """Return the first and last WordPiece of an answer, inclusive; None when it is not in the passage."""
    first = bisect_right(char_starts, char_start) - 1
    last = bisect_right(char_starts, char_start + max(len(text), 1) - 1) - 1
    if first < 0 or last < first or not passage.tokens:
        return None
    start = passage.orig_to_tok_index[first]
    is_last = last + 1 >= len(passage.orig_to_tok_index)
    end = (len(passage.tokens) if is_last else passage.orig_to_tok_index[last + 1]) - 1
    return narrow_answer(passage.tokens, start, end, tokenizer.tokenize(text))


def _holdable(
    question: QuestionResult,
    places: Sequence[tuple[int, int] | None],
    spans: Sequence[DocSpan],
    max_answer_length: int,
) -> str:
    if not question.golds:
        return NONE
    known = [place for place in places if place is not None]
    if not known:
        return UNPLACED
    held = [
        (first, last)
        for first, last in known
        if any(span.start <= first and last < span.start + span.length for span in spans)
    ]
    if not held:
        return CUT
    return HELD if any(last - first < max_answer_length for first, last in held) else TOO_LONG
