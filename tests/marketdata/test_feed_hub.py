"""What readers of a feed have is what the feed has: at any depth and pace, however slow, wherever they come from."""

import random
from typing import Any

import numpy as np
import pytest

from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.enums import Feed
from lockstep.feed_book import FeedState
from lockstep.feed_machine import FeedMachine
from lockstep.marketdata import feed_hub
from lockstep.marketdata.feed_hub import FeedHub
from lockstep.marketdata.feed_sources import FEEDS, L1, L2, L3, TRADES
from lockstep.marketdata.feed_subscriptions import FeedRefused, Wanted, wanted_of
from lockstep.marketdata.market_fold import MarketFold
from lockstep.marketdata.trade_tape import prints_of
from lockstep.stream.codes import Code
from lockstep.stream.records import Side
from lockstep.v1 import feed_pb2

from .flows import INSTRUMENTS, Flow, levels_of, queues_of

MS = 1_000_000


class Client:
    """A reader of one feed of all instruments, with the machine of the package."""

    numbers = 0

    def __init__(self, hub, feed, parameter=0, interval_ms=100):
        self.machine = FeedMachine(Feed(feed), parameter if feed == L2 else 0)
        self.feed, self.parameter, self.interval_ms = feed, parameter, interval_ms
        self.items, self.frames = [], 0
        self.connect(hub)

    def connect(self, hub):
        Client.numbers += 1
        self.number = Client.numbers
        hub.enter(self.number)
        recover = {one.instrument: (one.epoch, one.seq) for one in self.machine.positions()}
        hub.subscribe(self.number, Wanted((), self.feed, self.parameter, self.interval_ms, recover))

    def take(self, raw):
        self.frames += 1
        self.items += self.machine.on_frame(feed_pb2.FeedFrame.FromString(raw))

    def check(self, engine):
        for number in INSTRUMENTS:
            book = self.machine.books[number]
            assert book.state is FeedState.LIVE
            depth = {L1: 1, L2: self.parameter, L3: 0}[self.feed]
            shown = [
                [(row.price_ticks, row.quantity_lots, row.orders) for row in half]
                for half in (book.bids(), book.asks())
            ]
            assert shown == [half[: depth or None] for half in levels_of(engine, number)], (self.feed, depth)
            if self.feed == L3:
                sides = ((Side.BUY, book.bids()), (Side.SELL, book.asks()))
                assert [[queue_in(book, side, row) for row in half] for side, half in sides] == queues_of(
                    engine, number
                )


def queue_in(book, side, level):
    orders = book.orders(side, level.price_ticks)
    return level.price_ticks, [(order.order_id, order.quantity_lots) for order in orders]


def deliver(hub, clients):
    by_number = {client.number: client for client in clients}
    for number, frame in hub.take_frames():
        by_number[number].take(frame)


def begin(flow):
    hub = FeedHub(MarketFold())
    hub.epoch = 1
    hub.on_events(flow.first, flow.seq)
    return hub


KINDS = [(L1, 0), (L2, 0), (L2, 1), (L2, 5), (L2, 10), (L3, 0)]


@pytest.mark.parametrize("interval_ms", [0, 10, 100])
@pytest.mark.parametrize("seed", range(3))
def test_books_of_every_kind_are_the_engines_whenever_they_were_told(seed, interval_ms):
    flow = Flow(seed)
    hub = begin(flow)
    clients = [Client(hub, feed, parameter, interval_ms) for feed, parameter in KINDS]
    now_ns = 0
    for turn in range(150):
        hub.on_events(flow.next(), flow.seq)
        deliver(hub, clients)
        if flow.pick.random() < 0.4:
            now_ns += 100 * MS
            hub.on_time(now_ns)
            deliver(hub, clients)
            for client in clients:
                client.check(flow.engine)
        if turn % 30 == 29:
            # In the middle of an interval, others join.
            clients += [Client(hub, feed, parameter, interval_ms) for feed, parameter in KINDS]
    assert all(not client.machine.checksum_errors and not client.machine.gaps for client in clients)


@pytest.mark.parametrize("seed", range(3))
def test_who_wants_every_command_gets_one_update_for_each_that_changed_the_book(seed):
    flow = Flow(seed)
    hub = begin(flow)
    books = {number: levels_of(flow.engine, number) for number in INSTRUMENTS}
    client = Client(hub, L2, 0, 0)
    deliver(hub, [client])
    told = []
    for _ in range(100):
        expected = []
        parts = []
        for events in flow.each():
            parts.append(events)
            for number in INSTRUMENTS:
                now = levels_of(flow.engine, number)
                if now != books[number]:
                    books[number] = now
                    expected.append((number, flow.seq))
        hub.on_events(np.concatenate(parts), flow.seq)
        for number, frame in hub.take_frames():
            assert number == client.number
            read = feed_pb2.FeedFrame.FromString(frame)
            told += [(update.instrument, update.last_seq) for update in read.updates]
            client.take(frame)
        # A command may have moved something and put it back.
        assert set(expected) <= set(told)
        client.check(flow.engine)
    assert len(told) == len(set(told))


@pytest.mark.parametrize("seed", range(3))
def test_updates_are_made_once_for_all_who_follow_alike(seed):
    flow = Flow(seed)
    hub = begin(flow)
    clients = [Client(hub, L2, 5) for _ in range(50)]
    deliver(hub, clients)
    frames = []
    for turn in range(1, 30):
        hub.on_events(flow.next(), flow.seq)
        hub.on_time(turn * 100 * MS)
        frames.append({id(frame) for _, frame in hub.take_frames()})
    assert all(len(different) <= 1 for different in frames)
    assert any(frames)
    assert hub.counts.deliveries >= 50 * hub.counts.updates
    assert hub.snapshots.made <= len(INSTRUMENTS)


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_reader_costs_no_queue_and_is_right_when_it_reads_again(seed):
    flow = Flow(seed)
    hub = begin(flow)
    pick = random.Random(seed)
    clients = [Client(hub, feed, parameter) for feed, parameter in KINDS] + [Client(hub, TRADES)]
    deliver(hub, clients)
    trades, now_ns = [], 0
    for _ in range(60):
        slow = pick.sample(clients, 3)
        for client in slow:
            hub.on_blocked(client.number, now_ns)
        for _ in range(pick.randint(1, 12)):
            events = flow.next()
            trades += [(row.instrument, row.seq, row.number) for row in prints_of(events)]
            hub.on_events(events, flow.seq)
            now_ns += 100 * MS
            hub.on_time(now_ns)
            assert all(hub.readers[client.number].bytes == 0 for client in slow)
            deliver(hub, [client for client in clients if client not in slow])
        for client in slow:
            hub.on_ready(client.number)
        deliver(hub, clients)
        for client in clients[:-1]:
            client.check(flow.engine)
    told = [(item.instrument, item.seq, item.index) for item in clients[-1].items]
    assert sorted(told) == sorted(trades)
    assert all(not client.machine.gaps for client in clients)


def test_who_takes_nothing_for_too_long_is_named():
    flow = Flow(1)
    hub = begin(flow)
    clients = [Client(hub, L1), Client(hub, L1)]
    hub.on_blocked(clients[0].number, 5)
    assert hub.slow(5 + feed_hub.SLOW_NS) == []
    assert hub.slow(6 + feed_hub.SLOW_NS) == [clients[0].number]


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_goes_on_at_another_feed_without_a_snapshot(seed):
    """Two feeds of the same events in bursts of their own; their readers change over all the time."""
    flow = Flow(seed)
    hubs = [begin(flow), begin(flow)]
    waiting: list[list] = [[], []]
    clients = [Client(hubs[0], feed, parameter) for feed, parameter in KINDS] + [Client(hubs[0], TRADES)]
    trades, at, now_ns = [], 0, 0
    deliver(hubs[0], clients)
    for _ in range(80):
        events = flow.next()
        trades += [(row.instrument, row.seq, row.number) for row in prints_of(events)]
        now_ns += 100 * MS
        for number, hub in enumerate(hubs):
            waiting[number].append(events)
            if flow.pick.random() < 0.6:
                hub.on_events(np.concatenate(waiting[number]), flow.seq)
                waiting[number].clear()
                hub.on_time(now_ns)
        deliver(hubs[at], clients)
        hubs[1 - at].take_frames()
        if flow.pick.random() < 0.3:
            for client in clients:
                hubs[at].leave(client.number)
                client.machine.on_broken()
                assert client.machine.state is FeedState.RECOVERING
            at = 1 - at
            for client in clients:
                client.connect(hubs[at])
            deliver(hubs[at], clients)
    last = flow.next()
    for hub, late in zip(hubs, waiting, strict=True):
        hub.on_events(np.concatenate([*late, last]), flow.seq)
        hub.on_time(now_ns + 1000 * MS)
    deliver(hubs[at], clients)
    for client in clients[:-1]:
        client.check(flow.engine)
        assert client.machine.recovered
        assert not client.machine.restarted
    told = [(item.instrument, item.seq, item.index) for item in clients[-1].items]
    assert [one for one in sorted(told) if one[1] <= trades[-1][1]] == sorted(trades)


def test_what_was_told_of_another_history_is_not_continued():
    flow = Flow(2)
    hub = begin(flow)
    hub.fold._epochs.append((flow.seq + 1, 3))
    hub.epoch = 3
    client = Client(hub, L2)
    client.machine._streams.clear()
    deliver(hub, [client])
    for number in INSTRUMENTS:
        assert client.machine._streams[number].live
    # Told under epoch 2 up to a seq that epoch 3 began before.
    client.machine._streams[INSTRUMENTS[0]].epoch = 2
    client.machine._streams[INSTRUMENTS[0]].seq = flow.seq + 1
    hub.on_events(flow.next(), flow.seq)
    hub.leave(client.number)
    client.machine.on_broken()
    client.connect(hub)
    deliver(hub, [client])
    assert client.machine.restarted == 1


@pytest.mark.parametrize(("epoch", "seq"), [(1, 10**9), (99, 5), (99, 10**9)])
def test_a_position_to_which_no_feed_has_come_is_answered_in_bounded_time(epoch, seq):
    flow = Flow(2)
    hub = begin(flow)
    hub.on_events(flow.next(), flow.seq)
    client = Client(hub, L2)
    deliver(hub, [client])
    hub.leave(client.number)
    client.machine.on_broken()
    for number in INSTRUMENTS:
        client.machine._streams[number].epoch, client.machine._streams[number].seq = epoch, seq
    client.connect(hub)
    hub.on_time(1)
    deliver(hub, [client])
    assert (client.machine.recovered, client.machine.restarted) == (0, 0), "another feed may be further"
    hub.on_time(1 + feed_hub.RECOVER_NS)
    deliver(hub, [client])
    assert (client.machine.recovered, client.machine.restarted) == (0, len(INSTRUMENTS))


def test_a_reader_from_a_feed_that_has_heard_of_a_later_epoch_goes_on_as_soon_as_this_one_has():
    flow = Flow(2)
    hub = begin(flow)
    hub.on_events(flow.next(), flow.seq)
    client = Client(hub, L2)
    deliver(hub, [client])
    hub.leave(client.number)
    client.machine.on_broken()
    for number in INSTRUMENTS:
        client.machine._streams[number].epoch = 2
    client.connect(hub)
    hub.on_time(1)
    deliver(hub, [client])
    assert client.machine.recovered == 0
    hub.epoch = 2
    hub.on_time(2)
    deliver(hub, [client])
    assert (client.machine.recovered, client.machine.restarted) == (len(INSTRUMENTS), 0)


def test_a_feed_that_began_later_says_that_it_does_not_know():
    flow = Flow(4)
    hub = begin(flow)
    client = Client(hub, L2)
    deliver(hub, [client])
    for _ in range(30):
        hub.on_events(flow.next(), flow.seq)
    image = decode_snapshot(flow.engine.snapshot())
    late = FeedHub(MarketFold(image.last_seq, image, 1))
    late.epoch = 1
    client.machine.on_broken()
    client.connect(late)
    deliver(late, [client])
    client.check(flow.engine)
    assert (client.machine.recovered, client.machine.restarted) == (0, len(INSTRUMENTS))


def test_readers_are_served_in_turns():
    flow = Flow(5)
    hub = begin(flow)
    clients = [Client(hub, L1) for _ in range(20)]
    firsts = set()
    for turn in range(60):
        hub.on_events(flow.next(), flow.seq)
        hub.on_time(turn * 100 * MS)
        frames = hub.take_frames()
        if len(frames) == len(clients):
            firsts.add(frames[0][0])
    assert len(firsts) > 5


def test_a_feed_keeps_nothing_of_readers_that_left():
    flow = Flow(6)
    hub = begin(flow)
    clients = [Client(hub, feed, 60 if feed == 5 else 0, interval_ms) for feed in FEEDS for interval_ms in (0, 10)]
    hub.on_events(flow.next(), flow.seq)
    hub.take_frames()
    for client in clients:
        hub.leave(client.number)
    assert not hub.readers
    assert not hub.streams
    assert not any(due.streams for due in hub._due.values())
    assert not hub._immediate


def test_bounds_and_wrong_words_are_refused_with_a_reason(monkeypatch):
    flow = Flow(7)
    hub = begin(flow)
    monkeypatch.setattr(feed_hub, "MAX_READERS", 1)
    monkeypatch.setattr(feed_hub, "MAX_STREAMS", 2)
    client = Client(hub, L1)
    with pytest.raises(FeedRefused, match="readers are connected") as full:
        hub.enter(999)
    assert full.value.code is Code.BUSY
    with pytest.raises(FeedRefused, match="streams at the most"):
        hub.subscribe(client.number, Wanted((), L2))
    with pytest.raises(FeedRefused, match="unknown instruments"):
        hub.subscribe(client.number, Wanted((99,), L1))
    for wrong in (
        asked(99),
        asked(L1, depth=5),
        asked(L2, depth=7),
        asked(L2, interval_ms=50),
        asked(5),
        asked(5, candle_s=7),
        asked(L1, candle_s=60),
    ):
        with pytest.raises(FeedRefused):
            wanted_of(wrong)
    assert wanted_of(asked(L2, depth=10)).interval_ms == 100


def asked(feed: Any, **fields: Any) -> feed_pb2.Subscription:
    return feed_pb2.Subscription(feed=feed, **fields)
