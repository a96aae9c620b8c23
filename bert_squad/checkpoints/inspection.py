"""Describe a checkpoint of any kind without a model: kind, step, sizes, variables, slots."""

import dataclasses

from bert_squad.checkpoints import names
from bert_squad.checkpoints.formats import open_checkpoint


@dataclasses.dataclass(frozen=True)
class InspectedVariable:
    """One entry of a checkpoint.

    Args:
      name: in the checkpoint itself.
      shape: in the checkpoint itself.
      dtype: as the checkpoint calls it.
      legacy_name: the variable of the legacy model that it stands for, or None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    legacy_name: str | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a checkpoint holds.

    Args:
      path: as it was named.
      kind: what it was recognised as.
      step: number of training steps done, or None when it does not say.
      sizes: of the encoder, by the key of `bert_config.json`; empty when there is no BERT encoder.
      variables: every entry, sorted by name.
      slots: number of variables of the optimizer among them.
    """

    path: str
    kind: str
    step: int | None
    sizes: dict[str, int]
    variables: tuple[InspectedVariable, ...]
    slots: int

    def __str__(self) -> str:
        known = {variable.legacy_name for variable in self.variables}
        sizes = ", ".join(f"{key} {value}" for key, value in self.sizes.items())
        lines = [
            f"{self.path}",
            f"kind: {self.kind}",
            f"step: {'not recorded' if self.step is None else self.step}",
            f"encoder: {sizes or 'none of BERT'}",
            f"span head: {'yes' if 'cls/squad/output_weights' in known else 'no'}",
            f"optimizer slots: {f'yes, {self.slots}' if self.slots else 'no'}",
            f"variables: {len(self.variables)}",
        ]
        width = max((len(variable.name) for variable in self.variables), default=0)
        for variable in self.variables:
            renamed = variable.legacy_name not in (None, variable.name)
            lines.append(
                f"  {variable.name:<{width}}  {variable.dtype:<8} {list(variable.shape)}"
                + (f"  = {variable.legacy_name}" if renamed else "")
            )
        return "\n".join(lines)


def inspect_checkpoint(path: str) -> Inspection:
    """Describe a checkpoint; no weight is read.

    Raises:
      CheckpointError: when there is none or it cannot be read.
    """
    reader = open_checkpoint(path)
    variables = [
        InspectedVariable(
            reader.own_names[name],
            reader.own_shape(name),
            reader.dtypes[name],
            name if names.from_legacy(name) else None,
        )
        for name in reader
    ]
    variables.sort(key=lambda variable: variable.name)
    return Inspection(
        path=path,
        kind=reader.kind,
        step=reader.step,
        sizes=encoder_sizes(reader.shapes),
        variables=tuple(variables),
        slots=sum(_is_slot(variable.name) for variable in variables),
    )


def _is_slot(name: str) -> bool:
    return (
        name.rsplit("/", 1)[-1] in names.SLOT_NAMES
        or "/.OPTIMIZER_SLOT/" in name
        or "optimizer/_variables/" in name
    )


def encoder_sizes(shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Read the sizes of a BERT encoder off the shapes of its variables.

    Args:
      shapes: by legacy name.

    Returns:
      Values by the keys of `bert_config.json`; empty when there is no whole encoder. The number of attention heads
      cannot be told from legacy shapes.

    >>> encoder_sizes({"global_step": ()})
    {}
    """
    layers = names.layer_count(shapes)
    wanted = {
        "vocab_size": ("bert/embeddings/word_embeddings", 0),
        "hidden_size": ("bert/embeddings/word_embeddings", 1),
        "intermediate_size": ("bert/encoder/layer_0/intermediate/dense/kernel", 1),
        "max_position_embeddings": ("bert/embeddings/position_embeddings", 0),
        "type_vocab_size": ("bert/embeddings/token_type_embeddings", 0),
    }
    if not layers or any(len(shapes.get(name, ())) != 2 for name, _ in wanted.values()):
        return {}
    return {"num_hidden_layers": layers, **{key: shapes[name][axis] for key, (name, axis) in wanted.items()}}
