"""How a life of the gateway begins: where does the cluster stand, and has it all that was delivered here? Pure.

Its states are the first table of `states.py`.
"""

from collections.abc import Callable
from typing import Final

from lockstep.gateway.delivered import Delivered
from lockstep.gateway.states import BEGINNINGS, Learnt, after
from lockstep.gateway.states import Beginning as State
from lockstep.runtime.inquiry import Inquiry, LookUp, Newest, NoAnswer
from lockstep.stream.values import frozen
from lockstep.v1 import replication_pb2

PAUSE_NS: Final = 100_000_000


@frozen
class Step:
    """One of these is to be done."""

    ask: Inquiry | None = None
    """`on_end` is called with what comes of it."""
    deadline_ns: int = 0
    """`on_time` is called then."""
    start: replication_pb2.QueryReply | None = None
    """The machine may start at this position, and with this last number of the gateway's own session."""


class Beginning:
    """See the module."""

    def __init__(self, own_session_id: int, delivered: Delivered, engines: Callable[[], list[int]]) -> None:
        """`engines`: in the order in which they are asked now."""
        self._own_session_id = own_session_id
        self._delivered = delivered
        self._engines = engines
        self._newest: replication_pb2.QueryReply | None = None
        self.state = State.PAUSE
        self.said = ""
        """Why it waits, in words."""

    def on_time(self) -> Step:
        """Begin, or ask again."""
        self._move(Learnt.TIME)
        return Step(ask=Newest(self._engines(), replication_pb2.QueryRequest(session_id=self._own_session_id)))

    def on_end(self, end: replication_pb2.QueryReply | NoAnswer, now_ns: int) -> Step:
        """What came of the question."""
        if isinstance(end, NoAnswer):
            return self._pause(Learnt.NO_ANSWER, end.text, now_ns)
        if self.state is State.COMPARE:
            return self._compared(end.diverged_at, now_ns)
        # An engine without an epoch has a new disk, and knows nothing of where the cluster stands.
        if not end.stamp.epoch:
            return self._pause(Learnt.NO_ANSWER, "the engines that answer have no history yet", now_ns)
        self._newest = end
        delivered = self._delivered.to_compare(end)
        if delivered is None:
            return self._compared(0, now_ns)
        self._move(Learnt.SOMETHING_DELIVERED)
        mark = replication_pb2.DeliveryMark(epoch=delivered.epoch, seq=delivered.seq)
        request = replication_pb2.QueryRequest(delivered=mark)
        return Step(ask=LookUp(self._engines(), request, min_epoch=end.stamp.epoch))

    def _compared(self, diverged_at: int, now_ns: int) -> Step:
        assert self._newest is not None, "nothing was asked yet"
        if not self._delivered.may_begin(self._newest, diverged_at):
            return self._pause(Learnt.LACKS, self._delivered.why, now_ns)
        self._move(Learnt.IS_HISTORY)
        self.said = ""
        return Step(start=self._newest)

    def _pause(self, learnt: Learnt, why: str, now_ns: int) -> Step:
        self._move(learnt)
        self.said = why
        return Step(deadline_ns=now_ns + PAUSE_NS)

    def _move(self, learnt: Learnt) -> None:
        self.state = after(BEGINNINGS, self.state, learnt)
