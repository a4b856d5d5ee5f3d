"""A line through a bad network: every update, once, in order, whatever gets lost and whichever feed dies."""

import random

import numpy as np
import pytest

from lockstep.feed_book import FeedState
from lockstep.line_machine import PATIENCE_NS, SILENCE_NS, Again, Join, LineMachine
from lockstep.marketdata import feed_line
from lockstep.marketdata.feed_hub import FeedHub
from lockstep.marketdata.feed_line import DATAGRAM_BYTES, FeedLine, span_of
from lockstep.marketdata.feed_sources import INSTRUMENTS as INSTRUMENT_FEED
from lockstep.marketdata.feed_sources import L2, TRADES
from lockstep.marketdata.feed_subscriptions import Wanted
from lockstep.marketdata.market_fold import MarketFold
from lockstep.v1 import feed_pb2

from .flows import INSTRUMENTS, Flow, each_seq, levels_of

MS = 1_000_000


class Feed:
    """A feed's hub with its line, and a reader of each stream of the line at interval 0, as over a WebSocket."""

    def __init__(self):
        self.hub = FeedHub(MarketFold())
        self.hub.epoch = 1
        self.hub.open_line()
        self.hub.enter(1)
        for feed in (L2, TRADES, INSTRUMENT_FEED):
            self.hub.subscribe(1, Wanted((), feed, 0, 0))
        self.read: list[feed_pb2.FeedUpdate] = []

    @property
    def line(self):
        return self.hub.line

    def take(self, events, seq, now_ns):
        self.hub.on_events(events, seq)
        for _number, raw in self.hub.take_frames():
            self.read += feed_pb2.FeedFrame.FromString(raw).updates
        return self.line.send(seq, self.hub.epoch, now_ns)

    def answer(self, todo):
        line, frame = self.line, feed_pb2.FeedFrame.FromString
        if isinstance(todo, Join):
            return [frame(raw) for raw in self.hub.line_snapshots()]
        again = line.again(todo.after_seq, todo.through_seq, self.hub.epoch)
        return None if again is None else [frame(raw) for raw in again]


def without_chain(update):
    """What an update says, apart from what the stream had said before it."""
    copy = feed_pb2.FeedUpdate()
    copy.CopyFrom(update)
    copy.ClearField("previous_last_seq")
    copy.ClearField("first_seq")
    return copy.SerializeToString(deterministic=True)


def ask(machine, feeds, now_ns, found):
    todo = machine.todo(now_ns)
    if todo is None:
        return
    for feed in feeds:
        frames = feed.answer(todo)
        if frames is None:
            continue
        if isinstance(todo, Join):
            machine.on_joined(frames, now_ns)
            return
        for frame in frames:
            found += machine.on_answer(frame, now_ns)
        return
    machine.on_gone()


def expect_books(machine, flow):
    for number in INSTRUMENTS:
        book = machine.book(number)
        halves = book.bids(), book.asks()
        shown = [[(row.price_ticks, row.quantity_lots, row.orders) for row in half] for half in halves]
        assert shown == levels_of(flow.engine, number)


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_what_arrives_is_what_a_websocket_has_however_much_is_lost(seed, loss):
    """Two feeds get the events in bursts of their own and cut datagrams as they like; then one of them dies."""
    flow, dice = Flow(seed), random.Random(seed)
    feeds = [Feed(), Feed()]
    machine, now_ns = LineMachine(), 1
    found: list[feed_pb2.FeedUpdate] = []
    backlog: list[list] = [[], []]
    for feed in feeds:
        feed.take(flow.first, flow.seq, now_ns)
    ask(machine, feeds, now_ns, found)
    assert machine.state is FeedState.LIVE
    joined = machine.seq
    for turn in range(160):
        events = flow.next()
        for waiting in backlog:
            waiting += each_seq(events, flow.seq)
        dead = turn > 80
        for number, feed in enumerate(feeds):
            if number == 1 and dead:
                continue
            while backlog[number]:
                size = dice.randint(1, len(backlog[number]))
                burst, backlog[number] = backlog[number][:size], backlog[number][size:]
                datagrams = feed.take(np.concatenate([part for part, _ in burst]), burst[-1][1], now_ns)
                for raw in datagrams:
                    assert len(raw) <= DATAGRAM_BYTES
                    if dice.random() >= loss:
                        found += machine.on_frame(feed_pb2.FeedFrame.FromString(raw), now_ns, size=len(raw))
                if dice.random() < 0.3:
                    break
        now_ns += MS
        if dice.random() < 0.5:
            ask(machine, feeds[:1] if dead else dice.sample(feeds, 2), now_ns, found)
    now_ns += 1000 * MS
    if backlog[0]:
        feeds[0].take(np.concatenate([part for part, _ in backlog[0]]), flow.seq, now_ns - MS * 500)
    for raw in feeds[0].line.on_time(flow.seq, 1, now_ns):
        found += machine.on_frame(feed_pb2.FeedFrame.FromString(raw), now_ns, size=len(raw))
    for _ in range(100):
        # One gap after the other.
        now_ns += PATIENCE_NS + 1
        ask(machine, feeds[:1], now_ns, found)
    assert (machine.state, machine.seq, machine.restarted) == (FeedState.LIVE, flow.seq, 0)
    wanted = [one for one in feeds[0].read if one.last_seq > joined]
    assert sorted(map(without_chain, found)) == sorted(map(without_chain, wanted))
    assert [one.last_seq for one in found] == sorted(one.last_seq for one in found)
    expect_books(machine, flow)
    assert machine.checksum_errors == 0
    # Of a hundredth, nothing may be lost.
    assert loss == 0.01 or (machine.gaps if loss else machine.repeats)


def test_an_instrument_that_is_new_begins_with_an_empty_book():
    flow, feed = Flow(1), Feed()
    machine = LineMachine()
    machine.on_joined(feed.answer(Join()), 1)
    assert not machine.books
    for raw in feed.take(flow.first, flow.seq, 1):
        machine.on_frame(feed_pb2.FeedFrame.FromString(raw), 1)
    ask(machine, [feed], 1 + PATIENCE_NS, [])
    assert set(machine.books) >= set(INSTRUMENTS)
    assert {one.definition.symbol for one in machine.definitions()} == {
        feed.hub.fold.statuses.definitions[number].symbol for number in machine.books
    }


def test_what_is_too_long_for_a_datagram_is_fetched():
    line = FeedLine(0)
    line.put(1, b"\x0a\x02\x10\x02")
    line.put(2, b"\x0a" + bytes([0xFA, 0x0F]) + b"\x9a\x01" + b"\xf6\x0f" + bytes(2_038))
    first, second = line.send(2, 1, 5)
    assert first.endswith(span_of(1, 0, 1))
    assert second == span_of(1, 1, 2, fetch=True)
    assert line.too_long == 1
    (again,) = line.again(1, 2, 3) or [b""]
    assert again.endswith(span_of(3, 1, 2))
    assert len(again) > 2_000


def test_what_was_sent_is_kept_for_a_minute_and_within_its_bytes(monkeypatch):
    monkeypatch.setattr(feed_line, "KEPT_BYTES", 50_000)
    line = FeedLine(0)
    for seq in range(1, 1_001):
        line.put(seq, b"\x0a\x02\x10\x02" * 10)
        line.send(seq, 1, seq * MS)
        assert line.kept_bytes <= 50_000 + 300
    assert line.again(0, 0, 1) is None
    assert line.again(line.oldest_seq - 1, 0, 1) is None
    assert (line.again(line.oldest_seq, 0, 1) or [b""])[-1].endswith(span_of(1, line.oldest_seq, 1_000))
    line.on_time(1_001, 1, feed_line.KEPT_NS + 1_001 * MS)
    assert line.oldest_seq == 1_000
    # From where it is nothing follows, and that is said.
    assert line.again(1_001, 0, 7) == [span_of(7, 1_001, 1_001)]


def frame(previous, seq, *, epoch=1):
    return feed_pb2.FeedFrame.FromString(span_of(epoch, previous, seq))


def test_a_gap_is_asked_for_after_a_moment_and_closes_by_the_other_feed():
    machine = LineMachine()
    machine.on_joined([frame(0, 10)], 1)
    machine.on_frame(frame(12, 14), 100)
    assert machine.state is FeedState.RECOVERING
    assert machine.todo(100 + PATIENCE_NS - 1) is None
    machine.on_frame(frame(10, 13), 200)
    assert (machine.state, machine.seq, machine.gaps) == (FeedState.LIVE, 14, 0)
    machine.on_frame(frame(16, 18), 300)
    assert machine.todo(300 + PATIENCE_NS) == Again(14, 16, 1)


def test_a_higher_epoch_is_taken_only_when_the_position_is_of_its_history():
    machine = LineMachine()
    machine.on_joined([frame(0, 10)], 1)
    machine.on_frame(frame(10, 12, epoch=2), 100)
    assert (machine.seq, machine.todo(100)) == (10, Again(10, 0, 1))
    machine.on_answer(frame(10, 12, epoch=2), 110)
    assert (machine.seq, machine.epoch, machine.state) == (12, 2, FeedState.LIVE)
    machine.on_frame(frame(12, 13, epoch=1), 120)
    assert (machine.seq, machine.stale) == (12, 1)


def test_silence_is_a_gap():
    machine = LineMachine()
    machine.on_joined([frame(0, 10)], 1)
    assert machine.todo(SILENCE_NS) is None
    assert machine.todo(1 + SILENCE_NS) == Again(10, 0, 1)
    silent = machine.state
    machine.on_answer(frame(10, 10), 2 + SILENCE_NS)
    assert (silent, machine.state) == (FeedState.RECOVERING, FeedState.LIVE)
