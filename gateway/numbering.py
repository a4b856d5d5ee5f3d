"""Which number a session's next command has, for a client that can't know: its checkpoint may be too old.

Commands of the former owner may be executed and not yet reported here, or in flight through this gateway. An in-sync
engine knows the former (it acknowledged them before anybody was told), the gateway's own session table the latter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import grpc

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.sessions import SessionTable
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.v1 import common_pb2, replication_pb2

_RETRY_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 3.0

Query = Callable[[replication_pb2.QueryRequest], Awaitable[replication_pb2.QueryReply]]


async def say_next_number(
    stream: ClientStream, query: Query, sessions: SessionTable, stamp: Callable[[], common_pb2.Stamp]
) -> None:
    """Say NextNumber on a stream that has all earlier reports, or end it because no engine answers."""
    now_s = asyncio.get_running_loop().time
    give_up_s = now_s() + _PATIENCE_S
    while stream.end is None and not stream.closed:
        try:
            reply = await query(replication_pb2.QueryRequest(session_id=stream.session_id))
        except EnginesUnavailable as error:
            if now_s() > give_up_s:
                stream.finish(grpc.StatusCode.UNAVAILABLE, f"how far the session has come is not known now: {error}")
                return
            await asyncio.sleep(_RETRY_PAUSE_S)
            continue
        session = sessions.get(stream.session_id)
        # Not `session.expected`, which believes what any Hello of the session has claimed.
        in_flight_to = 0 if session is None else session.in_flight_to
        executed_no = reply.session_last_no
        stream.say_next_number(stamp(), max(in_flight_to, executed_no) + 1, executed_no)
        return
