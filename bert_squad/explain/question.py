"""The question that is explained, read as a SQuAD file's would be."""

import re
from typing import Any, NamedTuple

from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.features import InputFeatures
from bert_squad.data.question_ids import quoted_id as quoted
from bert_squad.data.windows import LossNotes, WindowLengths, make_windows
from bert_squad.errors import ConfigError, DataError
from bert_squad.text.tokenization import FullTokenizer


class AskedQuestion(NamedTuple):
    """A question, its passage, and the right answer if it is known.

    Attributes:
      text: the question.
      context: the passage.
      answer: the right answer; "" when it is that there is none; None when it is not known.
      answer_start: its first character in the passage; None without an answer.
      num_occurrences: how often the answer's text is in the passage.
    """

    text: str
    context: str
    answer: str | None = None
    answer_start: int | None = None
    num_occurrences: int = 0


def ask_question(
    text: str, context: str, answer: str | None = None, answer_start: int | None = None
) -> AskedQuestion:
    """Put a question together, and say what is wrong with it.

    Args:
      text: the question.
      context: the passage.
      answer: the right answer, "" for "no answer", None when it is not known.
      answer_start: its first character in the passage; None: where it occurs first.

    Raises:
      ConfigError: when what is given does not go together.
      DataError: when there is no question or passage, or the answer is not in the passage.
    """
    if not text.strip():
        raise DataError("--question is empty; ask something.")
    if not context.strip():
        raise DataError("The passage is empty, so there is nothing to find in it; check --context_file.")
    if answer is None:
        if answer_start is not None:
            raise ConfigError("--answer_start says where --answer is; add that.")
        return AskedQuestion(text, context)
    if not answer.strip():
        return AskedQuestion(text, context, "")
    places = [match.start() for match in re.finditer(f"(?={re.escape(answer)})", context)]
    if not places:
        raise DataError(
            f"--answer={quoted(answer)} does not occur in the passage; copy it from there.{_near(answer, context)}"
        )
    if answer_start is not None and answer_start not in places:
        raise DataError(
            f"--answer_start={answer_start}: there the passage has {quoted(_at(context, answer_start, len(answer)))}; "
            f"{quoted(answer)} begins at {', '.join(map(str, places[:5]))}{', ...' if len(places) > 5 else ''}."
        )
    place = places[0] if answer_start is None else answer_start
    return AskedQuestion(text, context, answer, place, len(places))


def _at(context: str, place: int, length: int) -> str:
    return context[place : place + length] if place >= 0 else ""


def _near(answer: str, context: str) -> str:
    """Say what is there that differs in capitals or white space only."""
    pattern = r"\s+".join(map(re.escape, answer.split()))
    match = re.search(pattern, context, re.IGNORECASE)
    return f" {quoted(match.group())} is there." if match else ""


def windows_of(
    asked: AskedQuestion, tokenizer: FullTokenizer, lengths: WindowLengths, *, version_2_with_negative: bool
) -> tuple[SquadExample, list[InputFeatures]]:
    """Cut a question's passage into windows, which have labels when the right answer is known.

    Raises:
      DataError: when the passage has no text, or no window holds the right answer, or training would leave it out.
      ConfigError: when the question leaves no room for the passage, or there is to be no answer where there always is.
    """
    is_training = asked.answer is not None
    if asked.answer == "" and not version_2_with_negative:
        raise ConfigError(
            '--answer is empty, which means "no answer", and this model always answers (it has no '
            "--version_2_with_negative); give a text of the passage."
        )
    examples = squad_examples(
        _data_set(asked), "of --question", is_training, version_2_with_negative=version_2_with_negative
    )
    if not examples:
        raise DataError(
            f"--answer={quoted(asked.answer)} is not found among the words of the passage, which are cut at spaces, "
            "tabs and line ends, so training would leave this question out; copy the answer with its white space."
        )
    notes = LossNotes(is_training, lengths.max_query_length)
    windows = make_windows(examples, tokenizer, lengths, is_training, notes)
    features = list(map(InputFeatures.from_window, windows))
    if not features:
        raise DataError("The passage has no text that the vocabulary could show; check --context_file.")
    notes.log()
    if asked.answer and not any(feature.start_position for feature in features):
        raise DataError(
            f"No window holds all of --answer={quoted(asked.answer)}, so training would teach no answer anywhere; "
            f"give a shorter one, or raise --max_seq_length ({lengths.max_seq_length}) or lower --doc_stride "
            f"({lengths.doc_stride}), which an exported model has as it was trained."
        )
    return examples[0], features


def _data_set(asked: AskedQuestion) -> dict[str, Any]:
    # In messages a question is called by its text.
    qa: dict[str, Any] = {"id": asked.text, "question": asked.text}
    if asked.answer is not None:
        qa["is_impossible"] = not asked.answer
        qa["answers"] = [{"text": asked.answer, "answer_start": asked.answer_start}] if asked.answer else []
    return {"data": [{"paragraphs": [{"context": asked.context, "qas": [qa]}]}]}
