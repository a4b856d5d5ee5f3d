"""What a subscriber receives, fast or slow."""

import numpy as np
import pytest

from lockstep.marketdata.books import Best, BookChange, Books, Level, Print, RestingOrder, merge_trades
from lockstep.marketdata.encodings import L1, L2, TRADES, Encodings
from lockstep.marketdata.market import Subscription
from lockstep.marketdata.tape import MAX_TRADES, TapeState
from lockstep.stream.records import EVENT, EventKind
from lockstep.v1 import market_data_pb2

ACME, OTHER = 7, 8


def decode(messages):
    return [market_data_pb2.MarketDataUpdate.FromString(message) for message in messages]


def delivered(subscription, books):
    return [
        (update.instrument, update.feed, update.WhichOneof("update"), update.previous_seq, update.seq)
        for update in decode(subscription.take(Encodings(books), 1))
    ]


def tell(subscription, *changes):
    subscription.on_burst(changes, merge_trades(changes))


def begin(books, feeds, instruments=(), **terms):
    subscription = Subscription(instruments, feeds, 0, **terms)
    subscription.tape.begin(books.seq)
    subscription.begin([ACME])
    return subscription


@pytest.fixture
def books():
    return Books(10, [RestingOrder(1, ACME, 1, 100, 5)])


def change(price=100, lots=3, best=None, prints=(), instrument=ACME):
    return BookChange(instrument, (Level(1, price, lots, 1),), best, tuple(prints))


def test_snapshot_comes_first_and_increments_chain_on_it(books):
    subscription = Subscription([ACME], [L2], 0)
    subscription.begin([ACME, OTHER])
    assert delivered(subscription, books) == [(ACME, L2, "snapshot", 0, 10)]
    tell(subscription, change())
    books.seq = 12
    assert delivered(subscription, books) == [(ACME, L2, "book", 10, 12)]
    assert not subscription.waiting


def test_change_before_the_snapshot_was_told_is_part_of_it(books):
    subscription = begin(books, [L1, L2, TRADES])
    tell(subscription, change(best=Best(), prints=[Print(11, 0, 100, 1, 1, 5, 6, 0)]))
    books.seq = 11
    assert sorted(delivered(subscription, books)) == [
        (ACME, L1, "best", 0, 11),
        (ACME, L2, "snapshot", 0, 11),
        (ACME, TRADES, "snapshot", 0, 10),
        (ACME, TRADES, "trade", 10, 11),
    ]


def test_changes_are_conflated_for_a_slow_subscriber(books):
    subscription = begin(books, [L1, L2])
    subscription.take(Encodings(books), 1)
    for lots in range(4, -1, -1):
        row = np.zeros(1, dtype=EVENT)
        row["kind"], row["instrument"], row["side"], row["price_ticks"] = EventKind.REDUCED, ACME, 1, 100
        row["seq"], row["order_id"], row["leaves_lots"] = books.seq + 1, 1, max(lots, 2)
        tell(subscription, *books.apply(row, books.seq + 1))
    best, levels = decode(subscription.take(Encodings(books), 1))
    assert best.best.bid_quantity_lots == 2
    assert [level.quantity_lots for level in levels.book.levels] == [2]


def test_subscriber_far_behind_gets_a_new_snapshot(books):
    subscription = begin(books, [L2])
    subscription.take(Encodings(books), 1)
    for price in range(1, 5000):
        tell(subscription, change(price=price))
    books.seq = 5000
    assert delivered(subscription, books) == [(ACME, L2, "snapshot", 10, 5000)]


def test_too_many_trades_that_wait_end_the_subscription_but_none_of_those_is_lost(books):
    subscription = begin(books, [TRADES])
    burst = 4096
    for first in range(0, MAX_TRADES + 2 * burst, burst):
        prints = [Print(11, index, 100, 1, 1, 5, 6, 0) for index in range(first, first + burst)]
        tell(subscription, change(prints=prints))
    assert subscription.tape.state is TapeState.OVERFLOWED
    books.seq = 11
    first, *trades = decode(subscription.take(Encodings(books), 1, most=10**9))
    assert first.WhichOneof("update") == "snapshot"
    assert [update.trade.event_id.index for update in trades] == list(range(MAX_TRADES + burst))
    # So it does not say that all were delivered.
    assert not any(update.trades_through for update in trades)


def test_instrument_that_came_later_begins_with_a_snapshot_if_all_are_wanted(books):
    everything, one = Subscription([], [L2], 0), Subscription([OTHER], [L2], 0)
    for subscription in (everything, one):
        subscription.begin([])
        tell(subscription, change())
    assert delivered(everything, books) == [(ACME, L2, "snapshot", 0, 10)]
    assert delivered(one, books) == []


def test_trades_of_a_burst_come_in_order_of_event_id_whichever_their_instruments_are(books):
    subscription = begin(books, [TRADES])
    subscription.begin([OTHER])
    prints = {ACME: (11, 14, 15), OTHER: (12, 13, 16)}
    changes = [
        change(prints=[Print(seq, 0, 100, 1, 1, 5, 6, 0) for seq in seqs], instrument=number)
        for number, seqs in prints.items()
    ]
    tell(subscription, *changes)
    seqs = [update.seq for update in decode(subscription.take(Encodings(books), 1)) if update.HasField("trade")]
    assert seqs == [11, 12, 13, 14, 15, 16]


def test_returning_subscriber_is_told_what_it_missed_and_then_what_came_meanwhile(books):
    subscription = begin(books, [TRADES], last_seen=(4, 1))
    assert (subscription.tape.wanted, subscription.tape.after, subscription.tape.boundary) == (True, (4, 1), 10)
    tell(subscription, change(prints=[Print(11, 0, 100, 1, 1, 5, 6, 0)]))
    books.seq = 11
    assert delivered(subscription, books) == [(ACME, TRADES, "snapshot", 0, 4)]
    subscription.tape.on_fetched([(ACME, Print(seq, 2, 100, 1, 1, 5, 6, 0)) for seq in (4, 9)], (10, 0))
    assert delivered(subscription, books) == [(ACME, TRADES, "trade", 4, 4), (ACME, TRADES, "trade", 4, 9)]
    subscription.tape.release()
    (last,) = decode(subscription.take(Encodings(books), 1))
    assert (last.trade.event_id.seq, last.previous_seq, last.trades_through) == (11, 9, 11)


def test_where_the_tape_begins_is_not_told_while_it_is_in_doubt(books):
    subscription = Subscription([], [L2, TRADES], 0, (14, 0))
    subscription.tape.begin(10, in_doubt=True)
    subscription.begin([ACME])
    assert delivered(subscription, books) == [(ACME, L2, "snapshot", 0, 10)]
    assert not subscription.waiting
    subscription.tape.void(7, "an operator went on without it")
    missed, begins = decode(subscription.take(Encodings(books), 1))
    assert (missed.instrument, missed.missed.void_from_seq, missed.missed.through_seq) == (0, 7, 6)
    assert (begins.feed, begins.WhichOneof("update"), begins.seq) == (TRADES, "snapshot", 6)


def test_how_far_trades_were_told_is_said_now_and_then_where_nothing_else_is(books):
    subscription = begin(books, [TRADES])
    (first,) = decode(subscription.take(Encodings(books), 1))
    assert first.trades_through == 10
    assert subscription.take(Encodings(books), 1, progress=True) == []
    books.seq = 17
    assert subscription.take(Encodings(books), 1) == []
    (later,) = decode(subscription.take(Encodings(books), 1, progress=True))
    assert (later.trades_through, later.instrument, later.feed, later.WhichOneof("update")) == (17, 0, TRADES, None)
    books.seq = 19
    (last,) = decode(subscription.take(Encodings(books), 1, progress=True))
    assert (later.previous_seq, last.previous_seq, last.seq) == (0, 17, 19)


def test_turns_are_bounded_and_together_tell_everything_once():
    orders = [RestingOrder(number, number % 50, 1, 100 + number, 5) for number in range(2_000)]
    books = Books(10, orders)
    view = Encodings(books)
    subscription = Subscription([], [L1, L2, TRADES], 0)
    subscription.tape.begin(10)
    subscription.begin(range(50))
    updates, turns = [], 0
    while subscription.waiting:
        messages = subscription.take(view, 1, most=200)
        assert 0 < len(messages) <= 20
        updates += decode(messages)
        turns += 1
    assert turns >= 10
    assert sorted((update.instrument, update.feed) for update in updates) == [
        (number, feed) for number in range(50) for feed in (L1, L2, TRADES)
    ]
    assert sum(len(update.snapshot.bids) for update in updates) == 2_000
    assert [update.trades_through for update in updates if update.trades_through] == [10]


def test_books_are_put_into_bytes_once_for_all_their_subscribers():
    books = Books(10, [RestingOrder(number, number % 50, 1, 100 + number, 5) for number in range(2_000)])
    view = Encodings(books)
    seen = []
    for _ in range(5):
        subscription = Subscription([], [L2], 0)
        subscription.begin(range(50))
        seen.append(subscription.take(view, 1, most=10**9))
    assert view.encoded_levels == 2_000
    assert all(messages == seen[0] for messages in seen)


def test_changes_are_put_into_bytes_once_for_all_who_were_told_the_same(books):
    view = Encodings(books)
    prompt = [begin(books, [L2]) for _ in range(3)]
    slow, shallow = begin(books, [L2]), Subscription([], [L2], 1)
    shallow.begin([ACME])
    for subscription in (*prompt, slow, shallow):
        subscription.take(view, 1)
    for step in range(1, 4):
        row = np.zeros(1, dtype=EVENT)
        row["kind"], row["instrument"], row["side"], row["price_ticks"] = EventKind.REDUCED, ACME, 1, 100
        row["seq"], row["order_id"], row["leaves_lots"] = books.seq + 1, 1, 5 - step
        changes = books.apply(row, books.seq + 1)
        view.on_changed([ACME])
        for subscription in (*prompt, slow, shallow):
            subscription.on_burst(changes, ())
        before = view.encoded_levels
        messages = [decode(subscription.take(view, 1)) for subscription in prompt]
        assert view.encoded_levels == before + 1
        assert all(same == messages[0] for same in messages)
    (late,) = decode(slow.take(view, 1))
    assert (late.previous_seq, [level.quantity_lots for level in late.book.levels]) == (10, [2])
