"""Write tensors as a new TF1 checkpoint with `bert_config.json` and `vocab.txt` beside it, whole or not at all."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from bert_squad import files, whole_files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.model_files import BERT_CONFIG_FILE, VOCAB_FILE
from bert_squad.checkpoints.state_file import PREFIX, STATE_FILE
from bert_squad.checkpoints.tf1 import checkpoint_files
from bert_squad.checkpoints.tf1_writing import in_order, write_tensors
from bert_squad.errors import ConfigError, OutputError
from bert_squad.json_files import parse_json
from bert_squad.run_record import RUN_RECORD


@dataclasses.dataclass(frozen=True)
class Tf1Target:
    """Where a TF1 checkpoint goes.

    Args:
      prefix: of the checkpoint.
      beside: contents of the files that go beside it, by name.
    """

    prefix: str
    beside: dict[str, bytes]

    @property
    def directory(self) -> str:
        """The directory of the prefix."""
        return os.path.dirname(self.prefix) or "."


def tf1_target(
    target: str,
    step: int,
    config_json: bytes | None,
    vocabulary: bytes | None,
    record: bytes | None = None,
) -> Tf1Target:
    """Decide where a checkpoint goes, before anything slow starts.

    Args:
      target: a prefix, not empty, or a directory: one that exists, or with a `/` at the end.
      step: for the name in a directory, `model.ckpt-<step>`.
      config_json: contents of `bert_config.json`, or None when it is not known.
      vocabulary: contents of `vocab.txt`, or None.
      record: contents of `run.json`, or None; where there is one of another training, that stays.

    Raises:
      OutputError: when something there would be overwritten; a configuration or vocabulary that says the same
        is left as it is.
    """
    beside = {BERT_CONFIG_FILE: config_json, VOCAB_FILE: vocabulary}
    contents = {name: content for name, content in beside.items() if content is not None}
    prefix = target
    if target.endswith("/") or files.is_directory(target):
        name = f"{PREFIX}-{step}"
        prefix = files.join(target, name)
        contents[STATE_FILE] = (
            f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'.encode()
        )
    directory = os.path.dirname(prefix) or "."
    present = checkpoint_files(prefix) if files.is_directory(directory) else []
    present.sort(key=lambda path: not path.endswith(".index"))
    for name, content in list(contents.items()):
        path = files.join(os.path.dirname(prefix), name)
        if files.exists(path):
            if files.is_file(path) and _means_the_same(name, files.read_bytes(path), content):
                del contents[name]
            else:
                present.append(path)
    if record is not None and not files.exists(files.join(os.path.dirname(prefix), RUN_RECORD)):
        contents[RUN_RECORD] = record
    if present:
        raise OutputError(f"{present[0]} exists already; name another target, or delete it.")
    return Tf1Target(prefix, contents)


def _means_the_same(name: str, present: bytes, wanted: bytes) -> bool:
    """Compare files that go beside a checkpoint: a configuration may be written in several ways."""
    if name != BERT_CONFIG_FILE:
        return present.rstrip() == wanted.rstrip()
    try:
        first, second = (
            BertConfig.from_dict(parse_json(content, BERT_CONFIG_FILE, ConfigError))
            for content in (present, wanted)
        )
    except ConfigError:  # not a configuration at all
        return False
    return first == second


def write_tf1_files(target: Tf1Target, tensors: Mapping[str, np.ndarray]) -> None:
    """Write the checkpoint and what goes beside it.

    All files are written in a temporary directory and then moved: the index after what it speaks of, the
    `checkpoint` file after the checkpoint.

    Raises:
      OutputError: when that fails; files that were moved already are deleted again.
    """
    whole_files.remove_abandoned(target.directory)
    with whole_files.complete_directory(
        target.prefix,
        lambda temporary: _move_all(temporary, target.directory),
        problem=f"Cannot write the checkpoint {target.prefix}",
    ) as temporary:
        write_tensors(files.join(temporary, os.path.basename(target.prefix)), tensors)
        for name, content in target.beside.items():
            files.write_bytes(files.join(temporary, name), content)


def _move_all(temporary: str, directory: str) -> None:
    """Move the files of a new checkpoint to their directory, all of them or none."""
    moved: list[str] = []
    try:
        for name in in_order(files.names_in(temporary)):
            moved.append(files.join(directory, name))
            files.rename(files.join(temporary, name), moved[-1])
    except BaseException:  # a signal too
        with contextlib.suppress(OSError):
            for path in moved:
                files.remove(path)
        raise
