"""Books are loaded and delivered in turns that leave room for orders, and nothing that comes meanwhile is left out."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from lockstep.engine.pages import INSTRUMENT_COLUMNS, MAX_ROWS, order_rows
from lockstep.engine.snapshot_format import OrderRow, encode_order
from lockstep.marketdata import market_hub
from lockstep.marketdata.books import Books
from lockstep.marketdata.encodings import L2, TRADES, Encodings
from lockstep.marketdata.market import MOST_IN_TURN, Subscription
from lockstep.marketdata.market_hub import MarketHub, resting_orders
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.stream.records import EVENT, EventFlag, EventKind
from lockstep.v1 import common_pb2, market_data_pb2, replication_pb2

INSTRUMENTS, LEVELS, SEQ, EPOCH = 60, 100, 1_000_000, 5


def order_row(order_id, instrument, side, price, **fields):
    row = dict.fromkeys(OrderRow._fields, 0) | {
        "order_id": order_id, "instrument": instrument, "side": side, "price_ticks": price,
        "quantity_lots": 5, "leaves_lots": 5,
    }  # fmt: skip
    return OrderRow(**{**row, **fields})


class Engines:
    """Lists its orders in pages when `allowed` is set, each `rise` seqs later than the page before."""

    def __init__(self):
        self.orders = [
            order_row(number * 1000 + level, number, 1, 10_000 - level)
            for number in range(1, INSTRUMENTS + 1)
            for level in range(LEVELS)
        ]
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.loads = 0
        self.seq = SEQ
        self.rise = 0
        self.last_bytes = None
        self.asked = asyncio.Event()

    async def page(self, request, *, min_epoch, min_seq, standby):
        assert (min_epoch, standby) == (EPOCH, True)
        self.seq = max(self.seq, min_seq)
        reply = replication_pb2.QueryReply(stamp=common_pb2.Stamp(seq=self.seq))
        if request.WhichOneof("query") == "instruments_after":
            rows = np.zeros(20, dtype=INSTRUMENT_COLUMNS)
            rows["instrument"] = np.arange(request.instruments_after + 1, request.instruments_after + 21)
            reply.instrument_rows = rows[rows["instrument"] <= INSTRUMENTS].tobytes()
            reply.next.account = int(rows["instrument"][-1])
            reply.more = reply.next.account < INSTRUMENTS
            return reply
        begin = request.all_orders.order_id
        self.loads += not begin
        self.asked.set()
        await self.allowed.wait()
        page = self.orders[begin : begin + MAX_ROWS]
        reply.order_rows = b"".join(map(encode_order, page))[: self.last_bytes]
        reply.next.order_id = begin + len(page)
        reply.more = reply.next.order_id < len(self.orders)
        self.seq += self.rise
        return reply


def hub_of(engines):
    return MarketHub(engines, lambda: SEQ, lambda: EPOCH)


def accepted(seq, instrument, price):
    row = np.zeros(1, dtype=EVENT)
    row["kind"], row["flags"], row["side"] = EventKind.ACCEPTED, EventFlag.BOOKS, 1
    row["seq"], row["order_id"], row["instrument"], row["price_ticks"] = seq, seq, instrument, price
    row["quantity_lots"] = row["leaves_lots"] = 1
    return row


class Client:
    """Reads all that its subscription receives."""

    def __init__(self, hub, feeds=(L2,)):
        self.hub = hub
        self.subscription = Subscription((), feeds, 0)
        self.bids = {}
        self.updates = []
        self.turns = []

    async def read(self):
        await self.hub.subscribe(self.subscription, ())
        await self.take()

    async def take(self):
        while self.subscription.waiting:
            messages = await self.hub.take(self.subscription, 1)
            self.turns.append(len(messages))
            for message in messages:
                update = market_data_pb2.MarketDataUpdate.FromString(message)
                self.updates.append(update)
                for level in (*update.snapshot.bids, *update.book.levels):
                    self.bids[update.instrument, level.price_ticks] = level.quantity_lots


def run(body):
    async def main():
        return await asyncio.wait_for(body(), 30)

    return asyncio.run(main())


async def spin(turns, look):
    """Another task of the same loop: what there is to see at each of its turns."""
    while True:
        turns.append(look())
        await asyncio.sleep(0)


def test_loop_gets_its_turn_while_books_are_loaded_and_told(monkeypatch: pytest.MonkeyPatch):
    loaded, made = [0], [0]
    load, encode = Books.load, Encodings.book

    def count_orders(books, orders, as_of=0):
        rows = list(orders)
        loaded[0] += len(rows)
        load(books, rows, as_of)

    def count_levels(view, instrument, depth):
        before = view.encoded_levels
        body = encode(view, instrument, depth)
        made[0] += view.encoded_levels - before
        return body

    monkeypatch.setattr(Books, "load", count_orders)
    monkeypatch.setattr(Encodings, "book", count_levels)

    async def body():
        hub = hub_of(Engines())
        client = Client(hub)
        turns: list[tuple[int, int]] = []
        other = asyncio.ensure_future(spin(turns, lambda: (loaded[0], made[0])))
        await client.read()
        other.cancel()
        return client, turns

    client, turns = run(body)
    assert len(client.bids) == INSTRUMENTS * LEVELS == loaded[0] == made[0]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(turns)]
    assert max(orders for orders, _ in steps) <= MAX_ROWS
    assert max(levels for _, levels in steps) <= MOST_IN_TURN + LEVELS


def test_many_subscribers_at_once_share_one_load_and_one_encoding():
    async def body():
        hub = hub_of(engines := Engines())
        clients = [Client(hub) for _ in range(5)]
        await asyncio.gather(*(client.read() for client in clients))
        return engines, hub, clients

    engines, hub, clients = run(body)
    assert engines.loads == 1
    assert hub.view.encoded_levels == INSTRUMENTS * LEVELS
    assert all(len(client.bids) == INSTRUMENTS * LEVELS for client in clients)


def test_what_comes_while_books_are_loaded_and_told_is_in_them():
    async def body():
        engines = Engines()
        engines.allowed.clear()
        hub = hub_of(engines)
        client = Client(hub)
        reading = asyncio.ensure_future(client.read())
        await engines.asked.wait()
        seq = SEQ
        expected = set()
        while not reading.done():
            seq += 1
            # Each page has what was accepted before it as well; the event comes once more, later.
            engines.seq = seq
            row = order_row(seq, seq % INSTRUMENTS + 1, 1, 30_000 + seq - SEQ)
            engines.orders.append(row._replace(quantity_lots=1, leaves_lots=1))
            expected.add((row.instrument, row.price_ticks))
            engines.allowed.set()
            await asyncio.sleep(0.002)
            hub.on_events(accepted(seq, row.instrument, row.price_ticks), seq)
        await client.take()
        return hub, client, expected, seq

    hub, client, expected, seq = run(body)
    assert hub.books.seq == seq
    assert {key for key in client.bids if key[1] > 10_000} == expected
    assert {client.bids[key] for key in expected} == {1}
    assert len(client.bids) == INSTRUMENTS * LEVELS + len(expected)


def test_books_are_not_told_before_what_the_last_page_was_of_is_delivered():
    async def body():
        engines = Engines()
        engines.rise = 1
        hub = hub_of(engines)
        client = Client(hub)
        reading = asyncio.ensure_future(client.read())
        pages = INSTRUMENTS * LEVELS // MAX_ROWS
        for seq in range(SEQ + 1, SEQ + pages):
            await asyncio.sleep(0.02)
            assert not reading.done()
            hub.on_events(accepted(seq, 1, 40_000), seq)
        await reading
        return hub, SEQ + pages - 1

    hub, last_seq = run(body)
    assert hub.books.seq == last_seq


def test_more_than_can_be_kept_while_books_are_loaded_makes_the_load_fail_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(market_hub, "_MAX_BUFFERED_EVENTS", 5)

    async def body():
        engines = Engines()
        engines.allowed.clear()
        hub = hub_of(engines)
        reading = asyncio.ensure_future(Client(hub).read())
        await engines.asked.wait()
        for seq in range(SEQ + 1, SEQ + 8):
            hub.on_events(accepted(seq, 1, 40_000), seq)
        engines.allowed.set()
        with pytest.raises(EnginesUnavailable, match="too many events came"):
            await reading
        assert hub.view is None
        again = Client(hub)
        await again.read()
        return again

    assert len(run(body).bids) == INSTRUMENTS * LEVELS


def test_page_that_cannot_be_read_is_the_engines_fault_and_not_the_gateways_end():
    async def body():
        engines = Engines()
        engines.last_bytes = -1
        with pytest.raises(EnginesUnavailable, match="can't be read"):
            await Client(hub_of(engines)).read()

    run(body)


def test_tape_begins_at_the_moment_of_the_subscription():
    async def body():
        hub = hub_of(Engines())
        await Client(hub).read()
        client = Client(hub, (TRADES,))
        for seq in range(SEQ + 1, SEQ + 6):
            if seq == SEQ + 3:
                await client.read()
            row = accepted(seq, 7, 100)
            row["kind"] = EventKind.TRADE
            row["maker_order_id"] = 7 * 1000 + seq - SEQ
            row["maker_leaves_lots"], row["order_id"], row["leaves_lots"] = 4, seq, 0
            hub.on_events(row, seq)
        await client.take()
        return client

    client = run(body)
    assert [update.seq for update in client.updates if update.HasField("trade")] == [SEQ + 3, SEQ + 4, SEQ + 5]
    assert {update.seq for update in client.updates if update.HasField("snapshot")} == {SEQ + 2}


def test_only_what_rests_or_waits_for_the_close_is_loaded():
    rows = b"".join(encode_order(order_row(place + 1, 1, 1, 100, place=place)) for place in range(3))
    found = list(resting_orders(order_rows(rows)))
    assert [(order.order_id, order.at_close) for order in found] == [(1, False), (3, True)]
