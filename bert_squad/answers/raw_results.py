"""What the model says about the features of a question, and whether it can be used."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.answers.candidates import Logits
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import DataError


class RawResult(NamedTuple):
    """What the model says about one feature: floats [S] of any kind, one for each position of the sequence."""

    unique_id: int
    start_logits: Sequence[float] | np.ndarray
    end_logits: Sequence[float] | np.ndarray


def logits_of(
    example: SquadExample, features: Sequence[InputFeatures], results: Mapping[int, RawResult]
) -> list[Logits]:
    """Return the start and end logits of each feature of a question as float32 or float64 [S], their shapes checked."""
    return [_logits_of_feature(example, feature, results.get(feature.unique_id)) for feature in features]


def _logits_of_feature(example: SquadExample, feature: InputFeatures, result: RawResult | None) -> Logits:
    if result is None:
        raise DataError(
            f"There is no result for feature {feature.unique_id} of question {shown_id(example.qas_id)}; "
            "predict all features of the data set, and with the data set they were made from."
        )
    start_logits, end_logits = _float_array(result.start_logits), _float_array(result.end_logits)
    if start_logits.ndim != 1 or start_logits.shape != end_logits.shape or not start_logits.size:
        raise DataError(
            f"The result for feature {feature.unique_id} of question {shown_id(example.qas_id)} must be two lists of "
            f"as many logits as the sequence has positions; their shapes are {start_logits.shape} and "
            f"{end_logits.shape}."
        )
    return start_logits, end_logits


def check_numbers(
    questions: Sequence[tuple[SquadExample, Sequence[InputFeatures], Sequence[Logits]]],
) -> None:
    """Raise a DataError when there is a NaN or infinity among the logits; it names the feature.

    Minus infinity is how some models mask positions, and does no harm.

    Args:
      questions: for each its features and their logits, from `logits_of`.
    """
    arrays = [array for _, _, logits in questions for pair in logits for array in pair]
    if not arrays or _are_numbers(np.concatenate(arrays)):  # mostly; one look at all of them is quick
        return
    for example, features, logits in questions:
        for feature, pair in zip(features, logits, strict=True):
            if not all(map(_are_numbers, pair)):
                raise DataError(
                    f"The result for feature {feature.unique_id} of question {shown_id(example.qas_id)} holds a NaN or "
                    "infinity; check the checkpoint, its training may have diverged."
                )


def _are_numbers(logits: np.ndarray) -> bool:
    return bool(logits.max() < np.inf)  # also false for NaN


def _float_array(logits: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(logits)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
