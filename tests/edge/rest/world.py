"""A cluster of one reference engine that several doors use at once, in one thread, with losses drawn from dice.

What is real: the engine, the gateways' way from a request to a record, and the doors. Calls are answered late or never,
carried out late or never, and engines show what happened with a delay, as a cluster that fails does.
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np

from lockstep.edge.rest.gateways import CallEnded
from lockstep.engine.reference import ReferenceEngine
from lockstep.gateway.admission import records_of
from lockstep.gateway.reports import ReportRows, report_messages, route
from lockstep.gateway.wire import Request
from lockstep.runtime.tokens import OPEN_CLIENT
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, join_records, no_events
from lockstep.v1 import common_pb2, orders_pb2, replication_pb2

ACCOUNT, INSTRUMENT = 1, 1
FIELDS = {"Place": ("new_order", "order"), "Cancel": ("cancel", "cancel"), "Note": ("note", "note")}


class World:
    """The engine, and what is on the way to it."""

    def __init__(self, dice: Random, loss: float = 0.0) -> None:
        self.dice = dice
        self.loss = loss
        self.engine = ReferenceEngine()
        self.log: list[Any] = []
        """Events of each seq."""
        self.late: list[tuple[int, Any]] = []
        acme = common_pb2.Instrument(id=INSTRUMENT, symbol="ACME", tick_micros=10_000, lot_units=1)
        self._admin(define_instrument=orders_pb2.DefineInstrument(instrument=acme))
        self._admin(define_account=orders_pb2.DefineAccount(account=ACCOUNT, name="A", unlimited_cash=True))

    def _admin(self, **command: Any) -> None:
        self.apply(7, orders_pb2.Command(session_no=len(self.log) + 1, **command))

    def apply(self, session_id: int, command: orders_pb2.Command) -> ReportRows:
        records = records_of(
            Request(command=command), session_id, OPEN_CLIENT, None, gateway=1, max_rows=1, now_ns=1
        )  # fmt: skip
        seq = len(self.log) + 1
        events = self.engine.apply(records, first_seq=seq, timestamp_ns=seq * 1_000_000)
        self.log.append(events)
        return self.rows(session_id, seq)

    def rows(self, session_id: int, seq: int) -> ReportRows:
        routed = route(self.log[seq - 1], session_id)
        assert routed is not None
        return routed.of(0)

    def last_no(self, session_id: int) -> int:
        return self.engine.session_last_no(session_id)

    async def pause(self) -> None:
        """Somebody else's turn, and what was late may come."""
        for _ in range(self.dice.randrange(4)):
            await asyncio.sleep(0)
        if self.late and self.dice.random() < 0.5:
            session_id, command = self.late.pop(self.dice.randrange(len(self.late)))
            if command.session_no <= self.last_no(session_id) + 1:
                self.apply(session_id, command)


class Gateway:
    """Of one door: in place of `Gateways`."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def call(self, service: str, method: str, request: Any, authorization: Any, *, patience_s: float) -> Any:
        del service, authorization, patience_s
        world = self.world
        field, source = FIELDS[method]
        session_id, number = request.key.session_id, request.key.session_no
        command = orders_pb2.Command(session_no=number, **{field: getattr(request, source)})
        await world.pause()
        if world.dice.random() < world.loss:
            if world.dice.random() < 0.7:
                world.late.append((session_id, command))
            raise CallEnded(grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, "lost on its way")
        if number > world.last_no(session_id) + 1:
            raise CallEnded(grpc.StatusCode.ABORTED, Code.SESSION_GAP, "a lower number is missing")
        rows = world.apply(session_id, command)
        await world.pause()
        if world.dice.random() < world.loss:
            raise CallEnded(grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, "the answer was lost")
        return reply_of(world, session_id, number, rows)


def reply_of(world: World, session_id: int, number: int, rows: ReportRows) -> orders_pb2.CommandReply:
    """As `CallDriver` makes it."""
    duplicate = bool(rows.rows["kind"][0] == EventKind.DUPLICATE)
    if duplicate and rows.rows["original_seq"][0]:
        rows = world.rows(session_id, int(rows.rows["original_seq"][0]))
    mine = rows.rows["session_no"] == number
    reports = report_messages(ReportRows(rows.rows[mine], rows.legs[mine]), 1)
    return orders_pb2.CommandReply(stamp=common_pb2.Stamp(epoch=1), reports=reports, duplicate=duplicate)


class Engines:
    """Of one door: what the engines show."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cut_before = 0

    async def events(
        self, *, after: tuple[int, int], to_seq: int, session_id: int = 0, min_epoch: int = 0, client: str = ""
    ) -> AsyncIterator[Any]:
        del min_epoch, client
        await self.world.pause()
        first = after[0] + 1 if after[1] else max(1, after[0])
        parts = [of_session(self.world.log[seq - 1], session_id) for seq in range(first, to_seq + 1)]
        parts = [part for part in parts if len(part)]
        yield (join_records(parts) if parts else no_events()), (to_seq, 2**32 - 1)

    async def query(self, request: Any, *, min_epoch: int, min_seq: int = 0) -> Any:
        del min_epoch, min_seq
        stamp = common_pb2.Stamp(epoch=1, seq=len(self.world.log))
        return replication_pb2.QueryReply(stamp=stamp, session_last_no=self.world.last_no(request.session_id))


def of_session(events: Any, session_id: int) -> Any:
    return events[(events["session_id"] == session_id) | (events["maker_session_id"] == session_id)]


def shell_of(world: World) -> Any:
    """In place of a feed: it may be a little behind."""

    class Machine:
        epoch = 1

        @property
        def seq(self) -> int:
            return max(0, len(world.log) - world.dice.randrange(3))

    return SimpleNamespace(machine=Machine(), engines=Engines(world))


def buy(lots: int = 1) -> orders_pb2.PlaceRequest:
    terms: dict[str, Any] = {"side": 1, "order_type": 1, "tif": 2}
    order = orders_pb2.NewOrder(account=ACCOUNT, instrument=INSTRUMENT, price_ticks=100, quantity_lots=lots, **terms)
    return orders_pb2.PlaceRequest(order=order)


def accepted(world: World) -> int:
    """How many orders the engine has taken."""
    return sum(int(np.count_nonzero(events["kind"] == EventKind.ACCEPTED)) for events in world.log)
