"""What the model says about the features of a question, and whether it can be used."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.errors import DataError


class RawResult(NamedTuple):
    """What the model says about one feature: floats [S] of any kind, one for each position of the sequence."""

    unique_id: int
    start_logits: Sequence[float] | np.ndarray
    end_logits: Sequence[float] | np.ndarray


def logits_of(
    feature: InputFeatures, results: Mapping[int, RawResult], example: SquadExample
) -> tuple[np.ndarray, np.ndarray]:
    """Return the start and end logits of a feature as float32 or float64 [S], checked."""
    result = results.get(feature.unique_id)
    if result is None:
        raise DataError(
            f"There is no result for feature {feature.unique_id} of question {example.qas_id}; "
            "predict all features of the data set, and with the data set they were made from."
        )
    start_logits, end_logits = _float_array(result.start_logits), _float_array(result.end_logits)
    if start_logits.ndim != 1 or start_logits.shape != end_logits.shape or not start_logits.size:
        raise DataError(
            f"The result for feature {feature.unique_id} of question {example.qas_id} must be two lists of as many "
            f"logits as the sequence has positions; their shapes are {start_logits.shape} and {end_logits.shape}."
        )
    # Also false for NaN. Minus infinity is how some models mask positions, and does no harm.
    if not (start_logits.max() < np.inf and end_logits.max() < np.inf):
        raise DataError(
            f"The result for feature {feature.unique_id} of question {example.qas_id} holds a NaN or infinity; "
            "check the checkpoint, its training may have diverged."
        )
    return start_logits, end_logits


def _float_array(logits: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(logits)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
