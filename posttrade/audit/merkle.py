"""Merkle trees of RFC 6962, section 2.1: root, inclusion proof, and its check. Pure.

A leaf's hash is SHA-256 of 0x00 and its bytes, a node's of 0x01 and its two children's hashes: so no node can be passed
off as a leaf. A tree of n leaves has the largest power of two below n on its left.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()
"""Root of no leaves."""


def leaf_hash(record: bytes) -> bytes:
    """Hash of one leaf."""
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over hashes of leaves."""
    if not leaves:
        return EMPTY
    level = list(leaves)
    # Pairs from the left, an odd one goes up as it is: the same tree, level by level.
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def proof_of(leaves: Sequence[bytes], place: int) -> list[bytes]:
    """Inclusion proof of a leaf: what is hashed with it on the way to the root, from below."""
    assert 0 <= place < len(leaves), f"no leaf {place} of {len(leaves)}"
    if len(leaves) == 1:
        return []
    cut = 1 << (len(leaves) - 1).bit_length() - 1
    if place < cut:
        return [*proof_of(leaves[:cut], place), root_of(leaves[cut:])]
    return [*proof_of(leaves[cut:], place - cut), root_of(leaves[:cut])]


def root_by(leaf: bytes, place: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to (RFC 9162, 2.1.3.2); None: it is no proof of such a place."""
    if not 0 <= place < size:
        return None
    at, last, found = place, size - 1, leaf
    for other in proof:
        if not last:
            return None
        if at & 1 or at == last:
            found = node_hash(other, found)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, other)
        at >>= 1
        last >>= 1
    return found if not last else None
