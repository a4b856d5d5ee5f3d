"""The load generator of the binary door: its packets are what they should be, and its answers are found and timed."""

import asyncio
from typing import Any

import numpy as np
import pytest

from lockstep.bench.ouch_load import OuchSession
from lockstep.edge.soup.native import Codec, Instruments
from lockstep.edge.soup.ouch import Halt
from lockstep.engine import EngineDriver
from lockstep.engine.native import NativeEngine
from lockstep.gateway.reports import route
from lockstep.stream.records import COMMAND, CommandKind

SESSION = 7 << 32 | 1
SECOND_NS = 1_000_000_000


class Wire:
    """In place of a transport: what was written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, raw: bytes) -> None:
        self.written += raw


@pytest.fixture
def codec() -> Codec:
    instruments = Instruments()
    for number in range(1, 5):
        assert instruments.define(number, b"BENCH-%d" % number, 10_000, 1)
    return Codec(instruments, session_id=SESSION, gateway=1, account=7, accounts=(), stp=0, max_tokens=1 << 20, seed=1)


@pytest.fixture
def session() -> OuchSession:
    made = OuchSession(7, 1)
    wire: Any = Wire()
    made.connection_made(wire)
    return made


def give(session: OuchSession, count: int, due_ns: int) -> bytes:
    wire: Any = session._transport
    asyncio.run(session.send(np.full(count, due_ns, dtype=np.int64)))
    raw, wire.written = wire.written, b""
    return raw


def answer(codec: Codec, engine: Any, raw: bytes) -> bytes:
    """What a door says to these bytes."""
    consumed, packets, halt, records = codec.decode(raw, engine.session_last_no(SESSION) + 1, 1 << 20, 5)
    assert (consumed, halt) == (len(raw), Halt.NONE)
    assert packets > 0
    commands = np.frombuffer(records, dtype=COMMAND)
    events = engine.apply(commands, first_seq=engine.last_seq + 1, timestamp_ns=engine.last_timestamp_ns)
    routed = route(events, SESSION)
    assert routed is not None
    rows = routed.of(0)
    return codec.encode(rows.rows, rows.legs, 1)


def venue() -> Any:
    engine = NativeEngine()
    desk = EngineDriver(engine)
    for number in range(1, 5):
        desk.commands.define_instrument(instrument=number, symbol=f"BENCH-{number}", tick_micros=10_000)
    desk.commands.define_account(account=7, name="A7", unlimited_cash=True, unlimited_positions=True)
    desk.apply(1)
    return engine


def test_packets_are_the_mix_that_it_says(session, codec):
    raw = give(session, 4096, 0)
    *_, halt, records = codec.decode(raw, 1, 1 << 20, 5)
    assert halt == Halt.NONE
    kinds = np.bincount(np.frombuffer(records, dtype=COMMAND)["kind"], minlength=6)
    assert 0.53 < kinds[CommandKind.NEW_ORDER] / 4096 < 0.63
    assert kinds[CommandKind.CANCEL] > 0
    assert kinds[CommandKind.REPLACE] > 0


def test_every_timed_order_is_answered_and_timed_from_when_it_was_due(session, codec):
    engine = venue()
    session._accepted.set()
    session.data_received(answer(codec, engine, give(session, 500, 0)))
    session.count()
    assert session.unanswered == 0
    assert session.orders == 0, "not measured yet"
    session.measure()
    raw = give(session, 1000, 3 * SECOND_NS)
    open_before = session.unanswered
    assert 500 < open_before < 700
    said = answer(codec, engine, raw)
    # In pieces, as TCP brings them.
    for at in range(0, len(said), 777):
        session.data_received(said[at : at + 777])
        session.count()
    assert session.unanswered == 0
    assert (session.orders, session.answered_in_time) == (1000, open_before)
    assert sum(len(part) for part in session.seconds[3]) == open_before
    assert session.fills > 0
