"""Find the facts behind one answer: logits, probabilities, spans, rules, the loss of the right one. No TensorFlow here.

The answer and the n-best list are those of `answers.nbest`; what is added here says why.
"""

from collections.abc import Sequence

import numpy as np

from bert_squad.answers.candidates import NOWHERE, PrelimPrediction, ranked_candidates
from bert_squad.answers.nbest import NbestOptions, predict_examples
from bert_squad.answers.raw_results import RawResult, logits_of
from bert_squad.answers.span_texts import SpanTexts
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.explain.facts import PADDING, Explanation, Label, Position, Span, WindowFacts
from bert_squad.explain.likelihood import label_loss, log_of_sum, probabilities
from bert_squad.explain.pairs import Pair, WindowPairs, best_pairs


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
        return self.span(
            Pair(*candidate)
        )  # LEGACY: with the logits of the list, where a huge null score counts as 0

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
