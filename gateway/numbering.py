"""Which number a session's next command has, for a client that can't know: its checkpoint may be too old. Pure.

Commands of the former owner may be executed and not yet reported here, or in flight through this gateway. An in-sync
engine knows the former (it acknowledged them before any report went out), the gateway's own session table the latter.
"""

from typing import Final

from lockstep.gateway.sessions import Session
from lockstep.runtime.inquiry import NoAnswer
from lockstep.stream.values import frozen
from lockstep.v1 import replication_pb2

RETRY_PAUSE_NS: Final = 50_000_000
PATIENCE_NS: Final = 3_000_000_000


@frozen
class Say:
    """Answer the client."""

    next_no: int
    executed_no: int


@frozen
class GiveUp:
    """End the stream: no engine answers."""

    text: str


@frozen
class AskAgain:
    """At that time."""

    at_ns: int


class Numbering:
    """Of one stream that has all earlier reports."""

    def __init__(self, now_ns: int) -> None:
        self._give_up_ns = now_ns + PATIENCE_NS

    def on_end(
        self, end: replication_pb2.QueryReply | NoAnswer, session: Session | None, now_ns: int
    ) -> Say | GiveUp | AskAgain:
        """What came of asking an engine for the session's last number."""
        if isinstance(end, NoAnswer):
            if now_ns > self._give_up_ns:
                return GiveUp(f"how far the session has come is not known now: {end.text}")
            return AskAgain(now_ns + RETRY_PAUSE_NS)
        # Not `session.expected`, which believes what any Hello of the session has claimed.
        in_flight_to = 0 if session is None else session.in_flight_to
        return Say(max(in_flight_to, end.session_last_no) + 1, end.session_last_no)
