"""What is remembered while a data set is read: questions that are left out, or read in an unexpected way."""

from typing import Any

from absl import logging

from bert_squad.data.question_ids import NamedIds, shown_id
from bert_squad.errors import DataError


class ReadingNotes:
    """Counts and names questions, and says so once; `bert_squad.data.checking` wants all ids and says it otherwise.

    Args:
      remembers_all: remember all ids.

    Attributes:
      num_questions: that were seen.
      bad: questions that cannot be used, and `first_problem`, what is wrong with the first of them.
      left_out: training questions whose answer is not where answer_start says.
      from_the_end: whose answer_start is below 0.
      oddly_impossible: whose is_impossible is neither true nor false.
      with_several_answers: of which only the first answer is trained on.
      duplicates: ids that occur more than once.
    """

    def __init__(self, remembers_all: bool = False):
        self.num_questions = 0
        self.first_problem: DataError | None = None
        self.bad = NamedIds(remembers_all)
        self.left_out = NamedIds(remembers_all)
        self.from_the_end = NamedIds(remembers_all)
        self.oddly_impossible = NamedIds(remembers_all)
        self.with_several_answers = NamedIds(remembers_all)
        self.duplicates = NamedIds(remembers_all)

    def add_bad(self, qas_id: Any, problem: DataError) -> None:
        """Note a question that cannot be used."""
        self.first_problem = self.first_problem or problem
        self.bad.add(qas_id)

    def add_left_out(self, qas_id: Any, actual_text: str, answer_text: str) -> None:
        """Note a training question whose answer is not where it should be, and log it as the legacy script does."""
        logging.warning(
            "Could not find answer: '%s' vs. '%s' (question %s)", actual_text, answer_text, shown_id(qas_id)
        )
        self.left_out.add(qas_id)

    def bad_questions_error(self) -> DataError | None:
        """Return an error that says what is wrong with the first bad question, and names the others; None without."""
        if len(self.bad) < 2:
            return self.first_problem
        return DataError(
            f"{self.first_problem} So it is, in this way or another, with {len(self.bad)} of {self.num_questions} "
            f"questions: {self.bad}."
        )

    def loss_note(self) -> str:
        """Return what to add to a message about the number of questions when some are not trained on, else "".

        >>> notes = ReadingNotes()
        >>> notes.left_out.add("q1")
        >>> notes.loss_note()
        ' (1 was left out, since its answer is not where answer_start says: q1)'
        """
        note = ""
        if self.left_out:
            number = len(self.left_out)
            was, its, is_ = ("was", "its answer", "is") if number == 1 else ("were", "their answers", "are")
            note += (
                f" ({number} {was} left out, since {its} {is_} not where answer_start says: {self.left_out})"
            )
        if self.bad:
            was = "was" if len(self.bad) == 1 else "were"
            note += f" ({len(self.bad)} {was} skipped, as --on_bad_question=skip says: {self.bad})"
        return note

    def log(self, name: str) -> None:
        """Log a line for each kind; the data set must have been read to its end.

        Args:
          name: of the data set.
        """
        of_all = f"of {self.num_questions} questions of {name}"
        if self.duplicates:
            logging.warning(
                "Question ids that occur more than once in %s: %s. Of such questions, the answer to the last is kept.",
                name,
                self.duplicates,
            )
        if self.bad:
            logging.warning(
                "Skipped %d %s that cannot be trained on (--on_bad_question=skip): %s. The first: %s",
                len(self.bad),
                of_all,
                self.bad,
                self.first_problem,
            )
        if self.with_several_answers:
            logging.warning(
                "Only the first of several answers is trained on in %d %s (--several_answers=first): %s.",
                len(self.with_several_answers),
                of_all,
                self.with_several_answers,
            )
        if self.from_the_end:
            logging.warning(
                "answer_start is below 0 in %d %s: %s. As in the legacy script it counts from the "
                "end of the passage; where the answer is not there, the question is left out.",
                len(self.from_the_end),
                of_all,
                self.from_the_end,
            )
        if self.oddly_impossible:
            logging.warning(
                "is_impossible is neither true nor false in %d %s: %s. As in the legacy script, "
                "null, 0 and what is empty mean false, all else true.",
                len(self.oddly_impossible),
                of_all,
                self.oddly_impossible,
            )
        if self.left_out:
            logging.warning(
                "Left out %d %s, since their answers are not where answer_start says: %s.",
                len(self.left_out),
                of_all,
                self.left_out,
            )
