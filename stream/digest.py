"""The digest chain that proves two replicas equal.

`digest(n) = BLAKE3-128(digest(n-1) || batch(n) || events(n))` for each stamped batch: the 16 bytes of the digest
before, the batch's own bytes as they went over the wire and lie in the journal, header and all (`batch.py`), and its
EVENT records as they are stored. This is the only place that says so.

It is chained, so equal digests at one seq mean equal histories up to it; it covers the outputs, so two engines that
agree on the input but compute another fill differ at once. 128 bits: a state hash of 32 would collide by accident.
BLAKE3 because every byte of the stream is hashed by every engine and every snapshotter (`docs/adr/0008-blake3.md`).
"""

from typing import Final, NewType

from blake3 import blake3

Digest = NewType("Digest", bytes)

DIGEST_SIZE: Final = 16
GENESIS: Final = Digest(bytes(DIGEST_SIZE))
"""The digest before the first batch."""


def next_digest(previous: Digest, batch: bytes, events: bytes | memoryview) -> Digest:
    """Digest after one stamped batch (its `raw`) and the events that it caused."""
    chain = blake3(previous)
    chain.update(batch)
    chain.update(events)
    return Digest(chain.digest(length=DIGEST_SIZE))
