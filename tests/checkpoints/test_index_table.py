"""The reader of index tables against the ones that TensorFlow writes, and against damage."""

import contextlib
import random

import pytest
import tensorflow as tf
from checkpoints.tables import block_of, masked_crc, table_of
from golden_files import golden

from bert_squad.checkpoints.index_table import CompressedTableError, Damage, read_table, read_varint


def test_crc_is_that_of_tensorflow(tmp_path):
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"some bytes")
    stored = int.from_bytes((tmp_path / "records").read_bytes()[-4:], "little")
    assert masked_crc(b"some bytes") == stored


def test_a_table_of_the_legacy_program():
    content = golden("model/trajectory/model.ckpt-24.index").read_bytes()
    keys = [key for key, _ in read_table(content)]
    names = tf.train.list_variables(
        str(golden("model/trajectory/model.ckpt-24.index")).removesuffix(".index")
    )
    assert keys == [b"", *(name.encode() for name, _ in names)]


def test_a_table_of_several_blocks(tmp_path):
    """TensorFlow begins a new one after some 256 kB; a thousand names of 600 letters need several."""
    dice = random.Random(0)
    names = sorted("".join(dice.choices("abcdef", k=600)) for _ in range(1000))
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * 1000, tensors=[1] * 1000)
    pairs = read_table((tmp_path / "model.ckpt.index").read_bytes())
    assert [key.decode() for key, _ in pairs[1:]] == names


PAIRS = ((b"a", b"1"), (b"b", b"2"))
GOOD = table_of(block_of(*PAIRS), block_of((b"c", b"3")), last_keys=(b"b", b"d"))


def test_a_table_made_here_is_read():
    assert read_table(GOOD) == [*PAIRS, (b"c", b"3")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its index is empty"),
        (GOOD[:-1], "cut short or something else"),
        (GOOD[1:], "a checksum is wrong|reaches beyond"),
        (table_of(block_of(*PAIRS[::-1]), last_keys=(b"b",)), "keys of its index are not in order"),
        (table_of(block_of(PAIRS[0], PAIRS[0]), last_keys=(b"b",)), "keys of its index are not in order"),
        (table_of(block_of(*PAIRS), last_keys=(b"a",)), "blocks of its index are not in order"),
        (table_of(block_of(*PAIRS), block_of(*PAIRS), last_keys=(b"b", b"c")), "blocks of its index are not"),
        (table_of(block_of(), last_keys=(b"b",)), "blocks of its index are not in order"),
        (table_of(b"", last_keys=(b"b",)), "too short"),
        (table_of(b"\xff\xff\xff\xff", last_keys=(b"b",)), "too short"),
        (table_of(block_of(*PAIRS, restarts=(0, 3)), last_keys=(b"b",)), "does not hold what it says"),
        (table_of(block_of(*PAIRS, restarts=(5,)), last_keys=(b"b",)), "does not hold what it says"),
        (table_of(b"\x05" + block_of(*PAIRS)[1:], last_keys=(b"b",)), "longer than its block"),
        (table_of(b"\x80" * 11 + block_of(*PAIRS), last_keys=(b"b",)), "a number has no end"),
    ],
)
def test_damage_has_a_reason(content, reason):
    with pytest.raises(Damage, match=reason):
        read_table(content)


def test_every_flipped_bit_that_matters_is_noticed():
    """All but those of the meta-index, which nobody reads, and of the padding in the footer."""
    content = golden("model/trajectory/model.ckpt-1.index").read_bytes()
    footer = len(content) - 48
    meta_offset, _ = read_varint(content, footer, len(content))
    meta_index = range(meta_offset, meta_offset + 8 + 5)
    unnoticed = []
    for place in (*random.Random(0).sample(range(footer), 150), *range(footer, len(content))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        with contextlib.suppress(Damage, CompressedTableError):
            read_table(bytes(damaged))
            unnoticed.append(place)
    assert all(place in meta_index or footer <= place < len(content) - 8 for place in unnoticed), unnoticed


def test_compressed_blocks_are_left_to_tensorflow():
    with pytest.raises(CompressedTableError):
        read_table(table_of(block_of(*PAIRS), last_keys=(b"b",), compression=1))
