"""Read SQuAD files, version 1.1 and 2.0, into one example a question."""

import collections
import dataclasses
import functools
import itertools
import random
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from bert_squad.data.question_ids import quoted_id
from bert_squad.data.reading_notes import ReadingNotes
from bert_squad.data.sources import Member, read_data_set
from bert_squad.errors import DataError

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


def _kind(value: Any) -> str:
    """Return the JSON name of a value's kind; that of Python for what a Parquet file may hold besides."""
    return _JSON_NAMES.get(type(value), type(value).__name__)


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


@dataclasses.dataclass
class LocatedExample(SquadExample):
    """A question of which it is known where the words of its passage are; not a field of all, as the legacy has them.

    Attributes:
      orig_to_char_index: the character of the context at which each word begins; one list, shared by all questions of
        the passage.
    """

    orig_to_char_index: list[int] = dataclasses.field(default_factory=list)


def read_squad_examples(
    input_file: str, is_training: bool, *, version_2_with_negative: bool = False
) -> list[SquadExample]:
    """Read the questions of a SQuAD file, in file order.

    Args:
      input_file: path of a SQuAD JSON file, version 1.1 or 2.0, or what else `data.sources` reads as one.
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
    data = read_data_set(str(input_file))
    return squad_examples(
        data.squad,
        data.name,
        is_training,
        version_2_with_negative=version_2_with_negative,
        members=data.members,
    )


def squad_examples(
    dataset: Any,
    name: str,
    is_training: bool,
    *,
    version_2_with_negative: bool = False,
    on_bad_question: str = "error",
    several_answers: str = "error",
    located: bool = False,
    members: Sequence[Member] = (),
    notes: ReadingNotes | None = None,
) -> list[SquadExample]:
    """Make examples of a data set that was read already.

    Args:
      dataset: the JSON of a SQuAD file.
      name: of the data set, for messages.
      is_training: as for `read_squad_examples`, like what follows, the result and the errors.
      version_2_with_negative: see there.
      on_bad_question: "error", or "skip" to leave out what cannot be used.
      several_answers: "error", or "first" to train on the first of several answers to a question.
      located: make `LocatedExample`s.
      members: the files of the data set, when it is of several, for messages.
      notes: gets what is left out or odd, of which a line each is logged in the end.
    """
    reader = _Reader(
        name,
        is_training,
        version_2_with_negative=version_2_with_negative,
        skips_bad=on_bad_question == "skip",
        takes_first=several_answers == "first",
        located=located,
        members=members,
        notes=ReadingNotes() if notes is None else notes,
    )
    return list(reader.read(dataset))


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

    @functools.cached_property
    def orig_to_char_index(self) -> list[int]:
        """The first character of each word."""
        return [word.start() for word in _WORD.finditer(self.context)]

    def orig_index(self, char_index: int) -> int:
        """Return the position of the word that holds a character; white space belongs to the word before it.

        LEGACY: white space before the first word gives -1; and character -1, which is the "last" character of
        an empty answer at 0, is the last of the context, as it is in a Python list.
        """
        return bisect_right(self.orig_to_char_index, char_index % len(self.context)) - 1


class _Reader:
    """Walks through a data set; knows where it is, for the messages."""

    def __init__(
        self,
        name: str,
        is_training: bool,
        *,
        version_2_with_negative: bool,
        skips_bad: bool,
        takes_first: bool,
        located: bool,
        members: Sequence[Member],
        notes: ReadingNotes,
    ):
        self.name = name
        self.file = name  # that is being read, of the data set
        self.is_training = is_training
        self.reads_is_impossible = is_training and version_2_with_negative
        self.skips_bad = skips_bad
        self.takes_first = takes_first
        self.located = located
        self.members = members
        self.notes = notes
        self._words: dict[str, str] = {}

    def read(self, dataset: Any) -> Iterator[SquadExample]:
        qas_ids: collections.Counter = collections.Counter()
        for where, entry in self._articles(self._field(dataset, "data", (list,), "the file")):
            for number, paragraph in enumerate(self._field(entry, "paragraphs", (list,), where)):
                yield from self._paragraph(paragraph, f"{where}.paragraphs[{number}]", qas_ids)
        error = self.notes.bad_questions_error()
        if error is not None and not self.skips_bad:
            raise error
        for qas_id, count in qas_ids.items():
            if count > 1:
                self.notes.duplicates.add(qas_id)
        self.notes.log(self.name)

    def _articles(self, data: list) -> Iterator[tuple[str, Any]]:
        """Yield articles and where they are; with several files, each counts its own."""
        if len(self.members) < 2:
            yield from ((f"data[{number}]", entry) for number, entry in enumerate(data))
            return
        entries = iter(data)
        for member in self.members:
            self.file = member.path
            for number, entry in enumerate(itertools.islice(entries, member.num_articles)):
                yield f"data[{number}]", entry

    def _paragraph(self, paragraph: Any, where: str, qas_ids: collections.Counter) -> Iterator[SquadExample]:
        text = _Passage(self._field(paragraph, "context", (str,), where))
        # Words recur: one string for all occurrences keeps the examples small.
        text.doc_tokens = [self._words.setdefault(word, word) for word in text.doc_tokens]
        for number, qa in enumerate(self._field(paragraph, "qas", (list,), where)):
            self.notes.num_questions += 1
            place = f"{where}.qas[{number}]"
            example = None
            try:
                example = self._question(qa, text, place, qas_ids)
            except DataError as problem:  # goes on, so that all such questions can be named at once
                self.notes.add_bad(qa["id"] if isinstance(qa, dict) and "id" in qa else place, problem)
            if example is not None and (self.skips_bad or not self.notes.bad):
                yield example

    def _question(
        self, qa: Any, text: _Passage, place: str, qas_ids: collections.Counter
    ) -> SquadExample | None:
        """Return the example of a question, None when it is left out."""
        qas_id = self._field(qa, "id", _ID_KINDS, place)
        question = f"question {quoted_id(qas_id)} ({place})"
        qas_ids[qas_id] += 1
        asked = (qas_id, self._field(qa, "question", (str,), question), text.doc_tokens)
        example = (
            LocatedExample(*asked, orig_to_char_index=text.orig_to_char_index)
            if self.located
            else SquadExample(*asked)
        )
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
        if len(answers) > 1 and self.takes_first:
            self.notes.with_several_answers.add(example.qas_id)
        elif len(answers) != 1:
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
            self.notes.from_the_end.add(example.qas_id)
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
            self.notes.add_left_out(example.qas_id, actual_text, cleaned_answer_text)
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
            self.notes.oddly_impossible.add(qa["id"])
        return bool(value)

    def _field(self, holder: Any, key: str, kinds: tuple[type, ...] | None, where: str) -> Any:
        """Return `holder[key]`, or say what is wrong with it; `kinds` None takes any."""
        if not isinstance(holder, dict):
            raise self._error(f"{where} should be an object that holds '{key}', not {_kind(holder)}.")
        if key not in holder:
            hint = " If this is SQuAD 1.1, train without --version_2_with_negative." * (
                key == "is_impossible"
            )
            raise self._error(f"{where} has no '{key}'.{hint}")
        value = holder[key]
        if (
            kinds is not None and type(value) not in kinds
        ):  # not isinstance(): to Python, True is an integer too
            wanted, found = _JSON_NAMES[kinds[0]], _kind(value)
            raise self._error(f"'{key}' of {where} should be {wanted}, not {found}.")
        return value

    def _error(self, message: str) -> DataError:
        return DataError(f"In the data set {self.file}, {message}")
