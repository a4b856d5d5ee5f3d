"""What an engine's service gives at once, and what it does for a caller that has gone."""

import threading
import time
from concurrent.futures import Future
from typing import Any, NoReturn

import grpc
import numpy as np
import pytest

from lockstep.replica import service as module
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, Role
from lockstep.replica.events import EventStore
from lockstep.replica.journal import Journal
from lockstep.replica.service import QueryCall, ReplicationService, TooManyQueries
from lockstep.replica.turnstile import Turnstile
from lockstep.replica.view import ReplicaView
from lockstep.stream.digest import GENESIS
from lockstep.stream.records import EVENT, EventKind
from lockstep.v1 import common_pb2, replication_pb2

SEQS, MINE = 2_000, 99_999
LISTING = replication_pb2.QueryRequest(accounts_after=0)


class Aborted(Exception):
    pass


class Context:
    """A call; `leave` is its caller's end."""

    def __init__(self) -> None:
        self.active = True
        self.code: grpc.StatusCode | None = None
        self._callbacks: list[Any] = []

    def is_active(self) -> bool:
        return self.active

    def time_remaining(self) -> float:
        return 5.0

    def add_callback(self, call: Any) -> bool:
        self._callbacks.append(call)
        return self.active

    def set_trailing_metadata(self, _metadata: Any) -> None:
        pass

    def leave(self) -> None:
        self.active = False
        for call in self._callbacks:
            call()

    def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        self.code = code
        raise Aborted(text)


@pytest.fixture
def engine(tmp_path):
    """A service over a history of one-command batches, each 100th of which concerns session MINE."""
    journal = Journal(tmp_path, 1)
    store = EventStore(journal, 1)
    for seq in range(1, SEQS + 1):
        events = np.zeros(1, dtype=EVENT)
        events["seq"], events["kind"] = seq, EventKind.ACCEPTED
        events["session_id"] = MINE if seq % 100 == 0 else seq
        journal.derived.keep((AppliedBatch(1, seq, seq, events, GENESIS),))
    posted: list[QueryCall] = []
    view = ReplicaView(
        Role.PRIMARY, True, True, 1, 1, SEQS, GENESIS, SEQS, 1, 2, (EpochEntry(1, 1),), "uuid", "",
    )  # fmt: skip
    made = ReplicationService(1, journal, store, lambda: view, posted.append, None, Turnstile(lambda _s: None))
    made.posted = posted
    yield made
    journal.close()


def pages(engine, request, context=None):
    """All events, in as many calls as it takes, and how many those were."""
    seqs, calls, paused = [], 0, True
    while paused:
        (reply,) = engine.FetchEvents(request, context or Context())
        seqs += np.frombuffer(reply.events, dtype=EVENT)["seq"].tolist()
        request.after.seq, request.after.index = reply.through_seq, 2**32 - 1
        paused, calls = reply.paused, calls + 1
    assert reply.through_seq == (request.to_seq or SEQS)
    return seqs, calls


def test_events_come_in_pages_that_put_together_are_all_of_them_once(engine, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_BYTES", 300 * EVENT.itemsize)
    seqs, calls = pages(engine, replication_pb2.FetchEventsRequest(to_seq=1_900))
    assert seqs == list(range(1, 1_901))
    assert calls == 7
    assert pages(engine, replication_pb2.FetchEventsRequest(session_id=MINE))[0] == list(range(100, SEQS + 1, 100))


def test_a_long_search_answers_with_what_it_has_when_its_time_is_over_and_goes_on_from_there(engine, monkeypatch):
    monkeypatch.setattr(module, "_PAGE_S", 0.0)
    request = replication_pb2.FetchEventsRequest(session_id=MINE, to_seq=SEQS)
    (reply,) = engine.FetchEvents(request, Context())
    assert (reply.events, reply.through_seq, reply.paused) == (b"", 0, True)
    monkeypatch.setattr(module, "_PAGE_S", 0.02)
    assert pages(engine, request)[0] == list(range(100, SEQS + 1, 100))


def test_who_delivers_to_everybody_gets_all_at_once_without_a_turn(engine):
    with engine._turnstile.slice(1):
        replies = list(engine.FetchEvents(replication_pb2.FetchEventsRequest(urgent=True), Context()))
    assert sum(len(reply.events) for reply in replies) == SEQS * EVENT.itemsize
    assert not any(reply.paused for reply in replies)


def test_search_stops_where_its_caller_has_gone(engine, monkeypatch):
    monkeypatch.setattr("lockstep.replica.turnstile.SLICE_NS", 0)
    context = Context()
    looked = []
    read_all = engine._events.read

    def read(*asked):
        for part in read_all(*asked):
            looked.append(part)
            if len(looked) == 5:
                context.leave()
            yield part

    engine._events.read = read
    list(engine.FetchEvents(replication_pb2.FetchEventsRequest(), context))
    assert len(looked) <= 6


def test_more_searches_than_there_are_places_are_refused_and_leave_threads_to_a_sequencer(engine, monkeypatch):
    taken = [engine._fetches.acquire(blocking=False) for _ in range(module._MAX_FETCHES)]
    assert all(taken)
    context = Context()
    with pytest.raises(Aborted, match="ask again"):
        list(engine.FetchEvents(replication_pb2.FetchEventsRequest(), context))
    assert context.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    engine._fetches.release()
    assert pages(engine, replication_pb2.FetchEventsRequest(session_id=MINE))[0]
    assert module.WORKERS > module._MAX_FETCHES + module._MAX_LISTINGS + module._MAX_LOOKUPS


def test_query_of_a_caller_that_has_gone_is_not_answered_by_the_main_loop(engine):
    context = Context()
    failed: Future[Any] = Future()

    def ask():
        try:
            engine.Query(LISTING, context)
        except Aborted as aborted:
            failed.set_result(str(aborted))

    asking = threading.Thread(target=ask)
    asking.start()
    until_s = time.monotonic() + 5
    while not engine.posted and time.monotonic() < until_s:
        time.sleep(0.001)
    context.leave()
    assert failed.result(5) == "the call was canceled"
    assert not engine.posted[0].done.set_running_or_notify_cancel(), "the loop passes it over"
    asking.join()


def test_a_loop_with_too_many_queries_says_so_and_the_place_is_free_again(engine):
    engine._post = lambda call: call.done.set_exception(TooManyQueries())
    for _ in range(module._MAX_LISTINGS + 1):
        context = Context()
        with pytest.raises(Aborted):
            engine.Query(LISTING, context)
        assert context.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_event_id_within_a_batch_is_gone_on_from(engine):
    request = replication_pb2.FetchEventsRequest(
        after=common_pb2.EventId(seq=100, index=0), session_id=MINE, to_seq=300
    )
    assert pages(engine, request)[0] == [200, 300]
