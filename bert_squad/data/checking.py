"""Find everything that is wrong with a data set at once, by question id: what training and prediction would meet."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.passages import Tokenizer
from bert_squad.data.question_ids import NamedIds, shown_id
from bert_squad.data.reading_notes import ReadingNotes
from bert_squad.data.sources import DataSet
from bert_squad.data.squad_rows import NOT_ALIGNED, FlatQuestion, questions_in
from bert_squad.data.windows import LossNotes, Window, WindowLengths, make_windows
from bert_squad.errors import DataError


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """What is asked of a data set.

    Args:
      trains: it is to be trained on, and each question has to have one answer.
      scores: predictions for it are to be scored.
      version_2_with_negative: as the flag; None: as the questions are marked.
      several_answers: as the flag.
      max_answer_length: as the flag, in WordPieces.
    """

    trains: bool = False
    scores: bool = False
    version_2_with_negative: bool | None = None
    several_answers: str = "error"
    max_answer_length: int = 30

    @property
    def reads_positions(self) -> bool:
        """Where answers stand matters: for all but what is only predicted."""
        return self.trains or not self.scores


@dataclasses.dataclass
class Finding:
    """Something that is wrong with some questions.

    Attributes:
      kind: a name for it, for programs.
      what: the same for people.
      questions: which ones.
      reasons: question id → what is wrong with it, where that differs.
    """

    kind: str
    what: str
    questions: NamedIds
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Report:
    """What a data set holds, as name → number, and what is wrong with it."""

    counts: dict[str, Any]
    findings: list[Finding]


class _Collected(ReadingNotes):
    """Remembers all, and logs nothing."""

    def __init__(self) -> None:
        super().__init__(remembers_all=True)
        self.reasons: dict[str, str] = {}

    def add_bad(self, qas_id: Any, problem: DataError) -> None:
        super().add_bad(qas_id, problem)
        self.reasons.setdefault(shown_id(qas_id), str(problem))

    def add_left_out(self, qas_id: Any, actual_text: str, answer_text: str) -> None:
        self.left_out.add(qas_id)

    def log(self, name: str) -> None:
        pass


def check_data_set(
    data: DataSet,
    options: CheckOptions,
    tokenizer: Tokenizer | None = None,
    lengths: WindowLengths | None = None,
) -> Report:
    """Check a data set.

    Args:
      data: it.
      options: what is asked of it.
      tokenizer: for what depends on WordPieces; None: that is not checked.
      lengths: of the windows, with a tokenizer.

    Raises:
      DataError: when it has not the structure of SQuAD data, so that there are no questions to check.
    """
    read, trained = _Collected(), _Collected()
    asked = _read(data, read, is_training=False)
    is_version_2 = options.version_2_with_negative
    if is_version_2 is None:
        is_version_2 = any("is_impossible" in qa for _, _, qa in _questions(data))
    several = options.several_answers if options.trains else "first"
    answered = _read(
        data, trained, is_training=True, version_2_with_negative=is_version_2, several_answers=several
    )
    counts = _counts(data, is_version_2)
    findings = [
        Finding("unusable", "something is missing, or of the wrong kind", read.bad, read.reasons),
        Finding("duplicate_id", "id occurs more than once", read.duplicates),
    ]
    if options.trains:
        findings.append(_untrainable(trained, read))
    if options.reads_positions:
        findings += [
            _misplaced(data),
            Finding(
                "left_out",
                "left out of training: the answer is not in the words at answer_start",
                trained.left_out,
            ),
            Finding("negative_offset", "answer_start is below 0", trained.from_the_end),
        ]
    findings += [
        Finding("odd_is_impossible", "is_impossible is neither true nor false", trained.oddly_impossible),
        *_contradictions(data, options.scores and not is_version_2),
    ]
    if tokenizer is not None and lengths is not None:
        findings += _check_lengths(asked, tokenizer, lengths, counts)
        if options.reads_positions:
            findings += _check_answers(answered, options.max_answer_length, tokenizer, lengths)
    return Report(counts, [finding for finding in findings if finding.questions])


def _read(data: DataSet, notes: ReadingNotes, is_training: bool, **options: Any) -> list[SquadExample]:
    return squad_examples(
        data.squad,
        data.name,
        is_training,
        on_bad_question="skip",
        members=data.members,
        notes=notes,
        **options,
    )


def _questions(data: DataSet) -> Iterator[FlatQuestion]:
    """Yield the questions that have an id; the others are unusable, and reported as such."""
    return (flat for flat in questions_in(data.squad) if isinstance(flat.qa, dict) and "id" in flat.qa)


def _counts(data: DataSet, is_version_2: bool) -> dict[str, Any]:
    questions = list(_questions(data))
    answers = [qa["answers"] for _, _, qa in questions if isinstance(qa.get("answers"), list)]
    return {
        "files": len(data.members),
        "version": "2.0" if is_version_2 else "1.1",
        "passages": sum(len(article["paragraphs"]) for article in data.squad["data"]),
        "questions": len(questions),
        "impossible": sum(bool(qa.get("is_impossible")) for _, _, qa in questions),
        "answers": sum(map(len, answers)),
    }


def _all_ids() -> NamedIds:
    return NamedIds(remembers_all=True)


def _untrainable(trained: _Collected, read: _Collected) -> Finding:
    """Return the questions that prediction could use, and training cannot."""
    usable = _all_ids()
    for qas_id in trained.bad.ids:
        if shown_id(qas_id) not in read.reasons:
            usable.add(qas_id)
    reasons = {qas_id: reason for qas_id, reason in trained.reasons.items() if qas_id not in read.reasons}
    return Finding("untrainable", "cannot be trained on", usable, reasons)


def _misplaced(data: DataSet) -> Finding:
    """Return the questions with an answer that is not, to the letter, what stands at its answer_start.

    Other names of an answer have the mark `NOT_ALIGNED`, which is none of a first answer.
    """
    found = Finding("not_at_offset", "an answer is not the text at its answer_start", _all_ids())
    for _, context, qa in _questions(data):
        answers = qa.get("answers")
        for number, answer in enumerate(answers if isinstance(answers, list) else ()):
            text, start = _place_of(answer)
            if number and start == NOT_ALIGNED:
                continue
            there = context[start : start + len(text)] if start >= 0 else ""
            if start < 0 or there != text:
                found.questions.add(qa["id"])
                found.reasons.setdefault(
                    shown_id(qa["id"]), f"{text!r} is not {there!r} (answer_start {start})"
                )
                break
    return found


def _place_of(answer: Any) -> tuple[str, int]:
    """Return the text and the first character of an answer; what it lacks is nowhere."""
    text, start = (answer.get("text"), answer.get("answer_start")) if isinstance(answer, dict) else ("", None)
    if isinstance(text, str) and isinstance(start, int):
        return text, start
    return str(text), NOT_ALIGNED - 1


def _contradictions(data: DataSet, wants_answers: bool) -> Iterator[Finding]:
    """Yield what contradicts the mark of a question, and with `wants_answers` questions without one."""
    answered = Finding("impossible_with_answers", "marked is_impossible, with answers", _all_ids())
    unanswered = Finding("without_answer", "no answer, and not marked is_impossible", _all_ids())
    for _, _, qa in _questions(data):
        if qa.get("is_impossible") is True and qa.get("answers"):
            answered.questions.add(qa["id"])
        if not qa.get("is_impossible") and not qa.get("answers") and ("is_impossible" in qa or wants_answers):
            unanswered.questions.add(qa["id"])
    yield from (answered, unanswered)


def _check_lengths(
    asked: list[SquadExample], tokenizer: Tokenizer, lengths: WindowLengths, counts: dict[str, Any]
) -> list[Finding]:
    """Lay all questions out as prediction does; add what that gives to the counts."""
    notes = LossNotes(False, lengths.max_query_length)
    notes.cut, notes.without_text = _all_ids(), _all_ids()
    counts["windows"] = sum(1 for _ in make_windows(asked, tokenizer, lengths, False, notes))
    queries = (len(tokenizer.tokenize(example.question_text)) for example in asked)
    counts["longest_question"] = max(queries, default=0)
    return [
        Finding(
            "question_cut", f"cut to --max_query_length={lengths.max_query_length} WordPieces", notes.cut
        ),
        Finding("passage_without_text", "passage without text", notes.without_text),
    ]


def _check_answers(
    answered: list[SquadExample], max_answer_length: int, tokenizer: Tokenizer, lengths: WindowLengths
) -> list[Finding]:
    """Lay questions out as training does, and see whether the whole answer is in one of the windows."""
    nowhere = Finding(
        "answer_in_no_window",
        f"no window of --max_seq_length={lengths.max_seq_length} and --doc_stride={lengths.doc_stride} holds the "
        "answer whole",
        _all_ids(),
    )
    too_long = Finding(
        "answer_too_long",
        f"answer longer than --max_answer_length={max_answer_length} WordPieces, which is never predicted",
        _all_ids(),
    )
    windows = make_windows(answered, tokenizer, lengths, True, LossNotes(True, lengths.max_query_length))
    for index, of_example in itertools.groupby(windows, lambda window: window.example_index):
        sizes = [_answer_size(window) for window in of_example]
        if answered[index].is_impossible:
            continue
        if not any(sizes):
            nowhere.questions.add(answered[index].qas_id)
        elif max(sizes) > max_answer_length:
            too_long.questions.add(answered[index].qas_id)
    return [nowhere, too_long]


def _answer_size(window: Window) -> int:
    """Return the WordPieces of the answer; 0 when this window does not hold it whole."""
    start, end = window.start_position, window.end_position
    return end - start + 1 if start and end else 0
