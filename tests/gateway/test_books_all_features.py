"""Books drawn from the events of every feature at once are the displayed books of both engines."""

import random
from collections import Counter

import numpy as np
import pytest

from lockstep.book import MarketMachine
from lockstep.engine.implementations import NAMES, implementation
from lockstep.engine.pages import order_rows
from lockstep.marketdata.books import Books
from lockstep.marketdata.encodings import L1, L2, Encodings
from lockstep.marketdata.market import Subscription
from lockstep.marketdata.market_hub import resting_orders
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    RULES,
    SETTING,
    AccountFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)
from lockstep.v1 import market_data_pb2

INSTRUMENTS, ACCOUNTS = (7, 8), (1, 2, 3)
UNLIMITED = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
CALLS = (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.CLOSING_AUCTION, Phase.CLOSED, Phase.VOLATILITY_AUCTION)

Half = dict[int, tuple[int, int]]
"""One side of a book: price -> quantity, orders."""


def record(kind, layout=COMMAND, **fields):
    row = np.zeros(1, dtype=layout)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row.view(COMMAND)


def new_order(pick, now_ns):
    order_type = pick.choices(list(OrderType), (70, 8, 6, 10, 6))[0]
    tif = pick.choices(list(TimeInForce), (20, 40, 10, 6, 8, 6, 14))[0]
    lots = pick.randint(1, 40)
    fields = {"order_type": order_type, "stp": pick.choice((0, 0, 1, 2, 3, 4))}
    protected = order_type == OrderType.MARKET and pick.randint(0, 1)
    if order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) or protected:
        fields["price_ticks"] = pick.randint(95, 105)
    if order_type >= OrderType.STOP:
        tif = pick.choice((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD))
        fields["stop_price_ticks"] = pick.randint(94, 106)
    if order_type == OrderType.TRAILING_STOP:
        fields["trail_ticks"] = pick.randint(1, 4)
    if tif == TimeInForce.GTD:
        fields["expire_ns"] = now_ns + pick.randint(1, 300)
    if order_type == OrderType.LIMIT and tif in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD):
        fields |= pick.choice(({}, {"display_lots": pick.randint(1, lots)}, {"flags": 2}, {"flags": 1}))
    return record(
        CommandKind.NEW_ORDER,
        side=pick.choice(list(Side)),
        tif=tif,
        quantity_lots=lots,
        client_order_id=pick.randint(0, 40),
        account=pick.choice(ACCOUNTS),
        instrument=pick.choice(INSTRUMENTS),
        **fields,
    )


def administer(pick):
    phase = pick.choice((*CALLS, Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS))
    account, instrument = pick.choice(ACCOUNTS), pick.choice((0, *INSTRUMENTS))
    return pick.choice(
        (
            record(CommandKind.SET_PHASE, SETTING, value=phase, instrument=instrument),
            record(CommandKind.SET_PHASE, SETTING, value=Phase.CONTINUOUS),
            record(CommandKind.TICK),
            record(CommandKind.TICK),
            record(CommandKind.MASS_CANCEL, account=account, instrument=instrument, side=pick.randint(1, 2)),
            record(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=account, value=pick.choice((0, 3))),
            *(record(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=number, value=0) for number in ACCOUNTS * 2),
            record(
                CommandKind.SET_PRICE_LIMITS, RULES, instrument=pick.choice(INSTRUMENTS), breaker_ppm=30_000,
                breaker_window_ns=40, breaker_pause_ns=60, breaker_phase=Phase.VOLATILITY_AUCTION,
            ),
        )
    )  # fmt: skip


def opening():
    yield from (
        record(
            CommandKind.DEFINE_INSTRUMENT, ADMIN, instrument=number, name=b"I%d" % number, tick_micros=1, lot_units=1
        )
        for number in INSTRUMENTS
    )
    for number in ACCOUNTS:
        yield record(CommandKind.DEFINE_ACCOUNT, ADMIN, account=number, name=b"a%d" % number, flags=UNLIMITED)


def burst(pick, now_ns, session_no):
    """Up to eight commands; orders are numbered in session 5."""
    rows = []
    for _ in range(pick.randint(1, 8)):
        draw = pick.random()
        named = {"account": pick.choice(ACCOUNTS), "client_order_id": pick.randint(1, 40)}
        if draw < 0.74:
            row = new_order(pick, now_ns)
        elif draw < 0.8:
            row = record(CommandKind.CANCEL, **named)
        elif draw < 0.95:
            price, lots = pick.randint(95, 105), pick.randint(1, 30)
            stop = pick.choice((0, 0, 0, pick.randint(94, 106)))
            price *= not stop or pick.randint(0, 1)
            row = record(CommandKind.REPLACE, **named, price_ticks=price, quantity_lots=lots, stop_price_ticks=stop)
        else:
            row = administer(pick)
        if row["kind"] < 64:
            row["session_id"], row["session_no"] = 5, session_no
            session_no += 1
        rows.append(row)
    return np.concatenate(rows), session_no


def levels_of(engine, instrument):
    view = engine.book(instrument, 1_000)
    return [[(row.price_ticks, row.quantity_lots, row.orders) for row in half] for half in (view.bids, view.asks)]


def all_orders(engine):
    return resting_orders(order_rows(engine.all_orders_page((0, 0), 1_000_000).rows))


def levels_in(books, instrument):
    return [[(row.price_ticks, row.quantity_lots, row.orders) for row in half] for half in books.levels(instrument, 0)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_books_from_events_are_the_engines_after_every_burst(name, seed):
    pick = random.Random(seed)
    engine = implementation(name)()
    engine.apply(np.concatenate(list(opening())), first_seq=1, timestamp_ns=1)
    books = Books(engine.last_seq)
    told: dict[int, tuple[Half, Half]] = {number: ({}, {}) for number in INSTRUMENTS}
    seen: Counter[int] = Counter()
    flags, session_no = 0, 1
    for turn in range(400):
        now_ns = 10 + 7 * turn
        commands, session_no = burst(pick, now_ns, session_no)
        first_seq = engine.last_seq + 1
        events = engine.apply(commands, first_seq=first_seq, timestamp_ns=now_ns)
        seen.update(events["kind"].tolist())
        flags |= int(np.bitwise_or.reduce(events["flags"][events["kind"] < 64], initial=0))
        for change in books.apply(events, engine.last_seq):
            for level in change.levels:
                told[change.instrument][level.side - 1][level.price_ticks] = (level.quantity_lots, level.orders)
            assert change.best in (None, books.best(change.instrument))
        for number in INSTRUMENTS:
            expected = levels_of(engine, number)
            assert levels_in(books, number) == expected, (turn, number)
            for half, want in zip(told[number], expected, strict=True):
                assert {price: row for price, row in half.items() if row[1]} == {row[0]: row[1:] for row in want}
        if turn % 50 == 49:
            # Somebody subscribes at another gateway: it begins in the middle, with a snapshot.
            books = Books(engine.last_seq, all_orders(engine))
    kinds = {EventKind.TRADE, EventKind.REDUCED, EventKind.TRIGGERED, EventKind.REPLACED, EventKind.PHASE_CHANGED}
    assert not kinds - set(seen)
    assert flags == EventFlag.BOOKS | EventFlag.LOST_PRIORITY | EventFlag.AUCTION | EventFlag.WAITS | EventFlag.UNSEEN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_books_loaded_in_pages_while_everything_goes_on_are_those_of_one_seq(name, seed):
    pick = random.Random(seed)
    engine = implementation(name)()
    engine.apply(np.concatenate(list(opening())), first_seq=1, timestamp_ns=1)
    session_no, now_ns = 1, 10

    def trade():
        nonlocal session_no, now_ns
        commands, session_no = burst(pick, now_ns, session_no)
        now_ns += 7
        events = engine.apply(commands, first_seq=engine.last_seq + 1, timestamp_ns=now_ns)
        return events, engine.last_seq

    for _ in range(60):
        trade()
    for _ in range(8):
        missed, after, more = [], (0, 0), True
        books = Books(engine.last_seq)
        while more:
            page = engine.all_orders_page(after, pick.choice((1, 3, 8)))
            books.load(resting_orders(order_rows(page.rows)), engine.last_seq)
            after, more = page.after, page.more
            missed += [trade() for _ in range(pick.choice((0, 1, 1, 2)))]
        # The gateway is delivered the same events in bursts of its own.
        while missed:
            several, missed = missed[: (size := pick.randint(1, 4))], missed[size:]
            books.apply(np.concatenate([events for events, _ in several]), several[-1][1])
        assert books.complete
        for number in INSTRUMENTS:
            assert levels_in(books, number) == levels_of(engine, number)
        for _ in range(20):
            books.apply(*trade())
            for number in INSTRUMENTS:
                assert levels_in(books, number) == levels_of(engine, number)


class Subscriber:
    """A client of the package at the other end of a gateway's subscription."""

    def __init__(self, depth):
        self.depth = depth
        self.machine = MarketMachine()
        self.quotes = {}
        self.subscribe(INSTRUMENTS)

    def subscribe(self, instruments):
        self.subscription = Subscription((), (L1, L2), self.depth)
        self.subscription.begin(instruments)
        self.machine.on_subscribed()

    def take(self, view):
        for message in self.subscription.take(view, 1):
            update = market_data_pb2.MarketDataUpdate.FromString(message)
            told = self.machine.on_update(update)
            if update.feed == L1:
                self.quotes[update.instrument] = told

    def check(self, engine):
        for number in INSTRUMENTS:
            book, quote = self.machine.books[number], self.quotes[number]
            shown = [
                [(row.price_ticks, row.quantity_lots, row.orders) for row in half]
                for half in (book.bids(), book.asks())
            ]
            wanted = levels_of(engine, number)
            assert shown == [half[: self.depth or None] for half in wanted]
            best = [half and (half[0][0], half[0][1]) for half in wanted]
            assert [side and (side.price_ticks, side.quantity_lots) for side in (quote.bid, quote.ask)] == [
                side or None for side in best
            ]


@pytest.mark.parametrize("seed", range(4))
def test_subscribers_of_any_depth_have_the_engines_best_levels_through_conflation_and_failover(seed):
    pick = random.Random(seed)
    engine = implementation("native")()
    engine.apply(np.concatenate(list(opening())), first_seq=1, timestamp_ns=1)
    view = Encodings(Books(engine.last_seq))
    subscribers = [Subscriber(depth) for depth in (0, 1, 2, 3, 5, 50)]
    session_no, deepest = 1, 0
    for turn in range(300):
        now_ns = 10 + 7 * turn
        commands, session_no = burst(pick, now_ns, session_no)
        events = engine.apply(commands, first_seq=engine.last_seq + 1, timestamp_ns=now_ns)
        changes = view.books.apply(events, engine.last_seq)
        view.on_changed(change.instrument for change in changes)
        for subscriber in subscribers:
            subscriber.subscription.on_burst(changes, ())
        for subscriber in pick.sample(subscribers, 3):
            subscriber.take(view)
            subscriber.check(engine)
        deepest = max(deepest, *(len(half) for number in INSTRUMENTS for half in levels_of(engine, number)))
        if turn % 60 == 59:
            # The gateway is lost; at another one all begin anew, with what their books showed before.
            view = Encodings(Books(engine.last_seq, all_orders(engine)))
            for subscriber in subscribers:
                subscriber.subscribe(INSTRUMENTS)
            subscribers.append(Subscriber(pick.randint(1, 6)))
    assert deepest > 5
