"""Read the table of a checkpoint's `.index` file, and check it, before TensorFlow does: TensorFlow may abort on damage.

A table is a row of blocks and a footer. The footer says where the index block is, which says where the data blocks
are and the last key of each. A block holds pairs of key and value in the order of their keys, each key without what it
shares with the one before, and at its end the places ("restarts") of the keys that are written in full; five bytes
follow it: whether it is compressed, and a checksum (CRC-32C, masked).

Source: LevelDB's `doc/table_format.md`; TensorFlow's `lib/io/table_builder` writes the same.
"""

import struct
from collections.abc import Iterator

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)  # the last bytes of every table
FOOTER_SIZE = 48
_TRAILER_SIZE = 5
LONGEST_VARINT = 10
_KEYS_AT_MOST = 1 << 28  # bytes of all keys of a block: each may share most of itself with the one before
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reversed


class CompressedTableError(Exception):
    """A block is compressed, which TensorFlow never does to an index; it has to read that itself."""


class Damage(Exception):  # noqa: N818  (a reason, for the error that whoever opens the file raises)
    """What is wrong with a file, as the end of a sentence."""


def read_table(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the pairs of key and value that a table holds, in order.

    Args:
      content: of the file.

    Raises:
      Damage: when anything in it is not as it was written.
      CompressedTableError: when it is whole as far as can be seen, but compressed.
    """
    if len(content) < FOOTER_SIZE or not content.endswith(MAGIC):
        raise Damage("its index is cut short or something else" if content else "its index is empty")
    footer = content[-FOOTER_SIZE : -len(MAGIC)]
    _, place = _handle(footer, 0)  # of the meta-index, which nobody reads
    (offset, size), _ = _handle(footer, place)
    pairs: list[tuple[bytes, bytes]] = []
    bound = None  # that the index block gives: no key of the block is above it, and all later ones are
    for last_key, value in _pairs(_block(content, offset, size)):
        (offset, size), end = _handle(value, 0)
        block = list(_pairs(_block(content, offset, size)))
        in_order = block and block[-1][0] <= last_key and (bound is None or bound < block[0][0])
        if end != len(value) or not in_order:
            raise Damage("the blocks of its index are not in order")
        pairs += block
        bound = last_key
    return pairs


def _block(content: bytes, offset: int, size: int) -> bytes:
    """Return a block, whose checksum is right."""
    end = offset + size + _TRAILER_SIZE
    if end > len(content) - FOOTER_SIZE:
        raise Damage("its index is wrong: a block reaches beyond its end")
    compression, checksum = struct.unpack("<BI", content[end - _TRAILER_SIZE : end])
    if _masked(crc32c(content[offset : end - _TRAILER_SIZE + 1])) != checksum:
        raise Damage("its index is wrong: a checksum is wrong")
    if compression:
        raise CompressedTableError
    return content[offset : offset + size]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of a block, whose keys rise."""
    if len(block) < 4:
        raise Damage("its index is wrong: a block is too short")
    restart_count = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restart_count
    if end < 0 or not restart_count:
        raise Damage("its index is wrong: a block is too short")
    restarts = struct.unpack(f"<{restart_count}I", block[end:-4])
    in_full = set()
    place, written = 0, 0
    key: bytes | None = None
    while place < end:
        start = place
        shared, place = read_varint(block, place, end)
        unshared, place = read_varint(block, place, end)
        value_size, place = read_varint(block, place, end)
        if place + unshared + value_size > end or shared > len(key or b""):
            raise Damage("its index is wrong: a key or value is longer than its block")
        if not shared:
            in_full.add(start)
        next_key = (key or b"")[:shared] + block[place : place + unshared]
        written += len(next_key)
        if written > _KEYS_AT_MOST:
            raise Damage("its index is wrong: the keys of a block are too long")
        if key is not None and next_key <= key:
            raise Damage("the keys of its index are not in order")
        key = next_key
        place += unshared
        yield key, block[place : place + value_size]
        place += value_size
    if restarts != (0,) and (sorted(in_full & set(restarts)) != list(restarts) or restarts[0] != 0):
        raise Damage("its index is wrong: a block does not hold what it says")


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Read the offset and size of a block; return them and the place after them."""
    offset, place = read_varint(content, place, len(content))
    size, place = read_varint(content, place, len(content))
    return (offset, size), place


def read_varint(content: bytes, place: int, end: int) -> tuple[int, int]:
    """Read a number that is written with seven bits a byte, the lowest first.

    Args:
      content: some bytes.
      place: of the number.
      end: where the bytes end that may belong to it.

    Returns:
      The number, and the place after it.

    Raises:
      Damage: when it has no end.

    >>> read_varint(b"\\x96\\x01", 0, 2)
    (150, 2)
    """
    value = 0
    for index in range(min(LONGEST_VARINT, end - place)):
        byte = content[place + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, place + index + 1
    raise Damage("its index is wrong: a number has no end")


def _masked(checksum: int) -> int:
    """Return a checksum as files hold it: so that one of bytes with checksums in them is no special case."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _make_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _make_table()


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of some bytes. No library that is needed anyway has it; an index takes milliseconds.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    checksum = 0xFFFFFFFF
    table = _CRC_TABLE
    for byte in content:
        checksum = checksum >> 8 ^ table[(checksum ^ byte) & 255]
    return checksum ^ 0xFFFFFFFF
