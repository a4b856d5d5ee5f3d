"""Fixtures of the engine's tests: a venue that takes one command at a time and checks every invariant after each."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lockstep.engine.contract import BookView
from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine, check_invariants
from lockstep.engine.reference.state import State
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    CONTROL_EVENT,
    DEFINITION_EVENT,
    LIMITS,
    MARKET,
    ORDER_EVENT,
    RULES,
    SETTING,
    SETTING_EVENT,
    TRANSFER,
    AccountFlag,
    CommandKind,
    Commands,
    EventKind,
    Events,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
SESSION = 100
UNLIMITED = int(AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS)
SETTINGS = (
    EventKind.PHASE_CHANGED,
    EventKind.ACCOUNT_STATUS_SET,
    EventKind.RISK_LIMITS_SET,
    EventKind.FEES_SET,
    EventKind.PRICE_LIMITS_SET,
    EventKind.MARGIN_SET,
    EventKind.INDEX_SET,
    EventKind.MARKET_BREAKER_SET,
    EventKind.MARKET_HALTED,
    EventKind.MARGIN_CALLED,
    EventKind.SESSION_OPENED,
    EventKind.THROTTLE_SET,
    EventKind.BANDS_SET,
    EventKind.BAND_WIDTH_SET,
    EventKind.BANDS_MOVED,
    EventKind.LIMIT_STATE_CHANGED,
    EventKind.LOTS_SET,
    EventKind.RESTRICTIONS_SET,
    EventKind.SHORT_SALES_SET,
    EventKind.SHORT_SALES_RESTRICTED,
)
ORDERS = (EventKind.ACCEPTED, EventKind.REPLACED, EventKind.TRIGGERED)


def command(kind: int, overlay: np.dtype[Any] = COMMAND, **fields: Any) -> Commands:
    """One command record."""
    rows = np.zeros(1, dtype=overlay)
    rows["kind"] = kind
    for name, value in fields.items():
        rows[name] = value
    return rows.view(COMMAND)


def decode(events: Events) -> list[SimpleNamespace]:
    """Events with their fields as attributes, read in the overlay of their kind."""
    decoded = []
    for at in range(len(events)):
        row = events[at : at + 1]
        if row["kind"][0] >= EventKind.EPOCH_STARTED:
            row = row.view(CONTROL_EVENT)
        elif row["kind"][0] in ORDERS:
            row = row.view(ORDER_EVENT)
        elif row["kind"][0] in SETTINGS:
            row = row.view(SETTING_EVENT)
        elif row["kind"][0] >= EventKind.INSTRUMENT_DEFINED:
            row = row.view(DEFINITION_EVENT)
        named = SimpleNamespace(**{name: row[name][0].item() for name in row.dtype.names or ()})
        named.kind = EventKind(named.kind)
        decoded.append(named)
    return decoded


class Venue:
    """An engine with session numbering, a clock and a record of what was paid in.

    Orders are addressed by the client ids that tests give them. Every command is applied alone; afterwards the event
    ids and the whole state are checked.
    """

    def __init__(self, engine: type[Any] = ReferenceEngine) -> None:
        self.engine = engine()
        self.now_ns = 1_000
        self.numbers: Counter[int] = Counter()
        self.cash = 0
        self.lots: Counter[int] = Counter()

    def send(self, row: Commands, *, session: int = SESSION, number: int | None = None) -> list[SimpleNamespace]:
        """Apply one command under the session's next number, or another one."""
        row = row.copy()
        if session:
            row["session_id"] = session
            row["session_no"] = self.numbers[session] + 1 if number is None else number
            if number is None:
                self.numbers[session] += 1
        seq = self.engine.last_seq + 1
        self.now_ns += 1
        before = {(view.account, p.instrument): p.quantity_lots for view in self.accounts() for p in view.positions}
        cash_before = {view.account: view.cash_micros for view in self.accounts()}
        events = decode(self.engine.apply(row, first_seq=seq, timestamp_ns=self.now_ns))
        assert events, "every command yields an event"
        assert [(e.seq, e.index) for e in events] == [(seq, index) for index in range(len(events))]
        assert {e.timestamp_ns for e in events} == {self.now_ns}
        for event in events:
            if event.kind == EventKind.CASH_ADJUSTED:
                self.cash += event.amount_micros - cash_before[event.account]
            elif event.kind == EventKind.POSITION_ADJUSTED:
                key = (event.account, event.instrument)
                self.lots[event.instrument] += event.quantity_lots - before.get(key, 0)
        if isinstance(self.engine, ReferenceEngine):
            check_invariants(self.engine, cash_micros=self.cash, lots=self.lots)
        # Nothing that decides may be missing in a snapshot: from here on a restored engine goes on. What a native
        # engine holds is checked by what its snapshot says.
        raw = self.engine.snapshot()
        self.engine = type(self.engine).restore(raw)
        check_invariants(ReferenceEngine.restore(raw), cash_micros=self.cash, lots=self.lots)
        return events

    @property
    def state(self) -> State:
        """The engine's state as the reference engine reads it from a snapshot."""
        return ReferenceEngine.restore(self.engine.snapshot()).state

    def accounts(self) -> tuple[Any, ...]:
        return self.engine.accounts()

    def new(
        self,
        account: int,
        side: str,
        lots: int,
        price: int = 0,
        /,
        *,
        cid: int = 0,
        tif: TimeInForce = TimeInForce.GTC,
        session: int = SESSION,
        **fields: Any,
    ) -> list[SimpleNamespace]:
        """NEW_ORDER: a limit order, or a market order without a price."""
        terms = {
            "account": account,
            "instrument": ACME,
            "client_order_id": cid,
            "side": Side.BUY if side == "B" else Side.SELL,
            "order_type": OrderType.LIMIT if price else OrderType.MARKET,
            "tif": tif,
            "price_ticks": price,
            "quantity_lots": lots,
        } | fields
        return self.send(command(CommandKind.NEW_ORDER, **terms), session=session)

    def cancel(self, account: int, cid: int = 0, *, session: int = SESSION, **fields: Any) -> list[SimpleNamespace]:
        row = command(CommandKind.CANCEL, account=account, client_order_id=cid, **fields)
        return self.send(row, session=session)

    def replace(
        self, account: int, cid: int, price: int, lots: int, *, session: int = SESSION, **fields: Any
    ) -> list[SimpleNamespace]:
        terms = {"account": account, "client_order_id": cid, "price_ticks": price, "quantity_lots": lots} | fields
        return self.send(command(CommandKind.REPLACE, **terms), session=session)

    def mass_cancel(self, account: int, **fields: Any) -> list[SimpleNamespace]:
        return self.send(command(CommandKind.MASS_CANCEL, account=account, **fields))

    def define_instrument(self, number: int, name: bytes, tick: int = 1, lot: int = 1) -> list[SimpleNamespace]:
        fields = {"instrument": number, "name": name, "tick_micros": tick, "lot_units": lot}
        return self.send(command(CommandKind.DEFINE_INSTRUMENT, ADMIN, **fields), session=0)

    def define_account(self, number: int, name: bytes, flags: int = 0) -> list[SimpleNamespace]:
        row = command(CommandKind.DEFINE_ACCOUNT, ADMIN, account=number, name=name, flags=flags)
        return self.send(row, session=0)

    def pay_in(self, account: int, micros: int) -> list[SimpleNamespace]:
        return self.send(command(CommandKind.ADJUST_CASH, ADMIN, account=account, amount_micros=micros), session=0)

    def move_in(self, account: int, lots: int, instrument: int = ACME) -> list[SimpleNamespace]:
        fields = {"account": account, "instrument": instrument, "quantity_lots": lots}
        return self.send(command(CommandKind.ADJUST_POSITION, ADMIN, **fields), session=0)

    def control(self, kind: CommandKind, **fields: int) -> list[SimpleNamespace]:
        return self.send(command(kind, CONTROL, **fields), session=0)

    def tick(self, now_ns: int | None = None) -> list[SimpleNamespace]:
        """TICK, at a later time if one is given; without the TICKED at its end."""
        if now_ns is not None:
            self.now_ns = now_ns - 1
        *events, end = self.control(CommandKind.TICK, epoch=3)
        assert (end.kind, end.epoch) == (EventKind.TICKED, 3)
        return events

    def phase(self, phase: Phase, instrument: int = ACME, **fields: int) -> list[SimpleNamespace]:
        row = command(CommandKind.SET_PHASE, SETTING, instrument=instrument, value=phase, **fields)
        return self.send(row, session=0)

    def status(self, account: int, status: int) -> list[SimpleNamespace]:
        return self.send(command(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=account, value=status), session=0)

    def limits(self, account: int, **fields: int) -> list[SimpleNamespace]:
        return self.send(command(CommandKind.SET_RISK_LIMITS, LIMITS, account=account, **fields), session=0)

    def fees(self, maker_ppm: int, taker_ppm: int) -> list[SimpleNamespace]:
        fields = {"instrument": ACME, "maker_fee_ppm": maker_ppm, "taker_fee_ppm": taker_ppm}
        return self.send(command(CommandKind.SET_FEES, RULES, **fields), session=0)

    def price_limits(self, **fields: int) -> list[SimpleNamespace]:
        return self.send(command(CommandKind.SET_PRICE_LIMITS, RULES, instrument=ACME, **fields), session=0)

    def market(self, kind: CommandKind, **fields: int) -> list[SimpleNamespace]:
        """SET_MARGIN, SET_INDEX, SET_MARKET_BREAKER."""
        return self.send(command(kind, MARKET, **fields), session=0)

    def transfer(self, account: int, to_account: int, lots: int, instrument: int = ACME) -> list[SimpleNamespace]:
        fields = {"account": account, "instrument": instrument, "to_account": to_account, "quantity_lots": lots}
        return self.send(command(CommandKind.TRANSFER_POSITION, TRANSFER, **fields), session=0)

    def open_session(self, session: int, gateway: int = 1, *, connection: int = 1) -> list[SimpleNamespace]:
        fields = {"order_id": session, "gateway": gateway, "client_order_id": connection}
        return self.send(command(CommandKind.SESSION_OPENED, COMMAND, **fields), session=0)

    def close_session(self, session: int, gateway: int = 1, *, connection: int = 1) -> list[SimpleNamespace]:
        fields = {"order_id": session, "gateway": gateway, "client_order_id": connection}
        return self.send(command(CommandKind.SESSION_CLOSED, COMMAND, **fields), session=0)

    def book(self, instrument: int = ACME) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """((price, lots, orders) of bids, of asks), best first."""
        view = self.engine.book(instrument, 1_000)
        assert isinstance(view, BookView)
        bids, asks = (
            [(level.price_ticks, level.quantity_lots, level.orders) for level in half]
            for half in (view.bids, view.asks)
        )
        return bids, asks

    def cash_of(self, account: int) -> tuple[int, int]:
        """(cash, reserved) micros."""
        view = self.engine.account(account)
        assert view is not None
        return view.cash_micros, view.reserved_micros

    def lots_of(self, account: int, instrument: int = ACME) -> tuple[int, int]:
        """(held, reserved) lots."""
        view = self.engine.account(account)
        assert view is not None
        held = [(p.quantity_lots, p.reserved_lots) for p in view.positions if p.instrument == instrument]
        return held[0] if held else (0, 0)


@pytest.fixture(params=[ReferenceEngine, NativeEngine], ids=["reference", "native"])
def engine_type(request: pytest.FixtureRequest) -> type[Any]:
    """Each rule is tested on both engines."""
    found: type[Any] = request.param
    return found


@pytest.fixture
def bare_venue(engine_type: type[Any]) -> Venue:
    """A venue without instruments and accounts."""
    return Venue(engine_type)


def open_market(engine: type[Any] = ReferenceEngine) -> Venue:
    """ACME (one lot at one tick is worth 10 micros); Alice, Bob and Carol with 100 000 micros and 100 lots; an
    unlimited house account."""
    venue = Venue(engine)
    venue.define_instrument(ACME, b"ACME", tick=5, lot=2)
    for account, name in ((ALICE, b"alice"), (BOB, b"bob"), (CAROL, b"carol")):
        venue.define_account(account, name)
        venue.pay_in(account, 100_000)
        venue.move_in(account, 100)
    venue.define_account(HOUSE, b"house", UNLIMITED)
    return venue


@pytest.fixture
def venue(engine_type: type[Any]) -> Venue:
    """A venue with one instrument and four accounts."""
    return open_market(engine_type)


@pytest.fixture
def make_venue() -> Callable[[], Venue]:
    """For tests that need many venues."""
    return open_market


@pytest.fixture
def make_command() -> Callable[..., Commands]:
    """The builder of single command records."""
    return command


@pytest.fixture
def decode_events() -> Callable[[Events], list[SimpleNamespace]]:
    """The reader of event arrays."""
    return decode
