"""What got better and worse between two runs, question by question. No TensorFlow here."""

from typing import NamedTuple

from bert_squad.answers.metrics import Score, score_answers
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import DataError
from bert_squad.report.questions import QuestionResult, Results
from bert_squad.report.run_folder import read_predictions_file
from bert_squad.report.statistics import Interval, bootstrap_interval, mcnemar_p, sign_flip_p


class OtherAnswer(NamedTuple):
    """What the other run answers to a question, and its score."""

    prediction: str
    score: Score


class Comparison(NamedTuple):
    """This run against another one; scores and differences (this minus other) in percent.

    Attributes:
      path: of the other run.
      answers: for each question of the results, the other run's answer; None where it or this run has none.
      total: number of questions that both answer.
      num_here: number of questions that this run answers.
      num_there: number of questions that the other answers.
      exact: of this run and the other, on the questions that both answer.
      f1: the same.
      only_here: questions that this run alone has exactly right.
      only_there: those that the other alone has.
      exact_p: of McNemar's exact test.
      f1_interval: of the difference, by a paired bootstrap.
      f1_p: of the paired permutation test.
      num_better: questions with a higher F1 here.
      num_worse: questions with a lower one.
    """

    path: str
    answers: list[OtherAnswer | None]
    total: int
    num_here: int
    num_there: int
    exact: tuple[float, float]
    f1: tuple[float, float]
    only_here: int
    only_there: int
    exact_p: float
    f1_interval: Interval
    f1_p: float
    num_better: int
    num_worse: int


def compare(results: Results, folder: str) -> Comparison:
    """Compare with the predictions of another directory.

    Raises:
      ConfigError: when it has no predictions.
      DataError: when they are damaged, or for other questions altogether.
    """
    others = read_predictions_file(folder)
    answers = [_other_answer(question, others, results.is_version_2) for question in results.questions]
    pairs = [
        (question.score, other.score)
        for question, other in zip(results.questions, answers, strict=True)
        if other is not None
    ]
    if not pairs:
        raise DataError(
            f"--compare={folder}: its predictions are for other questions ({shown_id(next(iter(others), 'none'))}); "
            "compare runs over the same questions."
        )
    total = len(pairs)
    f1_differences = [100.0 * (here.f1 - there.f1) for here, there in pairs]
    only_here = sum(here.exact > there.exact for here, there in pairs)
    only_there = sum(here.exact < there.exact for here, there in pairs)
    return Comparison(
        folder,
        answers,
        total,
        sum(question.prediction is not None for question in results.questions),
        len(others),
        (_mean([here.exact for here, _ in pairs]), _mean([there.exact for _, there in pairs])),
        (_mean([here.f1 for here, _ in pairs]), _mean([there.f1 for _, there in pairs])),
        only_here,
        only_there,
        mcnemar_p(only_here, only_there),
        bootstrap_interval(f1_differences),
        sign_flip_p(f1_differences),
        sum(difference > 0 for difference in f1_differences),
        sum(difference < 0 for difference in f1_differences),
    )


def _other_answer(question: QuestionResult, others: dict[str, str], is_version_2: bool) -> OtherAnswer | None:
    prediction = others.get(question.qas_id)
    if prediction is None or question.prediction is None:
        return None
    golds = [gold.text for gold in question.golds]
    return OtherAnswer(prediction, score_answers([prediction], golds, is_version_2=is_version_2)[0])


def _mean(values: list[float]) -> float:
    return 100.0 * sum(values) / len(values)
