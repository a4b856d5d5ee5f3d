"""How a life of the gateway begins: where does the cluster stand, and has it what clients were told here? Pure.

| state | what it waits for | leaves by | to |
| --- | --- | --- | --- |
| POLL | the newest answer of all engines | an answer with a history | COMPARE, or OVER |
| | | none | PAUSE |
| COMPARE | an engine's word on whether what was told is still history | it is | OVER |
| | | it is not, or nobody answers | PAUSE |
| PAUSE | a moment: engines may come later than this gateway | the time | POLL |
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockstep.gateway.delivered import Delivered
from lockstep.runtime.inquiry import Inquiry, LookUp, Newest, NoAnswer
from lockstep.v1 import replication_pb2

PAUSE_NS: Final = 100_000_000


class State(Enum):
    """See the table above."""

    POLL = "poll"
    COMPARE = "compare"
    PAUSE = "pause"
    OVER = "over"


@dataclass(frozen=True, slots=True)
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
        self.state = State.POLL
        return Step(ask=Newest(self._engines(), replication_pb2.QueryRequest(session_id=self._own_session_id)))

    def on_end(self, end: replication_pb2.QueryReply | NoAnswer, now_ns: int) -> Step:
        """What came of the question."""
        if isinstance(end, NoAnswer):
            return self._pause(end.text, now_ns)
        if self.state is State.COMPARE:
            return self._compared(end.parted_at, now_ns)
        # An engine without an epoch has a new disk, and knows nothing of where the cluster stands.
        if not end.stamp.epoch:
            return self._pause("the engines that answer have no history yet", now_ns)
        self._newest = end
        told = self._delivered.to_compare(end)
        if told is None:
            return self._compared(0, now_ns)
        self.state = State.COMPARE
        request = replication_pb2.QueryRequest(told=replication_pb2.Told(epoch=told.epoch, seq=told.seq))
        return Step(ask=LookUp(self._engines(), request, min_epoch=end.stamp.epoch))

    def _compared(self, parted_at: int, now_ns: int) -> Step:
        assert self._newest is not None, "nothing was asked yet"
        if not self._delivered.may_begin(self._newest, parted_at):
            return self._pause(self._delivered.why, now_ns)
        self.state, self.said = State.OVER, ""
        return Step(start=self._newest)

    def _pause(self, why: str, now_ns: int) -> Step:
        self.state, self.said = State.PAUSE, why
        return Step(deadline_ns=now_ns + PAUSE_NS)
