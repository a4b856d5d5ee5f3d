"""What a subscriber is told, fast or slow."""

import numpy as np
import pytest

from lockstep.gateway.books import Best, BookChange, Books, Level, Print, RestingOrder
from lockstep.gateway.market import L1, L2, TRADES, Subscription
from lockstep.stream.records import EVENT, EventKind

ACME, OTHER = 7, 8


def told(subscription, books):
    return [
        (update.instrument, update.feed, update.WhichOneof("update"), update.previous_seq, update.seq)
        for update in subscription.take(books, 1)
    ]


@pytest.fixture
def books():
    return Books(10, [RestingOrder(1, ACME, 1, 100, 5)])


def change(price=100, lots=3, best=None, prints=()):
    return BookChange(ACME, (Level(1, price, lots, 1),), best, tuple(prints))


def test_snapshot_comes_first_and_increments_chain_on_it(books):
    subscription = Subscription([ACME], [L2], 0)
    subscription.begin([ACME, OTHER])
    assert told(subscription, books) == [(ACME, L2, "snapshot", 0, 10)]
    subscription.on_change(change())
    books.seq = 12
    assert told(subscription, books) == [(ACME, L2, "book", 10, 12)]
    assert not subscription.waiting


def test_change_before_the_snapshot_was_told_is_part_of_it(books):
    subscription = Subscription([], [L1, L2, TRADES], 0)
    subscription.begin([ACME])
    subscription.on_change(change(best=Best(), prints=[Print(11, 0, 100, 1, 1, 5, 6, 0)]))
    books.seq = 11
    assert told(subscription, books) == [
        (ACME, L1, "best", 0, 11),
        (ACME, L2, "snapshot", 0, 11),
        (ACME, TRADES, "snapshot", 0, 10),
        (ACME, TRADES, "trade", 10, 11),
    ]


def test_changes_are_conflated_for_a_slow_subscriber(books):
    subscription = Subscription([], [L1, L2], 0)
    subscription.begin([ACME])
    subscription.take(books, 1)
    for lots in range(4, -1, -1):
        row = np.zeros(1, dtype=EVENT)
        row["kind"], row["instrument"], row["side"], row["price_ticks"] = EventKind.REDUCED, ACME, 1, 100
        row["seq"], row["order_id"], row["leaves_lots"] = books.seq + 1, 1, max(lots, 2)
        for changed in books.apply(row, books.seq + 1):
            subscription.on_change(changed)
    best, levels = subscription.take(books, 1)
    assert best.best.bid_quantity_lots == 2
    assert [level.quantity_lots for level in levels.book.levels] == [2]


def test_subscriber_far_behind_gets_a_new_snapshot(books):
    subscription = Subscription([], [L2], 0)
    subscription.begin([ACME])
    subscription.take(books, 1)
    for price in range(1, 5000):
        subscription.on_change(change(price=price))
    books.seq = 5000
    assert told(subscription, books) == [(ACME, L2, "snapshot", 10, 5000)]


def test_too_many_trades_that_wait_end_the_subscription(books):
    subscription = Subscription([], [TRADES], 0)
    subscription.begin([ACME])
    trades = [Print(11, index, 100, 1, 1, 5, 6, 0) for index in range(70_000)]
    subscription.on_change(change(prints=trades))
    assert subscription.overflowed


def test_instrument_that_came_later_begins_with_a_snapshot_if_all_are_wanted(books):
    everything, one = Subscription([], [L2], 0), Subscription([OTHER], [L2], 0)
    for subscription in (everything, one):
        subscription.begin([])
        subscription.on_change(change())
    assert told(everything, books) == [(ACME, L2, "snapshot", 0, 10)]
    assert told(one, books) == []
