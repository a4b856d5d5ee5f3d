"""Books order by order: the engine's at every command, whatever it does, also when they begin with its snapshot."""

import struct

import numpy as np
import pytest
from crc32c import crc32c

from lockstep.engine.implementations import NAMES
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.marketdata.book_checksum import checksum_of
from lockstep.marketdata.market_fold import MarketFold
from lockstep.marketdata.order_books import OrderBooks
from lockstep.stream.records import EventFlag, EventKind, Side
from tests.seeds import seeds

from .flows import INSTRUMENTS, Flow, each_seq, levels_of, queues_of


def levels_in(books, number):
    book = books.book(number)
    return [[(row.price, row.lots, len(row.orders)) for row in book.best(side, 0)] for side in (Side.BUY, Side.SELL)]


def queues_in(books, number):
    book = books.book(number)
    return [
        [(row.price, [(order.order_id, order.shown) for order in row.orders.values()]) for row in book.best(side, 0)]
        for side in (Side.BUY, Side.SELL)
    ]


def checksum_by_hand(engine, number, *, orders=False):
    """Of the engine's own book, by the words of the docs."""
    raw = b""
    for half, queues in zip(levels_of(engine, number, 10), queues_of(engine, number, 10), strict=True):
        for (price, lots, count), (_price, queue) in zip(half, queues, strict=True):
            raw += struct.pack("<qqI", price, lots, count)
            if orders:
                raw += b"".join(struct.pack("<Q", order_id) for order_id, _ in queue)
    return crc32c(raw)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", seeds(4))
def test_books_and_checksums_are_the_engines_after_every_command(name, seed):
    flow = Flow(seed, name)
    books = OrderBooks(0)
    books.apply(flow.first, flow.seq)
    kinds, flags = set(), 0
    for _ in range(260):
        for events in flow.each():
            books.apply(events, flow.seq)
            kinds.update(events["kind"].tolist())
            flags |= int(np.bitwise_or.reduce(events["flags"][events["kind"] < 64], initial=0))
            for number in INSTRUMENTS:
                assert levels_in(books, number) == levels_of(flow.engine, number), (flow.seq, number)
                assert queues_in(books, number) == queues_of(flow.engine, number), (flow.seq, number)
                book = books.book(number)
                assert checksum_of(book) == checksum_by_hand(flow.engine, number)
                assert checksum_of(book, orders=True) == checksum_by_hand(flow.engine, number, orders=True)
    assert {EventKind.TRADE, EventKind.REDUCED, EventKind.TRIGGERED, EventKind.REPLACED} <= kinds
    assert flags == EventFlag.BOOKS | EventFlag.LOST_PRIORITY | EventFlag.AUCTION | EventFlag.WAITS | EventFlag.UNSEEN


@pytest.mark.parametrize("seed", seeds(4))
def test_bursts_of_any_size_give_the_same_books(seed):
    flow = Flow(seed)
    one_by_one, in_bursts = OrderBooks(0), OrderBooks(0)
    one_by_one.apply(flow.first, flow.seq)
    in_bursts.apply(flow.first, flow.seq)
    for _ in range(60):
        several = [flow.next() for _ in range(flow.pick.randint(1, 5))]
        events = np.concatenate(several)
        for part, seq in each_seq(events, flow.seq):
            one_by_one.apply(part, seq)
        in_bursts.apply(events, flow.seq)
        for number in INSTRUMENTS:
            assert queues_in(in_bursts, number) == queues_in(one_by_one, number)
            assert in_bursts.book(number).changed == one_by_one.book(number).changed


@pytest.mark.parametrize("seed", seeds(4))
def test_a_burst_command_by_command_shows_what_each_of_them_did(seed):
    flow = Flow(seed)
    whole, each = OrderBooks(0), OrderBooks(0)
    whole.apply(flow.first, flow.seq)
    each.apply(flow.first, flow.seq)
    for _ in range(60):
        wanted, parts = [], []
        for events in flow.each():
            parts.append(events)
            for book in whole.apply(events, flow.seq):
                wanted.append((flow.seq, book.instrument, checksum_of(book, orders=True)))
        told = []
        for books in each.apply_each(np.concatenate(parts), flow.seq):
            told += [(each.seq, book.instrument, checksum_of(book, orders=True)) for book in books]
        assert told == wanted
        assert each.seq == flow.seq


@pytest.mark.parametrize("seed", seeds(6, quick=2))
def test_books_that_begin_with_a_snapshot_go_on_as_if_they_had_always_been_there(seed):
    flow = Flow(seed)
    for _ in range(8):
        for _ in range(20):
            flow.next()
        image = decode_snapshot(flow.engine.snapshot())
        fold = MarketFold(image.last_seq, image, epoch=1)
        assert [queues_in(fold.books, number) for number in INSTRUMENTS] == [
            queues_of(flow.engine, number) for number in INSTRUMENTS
        ]
        for _ in range(25):
            fold.apply(flow.next(), flow.seq)
            for number in INSTRUMENTS:
                assert queues_in(fold.books, number) == queues_of(flow.engine, number)


def test_what_was_applied_before_is_passed_over():
    flow = Flow(1)
    books = OrderBooks(0)
    before = flow.next()
    books.apply(flow.first, 0 + len(flow.first))
    books.apply(before, flow.seq)
    expected = [queues_in(books, number) for number in INSTRUMENTS]
    assert books.apply(before, flow.seq) == []
    assert [queues_in(books, number) for number in INSTRUMENTS] == expected


def test_nothing_is_left_of_orders_that_ended():
    flow = Flow(3)
    books = OrderBooks(0)
    books.apply(flow.first, flow.seq)
    for _ in range(300):
        books.apply(flow.next(), flow.seq)
    resting = {row.order_id for row in decode_snapshot(flow.engine.snapshot()).orders if row.place == 0}
    assert set(books._orders) == resting
    assert len(books) == len(resting)


def test_what_is_known_of_the_past_is_bounded_and_says_where_it_begins(monkeypatch):
    monkeypatch.setattr("lockstep.marketdata.order_books.MAX_TOUCHED", 20)
    monkeypatch.setattr("lockstep.marketdata.order_books._SURPLUS", 5)
    flow = Flow(2)
    books = OrderBooks(0)
    books.apply(flow.first, flow.seq)
    for _ in range(300):
        books.apply(flow.next(), flow.seq)
        for number in INSTRUMENTS:
            book = books.book(number)
            for touched in (book.levels_touched, book.orders_touched):
                assert len(touched) <= 25
                assert list(touched.values()) == sorted(touched.values())
    assert min(books.book(number).floor for number in INSTRUMENTS) > 0
