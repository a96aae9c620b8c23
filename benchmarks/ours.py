"""Our program as a contender of `stages.py`."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from bert_squad.answers.prediction import make_predictor
from bert_squad.checkpoints.tf1 import tf1_variables
from bert_squad.config import BertConfig
from bert_squad.data.batches import predict_batches, train_batches
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.records import write_features
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay


class OurProgram:
    """The stages of our program, with the sizes of the benchmark's flags.

    Args:
      sizes: keys of a `bert_config.json`.
      directory: for record files.
    """

    def __init__(self, flags, sizes: dict, directory: str):
        self._flags = flags
        self._directory = Path(directory)
        self._config = BertConfig.from_dict(sizes)
        self._tokenizer = FullTokenizer(flags.vocab_file, do_lower_case=True)
        self.examples = read_squad_examples(flags.data_file, is_training=True)[: flags.questions]

    def contenders(self, stage: str) -> dict[str, Callable[[], int]]:
        """Return what runs in a stage, by name."""
        return {"bert_squad (exact, float32)": getattr(self, f"_{stage}")()}

    def _write(self, name: str, is_training: bool) -> int:
        flags = self._flags
        # A tokenizer of its own each time: what it remembers of the last round must not help.
        tokenizer = FullTokenizer(flags.vocab_file, do_lower_case=True)
        return write_features(
            str(self._directory / name),
            self.examples,
            tokenizer,
            flags.max_seq_length,
            flags.doc_stride,
            flags.max_query_length,
            is_training,
        )

    def _conversion(self):
        return lambda: self._write("conversion.tf_record", is_training=True)

    def _training(self):
        flags = self._flags
        self._write("train.tf_record", is_training=True)
        model = BertForSquad(self._config)
        trained = {name: entry.variable for name, entry in tf1_variables(model).items() if entry.trained}
        train_step = make_train_step(
            model,
            AdamWeightDecay(trained),
            learning_rate=5e-5,
            num_train_steps=1000,
            num_warmup_steps=100,
            seed=1,
        )
        batches = iter(
            train_batches(
                str(self._directory / "train.tf_record"),
                max_seq_length=flags.max_seq_length,
                batch_size=flags.train_batch_size,
                seed=1,
            )
        )

        def turn() -> int:
            for step in range(flags.batches):
                loss, _, _ = train_step(tf.constant(step), next(batches))
                float(loss)
            return flags.batches * flags.train_batch_size

        return turn

    def _prediction(self):
        flags = self._flags
        self._write("eval.tf_record", is_training=False)
        model = BertForSquad(self._config)
        batches = predict_batches(
            str(self._directory / "eval.tf_record"),
            max_seq_length=flags.max_seq_length,
            batch_size=flags.predict_batch_size,
        ).take(flags.batches)
        scores = make_predictor(model)
        return lambda: sum(1 for _ in scores(batches))
