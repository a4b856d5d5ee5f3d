"""What a client still has open when he is to be forgotten: live orders, which would tie his new pseudonyms to the old.

An order's number is in records as it is. If an order of before the erasure ends behind it, two records with one number
have two pseudonyms. So none may be open, and the pseudonym of before has to count up to where that was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from lockstep.engine.pages import order_rows
from lockstep.posttrade.audit.subjects import ACCOUNT, CLIENT, CLIENT_SHIFT, Subject
from lockstep.runtime.access.dialing import introduce, open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Topology
from lockstep.v1 import replication_pb2, replication_pb2_grpc

_TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class StillOpen:
    """What the primary engine said."""

    seq: int = 0
    """As of which seq, at least."""
    orders: dict[Subject, int] = field(default_factory=dict)
    """Of those who have live orders: how many. Of a client those of his sessions."""


def still_open(topology: Topology, subjects: Sequence[Subject]) -> StillOpen:
    """Ask the primary engine.

    Raises:
        EnvironmentFault: no engine that answers is the primary.
    """
    introduce(topology)
    said = []
    for engine in topology.engines:
        with open_channel(engine.grpc_address, CHANNEL_OPTIONS) as channel:
            stub = replication_pb2_grpc.ReplicationStub(channel)
            try:
                found = _asked(stub, subjects)
            except grpc.RpcError as error:
                text = error.details() if isinstance(error, grpc.Call) else str(error)
                said.append(f"engine {engine.id}: {text}")
                continue
        if found is not None:
            return found
        said.append(f"engine {engine.id} is not the primary")
    raise EnvironmentFault(f"what is open can't be seen: {'; '.join(said)}; nobody was erased")


def _asked(stub: Any, subjects: Sequence[Subject]) -> StillOpen | None:
    """None: it is not the primary, or not any more."""
    found = StillOpen()
    for one in subjects:
        if one.kind == ACCOUNT:
            place = replication_pb2.OrderCursor(account=one.number)
            if not _pages(stub, found, replication_pb2.QueryRequest(open_orders=place), (one,)):
                return None
    clients = tuple(one for one in subjects if one.kind == CLIENT)
    everything = replication_pb2.QueryRequest(all_orders=replication_pb2.OrderCursor())
    return found if not clients or _pages(stub, found, everything, clients) else None


def _pages(stub: Any, found: StillOpen, request: replication_pb2.QueryRequest, subjects: Sequence[Subject]) -> bool:
    kind = request.WhichOneof("query")
    assert kind in ("open_orders", "all_orders"), "no list of orders"
    while True:
        reply = stub.Query(request, timeout=_TIMEOUT_S)
        if not reply.primary:
            return False
        found.seq = max(found.seq, reply.stamp.seq)
        rows = order_rows(reply.order_rows)
        for one in subjects:
            # Of an account, the page has its orders alone.
            own = len(rows) if one.kind == ACCOUNT else int((rows["session_id"] >> CLIENT_SHIFT == one.number).sum())
            if own:
                found.orders[one] = found.orders.get(one, 0) + own
        if not reply.more:
            return True
        getattr(request, kind).CopyFrom(reply.next)
