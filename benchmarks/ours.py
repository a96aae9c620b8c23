"""Our program as a contender of `stages.py`: the exact default, and what --fast chooses on this device."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_squad.answers.nbest import NbestOptions, RawResult, stream_predictions
from bert_squad.answers.prediction import make_predictor
from bert_squad.bert_config import BertConfig
from bert_squad.compute_options import ComputeOptions, choose_compute_options
from bert_squad.config import SquadConfig
from bert_squad.data.batches import predict_batches, predict_batches_by_length, train_batches
from bert_squad.data.examples import read_squad_examples, shuffle_examples
from bert_squad.data.features import InputFeatures
from bert_squad.data.records import write_features
from bert_squad.data.windows import WindowLengths, make_windows
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

N_BEST_SIZE, MAX_ANSWER_LENGTH = 20, 30


def document_logits(rng: np.random.Generator, size: int, positions: Sequence[int]) -> np.ndarray:
    """Draw logits float32 [2, S] that look like those of a trained model.

    They favour the document, and there the neighbourhood of one place, so that about as many of the best starts and
    ends fit together as with MiniLM fine-tuned on XQuAD: 105 pairs a window there, 118 here.

    Args:
      rng: what they are drawn from.
      size: S.
      positions: the positions of the document.
    """
    logits = rng.normal(size=(2, size))
    logits[:, positions] += 8
    logits -= 0.02 * np.abs(np.arange(size) - rng.choice(positions))
    return logits.astype(np.float32)


class OurProgram:
    """The stages of our program.

    Args:
      flags: of `stages.py`.
      sizes: keys of a `bert_config.json`.
      directory: for record files.
    """

    def __init__(self, flags, sizes: dict, directory: str):
        self._flags = flags
        self._directory = Path(directory)
        self.bert_config = BertConfig.from_dict(sizes)
        # In the order of the file, as for prediction; and as before training, when neighbours differ in length.
        self.in_order = read_squad_examples(flags.data_file, is_training=True)[: flags.questions]
        self.examples = list(self.in_order)
        shuffle_examples(self.examples)
        fast = SquadConfig(bert_config_file="", vocab_file="", output_dir="", fast=True)
        self.modes = {"bert_squad": ComputeOptions(), "bert_squad --fast": choose_compute_options(fast)}

    def contenders(self, stage: str) -> dict[str, Callable[[], int]]:
        """Return what runs in a stage, by name."""
        has_modes = stage in ("training", "prediction")
        modes = self.modes if has_modes else {"bert_squad": ComputeOptions()}
        return {name: getattr(self, f"_{stage}")(compute) for name, compute in modes.items()}

    def _lengths(self, seq_length: int) -> WindowLengths:
        return WindowLengths(seq_length, self._flags.doc_stride, self._flags.max_query_length)

    def _write(self, name: str, seq_length: int, is_training: bool) -> int:
        examples = self.examples if is_training else self.in_order
        # A tokenizer of its own each time: what it remembers of the last round must not help.
        tokenizer = FullTokenizer(self._flags.vocab_file, do_lower_case=True)
        path = str(self._directory / name)
        return write_features(path, examples, tokenizer, self._lengths(seq_length), is_training)

    @functools.cached_property
    def train_batches(self) -> list[dict[str, np.ndarray]]:
        """The batches of a turn of training, padded to S."""
        flags = self._flags
        self._write("train.tf_record", flags.train_seq_length, is_training=True)
        dataset = train_batches(
            str(self._directory / "train.tf_record"),
            max_seq_length=flags.train_seq_length,
            batch_size=flags.train_batch_size,
            seed=1,
        )
        return list(dataset.take(flags.train_batches).as_numpy_iterator())

    @functools.cached_property
    def predict_records(self) -> str:
        """A record file with the windows of a turn of prediction."""
        flags = self._flags
        self._write("all.tf_record", flags.predict_seq_length, is_training=False)
        path = str(self._directory / "eval.tf_record")
        count = flags.predict_batches * flags.predict_batch_size
        with tf.io.TFRecordWriter(path) as writer:
            for record in tf.data.TFRecordDataset(str(self._directory / "all.tf_record")).take(count):
                writer.write(record.numpy())
        return path

    @property
    def predict_sizes(self) -> dict[str, int]:
        """How `predict_records` are read."""
        flags = self._flags
        return {"max_seq_length": flags.predict_seq_length, "batch_size": flags.predict_batch_size}

    def predict_batches(self) -> list[dict[str, np.ndarray]]:
        """The batches of a turn of prediction, padded to S."""
        return list(predict_batches(self.predict_records, **self.predict_sizes).as_numpy_iterator())

    @functools.cached_property
    def features(self) -> list[InputFeatures]:
        """The features whose n-best is looked for."""
        tokenizer = FullTokenizer(self._flags.vocab_file, do_lower_case=True)
        lengths = self._lengths(self._flags.predict_seq_length)
        return list(map(InputFeatures.from_window, make_windows(self.in_order, tokenizer, lengths, False)))

    @functools.cached_property
    def results(self) -> list[RawResult]:
        """Logits for `features`."""
        rng = np.random.default_rng(1)
        size = self._flags.predict_seq_length
        return [
            RawResult(feature.unique_id, *document_logits(rng, size, list(feature.token_to_orig_map)))
            for feature in self.features
        ]

    def _conversion(self, _: ComputeOptions):
        return lambda: self._write("conversion.tf_record", self._flags.train_seq_length, is_training=True)

    def _model(self, compute: ComputeOptions) -> BertForSquad:
        return BertForSquad(self.bert_config, compute.dtype, pad_to=compute.pad_to)

    def _training(self, compute: ComputeOptions):
        model = self._model(compute)
        train_step = make_train_step(
            model,
            AdamWeightDecay.for_model(model),
            learning_rate=5e-5,
            num_train_steps=1000,
            num_warmup_steps=100,
            seed=1,
            scales_loss=compute.dtype == "float16",
            jit_compile=compute.jit_compile,
        )
        batches = [
            {name: tf.constant(value) for name, value in batch.items()} for batch in self.train_batches
        ]

        def turn() -> int:
            for step, batch in enumerate(batches):
                loss, _, _ = train_step(tf.constant(step), batch)
                float(loss)
            return sum(len(batch["input_ids"]) for batch in batches)

        return turn

    def _prediction(self, compute: ComputeOptions):
        predict = make_predictor(self._model(compute), jit_compile=compute.jit_compile)

        def turn() -> int:
            batches = predict_batches_by_length(
                self.predict_records, **self.predict_sizes, pad_to=compute.pad_to
            )
            return sum(1 for _ in predict(batches))

        return turn

    def _nbest(self, _: ComputeOptions):
        options = NbestOptions(N_BEST_SIZE, MAX_ANSWER_LENGTH, do_lower_case=True)
        return lambda: sum(1 for _ in stream_predictions(self.in_order, self.features, self.results, options))
