"""The facts behind one answer: logits, probabilities, spans, rules, and the right answer's loss. No TensorFlow here.

The answer and the n-best list are those of `answers.nbest`; what is added here says why.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_squad.answers.candidates import NOWHERE, PrelimPrediction, ranked_candidates
from bert_squad.answers.nbest import NbestOptions, predict_examples
from bert_squad.answers.raw_results import RawResult, logits_of
from bert_squad.answers.span_texts import SpanTexts
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.explain.likelihood import LabelLoss, label_loss, log_of_sum, probabilities
from bert_squad.explain.pairs import Pair, WindowPairs, best_pairs

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


def explain(
    example: SquadExample,
    features: Sequence[InputFeatures],
    results: Sequence[RawResult],
    options: NbestOptions,
    top: int = 8,
) -> Explanation:
    """Find out why the answer to a question is what it is.

    Args:
      example: the question.
      features: its windows, with labels when the right answer is known.
      results: one for each window.
      options: how answers are chosen.
      top: how many starts, ends and pairs are listed.

    Raises:
      DataError: when a window has no result, or one that is not made of numbers.
    """
    return _Explainer(example, features, results, options, top).explanation()


class _Explainer:
    def __init__(
        self,
        example: SquadExample,
        features: Sequence[InputFeatures],
        results: Sequence[RawResult],
        options: NbestOptions,
        top: int,
    ):
        self.example, self.features, self.options, self.top = example, features, options, top
        result_of = {result.unique_id: result for result in results}
        (self.prediction,) = predict_examples([(example, features)], result_of, options)
        self.logits = logits_of(example, features, result_of)
        self.texts = SpanTexts(example.doc_tokens, features, options.do_lower_case)
        self.sums = [(log_of_sum(starts), log_of_sum(ends)) for starts, ends in self.logits]
        self.pairs = [
            WindowPairs(number, feature, *logits, options)
            for number, (feature, logits) in enumerate(zip(features, self.logits, strict=True))
        ]
        self.entry_of = {
            entry.candidate[:3]: (rank, entry) for rank, entry in enumerate(self.prediction.nbest, start=1)
        }

    def explanation(self) -> Explanation:
        prediction = self.prediction
        best = ranked_candidates(
            [([feature], [logits]) for feature, logits in zip(self.features, self.logits, strict=True)],
            self.options.n_best_size,
            self.options.max_answer_length,
        )
        windows = [self.window(number, next(candidates, None)) for number, candidates in enumerate(best)]
        losses = [window.label.loss.loss for window in windows if window.label]
        listed = [entry for entry in prediction.nbest if entry.candidate != NOWHERE]
        return Explanation(
            question=self.example.question_text,
            options=self.options,
            answer=prediction.text,
            null_odds=prediction.null_odds,
            chosen=next((self.listed(e.candidate) for e in listed if e.text == prediction.text), None),
            nbest=[self.listed(entry.candidate) for entry in listed],
            pairs=[self.span(pair) for pair in best_pairs(self.pairs, self.top)],
            windows=windows,
            mean_loss=sum(losses) / len(losses) if losses else None,
        )

    def listed(self, candidate: PrelimPrediction) -> Span:
        return self.span(self.pairs[candidate.feature_index].pair(*candidate[1:3]))

    def span(self, pair: Pair) -> Span:
        rank, entry = self.entry_of.get(pair[:3], (None, None))
        start_sum, end_sum = self.sums[pair.window]
        return Span(
            **pair._asdict(),
            score=pair.score,
            text=self.text(pair),
            likelihood=float(np.exp(pair.start_logit - start_sum) * np.exp(pair.end_logit - end_sum)),
            rank=rank,
            nbest_probability=entry.probability if entry else None,
            rules=[] if entry else self.rules_against(pair),
        )

    def text(self, pair: Pair) -> str:
        words = self.features[pair.window].token_to_orig_map
        if pair.start in words and pair.end in words and pair.start <= pair.end:
            return self.texts.text_of(PrelimPrediction(*pair))
        return "" if pair.start == pair.end == 0 else self.ends_of(pair)

    def ends_of(self, pair: Pair) -> str:
        pieces = [self.piece(pair.window, position) for position in (pair.start, pair.end)]
        return " … ".join(pieces)

    def piece(self, window: int, position: int) -> str:
        tokens = self.features[window].tokens
        return tokens[position] if position < len(tokens) else PADDING

    def rules_against(self, pair: Pair) -> list[str]:
        if pair.start == pair.end == 0 and self.options.version_2_with_negative:
            return ["other_null"]
        rules = self.pairs[pair.window].rules_against(pair.start, pair.end)
        if rules:
            return rules
        text = self.text(pair)
        return ["same_text" if any(entry.text == text for entry in self.prediction.nbest) else "list_full"]

    def window(self, number: int, best: PrelimPrediction | None) -> WindowFacts:
        feature, (start_logits, end_logits) = self.features[number], self.logits[number]
        starts, ends = probabilities(start_logits), probabilities(end_logits)
        kinds = np.array([_kind(feature, position) for position in range(len(starts))])
        passage, own = sorted(feature.token_to_orig_map), feature.token_is_max_context
        max_context = [position for position in passage if own[position]]
        pairs = self.pairs[number]
        return WindowFacts(
            number=number,
            tokens=feature.tokens,
            passage=(passage[0], passage[-1]),
            words=(feature.token_to_orig_map[passage[0]], feature.token_to_orig_map[passage[-1]]),
            max_context=(max_context[0], max_context[-1]) if max_context else None,
            start_logits=start_logits,
            end_logits=end_logits,
            ln_start_sum=self.sums[number][0],
            ln_end_sum=self.sums[number][1],
            starts=self.positions(number, start_logits, starts),
            ends=self.positions(number, end_logits, ends),
            shares={
                kind: (float(starts[kinds == kind].sum()), float(ends[kinds == kind].sum()))
                for kind in dict.fromkeys(kinds.tolist())
            },
            best=self.span(pairs.pair(*best[1:3])) if best else None,
            null=self.span(pairs.pair(0, 0)),
            label=self.label(number, pairs),
        )

    def positions(self, number: int, logits: np.ndarray, of_all: np.ndarray) -> list[Position]:
        feature = self.features[number]
        return [
            Position(
                position,
                self.piece(number, position),
                _kind(feature, position),
                float(logits[position]),
                float(of_all[position]),
            )
            for position in (-logits).argsort(kind="stable")[: self.top].tolist()
        ]

    def label(self, number: int, pairs: WindowPairs) -> Label | None:
        start, end = self.features[number].start_position, self.features[number].end_position
        if start is None or end is None:
            return None
        loss = label_loss(*self.logits[number], start, end)
        return Label(start > 0, self.span(pairs.pair(start, end)), loss)


def _kind(feature: InputFeatures, position: int) -> str:
    if position == 0:
        return "cls"
    if position >= len(feature.tokens):
        return "padding"
    if position in feature.token_to_orig_map:
        return "passage"
    # The question may hold [SEP] as a word of its own; the two real ones frame the passage.
    return (
        "sep"
        if position + 1 in feature.token_to_orig_map or position == len(feature.tokens) - 1
        else "question"
    )


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
