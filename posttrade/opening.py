"""Where a follower begins whose history was cut: the state of an engine's snapshot, as of one seq. Pure.

What lies before is nowhere in what such a follower stores, and it says so: in the ledger by opening entries, in the
audit trail by a file that every manifest names.
"""

from dataclasses import field

from lockstep.engine.snapshot_format import StateImage
from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.runtime.snapshot_reader import Snapshot
from lockstep.stream.digest import Digest
from lockstep.stream.values import frozen


@frozen
class Opening:
    """See the module."""

    position: Position
    """Of the last command that is in the state."""
    epochs: tuple[EpochBegin, ...]
    """All up to there."""
    digest: Digest
    """The engines' chain behind it: what follows continues this one."""
    state_sum: str
    """BLAKE3 of the state, hexadecimal."""
    image: StateImage = field(repr=False)


def opening_of(snapshot: Snapshot) -> Opening:
    """From what a snapshot file has."""
    return Opening(
        Position(snapshot.seq, snapshot.epoch, snapshot.timestamp_ns),
        tuple(EpochBegin(*one) for one in snapshot.epochs),
        snapshot.digest,
        snapshot.state_sum,
        snapshot.image,
    )
