"""What every reader of checkpoints is: a mapping from legacy names to arrays."""

import abc
from collections.abc import Iterator, Mapping

import numpy as np

from bert_squad.errors import CheckpointError


class CheckpointReader(Mapping[str, np.ndarray]):
    """A checkpoint of some format, as a mapping from legacy names to arrays of the legacy shapes.

    Names, shapes and types are known before any array is read. What is no variable of BERT keeps the name that it has
    in the checkpoint. A format is a subclass that says its `kind`, passes the shapes on and reads an array; what else
    it can say, such as the step, it overrides.

    Args:
      path: where it lies, for messages.
      shapes: by legacy name.
      dtypes: names of types, as the checkpoint or NumPy calls them, by legacy name.
      own_names: the checkpoint's own names by legacy name; None when they are the same.
    """

    kind: str
    """What it is, for people."""

    is_tf1 = False
    """Whether another TF1 checkpoint can take over all that it holds as it is, slots and step too."""

    def __init__(
        self,
        path: str,
        shapes: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, str],
        own_names: Mapping[str, str] | None = None,
    ):
        self.path = path
        self.shapes = dict(shapes)
        self.dtypes = dict(dtypes)
        self.own_names = {name: name for name in self.shapes} if own_names is None else dict(own_names)

    @property
    def step(self) -> int | None:
        """The number of training steps done; None when it does not say."""
        return None

    @property
    def num_attention_heads(self) -> int | None:
        """The one size that legacy shapes do not show; None when it does not say."""
        return None

    @property
    def has_exact_gelu(self) -> bool:
        """Whether it says that it was trained with the exact GELU, which is not among the activations here."""
        return False

    def own_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape in the checkpoint itself, by legacy name."""
        return self.shapes[name]

    @abc.abstractmethod
    def __getitem__(self, name: str) -> np.ndarray:
        """Read an array.

        Raises:
          KeyError: when there is none of that legacy name.
          CheckpointError: when it cannot be read.
        """

    def __contains__(self, name: object) -> bool:
        return name in self.shapes  # without reading the array, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def check_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...], path: str) -> None:
    """Refuse a variable of another shape.

    Raises:
      CheckpointError: naming the variable, the checkpoint and both shapes.
    """
    if tuple(found) != tuple(wanted):
        raise CheckpointError(
            f"{name} has shape {list(found)} in {path} but {list(wanted)} in the model; use the "
            "bert_config.json that belongs to the checkpoint."
        )
