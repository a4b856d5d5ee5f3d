"""What is done about a command that a gateway admitted and that never came into the stream.

*resubmit* sends it through a gateway that serves, under its own session number, so it is executed once at most, also
if its own gateway comes back and sends it as well. *cancel* sends something under that number that every gateway
refuses (an order over no lots): the refusal takes the number, so the command can't be executed any more.

It acts with the token of the client that the session belongs to, as the configuration lists it. Sessions of a gateway's
own and administrative commands are flagged only: start their gateway again, it sends them by itself.
"""

import time
from collections.abc import Callable
from typing import Any, Final, cast

import grpc

from lockstep.reconciler.checks import Waiting
from lockstep.reconciler.setup import CANCEL, RESUBMIT
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.cluster_view import rpc_text
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Topology
from lockstep.stream.arrival import GATEWAY_CLIENT_BASE
from lockstep.stream.records import CommandKind, MassCancelFlag
from lockstep.v1 import common_pb2, orders_pb2, orders_pb2_grpc

_TIMEOUT_S: Final = 3.0
_AGAIN_S: Final = 10.0
_ORDER_FIELDS: Final = tuple(orders_pb2.NewOrder.DESCRIPTOR.fields_by_name)


class OrphanDesk:
    """Acts on orphans by a policy (RESUBMIT or CANCEL) through the cluster's gateways."""

    def __init__(self, topology: Topology, policy: str) -> None:
        assert policy in (RESUBMIT, CANCEL), policy
        self._policy = policy
        self._tokens = {client.number: client.token for client in topology.clients}
        self._open = not topology.clients
        self._channels = [
            open_channel(gateway.grpc_address, CHANNEL_OPTIONS, named=False) for gateway in topology.gateways
        ]
        self._tried: dict[tuple[int, int], tuple[float, str]] = {}

    def act(self, entry: Waiting) -> str:
        """Do what the policy says, at most every ten seconds for one command; what came of it."""
        key = (entry.session_id, entry.session_no)
        tried_s, said = self._tried.get(key, (0.0, ""))
        now_s = time.monotonic()
        if said and now_s - tried_s < _AGAIN_S:
            return said
        said = self._act(entry)
        self._tried[key] = (now_s, said)
        return said

    def _act(self, entry: Waiting) -> str:
        number = entry.session_id >> 32
        if number >= GATEWAY_CLIENT_BASE:
            return "the session is the gateway's own: start that gateway again"
        if not self._open and number not in self._tokens:
            return f"no client of number {number} is configured: nothing can be done in its name"
        call = self._plan(entry)
        if call is None:
            return "an administrative command: send it again by hand, or start its gateway"
        metadata = () if self._open else (("authorization", f"Bearer {self._tokens[number]}"),)
        said = "no gateway"
        for channel in self._channels:
            try:
                reply = call(orders_pb2_grpc.OrderEntryStub(channel), metadata)
            except grpc.RpcError as error:
                said = rpc_text(error)
                continue
            done = "resubmitted" if self._policy == RESUBMIT else "canceled"
            return f"{done} by policy: its outcome is event {reply.stamp.event_id.seq}.{reply.stamp.event_id.index}"
        return f"could not be {'resubmitted' if self._policy == RESUBMIT else 'canceled'}: {said}"

    def _plan(self, entry: Waiting) -> Callable[[Any, Any], Any] | None:
        key = orders_pb2.IdempotencyKey(session_id=entry.session_id, session_no=entry.session_no)
        row = entry.command[0]
        kind = int(row["kind"])
        if self._policy == CANCEL or kind == CommandKind.REFUSED:
            nothing = orders_pb2.NewOrder(account=int(row["account"]), instrument=int(row["instrument"]))
            place = orders_pb2.PlaceRequest(key=key, order=nothing)
            return lambda stub, metadata: stub.Place(place, timeout=_TIMEOUT_S, metadata=metadata)
        if kind == CommandKind.NEW_ORDER:
            fields: dict[str, Any] = {name: int(row[name]) for name in _ORDER_FIELDS}
            order = orders_pb2.NewOrder(**fields)
            placed = orders_pb2.PlaceRequest(key=key, order=order)
            return lambda stub, metadata: stub.Place(placed, timeout=_TIMEOUT_S, metadata=metadata)
        named = orders_pb2.OrderRef(
            account=int(row["account"]),
            order_id=int(row["order_id"]),
            client_order_id=int(row["client_order_id"]),
        )
        if kind == CommandKind.CANCEL:
            cancel = orders_pb2.CancelRequest(key=key, cancel=orders_pb2.CancelOrder(order=named))
            return lambda stub, metadata: stub.Cancel(cancel, timeout=_TIMEOUT_S, metadata=metadata)
        if kind == CommandKind.REPLACE:
            terms = orders_pb2.ReplaceOrder(
                order=named,
                price_ticks=int(row["price_ticks"]),
                quantity_lots=int(row["quantity_lots"]),
                stop_price_ticks=int(row["stop_price_ticks"]),
            )
            replace = orders_pb2.ReplaceRequest(key=key, replace=terms)
            return lambda stub, metadata: stub.Replace(replace, timeout=_TIMEOUT_S, metadata=metadata)
        if kind == CommandKind.MASS_CANCEL:
            mass = orders_pb2.MassCancelOrders(
                account=int(row["account"]),
                instrument=int(row["instrument"]),
                side=cast("common_pb2.Side", int(row["side"])),
                session_id=int(row["order_id"]),
                block=bool(int(row["flags"]) & MassCancelFlag.BLOCK),
            )
            masses = orders_pb2.MassCancelRequest(key=key, mass_cancel=mass)
            return lambda stub, metadata: stub.MassCancel(masses, timeout=_TIMEOUT_S, metadata=metadata)
        return None

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()
