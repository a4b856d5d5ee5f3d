"""An engine's answers in pages, to the end of what was asked for: it answers for a moment, then others have a turn."""

import time
from collections.abc import Iterator
from typing import Any, Final

import grpc

from lockstep.v1 import replication_pb2

_LAST_INDEX: Final = 2**32 - 1
_BUSY_PAUSE_S: Final = 0.05


def event_pages(
    stub: Any, request: replication_pb2.FetchEventsRequest, *, timeout_s: float
) -> Iterator[replication_pb2.FetchEventsReply]:
    """All replies of `FetchEvents`, each call of it limited to `timeout_s`, in order.

    Raises:
        grpc.RpcError: as the engine says, or RESOURCE_EXHAUSTED for as long.
    """
    wanted = replication_pb2.FetchEventsRequest()
    wanted.CopyFrom(request)
    paused = True
    while paused:
        paused = False
        for reply in _call(stub, wanted, timeout_s):
            yield reply
            paused = reply.paused
            if reply.through_seq > wanted.after.seq or not wanted.HasField("after"):
                wanted.after.seq, wanted.after.index = reply.through_seq, _LAST_INDEX
                wanted.delivered_epoch = 0


def _call(
    stub: Any, request: replication_pb2.FetchEventsRequest, timeout_s: float
) -> Iterator[replication_pb2.FetchEventsReply]:
    give_up_s = time.monotonic() + timeout_s
    while True:
        try:
            yield from stub.FetchEvents(request, timeout=timeout_s)
        except grpc.RpcError as error:
            busy = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            if not busy or time.monotonic() > give_up_s:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def query_pages(
    stub: Any, request: replication_pb2.QueryRequest, *, timeout_s: float
) -> Iterator[replication_pb2.QueryReply]:
    """All pages of accounts (`accounts_after`) or of instruments (`instruments_after`), each of a seq of its own.

    Raises:
        grpc.RpcError: as the engine says.
    """
    field = request.WhichOneof("query")
    assert field in ("accounts_after", "instruments_after"), "no list by id"
    wanted = replication_pb2.QueryRequest()
    wanted.CopyFrom(request)
    while True:
        reply = stub.Query(wanted, timeout=timeout_s)
        yield reply
        if not reply.more:
            return
        setattr(wanted, field, reply.next.account)
