"""Ask an exported model from Python: strings in, plain values out. Needs the SavedModel only."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the operation that the model tokenizes with

from bert_squad import files
from bert_squad.errors import ConfigError
from bert_squad.serving.export import versions

_NBEST = "nbest_"
_SAVED_MODEL = "saved_model.pb"


class ExportedModel:
    """An exported model, loaded.

    Args:
      path: a version directory, or the directory of all versions, of which the latest is taken.
      signature: "answer" or "answer_fast".

    Raises:
      ConfigError: when there is no such model, or it does not answer texts.
    """

    def __init__(self, path: str, signature: str = "answer"):
        self.path = latest_version(path)
        try:
            self._loaded = tf.saved_model.load(self.path)  # held, since it holds the weights
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ConfigError(
                f"Cannot load the model {self.path} ({error}); export it again with --do_export."
            ) from None
        if signature not in self._loaded.signatures:
            raise ConfigError(
                f"The model {self.path} has no signature {signature!r}, so it answers no texts; "
                "give one that was exported with --do_export."
            )
        self._signature = self._loaded.signatures[signature]

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
        """
        outputs = {
            name: value.numpy()
            for name, value in self._signature(
                question=tf.constant(list(map(_utf8, questions)), tf.string),
                context=tf.constant(list(map(_utf8, contexts)), tf.string),
            ).items()
        }
        counts = outputs.pop("nbest_count").tolist()
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


def latest_version(path: str) -> str:
    """Return the directory of a SavedModel: `path` itself, or the latest version in it.

    Raises:
      ConfigError: when there is none.
    """
    if files.exists(files.join(path, _SAVED_MODEL)):
        return path
    numbers = versions(path)
    if not numbers:
        raise ConfigError(
            f"There is no exported model in {path}; name the directory that --export_dir named, or a version in it."
        )
    return files.join(path, str(numbers[-1]))


def _utf8(text: str | bytes) -> bytes:
    # JSON can hold half a surrogate pair, which is no character and has no UTF-8.
    return text if isinstance(text, bytes) else text.encode("utf-8", errors="replace")


def _plain(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value.item()
