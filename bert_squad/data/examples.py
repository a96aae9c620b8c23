"""Read SQuAD files, version 1.1 and 2.0, into one example a question."""

import collections
import dataclasses
import random
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from absl import logging

from bert_squad.data.question_ids import NamedIds, quoted_id, shown_id
from bert_squad.errors import DataError
from bert_squad.json_files import read_json

# LEGACY: context words split at these alone; other white space, such as U+00A0, stays inside a word.
_WORD = re.compile("[^ \t\r\n\u202f]+")

_JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number with a fraction",
    bool: "true or false",
    type(None): "null",
}

_ID_KINDS = (str, int, float, bool, type(None))  # what can be a key of predictions.json

_SHUFFLE_SEED = 12345


@dataclasses.dataclass
class SquadExample:
    """One question about one passage.

    Attributes:
      qas_id: the question's id, as in the file (a string mostly; a number, true, false or null works too).
      question_text: the question.
      doc_tokens: the words of the passage; one list, shared by all questions of the passage.
      orig_answer_text: the answer as in the file, "" when impossible; None unless read for training.
      start_position: first word of the answer in `doc_tokens`, -1 when impossible; None unless for training.
      end_position: last word of the answer, inclusive, -1 when impossible; None unless for training.
      is_impossible: the passage does not hold the answer; always False unless read for training.

    Source: `SquadExample` of the legacy run_squad.py.
    """

    qas_id: str | int | float | None
    question_text: str
    doc_tokens: list[str]
    orig_answer_text: str | None = None
    start_position: int | None = None
    end_position: int | None = None
    is_impossible: bool = False


def read_squad_examples(
    input_file: str, is_training: bool, *, version_2_with_negative: bool = False
) -> list[SquadExample]:
    """Read the questions of a SQuAD file, in file order.

    Args:
      input_file: path of a SQuAD JSON file, version 1.1 or 2.0.
      is_training: read answers too; a question whose answer is not in its passage is left out with a warning.
      version_2_with_negative: when training, read `is_impossible`.

    Returns:
      One example a question.

    Raises:
      DataError: when the file cannot be read, is not SQuAD JSON, or a training question has no usable answer.

    Source: `read_squad_examples` of the legacy run_squad.py.
    Differs: what the file lacks is named, with the question's id, and all questions that cannot be used in one
      error; the version 2 switch is an argument, not a flag; what is read in a way that one may not expect is
      named in warnings: ids that occur twice, answers left out or counted from the end, odd `is_impossible`.
    """
    return squad_examples(
        read_squad_json(str(input_file)),
        str(input_file),
        is_training,
        version_2_with_negative=version_2_with_negative,
    )


def read_squad_json(input_file: str, flag: str = "--train_file and --predict_file") -> Any:
    """Read the JSON of a SQuAD file, without a look at what is in it.

    Args:
      input_file: path of the file, local or remote; it is opened once, so that it may be a pipe.
      flag: that named it, for messages.

    Raises:
      DataError: when the file cannot be read or is not JSON.
    """
    return read_json(input_file, "data set", flag=flag)


def squad_examples(
    dataset: Any,
    name: str,
    is_training: bool,
    *,
    version_2_with_negative: bool = False,
    left_out: NamedIds | None = None,
) -> list[SquadExample]:
    """Make examples of a data set that was read already.

    Args:
      dataset: the JSON of a SQuAD file.
      name: of the file, for messages.
      is_training: as for `read_squad_examples`, like what follows, the result and the errors.
      version_2_with_negative: see there.
      left_out: gets the training questions that were left out, since their answer is not where they say.
    """
    reader = _Reader(name, is_training, version_2_with_negative, left_out)
    return list(reader.read(dataset))


def left_out_note(left_out: NamedIds) -> str:
    """Return what to add to a message about the number of questions when some were left out, else "".

    >>> ids = NamedIds()
    >>> ids.add("q1")
    >>> left_out_note(ids)
    ' (1 was left out, since its answer is not where answer_start says: q1)'
    """
    if not left_out:
        return ""
    was, its, is_ = ("was", "its answer", "is") if len(left_out) == 1 else ("were", "their answers", "are")
    return f" ({len(left_out)} {was} left out, since {its} {is_} not where answer_start says: {left_out})"


def shuffle_examples(examples: list[SquadExample]) -> None:
    """Shuffle training examples in place, in the one order in which the legacy script trained on them."""
    random.Random(_SHUFFLE_SEED).shuffle(examples)


def split_words(context: str) -> tuple[list[str], list[int]]:
    """Return the words of a context, as `doc_tokens` has them, and at which character each begins.

    >>> split_words(" By  Steve\\n")
    (['By', 'Steve'], [1, 5])
    """
    words = list(_WORD.finditer(context))
    return [word.group() for word in words], [word.start() for word in words]


class _Passage:
    """A passage's words, and the word of each character."""

    def __init__(self, context: str):
        self.context = context
        self.doc_tokens = _WORD.findall(context)
        self._char_starts: list[int] | None = None

    def orig_index(self, char_index: int) -> int:
        """Return the position of the word that holds a character; white space belongs to the word before it.

        LEGACY: white space before the first word gives -1; and character -1, which is the "last" character of
        an empty answer at 0, is the last of the context, as it is in a Python list.
        """
        if self._char_starts is None:
            self._char_starts = [word.start() for word in _WORD.finditer(self.context)]
        return bisect_right(self._char_starts, char_index % len(self.context)) - 1


class _Reader:
    """Walks through one file; knows where it is, for the messages."""

    def __init__(
        self,
        input_file: str,
        is_training: bool,
        version_2_with_negative: bool,
        left_out: NamedIds | None = None,
    ):
        self.input_file = input_file
        self.is_training = is_training
        self.reads_is_impossible = is_training and version_2_with_negative
        self._words: dict[str, str] = {}
        self._num_questions = 0
        self._left_out = NamedIds() if left_out is None else left_out
        self._from_the_end = NamedIds()
        self._oddly_impossible = NamedIds()
        self._first_problem: DataError | None = None
        self._problems = NamedIds()

    def read(self, dataset: Any) -> Iterator[SquadExample]:
        qas_ids: collections.Counter = collections.Counter()
        data = self._field(dataset, "data", (list,), "the file")
        for article, entry in enumerate(data):
            where = f"data[{article}]"
            for number, paragraph in enumerate(self._field(entry, "paragraphs", (list,), where)):
                yield from self._paragraph(paragraph, f"{where}.paragraphs[{number}]", qas_ids)
        if self._first_problem is not None:
            raise self._all_problems(self._first_problem)
        self._warn_of_duplicates([qas_id for qas_id, count in qas_ids.items() if count > 1])
        self._warn_of_odd_answers()

    def _paragraph(self, paragraph: Any, where: str, qas_ids: collections.Counter) -> Iterator[SquadExample]:
        text = _Passage(self._field(paragraph, "context", (str,), where))
        # Words recur: one string for all occurrences keeps the examples small.
        text.doc_tokens = [self._words.setdefault(word, word) for word in text.doc_tokens]
        for number, qa in enumerate(self._field(paragraph, "qas", (list,), where)):
            self._num_questions += 1
            place = f"{where}.qas[{number}]"
            example = None
            try:
                example = self._question(qa, text, place, qas_ids)
            except DataError as problem:  # goes on, so that all such questions can be named at once
                self._first_problem = self._first_problem or problem
                self._problems.add(qa["id"] if isinstance(qa, dict) and "id" in qa else place)
            if example is not None and self._first_problem is None:
                yield example

    def _question(
        self, qa: Any, text: _Passage, place: str, qas_ids: collections.Counter
    ) -> SquadExample | None:
        """Return the example of a question, None when it is left out."""
        qas_id = self._field(qa, "id", _ID_KINDS, place)
        question = f"question {quoted_id(qas_id)} ({place})"
        qas_ids[qas_id] += 1
        example = SquadExample(qas_id, self._field(qa, "question", (str,), question), text.doc_tokens)
        if self.is_training and not self._add_answer(example, qa, text, question):
            return None
        return example

    def _add_answer(self, example: SquadExample, qa: dict, text: _Passage, question: str) -> bool:
        """Fill in the answer; return False when the question is to be left out."""
        if self.reads_is_impossible:
            example.is_impossible = self._is_impossible(qa, question)
        if example.is_impossible:
            example.orig_answer_text = ""
            example.start_position = example.end_position = -1
            return True
        answers = self._field(qa, "answers", (list,), question)
        if len(answers) != 1:
            hint = (
                "It is marked is_impossible: train with --version_2_with_negative."
                if qa.get("is_impossible")
                else "Keep one of them."
                if answers
                else "Add it, or take the question out."
            )
            raise self._error(
                f"{question} has {len(answers)} answers. "
                f"For training, each question should have exactly 1 answer. {hint}"
            )
        answer_text = self._field(answers[0], "text", (str,), f"the answer of {question}")
        # LEGACY: true and false work as the numbers that they are to Python; numbers with a fraction do not.
        char_start = int(self._field(answers[0], "answer_start", (int, bool), f"the answer of {question}"))
        char_last = char_start + len(answer_text) - 1
        # LEGACY: what lies below 0 counts from the end of the context, as in a Python list. -1 is a common mark of
        # an answer that is not aligned; such an answer is then seldom found, and its question left out.
        size = len(text.context)
        if not (-size <= char_start < size and -size <= char_last < size):
            raise self._error(
                f"the answer of {question} lies outside its context: characters {char_start} to {char_last + 1} of "
                f"{size}. Correct its answer_start."
            )
        if char_start < 0:
            self._from_the_end.add(example.qas_id)
        example.orig_answer_text = answer_text
        example.start_position = text.orig_index(char_start)
        example.end_position = text.orig_index(char_last)
        # LEGACY: only this is asked of the answer, not that it stands at its offset; and the answer is
        # normalised at all of Unicode's white space, the context at five characters, so that an answer with
        # U+00A0 in it is never found.
        actual_text = " ".join(text.doc_tokens[example.start_position : example.end_position + 1])
        cleaned_answer_text = " ".join(answer_text.split())
        # An answer of spaces alone that runs from the end to the beginning "is there" too, but has its end far before
        # its start: the legacy script trained on labels outside of the window.
        runs_round = example.start_position > example.end_position + 1
        if cleaned_answer_text not in actual_text or runs_round:
            logging.warning(
                "Could not find answer: '%s' vs. '%s' (question %s)",
                actual_text,
                cleaned_answer_text,
                shown_id(example.qas_id),
            )
            self._left_out.add(example.qas_id)
            return False
        return True

    def _is_impossible(self, qa: dict, question: str) -> bool:
        value = self._field(qa, "is_impossible", None, question)
        if isinstance(value, bool):
            return value
        # LEGACY: Python's idea of truth. Of texts it would be true for "false" too, which is nobody's.
        if isinstance(value, str) and value and value.strip().lower() != "true":
            raise self._error(f"'is_impossible' of {question} should be true or false, not a string.")
        if type(value) is not int:  # 0 and 1 need no word
            self._oddly_impossible.add(qa["id"])
        return bool(value)

    def _field(self, holder: Any, key: str, kinds: tuple[type, ...] | None, where: str) -> Any:
        """Return `holder[key]`, or say what is wrong with it; `kinds` None takes any."""
        if not isinstance(holder, dict):
            raise self._error(
                f"{where} should be an object that holds '{key}', not {_JSON_NAMES[type(holder)]}."
            )
        if key not in holder:
            hint = " If this is SQuAD 1.1, train without --version_2_with_negative." * (
                key == "is_impossible"
            )
            raise self._error(f"{where} has no '{key}'.{hint}")
        value = holder[key]
        if (
            kinds is not None and type(value) not in kinds
        ):  # not isinstance(): to Python, True is an integer too
            wanted, found = _JSON_NAMES[kinds[0]], _JSON_NAMES[type(value)]
            raise self._error(f"'{key}' of {where} should be {wanted}, not {found}.")
        return value

    def _error(self, message: str) -> DataError:
        return DataError(f"In the data set {self.input_file}, {message}")

    def _all_problems(self, first: DataError) -> DataError:
        if len(self._problems) == 1:
            return first
        return DataError(
            f"{first} So it is, in this way or another, with {len(self._problems)} of {self._num_questions} "
            f"questions: {self._problems}."
        )

    def _warn_of_odd_answers(self) -> None:
        if self._from_the_end:
            logging.warning(
                "answer_start is below 0 in %d of %d questions of %s: %s. As in the legacy script it counts from the "
                "end of the passage; where the answer is not there, the question is left out.",
                len(self._from_the_end),
                self._num_questions,
                self.input_file,
                self._from_the_end,
            )
        if self._oddly_impossible:
            logging.warning(
                "is_impossible is neither true nor false in %d of %d questions of %s: %s. As in the legacy script, "
                "null, 0 and what is empty mean false, all else true.",
                len(self._oddly_impossible),
                self._num_questions,
                self.input_file,
                self._oddly_impossible,
            )
        if self._left_out:
            logging.warning(
                "Left out %d of %d questions of %s, since their answers are not where answer_start says: %s.",
                len(self._left_out),
                self._num_questions,
                self.input_file,
                self._left_out,
            )

    def _warn_of_duplicates(self, qas_ids: list) -> None:
        if not qas_ids:
            return
        named = NamedIds()
        for qas_id in qas_ids:
            named.add(qas_id)
        logging.warning(
            "Question ids that occur more than once in %s: %s. Of such questions, the answer to the last is kept.",
            self.input_file,
            named,
        )
