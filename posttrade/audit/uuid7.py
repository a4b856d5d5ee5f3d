"""UUIDs of version 7 (RFC 9562, 5.7), made from what is stamped: the same record has the same one, for ever. Pure.

48 bits of Unix milliseconds, version, 12 bits, variant, 62 bits. Instead of random bits stand the first bits of a hash
of (kind, epoch, seq, index), which names a record once.
"""

import hashlib
from typing import Final
from uuid import UUID

_MS: Final = (1 << 48) - 1
_A: Final = (1 << 12) - 1
_B: Final = (1 << 62) - 1


def uuid7(unix_ms: int, rand_a: int, rand_b: int) -> UUID:
    """From its three fields, of 48, 12 and 62 bits."""
    assert 0 <= unix_ms <= _MS, f"{unix_ms} ms do not fit"
    assert 0 <= rand_a <= _A, "12 bits"
    assert 0 <= rand_b <= _B, "62 bits"
    return UUID(int=unix_ms << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b)


def record_id(kind: str, timestamp_ns: int, epoch: int, seq: int, index: int) -> UUID:
    """Of the record of a command (`kind` "C", index 0) or of an event ("E")."""
    name = f"{kind} {epoch} {seq} {index}".encode()
    bits = int.from_bytes(hashlib.sha256(name).digest()[:10], "big")
    return uuid7(timestamp_ns // 1_000_000, bits >> 68, bits & _B)
