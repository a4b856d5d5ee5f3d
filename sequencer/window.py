"""What has been stamped: the tip of the stream, its time, and the batches kept to be sent again.

The only place where a seq or a stamped time is given out, and where a batch is encoded, once. Neither goes backwards:
time starts at the recovered log's last stamp and stands still while the clock (`clock.py`) is behind it; it jumps ahead
when the clock does.
"""

from bisect import bisect_right

import numpy as np

from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.messages import Stream
from lockstep.stream.records import COMMAND, CONTROL, CommandKind, Commands, no_commands

# A kept batch costs some 500 bytes beside its records: bounds the memory of a stream of single commands.
_COMMANDS_PER_KEPT_BATCH = 8


class Window:
    """Batches `oldest..tip` of the stream, contiguous. `tip` is the seq of the last stamped command."""

    __slots__ = (
        "_batches", "_firsts", "_head", "_kept", "_limit", "_sender", "epoch", "needed_after", "time_ns", "tip",
        "tip_epoch",
    )  # fmt: skip

    def __init__(self, *, sender: int, epoch: int, tip: int, time_ns: int, limit: int, tip_epoch: int = 0) -> None:
        self._sender = sender
        self._limit = limit  # commands, >= 1
        self.epoch = epoch
        """Epoch of the next stamp; never falls."""
        self.tip = tip
        self.tip_epoch = tip_epoch
        """Epoch in which the record at `tip` was stamped; 0: there is none, or it is unknown."""
        self.time_ns = time_ns
        """The last stamped time."""
        self.needed_after = 0
        """Every in-sync engine holds the stream up to here; what follows is kept, whatever the limit says: if all of
        them were lost at once, nobody else has it."""
        self._batches: list[Batch] = []
        self._firsts: list[int] = []
        self._head = 0  # index of the oldest kept batch
        self._kept = 0  # commands in the kept batches

    def recover(self, batches: tuple[Batch, ...]) -> None:
        """Keep batches of former reigns as they were stamped; they end at `tip`."""
        for one in batches:
            self._keep(one)

    def stamp(self, records: Commands, date_ns: int, committed_seq: int) -> Stream:
        """Give the next seqs, this epoch and the time (Unix ns) to `records` (at least one)."""
        self.time_ns = max(self.time_ns, date_ns)
        stamped = self._encode(records)
        self.tip, self.tip_epoch = stamped.last_seq, self.epoch
        self._keep(stamped)
        return Stream(self._sender, self.epoch, committed_seq, stamped)

    def heartbeat(self, committed_seq: int) -> Stream:
        """A message with an empty batch: it says where the stream stands."""
        return Stream(self._sender, self.epoch, committed_seq, self._encode(no_commands()))

    def _encode(self, records: Commands) -> Batch:
        return stamp_batch(records, epoch=self.epoch, first_seq=self.tip + 1, timestamp_ns=self.time_ns)

    def after(self, seq: int, committed_seq: int, budget: int) -> tuple[Stream, ...] | None:
        """The batches that follow `seq`, about `budget` commands of them, as this leader sends them now.

        None if they are no longer kept.
        """
        if seq >= self.tip:
            return ()
        if self._head == len(self._batches) or self._firsts[self._head] > seq + 1:
            return None
        index = bisect_right(self._firsts, seq + 1, lo=self._head) - 1
        found: list[Stream] = []
        while index < len(self._batches) and budget > 0:
            kept = self._batches[index]
            found.append(Stream(self._sender, self.epoch, committed_seq, kept))
            budget -= kept.count
            index += 1
        return tuple(found)

    def _keep(self, one: Batch) -> None:
        assert not self._batches or one.first_seq == self._batches[-1].last_seq + 1, "the window has a gap"
        self._batches.append(one)
        self._firsts.append(one.first_seq)
        self._kept += one.count
        batch_limit = max(1, self._limit // _COMMANDS_PER_KEPT_BATCH)
        while self._kept > self._limit or len(self._batches) - self._head > batch_limit:
            if self._head == len(self._batches) - 1 or self._batches[self._head].last_seq > self.needed_after:
                break
            self._kept -= self._batches[self._head].count
            self._head += 1
        if self._head > 1024 and self._head * 2 > len(self._batches):
            del self._batches[: self._head]
            del self._firsts[: self._head]
            self._head = 0


def control_record(
    kind: CommandKind,
    *,
    epoch: int,
    in_sync_bits: int,
    primary: int,
    sequencer: int,
    member: int = 0,
    cause: int = 0,
    policy: int = 0,
    journal: int = 0,
    previous: int = 0,
    cluster: tuple[int, int] = (0, 0),
) -> Commands:
    """One record by which the sequencer itself speaks in the stream. `cluster`: see `split_uuid`."""
    record = np.zeros(1, dtype=CONTROL)
    record["kind"] = kind
    record["epoch"] = epoch
    record["in_sync"] = in_sync_bits
    record["primary"] = primary
    record["member"] = member
    record["sequencer"] = sequencer
    record["cause"] = cause
    record["policy"] = policy
    record["journal"] = journal
    record["previous"] = previous
    record["cluster_high"], record["cluster_low"] = cluster
    return record.view(COMMAND)
