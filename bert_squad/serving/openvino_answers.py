"""Strings in, answers out, where the encoder alone is another library's: all else is what `--do_predict` does.

The outputs are those of the signature `answer_fast`, with the same numbers but for rounding. No TensorFlow here.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_squad.answers.nbest import ExamplePrediction, NbestEntry, stream_predictions
from bert_squad.answers.raw_results import RawResult
from bert_squad.answers.span_texts import SpanTexts
from bert_squad.data.examples import SquadExample, split_words
from bert_squad.data.features import InputFeatures
from bert_squad.data.windows import Window, make_windows
from bert_squad.errors import DataError, OutOfMemoryError
from bert_squad.serving.export_settings import ExportSettings, read_settings
from bert_squad.serving.openvino_engine import FEATURES, OpenVinoEncoder, import_openvino, read_model

Predictor = Callable[[Iterable[Mapping[str, Any]]], Iterator[RawResult]]

WINDOWS_PER_BATCH = 8
_WINDOWS_SORTED_TOGETHER = 512
_LENGTHS_ROUNDED_TO = 16  # few shapes are quicker than the last bit of padding left out
_NOWHERE = -1  # an offset that is none

# What is not UTF-8 is decoded as one of these, which no text can hold: it says how many bytes that was.
_NO_UTF8 = re.compile("[\udc01-\udc04]")
_BYTES_OF_SURROGATE = 3
codecs.register_error(
    "bert_squad_length",
    lambda error: (chr(0xDC00 + error.end - error.start), error.end),  # type: ignore[attr-defined]
)


class OpenVinoEngine:
    """A model that OpenVINO has loaded.

    Args:
      version_dir: of an export, or of a quantized model.
      dtype: see `OpenVinoEncoder`.

    Raises:
      ConfigError: when it cannot be read or is damaged, or OpenVINO is not installed.
    """

    def __init__(self, version_dir: str, dtype: str):
        import_openvino()
        self._settings = read_settings(version_dir)
        self._encoder = OpenVinoEncoder(read_model(version_dir, self._settings), dtype)

    def answer(self, questions: list[bytes], contexts: list[bytes]) -> list[dict[str, Any]]:
        """Answer texts; result as of `ExportedModel.answer`.

        Raises:
          DataError: when there is not enough memory.
        """
        try:
            return answer_texts(self._encoder.predict, self._settings, questions, contexts)
        except (MemoryError, OutOfMemoryError):
            raise DataError(
                f"There is not enough memory to answer {len(questions)} questions at a time; ask fewer "
                "(--batch_size), or about shorter passages."
            ) from None


class Context:
    """A passage, its words, and where they are.

    Args:
      content: UTF-8; what is none counts as U+FFFD.

    Attributes:
      words: as `SquadExample.doc_tokens` has them.
      word_starts: as `LocatedExample.orig_to_char_index` has them.
    """

    def __init__(self, content: bytes):
        self._text = _decoded(content)
        self.words, self.word_starts = split_words(_readable(self._text))

    def byte_of(self, char: int) -> int:
        """Return where a character begins, in bytes."""
        if self._text.isascii():
            return char
        before = self._text[:char]
        too_many = sum(_BYTES_OF_SURROGATE - ord(part) + 0xDC00 for part in _NO_UTF8.findall(before))
        return len(before.encode("utf-8", "surrogatepass")) - too_many


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "bert_squad_length")


def _readable(text: str) -> str:
    return _NO_UTF8.sub("\ufffd", text)


def answer_texts(
    predict: Predictor, settings: ExportSettings, questions: Sequence[bytes], contexts: Sequence[bytes]
) -> list[dict[str, Any]]:
    """Answer questions.

    Args:
      predict: gives the logits of batches of windows.
      settings: of the model.
      questions: UTF-8.
      contexts: the passage of each.

    Returns:
      For each question what `ExportedModel.answer` says.
    """
    context_of = {content: Context(content) for content in set(contexts)}
    examples = [
        SquadExample(question, question, context_of[content].words)  # in messages it is called by its text
        for question, content in zip(map(_readable, map(_decoded, questions)), contexts, strict=True)
    ]
    windows = list(make_windows(examples, settings.tokenizer, settings.lengths, is_training=False))
    features = list(map(InputFeatures.from_window, windows))
    results = predict(batches_by_length(windows, WINDOWS_PER_BATCH))
    predictions = stream_predictions(examples, features, results, settings.options)
    features_of: list[list[InputFeatures]] = [[] for _ in examples]
    for feature in features:
        features_of[feature.example_index].append(feature)
    return [
        _row(
            prediction,
            SpanTexts(example.doc_tokens, of_example, settings.options.do_lower_case),
            context_of[content],
        )
        for prediction, example, of_example, content in zip(
            predictions, examples, features_of, contexts, strict=True
        )
    ]


def batches_by_length(windows: Sequence[Window], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield batches of windows of similar length, as `OpenVinoEncoder.predict` takes them.

    They are padded to the longest of their batch, rounded up. Some hundred windows are sorted at a time.
    """
    for begin in range(0, len(windows), _WINDOWS_SORTED_TOGETHER):
        chunk = sorted(windows[begin : begin + _WINDOWS_SORTED_TOGETHER], key=lambda window: window.length)
        for first in range(0, len(chunk), batch_size):
            yield _batch(chunk[first : first + batch_size])


def _batch(windows: Sequence[Window]) -> dict[str, np.ndarray]:
    size = -(-windows[-1].length // _LENGTHS_ROUNDED_TO) * _LENGTHS_ROUNDED_TO
    batch = {"unique_ids": np.array([window.unique_id for window in windows], np.int32)}
    for name in FEATURES:
        batch[name] = np.zeros((len(windows), size), np.int32)
        for row, window in enumerate(windows):
            batch[name][row, : window.length] = getattr(window, name)[: window.length]
    return batch


def _row(prediction: ExamplePrediction, texts: SpanTexts, context: Context) -> dict[str, Any]:
    entries = [_entry(entry, texts, context) for entry in prediction.nbest]
    # Texts differ from each other, so the answer is the one entry with its text.
    chosen = next(entry for entry in entries if entry["text"] == prediction.text)
    outputs = {
        name: chosen[name] for name in ("end_byte", "end_char", "probability", "start_byte", "start_char")
    }
    outputs["score"] = _sum(chosen["start_logit"], chosen["end_logit"])
    outputs["is_impossible"] = False
    if prediction.null_odds is not None:
        null = next(entry for entry in prediction.nbest if not entry.text).candidate
        outputs["is_impossible"] = not prediction.text
        outputs["null_score"] = _sum(null.start_logit, null.end_logit)
        outputs["null_odds"] = _float32(prediction.null_odds)
    return {"answer": prediction.text, **dict(sorted(outputs.items())), "nbest": entries}


def _entry(entry: NbestEntry, texts: SpanTexts, context: Context) -> dict[str, Any]:
    start_char, end_char = _chars(entry, texts, context)
    is_somewhere = start_char != _NOWHERE
    return {
        "end_byte": context.byte_of(end_char) if is_somewhere else _NOWHERE,
        "end_char": end_char,
        "end_logit": _float32(entry.candidate.end_logit),
        "probability": _float32(entry.probability),
        "start_byte": context.byte_of(start_char) if is_somewhere else _NOWHERE,
        "start_char": start_char,
        "start_logit": _float32(entry.candidate.start_logit),
        "text": entry.text,
    }


def _chars(entry: NbestEntry, texts: SpanTexts, context: Context) -> tuple[int, int]:
    if not entry.candidate.is_span:
        return _NOWHERE, _NOWHERE
    return texts.range_of(entry.candidate, context.word_starts)


def _sum(start_logit: float, end_logit: float) -> float:
    return _float32(start_logit + end_logit)


def _float32(number: float) -> float:
    """Round a number as the outputs of a signature are."""
    return float(np.float32(number))
