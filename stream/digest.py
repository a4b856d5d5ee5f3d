"""The digest chain that proves two replicas equal.

`digest(n) = BLAKE3-128(digest(n-1) || stamp(n) || command bytes(n) || event bytes(n))` for each stamped batch. It is
chained, so equal digests at one seq mean equal histories up to it; it covers the outputs, so two engines that agree
on the input but compute another fill differ at once. 128 bits: a state hash of 32 would collide by accident. BLAKE3
because every byte of the stream is hashed by every engine and every snapshotter (`docs/adr/0008-blake3.md`).
"""

import struct
from typing import Final, NewType

from blake3 import blake3

Digest = NewType("Digest", bytes)

DIGEST_SIZE: Final = 16
GENESIS: Final = Digest(bytes(DIGEST_SIZE))
"""The digest before the first batch."""

_STAMP = struct.Struct("<QQIq")


def next_digest(
    previous: Digest,
    *,
    epoch: int,
    first_seq: int,
    count: int,
    timestamp_ns: int,
    commands: bytes | memoryview,
    events: bytes | memoryview,
) -> Digest:
    """Digest after one stamped batch and the events that it caused."""
    chain = blake3(previous)
    chain.update(_STAMP.pack(epoch, first_seq, count, timestamp_ns))
    chain.update(commands)
    chain.update(events)
    return Digest(chain.digest(length=DIGEST_SIZE))
