"""How far this gateway has told its clients, beside what the cluster has: who took office without it must hear of it.

An engine's disk may be an older one, put back; no other engine may be left to say so. But a gateway that told clients
knows, also after its own restart. It says so in its heartbeats to the sequencers; and where the cluster's history lacks
some of it, it does not begin, until that is found, or an operator has accepted the loss.
"""

from typing import Any

from lockstep.runtime.engines import Engines
from lockstep.runtime.told_mark import ToldMark
from lockstep.stream.told import Told
from lockstep.v1 import replication_pb2


class Delivered:
    """For one life of a gateway. `mark` outlives it."""

    def __init__(self, mark: ToldMark, log: Any) -> None:
        self._mark = mark
        self._log = log
        self.said = Told()
        """What heartbeats say; nothing before it is known that the cluster is the one that was told of."""
        self._accepted_epoch = 0
        self.why = ""
        """Why this gateway does not begin; empty if it may."""

    def on_accepted(self, epoch: int) -> None:
        """A sequencer says that an operator accepted the loss of data with this epoch."""
        self._accepted_epoch = max(self._accepted_epoch, epoch)

    def accepted(self, told_epoch: int) -> bool:
        """Whether the loss of something that was told under this epoch was accepted."""
        return told_epoch < self._accepted_epoch

    async def compare(self, reply: replication_pb2.QueryReply, engines: Engines) -> bool:
        """Whether the history that an engine answers from holds all that was told here, or the loss was accepted.

        Raises:
            EnginesUnavailable: nobody answers for it now.
        """
        mark, told = self._mark, self._mark.told
        now = Told(reply.stamp.epoch, reply.stamp.seq)
        if mark.uuid != reply.cluster_uuid or not told.seq or self.accepted(told.epoch):
            mark.begin(reply.cluster_uuid, now)
        else:
            self.said = told
            if now.epoch > told.epoch:
                parted = await engines.parted_at(told_epoch=told.epoch, told_seq=told.seq, min_epoch=now.epoch)
            else:
                parted = now.seq + 1 if told.misses(now.epoch, now.seq) else 0
            if parted:
                self._object(told, parted, now)
                return False
            mark.advance(now)
        self.why, self.said = "", mark.told
        return True

    def on_delivered(self, told: Told) -> None:
        """Clients are about to be told up to there. Raises OSError."""
        self._mark.advance(told)
        self.said = self._mark.told

    def _object(self, told: Told, parted: int, now: Told) -> None:
        why = (
            f"clients of this gateway were told of commands up to {told}, and the cluster, which is at {now}, lacks "
            f"those from seq {parted} on: it waits for an engine that has them, or an operator who accepts the loss "
            "(`lockstep cluster failover --force --accept-data-loss`)"
        )
        if why != self.why:
            self.why = why
            self._log.error("the cluster lacks what clients were told", told=str(told), parted_at=parted, now=str(now))
