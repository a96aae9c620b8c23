"""Which positions of a batch are computed: all of them, or the real ones without padding.

Dense layers work on rows [R, H], one a position. Attention needs to know which rows are of one sequence: it works on
groups of sequences, [B_g, S_g] each, and K_g of the S_g positions are its keys and values. A packing turns the one form
into the other.

A packing also knows the places of its elements in the tensors of a whole batch whose padding is computed, since
dropout goes by them (`first_index` of `dropout.keep_mask`). So masks depend neither on how a batch is cut into parts
nor on whether padding is there.

Shapes: B batch, S sequence, H hidden (or any other width), R rows, g the number of a group.
"""

import tensorflow as tf

# XLA compiles once for each shape, so sizes are rounded up to keep shapes few.
ROWS_ROUNDED_TO = 256  # or to a sixteenth of all positions, if that is more
LENGTHS_ROUNDED_TO = 64
GROUPS = 4
KEYS_ROUNDED_TO = 16  # of prediction, where nothing is compiled


class Padded:
    """All positions [B, S] as R = B*S rows, and one group of all sequences.

    Args:
      input_mask: int32 [B, S], 1 for real positions and 0 for padding.
      first_sequence: int32 scalar, for a part of a batch: the number of its first sequence in the whole one.

    Attributes:
      masks: for each group, int32 [B_g, K_g], 1 for keys that are real.
    """

    def __init__(self, input_mask: tf.Tensor, first_sequence: tf.Tensor | None = None):
        self._shape, self._first_sequence = tf.shape(input_mask), first_sequence
        self.masks = (input_mask,)

    def pack(self, states: tf.Tensor) -> tf.Tensor:
        """Return [B, S, H] as [R, H]."""
        return tf.reshape(states, [-1, states.shape[-1]])

    def unpack(self, rows: tf.Tensor) -> tf.Tensor:
        """Return [R, H] as [B, S, H]."""
        return tf.reshape(rows, [self._shape[0], self._shape[1], rows.shape[-1]])

    def to_groups(self, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return [R, H] as one group [B, S, H]."""
        return (self.unpack(rows),)

    def from_groups(self, groups: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Return one group [B, S, H] as [R, H]."""
        return self.pack(groups[0])

    def rows_of_keys(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the rows that attention uses as keys: all."""
        return rows

    def keys_to_groups(self, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what was computed of `rows_of_keys` in groups [B_g, K_g, H]."""
        return self.to_groups(rows)

    def first_index_of_rows(self, width: int) -> tf.Tensor | None:
        """Return the index of the first element of rows [R, width] in those of the whole batch, uint32 scalar."""
        if self._first_sequence is None:
            return None
        return tf.cast(self._first_sequence * self._shape[1] * width, tf.uint32)

    def first_indices_of_scores(self, heads: int) -> tuple[tf.Tensor | None, ...]:
        """Return the same of the scores [B, N, S, S] of attention, for each group."""
        if self._first_sequence is None:
            return (None,)
        return (tf.cast(self._first_sequence * heads * self._shape[1] ** 2, tf.uint32),)


class TrimmedKeys(Padded):
    """All positions, as in `Padded`, but keys end with the longest sequence of the batch, rounded up.

    The keys behind it are padding in every sequence. A padded key has the probability 0 in float32, so leaving it out
    changes nothing but the order of sums. How many are left out is known only when the batch is.

    Args:
      input_mask: as for `Padded`.
      first_sequence: as for `Padded`.
    """

    def __init__(self, input_mask: tf.Tensor, first_sequence: tf.Tensor | None = None):
        super().__init__(input_mask, first_sequence)
        size = self._shape[1]
        # A sequence without any real position attends to all of its padding alike.
        behind_last = size - tf.argmax(tf.reverse(tf.cast(input_mask != 0, tf.int32), [1]), 1, tf.int32)
        longest = _rounded_up(tf.reduce_max(behind_last), KEYS_ROUNDED_TO)
        self._num_keys = tf.minimum(longest, size)
        self.masks = (input_mask[:, : self._num_keys],)

    def rows_of_keys(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the rows that attention uses as keys, [B * K, H]."""
        return self.pack(self.unpack(rows)[:, : self._num_keys])

    def keys_to_groups(self, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what was computed of `rows_of_keys` as one group [B, K, H]."""
        return (tf.reshape(rows, [self._shape[0], self._num_keys, rows.shape[-1]]),)


class Whole(Padded):
    """All positions, which stay [B, S, H] where the others have rows: nothing is reshaped but to split and merge heads.

    For graphs that are converted to other formats. Converters mistake one reshape after another.

    Args:
      input_mask: as for `Padded`.
      first_sequence: as for `Padded`.
    """

    def pack(self, states: tf.Tensor) -> tf.Tensor:
        """Return [B, S, H] as it is."""
        return states

    def unpack(self, rows: tf.Tensor) -> tf.Tensor:
        """Return [B, S, H] as it is."""
        return rows


class Packed:
    """The real positions alone, one sequence after the other; sequences of similar length form a group.

    R is the number of real positions, rounded up. The rows behind the last real one belong to no position, and no
    gradient comes from them. S_g is the longest length in a group, rounded up.

    Args:
      input_mask: int32 [B, S], B known; the real positions of a sequence are its first ones.
      first_sequence: as for `Padded`.
    """

    def __init__(self, input_mask: tf.Tensor, first_sequence: tf.Tensor | None = None):
        batch, size = input_mask.shape[0], tf.shape(input_mask)[1]
        lengths = tf.reduce_sum(input_mask, axis=1)
        ends = tf.cumsum(lengths)
        first_row, real = ends - lengths, ends[-1]
        multiple = max(ROWS_ROUNDED_TO, batch * (input_mask.shape[1] or 0) // 16)
        # For each row, [R]: whether it is real, its sequence, its position there, and its place among all B*S.
        rows = tf.range(_rounded_up(tf.maximum(real, 1), multiple))
        self._is_real = rows < real
        sequence = tf.minimum(tf.searchsorted(ends, rows, side="right"), batch - 1)
        position = tf.where(rows < real, rows - tf.gather(first_row, sequence), 0)
        self._position_of_row = sequence * size + position
        self._shape = tf.shape(input_mask)
        self._row_of_batch = self._rows_and_mask(first_row, lengths, size)

        # For each group, the rows of its positions [B_g, S_g]; for each sequence, [B], where it begins when all groups
        # are laid end to end; from that, for each row, its place there, [R].
        by_length = tf.argsort(lengths)
        count = min(GROUPS, batch)
        sizes = [(batch + number) // count for number in range(count)]
        self._row_of_group, places, begin = [], [], tf.constant(0)
        self._first_sequence = 0 if first_sequence is None else first_sequence
        self._sequences_of_groups = tf.split(by_length, sizes)
        for members in self._sequences_of_groups:
            of_members = tf.gather(lengths, members)
            longest = tf.minimum(_rounded_up(tf.reduce_max(of_members), LENGTHS_ROUNDED_TO), size)
            self._row_of_group.append(self._rows_and_mask(tf.gather(first_row, members), of_members, longest))
            places.append(begin + tf.range(members.shape[0]) * longest)
            begin += members.shape[0] * longest
        place_of_sequence = tf.scatter_nd(by_length[:, tf.newaxis], tf.concat(places, 0), [batch])
        self._position_in_groups = tf.gather(place_of_sequence, sequence) + position
        self.masks = tuple(tf.cast(mask, tf.int32) for _, mask in self._row_of_group)

    @staticmethod
    def _rows_and_mask(first_row: tf.Tensor, lengths: tf.Tensor, size: tf.Tensor):
        """Return the rows of positions, int32 [B_g, S_g], 0 for padding, and which are real, bool [B_g, S_g].

        Args:
          first_row: int32 [B_g], of each sequence.
          lengths: int32 [B_g], real positions of each.
          size: S_g.
        """
        position = tf.range(size)[tf.newaxis]
        is_real = position < lengths[:, tf.newaxis]
        return tf.where(is_real, first_row[:, tf.newaxis] + position, 0), is_real

    def pack(self, states: tf.Tensor) -> tf.Tensor:
        """Take the rows [R, H] out of [B, S, H]."""
        return _take((states,), self._position_of_row, (self._row_of_batch,))

    def unpack(self, rows: tf.Tensor) -> tf.Tensor:
        """Put the rows [R, H] in their places in [B, S, H]; padding is undefined."""
        return _place(rows, (self._row_of_batch,), self._position_of_row, self._is_real)[0]

    def to_groups(self, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Put the rows [R, H] in their places in groups, [B_g, S_g, H] each; padding is undefined."""
        return _place(rows, self._row_of_group, self._position_in_groups, self._is_real)

    def from_groups(self, groups: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Take the rows [R, H] out of groups."""
        return _take(groups, self._position_in_groups, self._row_of_group)

    def rows_of_keys(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the rows that attention uses as keys: all."""
        return rows

    def keys_to_groups(self, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what was computed of `rows_of_keys` in groups [B_g, S_g, H]."""
        return self.to_groups(rows)

    def first_index_of_rows(self, width: int) -> tf.Tensor:
        """Return the index of the first element of each row [R, width] in those of the whole batch, uint32 [R, 1]."""
        position = self._first_sequence * self._shape[1] + self._position_of_row
        return tf.cast(position * width, tf.uint32)[:, tf.newaxis]

    def first_indices_of_scores(self, heads: int) -> tuple[tf.Tensor, ...]:
        """Return the same of the scores [B, N, S, S] of attention, for each group uint32 [B_g, N, S_g, 1]."""
        size = self._shape[1]
        indices = []
        for sequences, mask in zip(self._sequences_of_groups, self.masks, strict=True):
            head = (self._first_sequence + sequences)[:, tf.newaxis] * heads + tf.range(heads)
            position = head[:, :, tf.newaxis] * size + tf.range(tf.shape(mask)[1])
            indices.append(tf.cast(position * size, tf.uint32)[..., tf.newaxis])
        return tuple(indices)


PACKINGS: dict[str, type[Padded | Packed]] = {
    "padded": Padded,
    "whole": Whole,
    "trimmed": TrimmedKeys,
    "packed": Packed,
}


def _rounded_up(number: tf.Tensor, multiple: int) -> tf.Tensor:
    """Return the next multiple of a whole number [], or itself."""
    return (number + multiple - 1) // multiple * multiple


def _taken_rows(groups, position_of_row):
    """Take rows [R, H] out of groups [B_g, S_g, H] by int32 [R], positions in the groups laid end to end."""
    width = groups[0].shape[-1]
    flat = [tf.reshape(group, [-1, width]) for group in groups]
    return tf.gather(flat[0] if len(flat) == 1 else tf.concat(flat, 0), position_of_row)


def _or_zero(x, is_real):
    """Return [..., H], with zeros where bool [...] says that there is nothing."""
    return tf.where(is_real[..., tf.newaxis], x, tf.zeros([], x.dtype))


# Taking and placing are each other's gradient, but for what is not real: forward it may be anything, backward it
# must be 0. TensorFlow's gradient of a gather would scatter, which takes much longer.
def _take(groups, position_of_row, rows_and_masks):
    """Take rows [R, H] out of groups [B_g, S_g, H]; `rows_and_masks` is, for each, int32 and bool [B_g, S_g]."""

    @tf.custom_gradient
    def take(*groups):
        """Map groups [B_g, S_g, H] to rows [R, H]."""

        def gradient(upstream):
            """Map [R, H] to the gradients of the groups, [B_g, S_g, H] each."""
            return tuple(_or_zero(tf.gather(upstream, row), is_real) for row, is_real in rows_and_masks)

        return _taken_rows(groups, position_of_row), gradient

    return take(*groups)


def _place(rows, rows_and_masks, position_of_row, row_is_real):
    """Put rows [R, H] into groups [B_g, S_g, H]; `position_of_row` int32 [R], `row_is_real` bool [R]."""

    @tf.custom_gradient
    def place(rows):
        """Map rows [R, H] to groups [B_g, S_g, H]."""

        def gradient(*upstream):
            """Map [B_g, S_g, H] for each group to the gradient of the rows, [R, H]."""
            return _or_zero(_taken_rows(upstream, position_of_row), row_is_real)

        return tuple(tf.gather(rows, row) for row, _ in rows_and_masks), gradient

    return place(rows)
