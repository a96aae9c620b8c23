"""Ask an exported model from Python: strings in, plain values out. Needs the SavedModel only."""

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bert_squad import files, links
from bert_squad.errors import BertSquadError, ConfigError, DataError
from bert_squad.serving.text_operations import load_tensorflow_text
from bert_squad.serving.versions import check_nameable, check_version, latest_version

_NBEST = "nbest_"
_COUNT = "nbest_count"
_TEXTS = {"question", "context"}
_NEEDED = {"answer", "start_char", _COUNT, "nbest_text"}


class ExportedModel:
    """An exported model, loaded. It is a program, which can read and write files: load only what you trust.

    Args:
      path: a version directory, or the directory of all versions, of which the latest is taken.
      signature: "answer" or "answer_fast".

    Raises:
      ConfigError: when there is no such model, it is damaged, or it does not answer texts.
    """

    def __init__(self, path: str | os.PathLike, signature: str = "answer"):
        load_tensorflow_text()
        check_nameable(os.fspath(path), "--model")
        self.path = latest_version(os.fspath(path))
        check_version(self.path)
        try:
            # Held, since it holds the weights.
            self._loaded = tf.saved_model.load(links.without_pattern(self.path, self))
            signatures = dict(self._loaded.signatures)
        except BertSquadError:
            raise
        except Exception as error:  # a damaged file comes out as an error of nearly any kind
            raise ConfigError(
                f"Cannot load the model {self.path} ({files.reason_of(error)}); export it again with --do_export."
            ) from None
        if not _answers_texts(signatures.get(signature)):
            raise ConfigError(
                f"The model {self.path} has no signature {signature!r}, so it answers no texts; "
                "give one that was exported with --do_export, and not with --export_signatures=features."
            )
        self._signature = signatures[signature]

    def answer(
        self, questions: Sequence[str | bytes], contexts: Sequence[str | bytes]
    ) -> list[dict[str, Any]]:
        """Answer questions, all in one batch.

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
        asked = {
            "question": _texts(questions, "questions", "question"),
            "context": _texts(contexts, "contexts", "passage"),
        }
        num_questions, num_contexts = (len(texts) for texts in asked.values())
        if num_questions != num_contexts:
            raise DataError(
                f"There are {num_questions} questions and {num_contexts} contexts: each question needs its passage."
            )
        try:
            inputs = {name: tf.constant(texts, tf.string) for name, texts in asked.items()}
            outputs = {name: value.numpy() for name, value in self._signature(**inputs).items()}
        except tf.errors.ResourceExhaustedError:
            raise DataError(
                f"There is not enough memory to answer {num_questions} questions at a time; ask fewer "
                "(--batch_size), or about shorter passages."
            ) from None
        except tf.errors.OpError as error:
            raise DataError(f"The model {self.path} cannot answer ({files.reason_of(error)}).") from None
        try:
            return _rows(outputs)
        except (AttributeError, IndexError, TypeError, ValueError):  # of another program, with the same names
            raise ConfigError(
                f"What the model {self.path} answers is not of the form of an exported model's answers; "
                "give one that was exported with --do_export."
            ) from None


def _answers_texts(signature: Any) -> bool:
    if signature is None:
        return False
    inputs = signature.structured_input_signature[1]
    return (
        set(inputs) == _TEXTS
        and all(spec.dtype == tf.string for spec in inputs.values())
        and set(signature.structured_outputs) >= _NEEDED
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


def _rows(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    counts = outputs.pop(_COUNT).tolist()
    columns = {name: outputs.pop(name) for name in sorted(outputs) if name.startswith(_NBEST)}
    names = sorted(outputs, key=lambda name: (name != "answer", name))  # a SavedModel knows no order
    answers = []
    for row, count in enumerate(counts):
        answer = {name: _plain(outputs[name][row]) for name in names}
        answer["nbest"] = [
            {name.removeprefix(_NBEST): _plain(value[row, rank]) for name, value in columns.items()}
            for rank in range(count)
        ]
        answers.append(answer)
    return answers


def _plain(value: Any) -> Any:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value.item()
