"""Turn a checkpoint of any kind into a TF1 checkpoint or a Hugging Face directory, value by value.

Weights are copied, not loaded into a model: each arrives bit by bit as it was, or widened to float32 if it was
stored in half precision. A TF1 source keeps all that it has when it becomes another TF1 checkpoint, Adam slots
included; a Hugging Face directory has no place for slots. What is left behind is in the summary.
"""

import dataclasses
import os

import numpy as np

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import names
from bert_squad.checkpoints.formats import open_checkpoint
from bert_squad.checkpoints.huggingface_export import check_writable_target, write_huggingface_directory
from bert_squad.checkpoints.loading import (
    GELU_NOTE,
    as_float32,
    check_heads,
    check_layers,
    is_ignored,
)
from bert_squad.checkpoints.model_card import check_base_model, flags_beside, model_card, scores_beside
from bert_squad.checkpoints.model_files import ModelDescription, describe_model
from bert_squad.checkpoints.names import GLOBAL_STEP
from bert_squad.checkpoints.reader import CheckpointReader, check_shape
from bert_squad.checkpoints.tf1_export import tf1_target, write_tf1_files
from bert_squad.errors import CheckpointError, ConfigError
from bert_squad.run_record import record_content

KINDS = ("tf1", "huggingface")


@dataclasses.dataclass(frozen=True)
class ConversionSummary:
    """What `convert` did. Names are legacy names, sorted.

    Args:
      source: the checkpoint that was read.
      kind: what it was recognised as.
      target: what was written.
      written: variables that are in both.
      dropped: entries of the source that the target has no place for, Adam slots for one.
      absent: variables of a question answering model that neither has: its span head or pooler.
      note: what else should be known, a line each, or empty.
    """

    source: str
    kind: str
    target: str
    written: tuple[str, ...]
    dropped: tuple[str, ...]
    absent: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        unexpected = [name for name in self.dropped if not is_ignored(name)]
        expected = len(self.dropped) - len(unexpected)
        lines = [
            f"Converted {self.source} ({self.kind}) to {self.target}: {len(self.written)} variables written, "
            f"{len(self.dropped)} dropped{f' ({expected} of them slots and counters)' if expected else ''}."
        ]
        lines += [f"  dropped: {name}" for name in unexpected]
        lines += [
            f"  in neither, so whoever loads it starts from random values: {name}" for name in self.absent
        ]
        lines += [f"  {note}" for note in self.note.splitlines()]
        return "\n".join(lines)


def convert(
    source: str,
    target: str,
    to: str,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
    base_model: str | None = None,
) -> ConversionSummary:
    """Convert a checkpoint.

    Args:
      source: a checkpoint of any kind that `load_checkpoint` takes.
      target: for "tf1" the prefix to write, or a directory (that exists, or with a `/` at the end) for
        `model.ckpt-<step>` and a `checkpoint` file in it; `bert_config.json` and `vocab.txt` go beside it when they
        are known. For "huggingface" a directory that does not exist or is empty.
      to: "tf1" or "huggingface".
      bert_config_file: the configuration; None to look beside the source. Hugging Face output needs one.
      vocab_file: the vocabulary; likewise.
      do_lower_case: whether the model is uncased; None to find out.
      base_model: for the model card of Hugging Face output, the name on the hub of what it was trained from, or None.

    Returns:
      The summary.

    Raises:
      CheckpointError: when the source cannot be read, holds no whole encoder, or does not fit its configuration.
      ConfigError: when the configuration or vocabulary is missing where it is needed.
      OutputError: when the target exists or cannot be written. Nothing is left of it then.
    """
    if to not in KINDS:
        raise ConfigError(f"--to is one of {', '.join(KINDS)}, not {to!r}.")
    check_base_model(base_model)
    reader = open_checkpoint(source)
    description = describe_model(
        source, bert_config_file=bert_config_file, vocab_file=vocab_file, do_lower_case=do_lower_case
    )
    _check_encoder(reader, description.bert_config, source)
    notes = [GELU_NOTE] if reader.has_exact_gelu else []
    if to == "tf1":
        written, path = _write_tf1(reader, source, target, description)
    else:
        written, path, note = _write_huggingface(reader, source, target, description, base_model)
        notes += [note] if note else []
    return ConversionSummary(
        source=source,
        kind=reader.kind,
        target=path,
        written=tuple(sorted(set(written) & set(reader))),
        dropped=tuple(sorted(set(reader) - set(written))),
        absent=tuple(v.legacy for v in (*names.SPAN_HEAD, *names.POOLER) if v.legacy not in reader.shapes),
        note="\n".join(notes),
    )


def _check_encoder(reader: CheckpointReader, bert_config: BertConfig | None, source: str) -> None:
    """Refuse a checkpoint that lacks a part of the encoder, or is of another shape than its configuration says."""
    layers = names.layer_count(reader)
    missing = [v.legacy for v in names.encoder_variables(layers) if v.legacy not in reader.shapes]
    if missing or not layers:
        raise CheckpointError(
            f"{source} ({reader.kind}) does not hold a whole BERT encoder: {missing[0] if missing else 'every layer'} "
            "is missing."
        )
    if bert_config is None:
        return
    check_heads(reader, bert_config, source)
    check_layers(reader, bert_config, source)
    for name in reader:
        variable = names.from_legacy(name)
        if variable:
            check_shape(name, reader.shapes[name], names.expected_shape(variable, bert_config), source)


def _bert_weights(reader: CheckpointReader, source: str) -> dict[str, np.ndarray]:
    return {name: as_float32(reader[name], name, source) for name in reader if names.from_legacy(name)}


def _write_tf1(
    reader: CheckpointReader, source: str, target: str, description: ModelDescription
) -> tuple[list[str], str]:
    step = reader.step or 0
    record = record_content(os.path.dirname(reader.path))
    place = tf1_target(target, step, description.config_json, description.vocabulary, record)
    tensors = dict(reader) if reader.is_tf1 else _bert_weights(reader, source)
    tensors.setdefault(GLOBAL_STEP, np.asarray(step, np.int64))
    write_tf1_files(place, tensors)
    return list(tensors), place.prefix


def _write_huggingface(
    reader: CheckpointReader,
    source: str,
    target: str,
    description: ModelDescription,
    base_model: str | None,
) -> tuple[list[str], str, str]:
    check_writable_target(target)
    if description.bert_config is None:
        raise ConfigError(
            "A Hugging Face model needs its configuration, and there is no bert_config.json beside the checkpoint: "
            "name it with --bert_config_file."
        )
    if description.vocabulary is None or description.do_lower_case is None:
        raise ConfigError(
            "A Hugging Face model needs its vocabulary, and there is no vocab.txt beside the checkpoint: name it "
            "with --vocab_file."
        )
    step = reader.step
    weights = _bert_weights(reader, source)
    scores = scores_beside(reader.path)
    card = model_card(
        os.path.basename(os.path.realpath(target)),
        description.bert_config,
        do_lower_case=description.do_lower_case,
        has_span_head=all(variable.legacy in weights for variable in names.SPAN_HEAD),
        step=step,
        scores=scores.values,
        flags=flags_beside(reader.path),
        base_model=base_model,
    )
    write_huggingface_directory(
        target,
        weights,
        description.bert_config,
        description.vocabulary,
        description.do_lower_case,
        card,
        step,
        record_content(os.path.dirname(reader.path)),
    )
    return [*weights, *([GLOBAL_STEP] if step is not None else [])], target, scores.note
