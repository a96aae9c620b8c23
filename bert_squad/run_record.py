"""What a training was: recorded beside its checkpoints, and compared when another command goes on from them.

A checkpoint holds weights and a step, nothing else. Whoever continues with other data, another learning rate or another
vocabulary gets numbers of neither run; the record (`run.json`) shows it. Directories that the legacy script left have
none. What each command did of the training, and how well it answers in the end, is added to it. Exports and conversions
carry it.
"""

import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Mapping
from typing import Any

from absl import logging

from bert_squad import files, whole_files
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.errors import BertSquadError, ConfigError, OutputError
from bert_squad.json_files import read_json

RUN_RECORD = "run.json"
_KIND = "bert_squad training"

# Flags that training depends on. Files are compared by what they hold.
_FLAGS = (
    "do_lower_case",
    "max_seq_length",
    "doc_stride",
    "max_query_length",
    "train_batch_size",
    "learning_rate",
    "num_train_epochs",
    "warmup_proportion",
    "version_2_with_negative",
    "seed",
)
# Flags that came later: recorded when they are not at their defaults, which records without them mean.
_LATER_FLAGS = {
    field.name: field.default
    for field in dataclasses.fields(SquadConfig)
    if field.name
    in ("on_bad_question", "several_answers", "max_train_questions", "trainable", "layerwise_lr_decay")
}
# Of the model; what shapes do not show is listed first and makes nonsense of the weights.
_MEANING_OF_WEIGHTS = ("num_attention_heads", "hidden_act")
# What is added to the record on the way, and stays when training goes on.
_ADDED = ("sessions", "scores")
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference between a record and the present command.

    Attributes:
      what: the flag, key or file.
      was: in the record.
      now: in the present command.
      is_nonsense: with it the weights mean nothing, so that no result can be right.
    """

    what: str
    was: Any
    now: Any
    is_nonsense: bool = False

    def __str__(self) -> str:
        return f"{self.what} ({self.was} → {self.now})"


def describe_run(
    config: SquadConfig,
    bert_config: BertConfig,
    vocab: Mapping[str, int],
    choices: Mapping[str, Any],
    train_data: str | None,
) -> dict[str, Any]:
    """Describe a training by all that its numbers depend on.

    Args:
      config: the run.
      bert_config: the model.
      vocab: the vocabulary, as it was read.
      choices: those of `bert_squad.compute_options`, by name.
      train_data: the SHA-256 of what is trained on, as `DataSet` has it; None when there is no training.
    """
    import tensorflow as tf

    later = {name: getattr(config, name) for name in _LATER_FLAGS}
    return {
        "kind": _KIND,
        "flags": {name: getattr(config, name) for name in _FLAGS}
        | dict(choices)
        | {name: value for name, value in later.items() if value != _LATER_FLAGS[name]},
        "model": bert_config.to_dict(),
        "vocabulary": {"file": config.vocab_file, "sha256": hash_of_vocabulary(vocab)},
        "train_data": None if train_data is None else {"file": config.train_file, "sha256": train_data},
        "init_checkpoint": config.init_checkpoint,
        "tensorflow": tf.__version__,
    }


def hash_of_vocabulary(vocab: Mapping[str, int]) -> str:
    """Return the SHA-256 of a vocabulary by which records compare it: of its pieces and their ids."""
    pieces = sorted((index, piece) for piece, index in vocab.items() if piece)
    return hashlib.sha256(json.dumps(pieces).encode()).hexdigest()


def changes_since(record: Mapping[str, Any], run: Mapping[str, Any]) -> list[Change]:
    """Compare a record with the present run, both from `describe_run`; nonsense first."""

    def differences(part: str, names, is_nonsense: bool = False) -> list[Change]:
        was, now = record.get(part), run[part]
        if not isinstance(was, Mapping):
            return []
        if part == "flags":
            was, now = _LATER_FLAGS | dict(was), _LATER_FLAGS | dict(now)
        return [
            Change(f"--{name}" if part == "flags" else f"`{name}`", was[name], now[name], is_nonsense)
            for name in names
            if name in was and name in now and _meaning(name, was[name]) != _meaning(name, now[name])
        ]

    changes = differences("model", _MEANING_OF_WEIGHTS, is_nonsense=True)
    for part, what, is_nonsense in (
        ("vocabulary", "the vocabulary", True),
        ("train_data", "the training data", False),
    ):
        was, now = record.get(part), run[part]
        if isinstance(was, Mapping) and now and was.get("sha256") != now["sha256"]:
            changes.append(Change(what, was.get("file"), now["file"], is_nonsense))
    changes += differences("flags", _LATER_FLAGS | dict(run["flags"]))
    changes += differences("model", _RATES)
    if record.get("tensorflow") not in (None, run["tensorflow"]):
        changes.append(Change("TensorFlow", record["tensorflow"], run["tensorflow"]))
    return changes


def _meaning(name: str, value: Any) -> Any:
    """Return the same for each way to write an activation: case means nothing, and null, "" and "linear" are one."""
    return str(value or "linear").lower() if name == "hidden_act" else value


def check_same_run(directory: str, run: Mapping[str, Any], *, allow_changed_run: bool, trains: bool) -> None:
    """Compare the record in a directory with the present run: warn of what changes numbers, refuse nonsense.

    Args:
      directory: where the checkpoint lies that the run goes on from.
      run: from `describe_run`.
      allow_changed_run: warn of nonsense too.
      trains: the run trains on. One that only predicts is free to choose all but what the weights mean.

    Raises:
      ConfigError: for nonsense.
    """
    record = read_record(directory)
    changes = changes_since(record, run) if record else []
    if not trains:
        changes = [change for change in changes if change.is_nonsense or change.what == "--do_lower_case"]
    nonsense = [change for change in changes if change.is_nonsense]
    if nonsense and not allow_changed_run:
        raise ConfigError(
            f"The checkpoint in {directory} was trained with something else: {_listed(nonsense)}. Its weights mean "
            f"nothing with that; give what {files.join(directory, RUN_RECORD)} says, choose another --output_dir, or "
            "insist with --allow_changed_run."
        )
    if changes:
        logging.warning(
            "This is not the run that %s records, and its numbers will be of neither: %s.",
            files.join(directory, RUN_RECORD),
            _listed(changes),
        )


def _listed(changes: list[Change]) -> str:
    return ", ".join(map(str, changes))


def read_record(directory: str) -> dict[str, Any] | None:
    """Return the record in a directory; None when there is none, or a file of the same name that is none."""
    path = files.join(directory, RUN_RECORD)
    try:
        record = read_json(path, "record of the run") if files.is_file(path) else None
    except (BertSquadError, OSError) as error:
        logging.warning("%s It is not compared with this run.", error)
        return None
    return record if isinstance(record, dict) and record.get("kind") == _KIND else None


def record_content(directory: str) -> bytes | None:
    """Return the file of the record in a directory, for a copy of its checkpoint; None where `read_record` has none."""
    return None if read_record(directory) is None else files.read_bytes(files.join(directory, RUN_RECORD))


def write_record(directory: str, run: Mapping[str, Any], step: int) -> None:
    """Record a training that begins, or goes on, at a step. A file of that name that is no record is left alone.

    Raises:
      OutputError: when it cannot be written.
    """
    path = files.join(directory, RUN_RECORD)
    old = read_record(directory)
    if old is None and files.exists(path):
        logging.warning(
            "%s is no record of this program; it is left as it is, and nothing is recorded.", path
        )
        return
    earlier = old.get("earlier") if old and step else []
    earlier = earlier if isinstance(earlier, list) else []
    if old and step:
        changes = [str(change) for change in changes_since(old, run)]
        if not changes and old.get("earlier") is not None:
            return
        earlier = [*earlier, {"until_step": step, "changed": changes}] if changes else earlier
    kept = {name: old[name] for name in _ADDED if old and step and name in old}
    record = {**run, **kept, "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "earlier": earlier}
    _write(directory, record)


class SessionRecord:
    """What one command did of a training, written to the record after each save.

    A record that cannot be written any more is no reason to stop; there is one warning.

    Args:
      directory: of the checkpoints, where `write_record` has been.
      config: the run; flags that are not as by default are recorded.
      device: what it runs on, in words.
      first_step: number of steps done before.
    """

    def __init__(self, directory: str, config: SquadConfig, device: str, first_step: int):
        import tensorflow as tf

        self._directory, self._started, self._has_failed = directory, time.monotonic(), False
        defaults = {field.name: field.default for field in dataclasses.fields(SquadConfig)}
        self._session: dict[str, Any] = {
            "begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "first_step": first_step,
            "last_step": first_step,
            "seconds": 0.0,
            "device": device,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "flags": {
                name: value for name, value in dataclasses.asdict(config).items() if value != defaults[name]
            },
        }
        record = read_record(directory) or {}
        sessions = record.get("sessions") if first_step else []
        self._before = sessions if isinstance(sessions, list) else []

    def save(self, step: int) -> None:
        """Record that so many steps are done and saved."""
        self._session |= {"last_step": step, "seconds": round(time.monotonic() - self._started, 3)}
        if not self._has_failed:
            self._has_failed = not _add_to_record(
                self._directory, {"sessions": [*self._before, self._session]}
            )


def record_scores(directory: str, scores: Mapping[str, Any]) -> None:
    """Record how well the weights of a directory answer, and which questions."""
    _add_to_record(directory, {"scores": dict(scores)})


def _add_to_record(directory: str, more: Mapping[str, Any]) -> bool:
    """Write entries to the record of a directory, if there is one; return whether that was possible."""
    record = read_record(directory)
    if record is None:
        return True
    try:
        _write(directory, {**record, **more})
    except OutputError as error:
        logging.warning("%s The run goes on.", error)
        return False
    return True


def _write(directory: str, record: Mapping[str, Any]) -> None:
    with whole_files.open_whole(files.join(directory, RUN_RECORD)) as writer:
        writer.write(json.dumps(record, indent=4) + "\n")
