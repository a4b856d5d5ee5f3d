"""What is written by hand is what protobuf reads, and what is kept is what the book shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.marketdata import encodings
from lockstep.marketdata.books import Best, Books, Level, Print, RestingOrder
from lockstep.marketdata.encodings import (
    L2,
    TRADES,
    Encodings,
    encode_best,
    encode_book,
    encode_head,
    encode_levels,
    encode_missed,
    encode_through,
    encode_trade,
)
from lockstep.marketdata.tape import Missed
from lockstep.v1 import market_data_pb2

ACME = 7
INT64 = st.integers(-(2**63), 2**63 - 1)
LEVELS = st.builds(
    Level, st.sampled_from((1, 2)), INT64, INT64, st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
)


def read(raw):
    return market_data_pb2.MarketDataUpdate.FromString(raw)


def rows(levels):
    return [Level(level.side, level.price_ticks, level.quantity_lots, level.orders) for level in levels]


@given(st.lists(LEVELS, max_size=300), st.lists(LEVELS, max_size=8))
def test_levels_are_read_as_they_were_written(bids, asks):
    head = encode_head(3, ACME, L2, seq=12, previous_seq=9)
    book = read(head + encode_book(bids, asks))
    assert (rows(book.snapshot.bids), rows(book.snapshot.asks)) == (bids, asks)
    change = read(head + encode_levels(bids))
    assert rows(change.book.levels) == bids
    for update in (book, change):
        assert (update.stamp.epoch, update.stamp.seq, update.instrument, update.feed) == (3, 12, ACME, L2)
        assert (update.seq, update.previous_seq) == (12, 9)


def test_empty_book_and_empty_change_are_still_said():
    assert read(encode_book((), ())).WhichOneof("update") == "snapshot"
    assert read(encode_levels(())).WhichOneof("update") == "book"


@given(INT64, st.integers(0, 2**64 - 1))
def test_all_other_bodies_are_read_as_they_were_written(number, seq):
    best = read(encode_best(Best(number, 2, 3, 4))).best
    assert (best.bid_price_ticks, best.bid_quantity_lots, best.ask_price_ticks, best.ask_quantity_lots) == (
        number,
        2,
        3,
        4,
    )
    head = encode_head(1, ACME, TRADES, seq=seq, previous_seq=0, event_id=(seq, 5))
    update = read(head + encode_trade(Print(seq, 5, number, 2, 1, 8, 9, 10)) + encode_through(seq))
    trade = update.trade
    assert (trade.event_id.seq, trade.event_id.index, trade.price_ticks, trade.quantity_lots) == (seq, 5, number, 2)
    assert (trade.aggressor, trade.taker_order_id, trade.maker_order_id, trade.timestamp_ns) == (1, 8, 9, 10)
    assert (update.stamp.event_id.seq, update.stamp.event_id.index, update.stamp.epoch) == (seq, 5, 1)
    assert update.trades_through == seq
    missed = read(encode_missed(Missed((seq, 4), seq, "why", 3))).missed
    assert (missed.after.seq, missed.after.index, missed.through_seq) == (seq, 4, seq)
    assert (missed.void_from_seq, missed.text) == (3, "why")


def test_kept_book_is_made_anew_when_it_changed_and_only_then():
    orders = [RestingOrder(number, number % 3, 1, 100 + number, 5) for number in range(30)]
    books = Books(10, orders)
    view = Encodings(books)
    first = {(number, depth): view.book(number, depth) for number in range(3) for depth in (0, 2)}
    made = view.encoded_levels
    assert {key: view.book(*key) for key in first} == first
    assert view.encoded_levels == made
    books.load([RestingOrder(99, 1, 1, 900, 5)])
    view.on_changed([1])
    again = {key: view.book(*key) for key in first}
    assert {key for key in first if again[key] != first[key]} == {(1, 0), (1, 2)}
    assert view.encoded_levels == made + 11 + 2


def test_books_beyond_the_bound_are_not_kept(monkeypatch: pytest.MonkeyPatch):
    books = Books(10, [RestingOrder(number, number, 1, 100, 5) for number in range(4)])
    monkeypatch.setattr(encodings, "MAX_KEPT_BYTES", 2 * len(encode_book(books.levels(0, 0)[0], ())))
    view = Encodings(books)
    for _ in range(2):
        for number in range(4):
            view.book(number, 0)
    # Two are kept, two are made each time.
    assert view.encoded_levels == 4 + 2
    view.on_changed([0])
    view.book(3, 0)
    made = view.encoded_levels
    view.book(3, 0)
    assert view.encoded_levels == made


def test_trades_are_kept_for_the_next_subscriber_within_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encodings, "_MAX_KEPT_TRADES", 3)
    view = Encodings(Books(10))
    trades = [Print(seq, 0, 100 + seq, 1, 1, 5, 6, 0) for seq in range(10)]
    for trade in trades:
        body = view.trade(trade)
        assert body == encode_trade(trade)
        assert view.trade(trade) is body
    assert view.trade(trades[0]) == encode_trade(trades[0])
