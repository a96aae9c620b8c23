"""Prediction in two halves: questions are prepared once, and answered as often as the model has new weights."""

import collections
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from bert_squad import files
from bert_squad.answers.nbest import ExamplePrediction, NbestOptions, stream_predictions
from bert_squad.answers.prediction import Predictor, make_predictor
from bert_squad.answers.prediction_files import (
    NBEST_PREDICTIONS,
    NULL_ODDS,
    OFFSETS,
    PREDICTIONS,
    write_predictions,
)
from bert_squad.answers.raw_results import RawResult
from bert_squad.compute_options import ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.data.batches import predict_batches_by_length, with_named_errors
from bert_squad.data.examples import SquadExample
from bert_squad.data.features import InputFeatures
from bert_squad.data.records import log_counts, write_features
from bert_squad.data.windows import WindowLengths, make_windows
from bert_squad.devices.replicas import ONE_DEVICE, Devices
from bert_squad.errors import OutOfMemoryError, first_line
from bert_squad.model.squad_model import BertForSquad
from bert_squad.progress import shown
from bert_squad.text.tokenization import FullTokenizer


class PreparedQuestions:
    """Questions whose records are written and whose prediction is compiled.

    Args:
      config: the run.
      examples: the questions.
      tokenizer: the run's.
      compute: its choices of computation.
      model: answers, with the weights that it has when it is asked; None with `predict`.
      records: path of the record file, which is written now.
      devices: compute. All processes of several take part in an answer, and the chief alone gets it.
      predict: computes in place of `model`, and is called as what `make_predictor` returns.

    Raises:
      BertSquadError: when the records cannot be made or written.
    """

    def __init__(
        self,
        config: SquadConfig,
        examples: Sequence[SquadExample],
        tokenizer: FullTokenizer,
        compute: ComputeOptions,
        model: BertForSquad | None,
        records: str,
        devices: Devices = ONE_DEVICE,
        predict: Predictor | None = None,
    ):
        self._config, self._examples, self._tokenizer, self._compute = config, examples, tokenizer, compute
        self._records = records
        self._lengths = WindowLengths(config.max_seq_length, config.doc_stride, config.max_query_length)
        self._predict: Predictor = predict or make_predictor(
            model, jit_compile=compute.jit_compile, devices=devices
        )
        self.num_features = write_features(
            records,
            examples,
            tokenizer,
            self._lengths,
            is_training=False,
        )
        log_counts("predictions", len(examples), self.num_features, config.predict_batch_size)

    def _results(self, before_batch: Callable[[], object] | None) -> Iterator[RawResult]:
        batches = predict_batches_by_length(
            self._records,
            max_seq_length=self._config.max_seq_length,
            batch_size=min(self._config.predict_batch_size, max(1, self.num_features)),
            pad_to=self._compute.pad_to,
        )
        named = with_named_errors(batches, self._records)
        return self._predict(named) if before_batch is None else self._predict(named, before_batch)

    def help_to_answer(self, before_batch: Callable[[], object] | None = None) -> None:
        """Take part in an answer that the chief gives, in another process."""
        collections.deque(self._results(before_batch), maxlen=0)

    def answers(self, before_batch: Callable[[], object] | None = None) -> Iterator[ExamplePrediction]:
        """Answer all questions, one after the other, with the present weights of the model.

        Args:
          before_batch: see `make_predictor`.
        """
        config = self._config
        options = NbestOptions(
            n_best_size=config.n_best_size,
            max_answer_length=config.max_answer_length,
            do_lower_case=config.do_lower_case,
            version_2_with_negative=config.version_2_with_negative,
            null_score_diff_threshold=config.null_score_diff_threshold,
            verbose_logging=config.verbose_logging,
        )
        results = shown(self._results(before_batch), "predicted", self.num_features, "features")
        return stream_predictions(self._examples, self._features(), results, options)

    def write_answers(
        self,
        folder: str,
        before_batch: Callable[[], object] | None = None,
    ) -> None:
        """Answer all questions and write the files of the legacy script, whole or not at all.

        Args:
          folder: gets predictions.json, nbest_predictions.json, with `version_2_with_negative` null_odds.json, and with
            `write_offsets` predictions_offsets.json.
          before_batch: see `make_predictor`.

        Raises:
          OutOfMemoryError: when a batch does not fit in memory; it names the flags.
          BertSquadError: when the records cannot be read, or a file not be written.
        """
        try:
            write_predictions(
                self.answers(before_batch),
                (example.qas_id for example in self._examples),
                predictions_file=files.join(folder, PREDICTIONS),
                nbest_file=files.join(folder, NBEST_PREDICTIONS),
                null_odds_file=files.join(folder, NULL_ODDS)
                if self._config.version_2_with_negative
                else None,
                offsets_file=files.join(folder, OFFSETS) if self._config.write_offsets else None,
            )
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise OutOfMemoryError(
                f"Out of memory while predicting ({first_line(error)}): lower --predict_batch_size "
                f"({self._config.predict_batch_size}) or --max_seq_length ({self._config.max_seq_length}); files that "
                "were there before are unchanged."
            ) from error

    def _features(self) -> Iterator[InputFeatures]:
        """Make the features of the records again, one at a time: that is quicker than to keep them all."""
        windows = make_windows(self._examples, self._tokenizer, self._lengths, is_training=False)
        return map(InputFeatures.from_window, windows)
