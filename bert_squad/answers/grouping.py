"""Bring questions together with their features, and divide them into parts that are answered at a time."""

from collections.abc import Iterable, Iterator, Sequence

from bert_squad.answers.candidates import PAIRS_TOGETHER
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import DataError

QUESTIONS_TOGETHER = 32  # are answered at a time, or fewer if these have more features than the next number
FEATURES_TOGETHER = 256  # of some 100 kB each
Question = tuple[SquadExample, Sequence[InputFeatures]]


def some_together(questions: Iterable[Question], n_best_size: int) -> Iterator[list[Question]]:
    """Divide questions into parts that are answered together, bounded by their number and by what they hold."""
    most_features = max(1, min(FEATURES_TOGETHER, PAIRS_TOGETHER // n_best_size**2))
    present: list[Question] = []
    num_features = 0
    for question in questions:
        present.append(question)
        num_features += len(question[1])
        del question
        if len(present) == QUESTIONS_TOGETHER or num_features >= most_features:
            yield present
            present, num_features = [], 0
    if present:
        yield present


def with_features(
    examples: Iterable[SquadExample], features: Iterator[InputFeatures]
) -> Iterator[tuple[SquadExample, list[InputFeatures]]]:
    """Give each question with its features."""
    ahead = next(features, None)
    for example_index, example in enumerate(examples):
        own = []
        while ahead is not None and ahead.example_index <= example_index:
            if ahead.example_index < example_index:
                raise DataError(
                    f"Feature {ahead.unique_id} belongs to question number {ahead.example_index}, but comes after "
                    f"features of question number {example_index} (id {shown_id(example.qas_id)}); "
                    "give the features in the order of the questions."
                )
            own.append(ahead)
            ahead = next(features, None)
        yield example, own
