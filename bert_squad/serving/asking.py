"""Ask an exported model from Python: strings in, plain values out. Needs what was exported only.

TensorFlow answers unless another engine is asked for; then nothing here imports TensorFlow.
"""

import os
from collections.abc import Sequence
from typing import Any, Protocol

from bert_squad.config import ENGINES
from bert_squad.errors import ConfigError, DataError
from bert_squad.serving.combining import CombinedCalls
from bert_squad.serving.versions import check_nameable, latest_version

_CALLS_AT_ONCE = 2  # where one leaves a core idle, between two operations, the other takes it
_QUESTIONS_TOGETHER = 32


class _Engine(Protocol):
    def answer(self, questions: list[bytes], contexts: list[bytes]) -> list[dict[str, Any]]: ...


class ExportedModel:
    """An exported model, loaded. It is a program, which can read and write files: load only what you trust.

    Args:
      path: a version directory, or the directory of all versions, of which the latest is taken.
      signature: "answer" (default) or "answer_fast". OpenVINO pads nothing, so it answers as "answer_fast" only.
      engine: one of `ENGINES`: what computes. "openvino" needs the extra of that name, and also takes what
        `bert-squad quantize` wrote.
      dtype: type of matrix products, "float32" (default) or "bfloat16"; with the engine "openvino" only.

    Raises:
      ConfigError: when there is no such model, it is damaged, or it does not answer texts; for another engine, or one
        that is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        signature: str | None = None,
        engine: str = "tensorflow",
        dtype: str | None = None,
    ):
        check_engine(engine, signature, dtype)
        check_nameable(os.fspath(path), "--model")
        self._engine: _Engine
        if engine == "tensorflow":
            from bert_squad.serving.saved_model import SavedModelEngine  # imports TensorFlow

            self.path = latest_version(os.fspath(path))
            self._engine = SavedModelEngine(self.path, signature or "answer")
            at_once = _CALLS_AT_ONCE
        else:
            from bert_squad.serving.openvino_answers import OpenVinoEngine

            self.path = latest_version(os.fspath(path))
            self._engine = OpenVinoEngine(self.path, dtype or "float32")
            at_once = 1  # it has several requests in work by itself
        self._combined = CombinedCalls(self._answer_pairs, at_once, _QUESTIONS_TOGETHER)

    def answer(
        self, questions: Sequence[str | bytes], contexts: Sequence[str | bytes]
    ) -> list[dict[str, Any]]:
        """Answer questions, all in one batch. Calls of other threads that wait meanwhile are answered together.

        Args:
          questions: the questions.
          contexts: the passage of each.

        Returns:
          For each question the outputs of the signature, by name, as plain values; in place of those that begin
          with `nbest_`, a list `nbest` of the answers that exist, the best first.

        Raises:
          DataError: when these are not two lists of texts, equally long, or the model cannot answer them.
          ConfigError: when the model is of another program, and answers in another form.
        """
        asked = _texts(questions, "questions", "question")
        passages = _texts(contexts, "contexts", "passage")
        if len(asked) != len(passages):
            raise DataError(
                f"There are {len(asked)} questions and {len(passages)} contexts: each question needs its passage."
            )
        return self._combined(list(zip(asked, passages, strict=True)))

    def _answer_pairs(self, pairs: Sequence[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
        return self._engine.answer([question for question, _ in pairs], [context for _, context in pairs])


def check_engine(engine: str, signature: str | None = None, dtype: str | None = None) -> None:
    """Refuse what does not go together; arguments and errors as of `ExportedModel`."""
    if engine not in ENGINES:
        raise ConfigError(f"--engine must be one of {', '.join(ENGINES)}, not {engine!r}.")
    if engine == "tensorflow" and dtype is not None:
        raise ConfigError(
            "--dtype is for --engine=openvino; TensorFlow computes in the type that --export_dtype gave the model."
        )
    if engine == "openvino" and signature == "answer":
        raise ConfigError(
            "--engine=openvino pads no window, so it has no exact mode: it answers as with --fast."
        )


def _texts(values: Sequence[str | bytes], name: str, what: str) -> list[bytes]:
    """Return texts as UTF-8; JSON can hold half a surrogate pair, which is no character and has none."""
    if isinstance(values, str | bytes):
        raise DataError(f"{name} must be a list of texts, one for each {what}, not a single text.")
    try:
        texts = list(values)
    except TypeError:
        raise DataError(f"{name} must be a list of texts, not {type(values).__name__}.") from None
    for number, text in enumerate(texts):
        if not isinstance(text, str | bytes):
            raise DataError(f"{name}[{number}] must be a text, not {type(text).__name__}.")
    return [text if isinstance(text, bytes) else text.encode("utf-8", errors="replace") for text in texts]
