"""Random sequences of commands: every invariant after each, and a twin matcher of a few lines that must agree.

The twin knows nothing of levels, keys, maps or caches: it keeps one list of open orders and searches all of it. It
hears which orders were accepted and replaced (the accounts decide that) and must predict every trade and the book.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import EventKind, Side, TimeInForce

ACCOUNTS = st.sampled_from([1, 2, 3, 9])
SIDES = st.sampled_from(["B", "S"])
CLIENT_IDS = st.integers(0, 6)
PRICES = st.integers(95, 105)
LOTS = st.integers(1, 40)
TIFS = st.sampled_from([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])


class Twin:
    """Open orders in order of priority at equal price; an order is (id, side, price, open lots)."""

    def __init__(self) -> None:
        self.open: list[SimpleNamespace] = []

    def enter(
        self, order_id: int, side: int, price: int, lots: int, *, market: bool, tif: int
    ) -> list[tuple[int, int, int]]:
        """Trades (maker id, lots, price) of an order that comes in."""
        sign = 1 if side == Side.BUY else -1
        makers = [o for o in self.open if o.side != side and (market or sign * o.price <= sign * price)]
        makers.sort(key=lambda o: sign * o.price)
        trades = []
        left = lots
        if tif != TimeInForce.FOK or sum(o.lots for o in makers) >= lots:
            for maker in makers:
                taken = min(left, maker.lots)
                if taken:
                    trades.append((maker.id, taken, maker.price))
                    maker.lots -= taken
                    left -= taken
        if left and not market and tif in (TimeInForce.DAY, TimeInForce.GTC):
            self.open.append(SimpleNamespace(id=order_id, side=side, price=price, lots=left))
        self.open = [o for o in self.open if o.lots]
        return trades

    def remove(self, order_id: int) -> None:
        self.open = [o for o in self.open if o.id != order_id]

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        """(price, lots, orders), best first."""
        prices = sorted({o.price for o in self.open if o.side == side}, reverse=side == Side.BUY)
        at = [[o.lots for o in self.open if o.side == side and o.price == price] for price in prices]
        return [(price, sum(lots), len(lots)) for price, lots in zip(prices, at, strict=True)]


def trades_of(events: list[Any]) -> list[tuple[int, int, int]]:
    return [(e.maker_order_id, e.quantity_lots, e.price_ticks) for e in events if e.kind == EventKind.TRADE]


class Market(RuleBasedStateMachine):
    """A venue and the twin beside it. The venue checks all invariants after each command."""

    make_venue: Callable[[], Any]

    @initialize()
    def start(self) -> None:
        self.venue = type(self).make_venue()
        self.twin = Twin()

    @rule(account=ACCOUNTS, side=SIDES, lots=LOTS, price=PRICES, cid=CLIENT_IDS, tif=TIFS, market=st.booleans())
    def new(self, account: int, side: str, lots: int, price: int, cid: int, tif: TimeInForce, market: bool) -> None:
        events = self.venue.new(account, side, lots, 0 if market else price, cid=cid, tif=tif)
        if events[0].kind == EventKind.ACCEPTED:
            order = events[0]
            expected = self.twin.enter(order.order_id, order.side, price, lots, market=market, tif=tif)
            assert trades_of(events) == expected

    @rule(account=ACCOUNTS, cid=CLIENT_IDS)
    def cancel(self, account: int, cid: int) -> None:
        (event,) = self.venue.cancel(account, cid)
        if event.kind == EventKind.CANCELED:
            self.twin.remove(event.order_id)

    @rule(account=ACCOUNTS, cid=CLIENT_IDS, lots=LOTS, price=PRICES)
    def replace(self, account: int, cid: int, lots: int, price: int) -> None:
        events = self.venue.replace(account, cid, price, lots)
        if events[0].kind != EventKind.REPLACED:
            return
        order_id = events[0].order_id
        (order,) = [o for o in self.twin.open if o.id == order_id]
        if price == order.price and lots <= order.lots:
            order.lots = lots
            assert len(events) == 1
        else:
            self.twin.remove(order_id)
            expected = self.twin.enter(order_id, order.side, price, lots, market=False, tif=TimeInForce.GTC)
            assert trades_of(events) == expected

    @rule(account=ACCOUNTS)
    def mass_cancel(self, account: int) -> None:
        for event in self.venue.mass_cancel(account)[:-1]:
            self.twin.remove(event.order_id)

    @rule(account=ACCOUNTS, micros=st.integers(-50_000, 50_000))
    def pay(self, account: int, micros: int) -> None:
        self.venue.pay_in(account, micros)

    @rule(account=ACCOUNTS, lots=st.integers(-50, 50))
    def move(self, account: int, lots: int) -> None:
        self.venue.move_in(account, lots)

    @rule()
    def restart(self) -> None:
        """The engine is replaced by one restored from its snapshot; nobody may notice."""
        digest = self.venue.engine.state_digest()
        self.venue.engine = ReferenceEngine.restore(self.venue.engine.snapshot())
        assert self.venue.engine.state_digest() == digest

    @invariant()
    def book_is_as_the_twin_says(self) -> None:
        if hasattr(self, "twin"):
            assert self.venue.book() == (self.twin.levels(Side.BUY), self.twin.levels(Side.SELL))


@pytest.mark.parametrize("examples", [15, pytest.param(100, marks=pytest.mark.slow)])
def test_random_commands_keep_all_invariants_and_agree_with_the_twin(
    make_venue: Callable[[], Any], examples: int
) -> None:
    class Seeded(Market):
        pass

    Seeded.make_venue = staticmethod(make_venue)
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
