"""One gateway for each module of the contract, and a market for each test: an instrument, accounts, sessions.

The tests speak the public messages alone, as somebody would who has nothing but the `.proto` files.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.stream.records import ADMIN, COMMAND, CONTROL, AccountFlag, CommandKind
from lockstep.v1 import common_pb2, orders_pb2

_numbers = itertools.count(10)
BUY, SELL = 1, 2


@pytest.fixture(scope="module")
def topology(make_topology: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_topology(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="module")
def cluster(topology: Any, stub_type: Any) -> Iterator[Any]:
    stub = stub_type(topology)
    stub.start()
    try:
        stub.take_office(1)
        yield stub
    finally:
        stub.stop()


@pytest.fixture(scope="module")
def gateway(topology: Any, cluster: Any, gateway_type: Any) -> Iterator[Any]:
    started = gateway_type(topology)
    started.start()
    try:
        started.wait_serving()
        yield started
    finally:
        started.stop()
        assert started.outcome is None, started.outcome


class Desk:
    """An instrument, two accounts and two sessions that nobody else uses."""

    def __init__(self, cluster: Any, gateway: Any) -> None:
        self.cluster, self.gateway = cluster, gateway
        number = next(_numbers)
        self.instrument, self.alice, self.bob = number, 2 * number, 2 * number + 1
        self.s1, self.s2 = (1 << 32) | number, (2 << 32) | number
        rows = np.zeros(3, dtype=ADMIN)
        rows["kind"] = [CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT, CommandKind.DEFINE_ACCOUNT]
        rows["name"] = [f"I{number}", f"A{number}", f"B{number}"]
        rows["instrument"], rows["account"] = [number, 0, 0], [0, self.alice, self.bob]
        rows["tick_micros"], rows["lot_units"] = [10_000, 0, 0], [1, 0, 0]
        rows["flags"] = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
        rows["flags"][0] = 0
        cluster.stamp(rows.view(COMMAND))
        self._open: list[Any] = []

    def define_instrument(self, number: int) -> None:
        """Another one, by somebody else."""
        row = np.zeros(1, dtype=ADMIN)
        row["kind"], row["instrument"], row["name"] = CommandKind.DEFINE_INSTRUMENT, number, f"I{number}"
        row["tick_micros"], row["lot_units"] = 10_000, 1
        self.cluster.stamp(row.view(COMMAND))

    def stamp(self, seqs_later: int = 0, epochs_later: int = 0) -> common_pb2.Stamp:
        """How far the cluster is now, or a stamp of some time later."""
        cluster = self.cluster
        return common_pb2.Stamp(epoch=cluster.epoch + epochs_later, seq=cluster.engine.last_seq + seqs_later)

    def stream(self, session_id: int = 0, **hello: Any) -> Any:
        """A session stream whose Welcome has come."""
        client = self.raw_stream(session_id, **hello)
        client.welcome = client.expect("welcome")
        return client

    def raw_stream(self, session_id: int = 0, **hello: Any) -> Any:
        client = self.gateway.session(session_id or self.s1, **hello)
        self._open.append(client)
        return client

    def new_order(self, **fields: Any) -> orders_pb2.NewOrder:
        """A buy of 10 at 100 for alice, good till canceled, unless said else."""
        terms = {"account": self.alice, "instrument": self.instrument, "side": BUY, "order_type": 1, "tif": 2}
        return orders_pb2.NewOrder(**{**terms, "price_ticks": 100, "quantity_lots": 10, **fields})

    def order(self, number: int, **fields: Any) -> orders_pb2.Command:
        return orders_pb2.Command(session_no=number, new_order=self.new_order(**fields))

    def cancel(self, number: int, order_id: int, account: int = 0) -> orders_pb2.Command:
        ref = orders_pb2.OrderRef(account=account or self.alice, order_id=order_id)
        return orders_pb2.Command(session_no=number, cancel=orders_pb2.CancelOrder(order=ref))

    def replace(self, number: int, order_id: int, price: int, lots: int) -> orders_pb2.Command:
        ref = orders_pb2.OrderRef(account=self.alice, order_id=order_id)
        terms = orders_pb2.ReplaceOrder(order=ref, price_ticks=price, quantity_lots=lots)
        return orders_pb2.Command(session_no=number, replace=terms)

    def key(self, number: int, session_id: int = 0) -> orders_pb2.IdempotencyKey:
        return orders_pb2.IdempotencyKey(session_id=session_id or self.s1, session_no=number)

    def place(self, number: int = 0, **fields: Any) -> orders_pb2.CommandReply:
        """A single call; 0: without a key."""
        request = orders_pb2.PlaceRequest(order=self.new_order(**fields), key=self.key(number) if number else None)
        return self.gateway.orders.Place(request, timeout=30)

    def stamp_order(self, number: int, **fields: int) -> None:
        """The order of `new_order`, or another one, brought in by another gateway."""
        row = np.zeros(1, dtype=COMMAND)
        terms = {"account": self.alice, "instrument": self.instrument, "side": BUY, "order_type": 1, "tif": 2}
        terms |= {"price_ticks": 100, "quantity_lots": 10, "gateway": 2, **fields}
        for name, value in {
            "kind": CommandKind.NEW_ORDER,
            "session_id": self.s1,
            "session_no": number,
            **terms,
        }.items():
            row[name] = value
        self.cluster.stamp(row)

    def tick(self) -> None:
        """Stamped time goes on: what is due expires."""
        tick = np.zeros(1, dtype=CONTROL)
        tick["kind"] = CommandKind.TICK
        self.cluster.stamp(tick.view(COMMAND))

    def close(self) -> None:
        for client in self._open:
            client.close()


@pytest.fixture
def desk(cluster: Any, gateway: Any) -> Iterator[Desk]:
    made = Desk(cluster, gateway)
    yield made
    made.close()


@pytest.fixture
def failure() -> Callable[[Callable[[], Any]], tuple[grpc.StatusCode, dict[str, str]]]:
    """`failure(call)`: (status, `lockstep-` metadata) of a call that has to fail."""

    def of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, dict[str, str]]:
        with pytest.raises(grpc.RpcError) as failed:
            call()
        delivered = {key: value for key, value in failed.value.trailing_metadata() if key.startswith("lockstep-")}
        return failed.value.code(), delivered

    return of
