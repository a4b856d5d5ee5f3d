"""What an operator has had the cluster go on without, as the judge keeps it: which seqs, and in which history."""

from dataclasses import dataclass, field

from lockstep.stream.batch import Batch


@dataclass(frozen=True, slots=True)
class Loss:
    """One forced failover to an engine that lacked something."""

    first_seq: int
    last_seq: int
    epoch: int
    """Of the failover: what was delivered of these seqs before was delivered under a lower one."""
    log: tuple[Batch, ...] = field(repr=False)
    """The committed history as it was, with what was discarded at its end."""
    digests: tuple[bytes, ...] = field(repr=False)
    """After each batch of `log`."""
    released: dict[int, bytes] = field(repr=False)
    """Events by seq, as they had left the cluster."""

    def voids(self, delivered_epoch: int, delivered_seq: int) -> bool:
        """Whether what was delivered of a seq under an epoch was discarded."""
        return delivered_epoch < self.epoch and delivered_seq >= self.first_seq

    def sessions(self) -> frozenset[int]:
        """Those of whose commands some were discarded: what they had given behind those may come too early now."""
        gone = (batch.records for batch in self.log if batch.first_seq >= self.first_seq)
        return frozenset(session for records in gone for session in records["session_id"].tolist() if session)
