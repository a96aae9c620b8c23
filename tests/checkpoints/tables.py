"""Write tables as an index is, also with what TensorFlow would never write."""

from bert_squad.checkpoints.index_table import MAGIC, crc32c


def seal(block: bytes, compression: int = 0) -> bytes:
    """Add what follows a block: its compression and checksum."""
    return block + bytes([compression]) + masked_crc(block + bytes([compression])).to_bytes(4, "little")


def masked_crc(content: bytes) -> int:
    checksum = crc32c(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def block_of(*pairs: tuple[bytes, bytes], restarts: tuple[int, ...] = (0,)) -> bytes:
    """Make a block whose keys are all written in full."""
    content = b"".join(b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs)
    return content + b"".join(place.to_bytes(4, "little") for place in (*restarts, len(restarts)))


def table_of(*blocks: bytes, last_keys: tuple[bytes, ...], compression: int = 0) -> bytes:
    content, handles = b"", []
    for block in blocks:
        handles.append(varint(len(content)) + varint(len(block)))
        content += seal(block, compression)
    meta_index = varint(len(content)) + varint(len(block_of()))
    content += seal(block_of())
    index = block_of(*zip(last_keys, handles, strict=True))
    footer = meta_index + varint(len(content)) + varint(len(index))
    return content + seal(index) + footer.ljust(40, b"\0") + MAGIC
