"""The model that is asked for the logits of windows: one that was exported, or a run's own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bert_squad import files, links
from bert_squad.activity import doing
from bert_squad.answers.nbest import NbestOptions
from bert_squad.answers.raw_results import RawResult
from bert_squad.config import SquadConfig
from bert_squad.data.features import InputFeatures
from bert_squad.data.windows import WindowLengths
from bert_squad.errors import ConfigError, DataError
from bert_squad.interruption import raised_afterwards
from bert_squad.serving.export_settings import read_settings
from bert_squad.serving.versions import check_nameable, is_quantized, latest_version
from bert_squad.text.tokenization import FullTokenizer

FEATURES = ("input_ids", "input_mask", "segment_ids")
_SIGNATURE = "serving_default"
_WINDOWS_TOGETHER = 8

Predict = Callable[[Iterator[dict[str, np.ndarray]]], Iterator[RawResult]]


class AskedModel(NamedTuple):
    """A model with all that a question needs to be asked.

    Attributes:
      name: what to call it: a path.
      load: returns what computes: batches of windows → their logits. Called when all else is known to be right.
      tokenizer: the model's.
      lengths: of its windows.
      options: how its answers are chosen.
    """

    name: str
    load: Callable[[], Predict]
    tokenizer: FullTokenizer
    lengths: WindowLengths
    options: NbestOptions


def batches_of(features: Sequence[InputFeatures], size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield batches of so many windows, padded as they are: `unique_ids` [B] and the three features [B, S], int32."""
    for begin in range(0, len(features), size):
        members = features[begin : begin + size]
        yield {
            "unique_ids": np.array([member.unique_id for member in members], np.int32),
            **{name: np.array([getattr(member, name) for member in members], np.int32) for name in FEATURES},
        }


def predict_windows(model: AskedModel, features: Sequence[InputFeatures]) -> list[RawResult]:
    """Return the logits of windows, in their order."""
    with doing("loading the model"):
        predict = model.load()
    return list(predict(batches_of(features, _WINDOWS_TOGETHER)))


def open_export(path: str) -> AskedModel:
    """Open an exported model, also one with features only. It is a program: load only what you trust.

    Args:
      path: a version directory, or that of all versions, of which the latest is taken. A quantized model is run by
        OpenVINO.

    Raises:
      ConfigError: when there is none, it is damaged, or its settings or vocabulary are missing.
    """
    check_nameable(path, "--model")
    version_dir = latest_version(path)
    settings = read_settings(version_dir)

    def load() -> Predict:
        if not is_quantized(version_dir):
            return _SavedModel(version_dir, settings.description).predict
        from bert_squad.serving.openvino_engine import OpenVinoEncoder, read_model

        return OpenVinoEncoder(read_model(version_dir, settings)).predict

    return AskedModel(version_dir, load, settings.tokenizer, settings.lengths, settings.options)


def of_run(
    config: SquadConfig,
    tokenizer: FullTokenizer,
    predict: Callable[..., Iterator[RawResult]],
    place: str | None,
    step: int | None,
) -> AskedModel:
    """Take the model of a run; the arguments are the fields of `other_uses.LoadedRun`."""
    import tensorflow as tf

    def of_arrays(batches: Iterator[dict[str, np.ndarray]]) -> Iterator[RawResult]:
        return predict({name: tf.constant(values) for name, values in batch.items()} for batch in batches)

    name = (place or "random weights") + ("" if step is None else f", step {step}")
    return AskedModel(name, lambda: of_arrays, tokenizer, lengths_of(config), options_of(config))


def lengths_of(config: SquadConfig) -> WindowLengths:
    """Return the lengths of a run's windows."""
    return WindowLengths(config.max_seq_length, config.doc_stride, config.max_query_length)


def options_of(config: SquadConfig) -> NbestOptions:
    """Return how a run chooses answers."""
    return NbestOptions(
        n_best_size=config.n_best_size,
        max_answer_length=config.max_answer_length,
        do_lower_case=config.do_lower_case,
        version_2_with_negative=config.version_2_with_negative,
        null_score_diff_threshold=config.null_score_diff_threshold,
    )


class _SavedModel:
    """A SavedModel, of which only the signature of features is used.

    Args:
      version_dir: of the export.
      description: its `export.json`.

    Raises:
      ConfigError: when it is damaged.
    """

    def __init__(self, version_dir: str, description: Mapping[str, Any]):
        import tensorflow as tf

        from bert_squad.devices.gpus import prepare_gpus

        prepare_gpus()
        self._path = version_dir
        if "answer" in description.get("signatures", ()):
            from bert_squad.serving.text_operations import load_tensorflow_text

            load_tensorflow_text()  # has operations of other signatures, without which none can be loaded
        try:
            with raised_afterwards():
                # Held, since it holds the weights.
                self._loaded = tf.saved_model.load(links.without_pattern(version_dir, self))
            self._signature = self._loaded.signatures[_SIGNATURE]
        except Exception as error:  # a damaged file comes out as an error of nearly any kind
            raise ConfigError(
                f"Cannot load the model {version_dir} ({files.reason_of(error)}); export it again with --do_export."
            ) from None

    def predict(self, batches: Iterator[dict[str, np.ndarray]]) -> Iterator[RawResult]:
        """Yield the logits of each window."""
        import tensorflow as tf

        for batch in batches:
            try:
                outputs = self._signature(**{name: tf.constant(batch[name]) for name in FEATURES})
            except tf.errors.OpError as error:
                raise DataError(f"The model {self._path} cannot answer ({files.reason_of(error)}).") from None
            logits = (outputs[name].numpy() for name in ("start_logits", "end_logits"))
            yield from map(RawResult, batch["unique_ids"].tolist(), *logits)
