"""Turn logits into answers: the n-best texts of every question, its prediction, and the odds of no answer.

`predict_examples` answers some questions, a few at a time because that is quicker; a pipeline can feed questions one
after another in flat memory (`stream_predictions`); `compute_predictions` collects all answers. No TensorFlow here.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from bert_squad.answers.candidates import (
    NOWHERE,
    Logits,
    PrelimPrediction,
    insert_null,
    ranked_candidates,
)
from bert_squad.answers.grouping import Question, some_together, with_features
from bert_squad.answers.raw_results import RawResult, check_numbers, logits_of
from bert_squad.answers.span_texts import SpanTexts
from bert_squad.data.examples import LocatedExample, SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.data.question_ids import shown_id
from bert_squad.errors import ConfigError

_HIGHEST_NULL_SCORE = 1000000  # LEGACY: a [CLS] score must be below this to be seen at all


class NbestEntry(NamedTuple):
    """One line of an n-best list: a text, its probability, and the span it was read from.

    Two spans of one text make one entry, that of the better span.
    """

    text: str
    probability: float
    candidate: PrelimPrediction

    def to_json(self) -> dict[str, Any]:
        """Return the entry as nbest_predictions.json shows it."""
        return {
            "text": self.text,
            "probability": self.probability,
            "start_logit": self.candidate.start_logit,
            "end_logit": self.candidate.end_logit,
        }


class AnswerPlace(NamedTuple):
    """Where the context holds an answer.

    `start` and `end` (exclusive) count its characters, Unicode code points, as SQuAD's `answer_start` does; `window` is
    the feature that it was read from, counted from 0 within the question.
    """

    start: int
    end: int
    window: int


class ExamplePrediction(NamedTuple):
    """The answer to one question.

    `null_odds` is the score of "no answer" minus that of the best answer, None without
    `version_2_with_negative`; `text` is "" when it lies above the threshold. `place` is None for an answer that is no
    span, and unless the question is a `LocatedExample`.
    """

    qas_id: Hashable
    text: str
    nbest: list[NbestEntry]
    null_odds: float | None
    place: AnswerPlace | None = None

    @property
    def chosen(self) -> NbestEntry:
        """The entry that is the answer."""
        return next(entry for entry in self.nbest if entry.text == self.text)


class Predictions(NamedTuple):
    """The answers to all questions, in the form of the three legacy JSON files; ids as keys, as given."""

    predictions: dict[Hashable, str]
    nbest: dict[Hashable, list[dict[str, Any]]]
    null_odds: dict[Hashable, float]


@dataclasses.dataclass(frozen=True)
class NbestOptions:
    """Say how answers are chosen, with the names of the legacy flags.

    Args:
      n_best_size: length of the n-best list, and how many starts and ends are tried in each feature; from 1.
      max_answer_length: longest answer in WordPieces (inclusive); from 1.
      do_lower_case: whether the tokenizer lower-cased.
      version_2_with_negative: "no answer" is an answer too.
      null_score_diff_threshold: answer "" when the null odds are above this (exclusive).
      verbose_logging: log why a text could not be projected back to the passage.

    Raises:
      ConfigError: when a number is below 1; it names the flag.
    """

    n_best_size: int
    max_answer_length: int
    do_lower_case: bool
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0
    verbose_logging: bool = False

    def __post_init__(self):
        for flag in ("n_best_size", "max_answer_length"):
            value = getattr(self, flag)
            if value < 1:
                raise ConfigError(f"--{flag} must be at least 1, not {value}.")


def compute_predictions(
    examples: Iterable[SquadExample],
    features: Iterable[InputFeatures],
    results: Iterable[RawResult],
    *,
    n_best_size: int,
    max_answer_length: int,
    do_lower_case: bool,
    version_2_with_negative: bool = False,
    null_score_diff_threshold: float = 0.0,
) -> Predictions:
    """Answer all questions of a data set.

    Args:
      examples: the questions, in the order of the data set.
      features: their features; `example_index` says whose.
      results: one for each feature, in any order; surplus ones are ignored.
      n_best_size: see `NbestOptions` for this and all that follow.

    Returns:
      The three legacy files as dicts, in the order of `examples`. `null_odds` is empty unless
      `version_2_with_negative`.

    Raises:
      ConfigError: when an option is out of range.
      DataError: when a feature has no result, or one that is not made of numbers.

    Source: `write_predictions` of the legacy run_squad.py.
    Differs: answers where that crashed; see `predict_examples`.
    """
    options = NbestOptions(
        n_best_size, max_answer_length, do_lower_case, version_2_with_negative, null_score_diff_threshold
    )
    features_of = collections.defaultdict(list)
    for feature in features:
        features_of[feature.example_index].append(feature)
    result_of = {result.unique_id: result for result in results}

    answers = Predictions({}, {}, {})
    questions = (
        (example, features_of.get(example_index, ())) for example_index, example in enumerate(examples)
    )
    for answer in predict_examples(questions, result_of, options):
        # LEGACY: where an id occurs twice, the later answer replaces the earlier one and keeps its place.
        answers.predictions[answer.qas_id] = answer.text
        answers.nbest[answer.qas_id] = [entry.to_json() for entry in answer.nbest]
        if answer.null_odds is not None:
            answers.null_odds[answer.qas_id] = answer.null_odds
    return answers


def stream_predictions(
    examples: Iterable[SquadExample],
    features: Iterable[InputFeatures],
    results: Iterable[RawResult],
    options: NbestOptions,
) -> Iterator[ExamplePrediction]:
    """Answer questions one after another, holding only what the few present ones need.

    Args:
      examples: the questions.
      features: their features in the same order, as `convert_examples_to_features` yields them.
      results: one for each feature. They are read as far as the present questions need and best come in the
        order of the features: those that come early are kept until it is their turn.
      options: how answers are chosen.

    Raises:
      DataError: when a feature comes too late or has no result; and as `predict_examples`.
    """
    results = iter(results)
    waiting: dict[int, RawResult] = {}
    for present in some_together(with_features(examples, iter(features)), options.n_best_size):
        own = [feature.unique_id for _, of_example in present for feature in of_example]
        missing = set(own) - waiting.keys()
        while missing and (result := next(results, None)) is not None:
            waiting[result.unique_id] = result
            missing.discard(result.unique_id)
        yield from _predict_together(present, waiting, options)
        del present  # before the next ones are made
        for unique_id in own:
            waiting.pop(unique_id, None)


def predict_examples(
    questions: Iterable[Question],
    results: Mapping[int, RawResult],
    options: NbestOptions,
) -> Iterator[ExamplePrediction]:
    """Answer some questions.

    Args:
      questions: each with its features in order; none when its passage holds no tokens.
      results: the result of each feature, by `unique_id`.
      options: how answers are chosen.

    Yields:
      For each question the answer and its n-best list: distinct texts, the best first, probabilities adding up to 1.
      The list has at least one entry, and with `version_2_with_negative` one that is "", even if that makes it longer
      than `n_best_size`.

    Raises:
      DataError: when a feature has no result, or one that holds a NaN or infinity, or is of another shape.

    Source: the body of `write_predictions` in the legacy run_squad.py.
    Differs: that crashes with `version_2_with_negative` when the n-best list holds nothing but "". Here the
      answer is "" and the null odds are the null score, there being nothing to subtract; for a passage without
      tokens there is no null score either, and the odds are 0.0. A line in the log says so.
    """
    for present in some_together(questions, options.n_best_size):
        yield from _predict_together(present, results, options)


def _predict_together(
    questions: Sequence[Question], results: Mapping[int, RawResult], options: NbestOptions
) -> Iterator[ExamplePrediction]:
    with_logits = [
        (example, features, logits_of(example, features, results)) for example, features in questions
    ]
    check_numbers(with_logits)
    spans = ranked_candidates(
        [(features, logits) for _, features, logits in with_logits],
        options.n_best_size,
        options.max_answer_length,
    )
    for (example, features, logits), of_example in zip(with_logits, spans, strict=True):
        prediction = _prediction(example, features, logits, of_example, options)
        if isinstance(example, LocatedExample):
            prediction = prediction._replace(place=_place(example, features, prediction, options))
        yield prediction


def _prediction(
    example: SquadExample,
    features: Sequence[InputFeatures],
    logits: Sequence[Logits],
    spans: Iterator[PrelimPrediction],
    options: NbestOptions,
) -> ExamplePrediction:
    score_null, null = _null_candidate(logits) if options.version_2_with_negative else (0.0, None)
    chosen = _distinct_answers(example, features, spans, null, options)
    probabilities = _softmax([candidate.start_logit + candidate.end_logit for candidate in chosen.values()])
    # What `NbestEntry._make` does, without a step through Python for each.
    make = functools.partial(tuple.__new__, NbestEntry)
    nbest = list(map(make, zip(chosen.keys(), probabilities, chosen.values(), strict=True)))
    if null is None:
        return ExamplePrediction(example.qas_id, nbest[0].text, nbest, None)

    best_non_null = next((entry for entry in nbest if entry.text), None)
    if best_non_null is None:
        logging.warning(
            'Question %s: the n-best list holds no text of the passage%s; the answer is "".',
            shown_id(example.qas_id),
            "" if features else ", which has no tokens",
        )
        return ExamplePrediction(example.qas_id, "", nbest, float(score_null))
    null_odds = score_null - best_non_null.candidate.start_logit - best_non_null.candidate.end_logit
    text = "" if null_odds > options.null_score_diff_threshold else best_non_null.text
    return ExamplePrediction(example.qas_id, text, nbest, null_odds)


def _place(
    example: LocatedExample,
    features: Sequence[InputFeatures],
    prediction: ExamplePrediction,
    options: NbestOptions,
) -> AnswerPlace | None:
    candidate = prediction.chosen.candidate
    if not candidate.is_span:
        return None
    texts = SpanTexts(example.doc_tokens, features, options.do_lower_case)
    start, end = texts.range_of(candidate, example.orig_to_char_index)
    return AnswerPlace(start, end, candidate.feature_index)


def _null_candidate(logits: Sequence[Logits]) -> tuple[float, PrelimPrediction]:
    """Return the null score and "no answer" as a candidate: [CLS] of the feature that speaks least for it."""
    if not logits:
        return 0.0, NOWHERE
    # LEGACY: a null score of 1000000 or more is never seen. If all are, the score is 1000000 and the logits are the
    # integer 0, in the JSON too.
    score_null: float = _HIGHEST_NULL_SCORE
    null = PrelimPrediction(0, 0, 0, 0, 0)
    for feature_index, (start_logits, end_logits) in enumerate(logits):
        start_logit, end_logit = float(start_logits[0]), float(end_logits[0])
        if start_logit + end_logit < score_null:
            score_null = start_logit + end_logit
            null = PrelimPrediction(feature_index, 0, 0, start_logit, end_logit)
    return score_null, null


def _distinct_answers(
    example: SquadExample,
    features: Sequence[InputFeatures],
    spans: Iterator[PrelimPrediction],
    null: PrelimPrediction | None,
    options: NbestOptions,
) -> dict[str, PrelimPrediction]:
    """Return the best candidates by their texts; of those with the same text only the first."""
    chosen: dict[str, PrelimPrediction] = {}
    if features:
        texts = SpanTexts(example.doc_tokens, features, options.do_lower_case, options.verbose_logging)
        for candidate in spans if null is None else insert_null(spans, null):
            chosen.setdefault("" if candidate is null else texts.text_of(candidate), candidate)
            if len(chosen) == options.n_best_size:
                break
    if null is not None:
        # LEGACY: "no answer" is always listed, if need be beyond n_best_size.
        chosen.setdefault("", null)
    if not chosen:
        # LEGACY: the word "empty" stands for the lack of any candidate.
        chosen["empty"] = NOWHERE
    return chosen


def _softmax(scores: Sequence[float]) -> list[float]:
    """Return the softmax of at least one score, with the roundings of the legacy program."""
    best = max(scores)
    exponentials = [math.exp(score - best) for score in scores]
    total = 0.0
    for exponential in exponentials:  # not sum(): since Python 3.12 it rounds otherwise
        total += exponential
    return [exponential / total for exponential in exponentials]
