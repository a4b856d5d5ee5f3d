"""The epochs of a cluster: when each began, why, and how long commands waited. Pure.

Two accounts are joined. EPOCH_START records in an engine's journal are the authority on what happened; the entries that
leaders write to etcd know the gap, and reach back behind a truncated journal. Where both speak of an epoch, the journal
is believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lockstep.sequencer.events import EpochCause
from lockstep.stream.batch import Batch
from lockstep.stream.records import CONTROL, CommandKind, bits_to_members
from lockstep.v1 import cluster_pb2

_EPOCH_START = int(CommandKind.EPOCH_START)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBegun:
    """One epoch."""

    epoch: int
    first_seq: int
    timestamp_ns: int
    """Stamped time of its EPOCH_START."""
    cause: str
    sequencer: int
    primary: int
    in_sync: tuple[int, ...]
    gap_ns: int | None = None
    """From the first evidence of a loss to the epoch's begin; 0: nothing was lost; None: not known here."""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "epoch": self.epoch,
            "first_seq": self.first_seq,
            "timestamp_ns": self.timestamp_ns,
            "cause": self.cause,
            "sequencer": self.sequencer,
            "primary": self.primary,
            "in_sync": list(self.in_sync),
            "gap_ns": self.gap_ns,
        }


def from_batch(batch: Batch) -> EpochBegun | None:
    """The epoch that a journaled batch opens; None if it opens none."""
    for offset, record in enumerate(batch.records.view(CONTROL)):
        if int(record["kind"]) == _EPOCH_START:
            return EpochBegun(
                epoch=batch.epoch,
                first_seq=batch.first_seq + offset,
                timestamp_ns=batch.timestamp_ns,
                cause=cause_name(int(record["cause"])),
                sequencer=int(record["sequencer"]),
                primary=int(record["primary"]),
                in_sync=bits_to_members(int(record["in_sync"])),
            )
    return None


def from_entry(entry: cluster_pb2.HistoryEntry) -> EpochBegun:
    """An epoch as a leader wrote it to etcd."""
    return EpochBegun(
        epoch=entry.epoch,
        first_seq=entry.first_seq,
        timestamp_ns=entry.timestamp_ns,
        cause=entry.cause.lower(),
        sequencer=entry.sequencer,
        primary=entry.primary,
        in_sync=tuple(entry.in_sync),
        gap_ns=entry.gap_ns,
    )


def join(journaled: Iterable[EpochBegun], recorded: Iterable[EpochBegun]) -> tuple[EpochBegun, ...]:
    """Both accounts as one, by epoch."""
    found = {epoch.epoch: epoch for epoch in recorded}
    for epoch in journaled:
        noted = found.get(epoch.epoch)
        found[epoch.epoch] = epoch if noted is None else replace(epoch, gap_ns=noted.gap_ns)
    return tuple(found[number] for number in sorted(found))


def cause_name(number: int) -> str:
    """Name of an `EpochCause`, for people; the number where it is of a newer version."""
    known = {int(cause): cause.name.lower() for cause in EpochCause}
    return known.get(number, f"cause {number}")
