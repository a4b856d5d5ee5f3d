"""What is read of an engine's history: whole, in pages and slices, and from where it ended."""

from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from lockstep.replica import fetches as module
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, JournalWrite, Role
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import RECENT_COMMANDS, Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.turnstile import Lane, never
from lockstep.replica.view import ReplicaView
from lockstep.runtime.refusal import Refusal
from lockstep.stream.batch import seqs_of, stamp_batch
from lockstep.stream.digest import GENESIS
from lockstep.stream.records import COMMAND, EVENT, EventKind
from lockstep.v1 import common_pb2, replication_pb2

SEQS, MINE = 2_000, 99_999


def at_once():
    """Each slice is used up as soon as it is asked."""
    return True


def one(seq):
    """A batch of one command."""
    records = np.zeros(1, dtype=COMMAND)
    return stamp_batch(records, epoch=1, first_seq=seq, timestamp_ns=0)


@pytest.fixture
def fetches(tmp_path):
    """Over a history of one-command batches, each 100th of which concerns session MINE."""
    journal = Journal(tmp_path, 1)
    store = EventStore(journal, 1)
    stamped = tuple(one(seq) for seq in range(1, SEQS + 1))
    journal.write(JournalWrite(batches=stamped, synced=False), sync=False, applied=(0, GENESIS))
    for seq in range(1, SEQS + 1):
        events = np.zeros(1, dtype=EVENT)
        events["seq"], events["kind"] = seq, EventKind.ACCEPTED
        events["session_id"] = MINE if seq % 100 == 0 else seq
        journal.derived.keep((AppliedBatch(1, seq, seq, events, GENESIS),))
    view = ReplicaView(
        Role.PRIMARY, True, True, 1, 1, SEQS, GENESIS, SEQS, 1, 2, (EpochEntry(1, 1),), "uuid", "",
    )  # fmt: skip
    made = Fetches(1, journal, store, lambda: view, SimpleNamespace(verified_seqs=lambda: ()))
    yield made
    journal.close()


def pages(fetches, request, used_up=never):
    """All events, in as many calls as it takes, and how many those were."""
    seqs, calls, paused = [], 0, True
    while paused:
        (reply,) = (reply for reply in fetches.events(request, used_up) if reply is not None)
        seqs += np.frombuffer(reply.events, dtype=EVENT)["seq"].tolist()
        request.after.seq, request.after.index = reply.through_seq, 2**32 - 1
        paused, calls = reply.paused, calls + 1
    assert reply.through_seq == (request.to_seq or SEQS)
    return seqs, calls


def frames_of(fetches, request, used_up=never):
    """Seqs of all frames, how many replies they came in, and how many slices were used up."""
    steps = list(fetches.journal(request, "", used_up))
    replies = [step for step in steps if step is not None]
    seqs = [seqs_of(raw)[0] for reply in replies for raw in reply.batches]
    return seqs, len(replies), steps.count(None)


def test_events_come_in_pages_that_put_together_are_all_of_them_once(fetches, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_BYTES", 300 * EVENT.itemsize)
    seqs, calls = pages(fetches, replication_pb2.FetchEventsRequest(to_seq=1_900))
    assert seqs == list(range(1, 1_901))
    assert calls == 7
    assert pages(fetches, replication_pb2.FetchEventsRequest(session_id=MINE))[0] == list(range(100, SEQS + 1, 100))


def test_a_search_in_slices_finds_the_same(fetches):
    request = replication_pb2.FetchEventsRequest(session_id=MINE)
    assert pages(fetches, request, at_once)[0] == list(range(100, SEQS + 1, 100))
    steps = list(fetches.events(replication_pb2.FetchEventsRequest(), at_once))
    assert steps.count(None) > 100, "a slice ends where its time does"


def test_a_long_search_answers_with_what_it_has_when_its_time_is_over_and_goes_on_from_there(fetches, monkeypatch):
    monkeypatch.setattr(module, "_PAGE_S", 0.0)
    request = replication_pb2.FetchEventsRequest(to_seq=SEQS)
    *_, reply = fetches.events(request, at_once)
    assert 0 < reply.through_seq < SEQS
    assert reply.paused
    assert pages(fetches, request, at_once)[0] == list(range(1, SEQS + 1))


def test_event_id_within_a_batch_is_gone_on_from(fetches):
    request = replication_pb2.FetchEventsRequest(
        after=common_pb2.EventId(seq=100, index=0), session_id=MINE, to_seq=300
    )
    assert pages(fetches, request)[0] == [200, 300]


def test_the_journal_comes_in_slices_and_is_whole(fetches, monkeypatch):
    request = replication_pb2.FetchJournalRequest(from_seq=1)
    assert frames_of(fetches, request) == (list(range(1, SEQS + 1)), 1, 0)
    seqs, _, slices = frames_of(fetches, request, at_once)
    assert (seqs, slices) == (list(range(1, SEQS + 1)), SEQS)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 500 * len(one(1).raw))
    assert frames_of(fetches, request)[:2] == (list(range(1, SEQS + 1)), 4)


def test_a_page_of_the_journal_is_as_long_as_was_asked_and_its_first_reply_says_where_the_engine_is(fetches):
    request = replication_pb2.FetchJournalRequest(from_seq=100, max_bytes=10 * len(one(1).raw))
    assert frames_of(fetches, request)[0] == list(range(100, 110))
    (beyond,) = fetches.journal(replication_pb2.FetchJournalRequest(from_seq=2**63), "uuid", never)
    assert (beyond.tip.seq, beyond.first_seq, list(beyond.batches)) == (SEQS, 1, [])
    with pytest.raises(Refusal, match="belongs to cluster uuid") as refused:
        next(fetches.journal(request, "another", never))
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_where_a_read_begins_decides_beside_whom_it_waits(fetches):
    assert fetches.lane(2**63) is Lane.RECENT
    assert fetches.lane(1) is Lane.RECENT, "the whole history is recent"
    old = SEQS + RECENT_COMMANDS
    fetches._view = lambda: SimpleNamespace(applied_seq=old)
    assert (fetches.lane(SEQS), fetches.lane(SEQS + 1)) == (Lane.HISTORY, Lane.RECENT)
