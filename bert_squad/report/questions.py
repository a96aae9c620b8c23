"""The questions of a data set with their passages, right answers, predictions and scores. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from bert_squad.answers.metrics import Score, evaluate, score_answers
from bert_squad.answers.metrics_input import QuestionSet, read_questions
from bert_squad.data.examples import squad_examples
from bert_squad.data.question_ids import shown_id
from bert_squad.data.sources import DataSet, read_data_set
from bert_squad.errors import DataError
from bert_squad.report.run_folder import RunFolder

RIGHT = "right"
NEARLY = "nearly right"
WRONG = "wrong"
NEEDLESS = "should have been empty"
MISSED = "should not have been empty"
UNANSWERED = "no prediction"
OUTCOMES = (RIGHT, NEARLY, WRONG, NEEDLESS, MISSED, UNANSWERED)


class Gold(NamedTuple):
    """A right answer: its text, and its first character in the passage; None where the data set does not say it."""

    text: str
    char_start: int | None


@dataclasses.dataclass
class QuestionResult:
    """A question and what became of it.

    Attributes:
      qas_id: as a JSON key.
      question: its text.
      passage: number of its passage in `Results.passages`.
      golds: the right answers; none when the question is unanswerable.
      prediction: what the run answers; "" for no answer, None when it has no prediction.
      score: of the prediction.
      outcome: one of `OUTCOMES`.
      nbest: entries of nbest_predictions.json, the most probable first.
      nbest_scores: of each of them.
      probability: of the prediction in its n-best list; None where it is not listed.
      null_odds: odds of no answer; None for a run of version 1.1.
    """

    qas_id: str
    question: str
    passage: int
    golds: list[Gold]
    prediction: str | None
    score: Score
    outcome: str
    nbest: list[dict[str, Any]]
    nbest_scores: list[Score]
    probability: float | None
    null_odds: float | None


class Results(NamedTuple):
    """All questions of a report.

    Attributes:
      questions: those that are scored, in the order of the data set.
      passages: their passages, each once.
      is_version_2: how they are scored.
      metrics: of the official script, as `evaluate` returns them.
      num_foreign: predictions for questions that the data set does not have.
    """

    questions: list[QuestionResult]
    passages: list[str]
    is_version_2: bool
    metrics: dict[str, float]
    num_foreign: int

    @property
    def exact(self) -> float:
        """The share of exact answers, in percent."""
        return self.metrics["exact" if self.is_version_2 else "exact_match"]


class _Asked(NamedTuple):
    question: str
    passage: int
    golds: list[Gold]


def read_results(run: RunFolder, predict_file: str, most: int | None = None) -> tuple[Results, DataSet]:
    """Join the answers of a run with the questions that they are for.

    Args:
      run: the answers.
      predict_file: the questions, of any kind and number of files that --predict_file takes.
      most: take the first so many questions alone; None for all.

    Returns:
      The results, and the data set.

    Raises:
      DataError: when the data set cannot be read or scored, or the predictions are for other questions.
    """
    data = read_data_set(predict_file, "--predict_file")
    squad_examples(data.squad, data.name, is_training=False, members=data.members)  # says what is wrong in it
    questions = read_questions(data.squad, f"data set {data.name}", most)
    asked_ids = {question.qas_id for question in questions.questions}
    if not any(qas_id in asked_ids for qas_id in run.predictions):
        raise DataError(
            f"None of the {len(asked_ids)} questions of {predict_file} has a prediction in {run.path}, which answers "
            f"others ({shown_id(next(iter(run.predictions), 'none at all'))}); check --predict_file."
        )
    metrics = evaluate(questions, run.predictions, run.null_odds)
    is_version_2 = questions.is_version_2 or run.null_odds is not None
    passages, asked = _walk(data.squad, len(questions.questions))
    rows = [
        _result(run, qas_id, of_question, is_version_2)
        for qas_id, of_question in _scored(questions, asked, run.predictions, is_version_2)
    ]
    num_foreign = sum(qas_id not in asked_ids for qas_id in run.predictions)
    return Results(rows, passages, is_version_2, metrics, num_foreign), data


def _walk(squad: Mapping[str, Any], most: int) -> tuple[list[str], list[_Asked]]:
    """Return the passages of a data set that was checked before, and its first questions."""
    passages: list[str] = []
    asked: list[_Asked] = []
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            if len(asked) == most:
                return passages, asked
            passages.append(paragraph["context"])
            for qa in paragraph["qas"][: most - len(asked)]:
                answers = qa["answers"] if isinstance(qa.get("answers"), list) else []
                golds = [Gold(answer["text"], _place(answer)) for answer in answers]
                asked.append(_Asked(qa["question"], len(passages) - 1, list(dict.fromkeys(golds))))
    return passages, asked


def _place(answer: Mapping[str, Any]) -> int | None:
    start = answer.get("answer_start")
    return start if type(start) is int and start >= 0 else None


def _scored(
    questions: QuestionSet, asked: list[_Asked], predictions: Mapping[str, str], is_version_2: bool
) -> list[tuple[str, _Asked]]:
    """Return what the official script counts: in 2.0 what has a prediction, and of an id that recurs the last."""
    pairs = [(question.qas_id, of) for question, of in zip(questions.questions, asked, strict=True)]
    if not is_version_2:
        return pairs
    return [(qas_id, of) for qas_id, of in dict(pairs).items() if qas_id in predictions]


def _result(run: RunFolder, qas_id: str, asked: _Asked, is_version_2: bool) -> QuestionResult:
    prediction = run.predictions.get(qas_id)
    nbest = run.nbest[qas_id] if run.nbest is not None and prediction is not None else []
    golds = [gold.text for gold in asked.golds]
    texts = [entry["text"] for entry in nbest]
    score = Score(0.0, 0.0)
    nbest_scores: list[Score] = []
    if prediction is not None:
        score, *nbest_scores = score_answers([prediction, *texts], golds, is_version_2=is_version_2)
    probability = nbest[texts.index(prediction)]["probability"] if prediction in texts else None
    return QuestionResult(
        qas_id,
        asked.question,
        asked.passage,
        asked.golds,
        prediction,
        score,
        outcome_of(prediction, score, asked.golds),
        nbest,
        nbest_scores,
        probability,
        run.null_odds.get(qas_id) if run.null_odds is not None else None,
    )


def outcome_of(prediction: str | None, score: Score, golds: list[Gold]) -> str:
    """Say what became of a question, as one of `OUTCOMES`.

    >>> outcome_of("the dog", Score(0.0, 0.0), [])
    'should have been empty'
    >>> outcome_of("", Score(0.0, 0.0), [Gold("Rome", 0)])
    'should not have been empty'
    """
    if prediction is None:
        return UNANSWERED
    if score.exact:
        return RIGHT
    if not golds:
        return NEEDLESS
    if not prediction:
        return MISSED
    return NEARLY if score.f1 > 0 else WRONG
