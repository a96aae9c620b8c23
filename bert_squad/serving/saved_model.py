"""Have TensorFlow run a signature of an exported model that answers texts."""

from typing import Any

import tensorflow as tf

from bert_squad import files, links
from bert_squad.devices.gpus import prepare_gpus
from bert_squad.errors import BertSquadError, ConfigError, DataError
from bert_squad.interruption import raised_afterwards
from bert_squad.serving.text_operations import load_tensorflow_text
from bert_squad.serving.versions import check_version, is_quantized

_NBEST = "nbest_"
_COUNT = "nbest_count"
_TEXTS = {"question", "context"}
_NEEDED = {"answer", "start_char", _COUNT, "nbest_text"}


class SavedModelEngine:
    """A SavedModel, loaded.

    Args:
      version_dir: of the export.
      signature: "answer" or "answer_fast".

    Raises:
      ConfigError: when it is damaged, does not answer texts, or needs another engine.
    """

    def __init__(self, version_dir: str, signature: str):
        prepare_gpus()
        load_tensorflow_text()
        self._path = version_dir
        check_version(version_dir)
        if is_quantized(version_dir):
            raise ConfigError(
                f"The model {version_dir} is quantized, and TensorFlow cannot read it; add --engine=openvino."
            )
        try:
            with raised_afterwards():
                # Held, since it holds the weights.
                self._loaded = tf.saved_model.load(links.without_pattern(version_dir, self))
            signatures = dict(self._loaded.signatures)
        except BertSquadError:
            raise
        except Exception as error:  # a damaged file comes out as an error of nearly any kind
            raise ConfigError(
                f"Cannot load the model {version_dir} ({files.reason_of(error)}); export it again with --do_export."
            ) from None
        if not _answers_texts(signatures.get(signature)):
            raise ConfigError(
                f"The model {version_dir} has no signature {signature!r}, so it answers no texts; "
                "give one that was exported with --do_export, and not with --export_signatures=features."
            )
        self._signature = signatures[signature]

    def answer(self, questions: list[bytes], contexts: list[bytes]) -> list[dict[str, Any]]:
        """Answer texts; result and errors as of `ExportedModel.answer`."""
        asked = {"question": questions, "context": contexts}
        try:
            inputs = {name: tf.constant(texts, tf.string) for name, texts in asked.items()}
            outputs = {name: value.numpy() for name, value in self._signature(**inputs).items()}
        except tf.errors.ResourceExhaustedError:
            raise DataError(
                f"There is not enough memory to answer {len(questions)} questions at a time; ask fewer "
                "(--batch_size), or about shorter passages."
            ) from None
        except tf.errors.OpError as error:
            raise DataError(f"The model {self._path} cannot answer ({files.reason_of(error)}).") from None
        try:
            return _rows(outputs)
        except (AttributeError, IndexError, TypeError, ValueError):  # of another program, with the same names
            raise ConfigError(
                f"What the model {self._path} answers is not of the form of an exported model's answers; "
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
