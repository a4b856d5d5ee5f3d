"""CRC32C (Castagnoli) in Python alone: what the books of a feed are checked with."""

from typing import Final

_POLYNOMIAL: Final = 0x82F6_3B78


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        rows.append(crc)
    return tuple(rows)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Of these bytes, as in RFC 3720: of b"123456789" it is 0xE3069283."""
    crc, table = 0xFFFF_FFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF
