"""Read SQuAD files, version 1.1 and 2.0, into one example a question."""

import collections
import dataclasses
import random
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from absl import logging

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

_SHUFFLE_SEED = 12345
_MAX_NAMED_DUPLICATES = 20


@dataclasses.dataclass
class SquadExample:
    """One question about one paragraph.

    Attributes:
      qas_id: the question's id, as in the file (a string, or an integer).
      question_text: the question.
      doc_tokens: the words of the paragraph; one list, shared by all questions of the paragraph.
      orig_answer_text: the answer as in the file, "" when impossible; None unless read for training.
      start_position: first word of the answer in `doc_tokens`, -1 when impossible; None unless for training.
      end_position: last word of the answer, inclusive, -1 when impossible; None unless for training.
      is_impossible: the paragraph does not hold the answer; always False unless read for training.

    Source: `SquadExample` of the legacy run_squad.py.
    """

    qas_id: str | int
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
      is_training: read answers too; a question whose answer is not in its paragraph is left out with a warning.
      version_2_with_negative: when training, read `is_impossible`.

    Returns:
      One example a question.

    Raises:
      DataError: when the file cannot be read, is not SQuAD JSON, or a training question has no usable answer.

    Source: `read_squad_examples` of the legacy run_squad.py.
    Differs: what the file lacks is named, with the question's id; the version 2 switch is an argument, not a
      flag; question ids that occur twice are named in a warning.
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
    dataset: Any, name: str, is_training: bool, *, version_2_with_negative: bool = False
) -> list[SquadExample]:
    """Make examples of a data set that was read already.

    Args:
      dataset: the JSON of a SQuAD file.
      name: of the file, for messages.
      is_training: as for `read_squad_examples`, like what follows, the result and the errors.
      version_2_with_negative: see there.
    """
    return list(_Reader(name, is_training, version_2_with_negative).read(dataset))


def shuffle_examples(examples: list[SquadExample]) -> None:
    """Shuffle training examples in place, in the one order in which the legacy script trained on them."""
    random.Random(_SHUFFLE_SEED).shuffle(examples)


class _Paragraph:
    """A paragraph's words, and the word of each character."""

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

    def __init__(self, input_file: str, is_training: bool, version_2_with_negative: bool):
        self.input_file = input_file
        self.is_training = is_training
        self.reads_is_impossible = is_training and version_2_with_negative
        self._words: dict[str, str] = {}

    def read(self, dataset: Any) -> Iterator[SquadExample]:
        qas_ids: collections.Counter = collections.Counter()
        data = self._field(dataset, "data", (list,), "the file")
        for article, entry in enumerate(data):
            where = f"data[{article}]"
            for number, paragraph in enumerate(self._field(entry, "paragraphs", (list,), where)):
                yield from self._paragraph(paragraph, f"{where}.paragraphs[{number}]", qas_ids)
        self._warn_of_duplicates([qas_id for qas_id, count in qas_ids.items() if count > 1])

    def _paragraph(self, paragraph: Any, where: str, qas_ids: collections.Counter) -> Iterator[SquadExample]:
        text = _Paragraph(self._field(paragraph, "context", (str,), where))
        # Words recur: one string for all occurrences keeps the examples small.
        text.doc_tokens = [self._words.setdefault(word, word) for word in text.doc_tokens]
        for number, qa in enumerate(self._field(paragraph, "qas", (list,), where)):
            place = f"{where}.qas[{number}]"
            qas_id = self._field(qa, "id", (str, int, float), place)
            question = f"question {qas_id!r} ({place})"
            qas_ids[qas_id] += 1
            example = SquadExample(qas_id, self._field(qa, "question", (str,), question), text.doc_tokens)
            if not self.is_training or self._add_answer(example, qa, text, question):
                yield example

    def _add_answer(self, example: SquadExample, qa: dict, text: _Paragraph, question: str) -> bool:
        """Fill in the answer; return False when the question is to be left out."""
        if self.reads_is_impossible:
            example.is_impossible = self._field(qa, "is_impossible", (bool, int), question)
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
        char_start = self._field(answers[0], "answer_start", (int,), f"the answer of {question}")
        char_end = char_start + len(answer_text)  # exclusive
        if not (0 <= char_start < len(text.context) and char_end <= len(text.context)):
            raise self._error(
                f"the answer of {question} lies outside its context: characters {char_start} to {char_end} of "
                f"{len(text.context)}. Correct its answer_start."
            )
        example.orig_answer_text = answer_text
        example.start_position = text.orig_index(char_start)
        example.end_position = text.orig_index(char_end - 1)
        # LEGACY: only this is asked of the answer, not that it stands at its offset; and the answer is
        # normalised at all of Unicode's white space, the context at five characters, so that an answer with
        # U+00A0 in it is never found.
        actual_text = " ".join(text.doc_tokens[example.start_position : example.end_position + 1])
        cleaned_answer_text = " ".join(answer_text.split())
        if cleaned_answer_text not in actual_text:
            logging.warning("Could not find answer: '%s' vs. '%s'", actual_text, cleaned_answer_text)
            return False
        return True

    def _field(self, holder: Any, key: str, kinds: tuple[type, ...], where: str) -> Any:
        """Return `holder[key]`, or say what is wrong with it."""
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
        if type(value) not in kinds:  # not isinstance(): to Python, True is an integer too
            wanted, found = _JSON_NAMES[kinds[0]], _JSON_NAMES[type(value)]
            raise self._error(f"'{key}' of {where} should be {wanted}, not {found}.")
        return value

    def _error(self, message: str) -> DataError:
        return DataError(f"In the data set {self.input_file}, {message}")

    def _warn_of_duplicates(self, qas_ids: list) -> None:
        if not qas_ids:
            return
        named = ", ".join(map(str, qas_ids[:_MAX_NAMED_DUPLICATES]))
        if len(qas_ids) > _MAX_NAMED_DUPLICATES:
            named += f" and {len(qas_ids) - _MAX_NAMED_DUPLICATES} more"
        logging.warning(
            "Question ids that occur more than once in %s: %s. Of such questions, the answer to the last is kept.",
            self.input_file,
            named,
        )
