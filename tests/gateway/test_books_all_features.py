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
from lockstep.stream.records import EventFlag, EventKind
from lockstep.v1 import market_data_pb2
from tests.all_features import INSTRUMENTS, burst, opening

Half = dict[int, tuple[int, int]]
"""One side of a book: price -> quantity, orders."""


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
    delivered: dict[int, tuple[Half, Half]] = {number: ({}, {}) for number in INSTRUMENTS}
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
                delivered[change.instrument][level.side - 1][level.price_ticks] = (level.quantity_lots, level.orders)
            assert change.best in (None, books.best(change.instrument))
        for number in INSTRUMENTS:
            expected = levels_of(engine, number)
            assert levels_in(books, number) == expected, (turn, number)
            for half, want in zip(delivered[number], expected, strict=True):
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
            delivered = self.machine.on_update(update)
            if update.feed == L1:
                self.quotes[update.instrument] = delivered

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
