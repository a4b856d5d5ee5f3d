"""How far this gateway has delivered events, compared with what the cluster has: a leader that lacks some must hear it.

An engine's disk may be an older one, put back, and no other engine may be left to say so. But a gateway knows what it
has delivered, also after its own restart. It says so in its heartbeats to the sequencers. Where the cluster's history
lacks some of it, the gateway does not begin until that is found, or an operator has accepted the loss. Pure, but for
the mark.
"""

from typing import Protocol

from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.v1 import replication_pb2


class Mark(Protocol):
    """What outlives the gateway's lives. Writing raises EnvironmentFault."""

    uuid: str
    """The cluster's; empty: nothing was noted yet."""
    delivered: DeliveryMark

    def begin(self, uuid: str, delivered: DeliveryMark) -> None:
        """What was delivered before means nothing any more, or is part of this."""

    def advance(self, delivered: DeliveryMark) -> None:
        """Events up to there are about to be delivered."""


class Delivered:
    """For one life of a gateway."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self.said = DeliveryMark()
        """What heartbeats say; nothing before it is known that this is the cluster whose events were delivered."""
        self._accepted_epoch = 0
        self.why = ""
        """Why this gateway does not begin; empty if it may."""

    @property
    def noted(self) -> DeliveryMark:
        """How far events were delivered; by earlier lives alone while it is not known whether that is still history."""
        return self._mark.delivered

    def on_accepted(self, epoch: int) -> None:
        """A sequencer says that an operator accepted the loss of data with this epoch."""
        self._accepted_epoch = max(self._accepted_epoch, epoch)

    def accepted(self, delivered_epoch: int) -> bool:
        """Whether an operator has accepted the loss of something that was delivered under this epoch."""
        return delivered_epoch < self._accepted_epoch

    def to_compare(self, reply: replication_pb2.QueryReply) -> DeliveryMark | None:
        """What an engine has to be asked of, whether it is in the history that answered; None: nothing."""
        mark, delivered = self._mark, self._mark.delivered
        now = _position(reply)
        if mark.uuid != reply.cluster_uuid or not delivered.seq or self.accepted(delivered.epoch):
            mark.begin(reply.cluster_uuid, now)
            return None
        self.said = delivered
        return delivered if now.epoch > delivered.epoch else None

    def may_begin(self, reply: replication_pb2.QueryReply, diverged_at: int = 0) -> bool:
        """Whether the history that answered holds all that was delivered here, or the loss was accepted.

        `diverged_at`: what an engine said to `to_compare`.
        """
        delivered, now = self._mark.delivered, _position(reply)
        if not diverged_at and delivered.misses(now.epoch, now.seq):
            diverged_at = now.seq + 1
        if diverged_at:
            self.why = (
                f"this gateway has reported commands up to {delivered}, and the cluster, which is at {now}, lacks "
                f"those from seq {diverged_at} on: it waits for an engine that has them, or an operator who "
                "accepts the loss (`lockstep cluster failover --force --accept-data-loss`)"
            )
            return False
        self._mark.advance(now)
        self.why, self.said = "", self._mark.delivered
        return True

    def on_delivered(self, delivered: DeliveryMark) -> None:
        """Events up to there are about to be delivered. Raises EnvironmentFault."""
        self._mark.advance(delivered)
        self.said = self._mark.delivered


def _position(reply: replication_pb2.QueryReply) -> DeliveryMark:
    return DeliveryMark(reply.stamp.epoch, reply.stamp.seq)
