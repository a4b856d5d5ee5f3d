"""What has been stamped: the tip of the stream, its time, and the frames kept to be sent again.

The only place where a seq or a stamped time is given out. Both never go backwards: time starts at the recovered log's
last stamp and stands still while the clock (`clock.py`) is behind it; it jumps ahead when the clock does.
"""

from bisect import bisect_right
from dataclasses import replace

import numpy as np

from lockstep.stream.frames import Frame, FrameType, frame
from lockstep.stream.records import COMMAND, CONTROL, CommandKind, Commands

# A kept frame costs some 500 bytes beside its records: bounds the memory of a stream of single commands.
_COMMANDS_PER_KEPT_FRAME = 8


class Window:
    """Frames `oldest..tip` of the stream, contiguous. `tip` is the seq of the last stamped command."""

    __slots__ = (
        "_firsts", "_frames", "_head", "_kept", "_limit", "_sender", "epoch", "needed_after", "time_ns", "tip",
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
        self._frames: list[Frame] = []
        self._firsts: list[int] = []
        self._head = 0  # index of the oldest kept frame
        self._kept = 0  # commands in the kept frames

    def recover(self, frames: tuple[Frame, ...]) -> None:
        """Keep frames of former reigns under their original stamps; they end at `tip`."""
        for one in frames:
            self._keep(one)

    def stamp(self, records: Commands, date_ns: int, committed_seq: int) -> Frame:
        """Give the next seqs, this epoch and the time (Unix ns) to `records` (at least one)."""
        self.time_ns = max(self.time_ns, date_ns)
        stamped = frame(
            FrameType.STREAM,
            sender=self._sender,
            epoch=self.epoch,
            first_seq=self.tip + 1,
            records=records,
            timestamp_ns=self.time_ns,
            committed_seq=committed_seq,
            aux=self.epoch,
        )
        self.tip, self.tip_epoch = stamped.last_seq, self.epoch
        self._keep(stamped)
        return stamped

    def heartbeat(self, committed_seq: int) -> Frame:
        """An empty frame that says where the stream stands."""
        return frame(
            FrameType.STREAM,
            sender=self._sender,
            epoch=self.epoch,
            first_seq=self.tip + 1,
            timestamp_ns=self.time_ns,
            committed_seq=committed_seq,
            aux=self.epoch,
        )

    def after(self, seq: int, committed_seq: int, budget: int) -> tuple[Frame, ...] | None:
        """Frames that follow `seq`, about `budget` commands of them, as this leader sends them now.

        None if they are no longer kept.
        """
        if seq >= self.tip:
            return ()
        if self._head == len(self._frames) or self._firsts[self._head] > seq + 1:
            return None
        index = bisect_right(self._firsts, seq + 1, lo=self._head) - 1
        found: list[Frame] = []
        while index < len(self._frames) and budget > 0:
            kept = self._frames[index]
            found.append(replace(kept, sender=self._sender, aux=self.epoch, committed_seq=committed_seq))
            budget -= kept.count
            index += 1
        return tuple(found)

    def _keep(self, one: Frame) -> None:
        assert not self._frames or one.first_seq == self._frames[-1].last_seq + 1, "the window has a gap"
        self._frames.append(one)
        self._firsts.append(one.first_seq)
        self._kept += one.count
        frame_limit = max(1, self._limit // _COMMANDS_PER_KEPT_FRAME)
        while self._kept > self._limit or len(self._frames) - self._head > frame_limit:
            if self._head == len(self._frames) - 1 or self._frames[self._head].last_seq > self.needed_after:
                break
            self._kept -= self._frames[self._head].count
            self._head += 1
        if self._head > 1024 and self._head * 2 > len(self._frames):
            del self._frames[: self._head]
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
