"""A subscriber of any depth has the best levels of each side after each message, no more and no fewer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.marketdata.books import Books, RestingOrder
from lockstep.marketdata.depth import is_within
from lockstep.marketdata.encodings import L1, L2, Encodings
from lockstep.marketdata.market import Subscription
from lockstep.stream.records import EVENT, EventFlag, EventKind
from lockstep.v1 import market_data_pb2

ACME, OTHER = 7, 8
BUY, SELL = 1, 2
MOST_TOUCHED = 4096


class Venue:
    """Orders of one lot that come and go, as events; `orders` is all that there is to know."""

    def __init__(self):
        self.orders = {}
        self.books = Books(0)
        self.view = Encodings(self.books)

    def step(self, *changes):
        """One burst of (instrument, side, price): an order comes; at a negative price the oldest one goes."""
        rows = np.zeros(len(changes), dtype=EVENT)
        seq = self.books.seq
        for row, (instrument, side, price) in zip(rows, changes, strict=True):
            seq += 1
            row["seq"], row["instrument"], row["side"], row["price_ticks"] = seq, instrument, side, abs(price)
            if price > 0:
                self.orders[seq] = (instrument, side, price)
                row["kind"], row["flags"], row["order_id"] = EventKind.ACCEPTED, EventFlag.BOOKS, seq
                row["quantity_lots"] = row["leaves_lots"] = 1
            else:
                gone = next((number for number, at in self.orders.items() if at == (instrument, side, -price)), 0)
                self.orders.pop(gone, None)
                row["kind"], row["order_id"] = EventKind.CANCELED, gone
        made = self.books.apply(rows, seq)
        self.view.on_changed(change.instrument for change in made)
        return made

    def best(self, instrument, side, depth):
        """(price, lots) of the best levels, from the orders alone."""
        levels: dict[int, int] = {}
        for number, at, price in self.orders.values():
            if (number, at) == (instrument, side):
                levels[price] = levels.get(price, 0) + 1
        ranked = sorted(levels.items(), reverse=side == BUY)
        return ranked[: depth or None]


class Reader:
    """Applies what the wire says, and nothing else."""

    def __init__(self, instruments, depth):
        self.depth = depth
        self.subscription = Subscription(instruments, [L1, L2], depth)
        self.subscription.begin((ACME, OTHER))
        self.levels = {}
        self.best = {}

    def take(self, venue):
        raw = self.subscription.take(venue.view, 1)
        updates = [market_data_pb2.MarketDataUpdate.FromString(message) for message in raw]
        self.apply(updates)
        return updates

    def apply(self, updates):
        for update in updates:
            if update.feed == L1:
                best = update.best
                self.best[update.instrument] = (
                    (best.bid_price_ticks, best.bid_quantity_lots),
                    (best.ask_price_ticks, best.ask_quantity_lots),
                )
                continue
            halves = self.levels.setdefault(update.instrument, ({}, {}))
            if update.WhichOneof("update") == "snapshot":
                for half in halves:
                    half.clear()
            for level in (*update.snapshot.bids, *update.snapshot.asks, *update.book.levels):
                half = halves[level.side - 1]
                if level.quantity_lots:
                    half[level.price_ticks] = level.quantity_lots
                else:
                    half.pop(level.price_ticks, None)
                # Whoever applies level by level has never more than the window either.
                assert not self.depth or len(half) <= self.depth

    def check(self, venue):
        for instrument, halves in self.levels.items():
            for side, half in zip((BUY, SELL), halves, strict=True):
                assert sorted(half.items(), reverse=side == BUY) == venue.best(instrument, side, self.depth)
            bid, ask = (venue.best(instrument, side, 1) or [(0, 0)] for side in (BUY, SELL))
            assert self.best[instrument] == (bid[0], ask[0])


PRICES = st.integers(1, 12)
CHANGES = st.tuples(
    st.sampled_from((ACME, OTHER)), st.sampled_from((BUY, SELL)), st.one_of(PRICES, PRICES.map(lambda price: -price))
)
BURSTS = st.lists(CHANGES, min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(BURSTS, st.lists(st.integers(0, 5), max_size=3)), max_size=25),
    st.lists(st.integers(0, 14), max_size=6),
)
def test_fast_slow_and_late_subscribers_of_every_depth_see_exactly_their_levels(turns, depths):
    venue = Venue()
    readers = [Reader([], 0), Reader([ACME], 1), Reader([], 2)]
    for number, (burst, takes) in enumerate(turns):
        if number < len(depths):
            readers.append(Reader([OTHER] if depths[number] % 2 else [], depths[number]))
        changes = venue.step(*burst)
        for reader in readers:
            reader.subscription.on_burst(changes, ())
        for place in takes:
            reader = readers[place % len(readers)]
            reader.take(venue)
            reader.check(venue)
    for reader in readers:
        reader.take(venue)
        reader.check(venue)


def bids(reader):
    return sorted(reader.levels[ACME][0], reverse=True)


@pytest.fixture
def venue():
    made = Venue()
    made.step(*((ACME, BUY, price) for price in (100, 99, 98, 97)))
    return made


def tell(venue, reader, *changes):
    reader.subscription.on_burst(venue.step(*changes), ())
    reader.take(venue)


def test_levels_behind_those_that_go_move_into_the_window(venue):
    reader = Reader([ACME], 2)
    reader.take(venue)
    assert bids(reader) == [100, 99]
    tell(venue, reader, (ACME, BUY, -100), (ACME, BUY, -99))
    assert bids(reader) == [98, 97]
    tell(venue, reader, (ACME, BUY, 50))
    assert bids(reader) == [98, 97]
    assert reader.best[ACME] == ((98, 1), (0, 0))


def test_level_that_is_pushed_out_of_the_window_is_told_as_gone(venue):
    reader = Reader([ACME], 2)
    reader.take(venue)
    tell(venue, reader, (ACME, BUY, 101))
    assert bids(reader) == [101, 100]
    tell(venue, reader, (ACME, BUY, 99), (ACME, BUY, -101))
    assert bids(reader) == [100, 99]
    assert reader.levels[ACME][0][99] == 2


def test_what_happens_beyond_a_full_window_is_not_told(venue):
    reader = Reader([ACME], 2)
    reader.take(venue)
    reader.subscription.on_burst(venue.step((ACME, BUY, 96), (ACME, BUY, -97)), ())
    assert not reader.subscription.waiting


def test_window_that_has_room_takes_in_whatever_comes_until_it_is_full(venue):
    reader = Reader([ACME], 6)
    reader.take(venue)
    tell(venue, reader, (ACME, BUY, 10))
    tell(venue, reader, (ACME, BUY, 5), (ACME, BUY, 6), (ACME, BUY, 7))
    assert bids(reader) == [100, 99, 98, 97, 10, 7]


def test_subscriber_for_whom_too_much_waits_gets_a_snapshot_of_its_window(venue):
    reader = Reader([ACME], 3)
    reader.take(venue)
    for price in range(101, 101 + MOST_TOUCHED + 1):
        reader.subscription.on_burst(venue.step((ACME, BUY, price)), ())
    updates = reader.take(venue)
    assert [(update.feed, update.WhichOneof("update")) for update in updates] == [(L1, "best"), (L2, "snapshot")]
    assert [level.price_ticks for level in updates[1].snapshot.bids] == [4197, 4196, 4195]
    tell(venue, reader, (ACME, BUY, -4197))
    assert 4194 in reader.levels[ACME][0]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_books_are_walked_from_any_price_in_the_order_of_their_side(side):
    prices = (1, 3, 5, 7, 9)
    books = Books(1, [RestingOrder(number, ACME, side, price, 1) for number, price in enumerate(prices, 1)])
    ranked = prices[::-1] if side == BUY else prices
    for depth in range(1, 8):
        assert books.reach(ACME, side, depth) == (ranked[depth - 1] if depth <= len(prices) else None)
    for price in range(11):
        for through in (None, *range(11)):
            walked = [level.price_ticks for level in books.levels_behind(ACME, side, price, through)]
            assert walked == [at for at in ranked if not is_within(side, at, price) and is_within(side, at, through)]
