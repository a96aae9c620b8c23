"""The facts behind one answer, as data. No TensorFlow here."""

import dataclasses
from typing import Any

import numpy as np

from bert_squad.answers.nbest import NbestOptions
from bert_squad.explain.likelihood import LabelLoss

PADDING = "[PAD]"


@dataclasses.dataclass(frozen=True)
class Position:
    """A position of a window as a start, or as an end.

    Attributes:
      position: counted from 0.
      piece: its WordPiece.
      kind: "cls", "question", "sep", "passage" or "padding".
      logit: S·T_i or E·T_j.
      probability: among all positions of the window.
    """

    position: int
    piece: str
    kind: str
    logit: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Span:
    """A pair of a start and an end, with what is known of it.

    Attributes:
      window: number of the window, from 0.
      start: position of the start in its window.
      end: position of the end, inclusive.
      text: of the passage where it is a span of it, else of its two ends; "" for ([CLS], [CLS]).
      start_logit: S·T_i.
      end_logit: E·T_j.
      score: their sum.
      likelihood: P_start(i)·P_end(j) in its window.
      rank: in the n-best list, from 1; None when it is not there.
      nbest_probability: the `probability` of the n-best list; None when it is not there.
      rules: the names of those (`pairs.RULES`) that keep it from the list; none when it is there.
    """

    window: int
    start: int
    end: int
    text: str
    start_logit: float
    end_logit: float
    score: float
    likelihood: float
    rank: int | None
    nbest_probability: float | None
    rules: list[str]


@dataclasses.dataclass(frozen=True)
class Label:
    """What training would learn from one window.

    Attributes:
      holds_answer: whether all of the right answer is there; else the label is ([CLS], [CLS]).
      span: the right one, as the model sees it.
      loss: its loss and gradient.
    """

    holds_answer: bool
    span: Span
    loss: LabelLoss


@dataclasses.dataclass(frozen=True)
class WindowFacts:
    """One window.

    Attributes:
      number: from 0.
      tokens: its WordPieces, without padding.
      passage: positions of the passage, first and last (inclusive).
      words: of the passage, first and last (inclusive).
      max_context: first and last position at which an answer may start here, since no other window shows more context.
      start_logits: [S].
      end_logits: [S].
      ln_start_sum: ln Σ_k exp(S·T_k).
      ln_end_sum: ln Σ_k exp(E·T_k).
      starts: the likeliest starts, best first.
      ends: the likeliest ends.
      shares: kind of position → the probability of a start there, and that of an end.
      best: its best candidate; None when all its pairs are excluded.
      null: ([CLS], [CLS]).
      label: None when the right answer is not known.
    """

    number: int
    tokens: list[str]
    passage: tuple[int, int]
    words: tuple[int, int]
    max_context: tuple[int, int] | None
    start_logits: np.ndarray
    end_logits: np.ndarray
    ln_start_sum: float
    ln_end_sum: float
    starts: list[Position]
    ends: list[Position]
    shares: dict[str, tuple[float, float]]
    best: Span | None
    null: Span
    label: Label | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """All facts of one question.

    Attributes:
      question: its text.
      options: how answers are chosen.
      answer: the model's, as predictions.json has it; "" for none.
      null_odds: the score of "no answer" less that of the best text; None without version 2.
      chosen: the span of the answer; None when it was read from nowhere.
      nbest: the n-best list; entries that were read from nowhere left out.
      pairs: the pairs of the largest sums, allowed or not.
      windows: all of them.
      mean_loss: of all windows; None when the right answer is not known.
    """

    question: str
    options: NbestOptions
    answer: str
    null_odds: float | None
    chosen: Span | None
    nbest: list[Span]
    pairs: list[Span]
    windows: list[WindowFacts]
    mean_loss: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    """Return arrays and named tuples as lists and dicts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
