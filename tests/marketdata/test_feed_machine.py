"""A feed's life: it begins where it can, follows without a gap, and serves nobody before it has caught up."""

import pytest

from lockstep.engine.implementations import implementation
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.marketdata import feed_beginning
from lockstep.marketdata.feed_beginning import BEGINNINGS, FeedBeginning, Learnt, Start, State
from lockstep.marketdata.feed_events import (
    Blocked,
    Came,
    Fetched,
    NotFetched,
    Pinged,
    ReaderEntered,
    ReaderLeft,
    Ready,
    Said,
    Started,
    Subscribed,
    Ticked,
    Unsubscribed,
)
from lockstep.marketdata.feed_sources import L1
from lockstep.marketdata.feed_subscriptions import Wanted
from lockstep.marketdata.machine import FeedMachine
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.runtime.inquiry import Fault, NoAnswer
from lockstep.runtime.snapshot_reader import Snapshot, SnapshotUnreadable, read_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Release
from lockstep.v1 import common_pb2, feed_pb2, replication_pb2

from .flows import Flow

MS = 1_000_000


def reply(epoch, seq):
    return replication_pb2.QueryReply(stamp=common_pb2.Stamp(epoch=epoch, seq=seq))


def beginning(**words):
    return FeedBeginning(lambda: [2, 1], **words)


def in_state(state):
    life = beginning(begin_is_gone=True)
    if state is not State.PAUSE:
        life.on_time()
    if state is State.FETCH:
        life.on_end(reply(1, 5), 0)
    return life


@pytest.mark.parametrize(("state", "learnt"), BEGINNINGS, ids=lambda part: part.name)
def test_every_row_of_the_table_is_brought_about(state, learnt):
    life = in_state(state)
    assert life.state is state
    match learnt:
        case Learnt.TIME:
            assert life.on_time().ask is not None
        case Learnt.NO_ANSWER:
            assert life.on_end(NoAnswer(Fault.UNAVAILABLE, "down"), 7).deadline_ns == 7 + feed_beginning.PAUSE_NS
        case Learnt.SHORT:
            life = beginning()
            life.on_time()
            assert life.on_end(reply(3, 5), 0).start == Start(5, 3)
        case Learnt.LONG:
            assert life.on_end(reply(3, 5), 0).fetch == (2, 1)
        case Learnt.SNAPSHOT:
            assert life.on_snapshot(None, 0).start == Start(5, 1)
        case Learnt.UNREADABLE:
            assert life.on_snapshot("damaged", 7).deadline_ns
            assert life.said == "damaged"
    assert life.state is BEGINNINGS[state, learnt]


def test_engines_without_a_history_or_with_an_older_one_than_was_told_are_waited_for():
    life = beginning(least_epoch=4)
    for epoch in (0, 3):
        life.on_time()
        assert life.on_end(reply(epoch, 5), 0).deadline_ns
    life.on_time()
    assert life.on_end(reply(4, 5), 0).start is not None


def test_a_long_history_is_not_read_from_its_begin(monkeypatch):
    monkeypatch.setattr(feed_beginning, "HISTORY_COMMANDS", 100)
    life = beginning()
    life.on_time()
    assert life.on_end(reply(1, 101), 0).fetch == (2, 1)


def snapshot_file(engine):
    base = Base(engine.last_seq, Digest(bytes(16)), 1, (EpochEntry(1, 1), EpochEntry(3, 9)), 6, 1, 0, 1)
    return encode_snapshot_file("0" * 32, base, engine.snapshot())


def test_a_snapshot_file_of_the_replicas_is_read_and_a_damaged_one_is_not():
    flow = Flow(1)
    for _ in range(20):
        flow.next()
    raw = snapshot_file(flow.engine)
    found = read_snapshot(raw)
    assert (found.seq, found.epoch) == (flow.seq, 3)
    assert found.image == decode_snapshot(flow.engine.snapshot())
    for at in (0, 9, 30, 200, len(raw) - 5):
        broken = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with pytest.raises(SnapshotUnreadable):
            read_snapshot(broken)
    for size in (0, 10, 100, len(raw) - 1):
        with pytest.raises(SnapshotUnreadable):
            read_snapshot(raw[:size])


def release(events, first, last, epoch=1, sender=1):
    return Release(sender, epoch, 0, first, last, last, events)


def test_it_serves_when_it_is_where_the_cluster_was_and_says_so_before():
    flow = Flow(2)
    machine = FeedMachine()
    assert machine.step(Came([release(flow.first, 1, flow.seq)]), 0).fetch is None
    assert machine.step(ReaderEntered(1), 0).refused is not None
    machine.step(Started(Start(flow.seq + 2, 1)), 0)
    machine.step(Came([release(flow.first, 1, flow.seq)]), 0)
    assert not machine.serves
    refused = machine.step(ReaderEntered(1), 0).refused
    assert refused is not None
    assert refused.code == Code.UNAVAILABLE
    first = flow.seq + 1
    events = flow.next()
    while flow.seq < first + 1:
        events = flow.next()
    effects = machine.step(Came([release(events, int(events["seq"][0]), flow.seq)]), 0)
    if effects.fetch is not None:
        assert effects.fetch.after_seq == first - 1


def followed(flow, **start):
    machine = FeedMachine()
    machine.step(Started(Start(flow.seq, 1, **start)), 0)
    return machine


def test_a_gap_is_fetched_and_told_in_order_and_a_failover_changes_nothing_but_the_epoch():
    flow = Flow(3)
    machine = followed(flow)
    machine.step(Came([release(flow.first, 1, flow.seq)]), 0)
    machine.step(ReaderEntered(1), 0)
    effects = machine.step(Subscribed(1, Wanted((), L1, 0, 0)), 0)
    assert [reader for reader, _ in effects.frames] == [1]
    before = flow.seq
    missed = flow.next()
    middle = flow.seq
    events = flow.next()
    machine.step(Said(2), 0)
    effects = machine.step(Came([release(events, middle + 1, flow.seq, epoch=2, sender=2)]), 0)
    assert effects.fetch is not None
    assert (effects.fetch.after_seq, effects.fetch.to_seq, effects.fetch.engine) == (before, middle, 2)
    machine.step(NotFetched(), 0)
    machine.step(Ticked(), 200 * MS)
    effects = machine.step(Came([release(events, middle + 1, flow.seq, epoch=2, sender=2)]), 201 * MS)
    assert effects.fetch is not None
    machine.step(Fetched(missed, middle), 0)
    assert (machine.seq, machine.epoch) == (flow.seq, 2)


def test_readers_come_ask_and_go():
    flow = Flow(4)
    machine = followed(flow)
    machine.step(Came([release(flow.first, 1, flow.seq)]), 0)
    assert machine.step(ReaderEntered(1), 0).refused is None
    machine.step(Subscribed(1, Wanted((), L1, 0, 100)), 0)
    refused = machine.step(Subscribed(1, Wanted((99,), L1)), 0).refused
    assert refused is not None
    assert refused.code == Code.UNKNOWN_INSTRUMENT
    (frame,) = [raw for _, raw in machine.step(Pinged(1, 77), 0).frames]
    assert feed_pb2.FeedFrame.FromString(frame).pong == 77
    machine.step(Blocked(1), 5)
    assert not machine.step(Pinged(1, 78), 6).frames
    assert machine.step(Ready(1), 7).frames
    machine.step(Unsubscribed(1, L1), 8)
    assert machine.hub is not None
    assert not machine.hub.streams
    machine.step(Blocked(1), 9)
    assert machine.step(Ticked(), 9 + 10_000 * MS).closings == ()
    ((reader, why),) = machine.step(Ticked(), 10 + 10_001 * MS).closings
    assert (reader, why.code) == (1, Code.BUSY)
    machine.step(ReaderLeft(1), 11)


def test_it_begins_with_a_snapshot_and_is_left_behind_where_the_journals_are_cut():
    engine = implementation("native")()
    flow = Flow(5)
    engine = flow.engine
    for _ in range(5):
        flow.next()
    snapshot = Snapshot(flow.seq, 1, decode_snapshot(engine.snapshot()))
    machine = followed(flow, snapshot=snapshot)
    assert machine.serves
    before = flow.seq
    flow.next()
    events = flow.next()
    effects = machine.step(Came([release(events, int(events["seq"][0]), flow.seq)]), 0)
    assert effects.fetch is not None
    assert effects.fetch.after_seq == before
    for now_ms in (1, 2_000, 4_000):
        machine.step(NotFetched(gone=True, first_seq=500), now_ms * MS)
        machine.step(Ticked(), now_ms * MS + 200 * MS)
        if machine.left_behind is None:
            machine.step(Came([release(events, int(events["seq"][0]), flow.seq)]), now_ms * MS + 201 * MS)
    assert machine.left_behind is not None
    assert not machine.left_behind.diverged
