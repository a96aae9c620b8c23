"""Probabilities of starts and ends, and what the loss of the right span is made of. No TensorFlow here.

With a logit a_k for each position k of a window, ln P(i) = a_i - ln Σ_k exp(a_k). Only the right position is named in
the loss, but every position is in the sum, so the loss has a gradient on all of them: P(k), less 1 at the right one.
"""

from typing import NamedTuple

import numpy as np


class LabelLoss(NamedTuple):
    """The loss of one window whose right start and end are known.

    Attributes:
      start: the right start, a position of the window.
      end: the right end, inclusive.
      ln_p_start: ln P_start(start).
      ln_p_end: ln P_end(end).
      loss: -(ln_p_start + ln_p_end) / 2, as `span_loss` has it for a batch of this window alone.
      start_gradient: float64 [S], the loss differentiated by each start logit.
      end_gradient: float64 [S], the same for end logits.
    """

    start: int
    end: int
    ln_p_start: float
    ln_p_end: float
    loss: float
    start_gradient: np.ndarray
    end_gradient: np.ndarray


def log_of_sum(logits: np.ndarray) -> float:
    """Return ln Σ_k exp(logits[k]), the logarithm of the softmax's denominator.

    >>> round(log_of_sum(np.zeros(4)), 4)  # ln 4
    1.3863
    """
    doubles = np.asarray(logits, np.float64)
    highest = doubles.max()
    return float(highest + np.log(np.exp(doubles - highest).sum()))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over all positions, padding too, as training has it: float64 [S]."""
    return np.exp(np.asarray(logits, np.float64) - log_of_sum(logits))


def label_loss(start_logits: np.ndarray, end_logits: np.ndarray, start: int, end: int) -> LabelLoss:
    """Return the loss of a window and its gradient.

    Args:
      start_logits: floats [S].
      end_logits: floats [S].
      start: the right start.
      end: the right end, inclusive.

    Source: `compute_loss` of the legacy run_squad.py, in float64.

    >>> label_loss(np.zeros(4), np.zeros(4), 1, 2).start_gradient.tolist()
    [0.125, -0.375, 0.125, 0.125]
    """
    logs, gradients = [], []
    for logits, right in ((start_logits, start), (end_logits, end)):
        logs.append(float(logits[right]) - log_of_sum(logits))
        gradient = probabilities(logits) / 2  # halved, since the loss is the mean of two
        gradient[right] -= 0.5
        gradients.append(gradient)
    loss = -sum(logs) / 2
    return LabelLoss(start, end, logs[0], logs[1], loss, gradients[0], gradients[1])
