"""Events for those who missed some, from memory and from the journal."""

import numpy as np
import pytest

from lockstep.replica.effects import AppliedBatch
from lockstep.replica.events import EventStore, after_event, of_session
from lockstep.replica.journal import Journal
from lockstep.stream.digest import GENESIS
from lockstep.stream.records import EVENT, EventKind


def batch(first_seq, last_seq, per_seq=2):
    count = last_seq - first_seq + 1
    events = np.zeros(count * per_seq, dtype=EVENT)
    events["seq"] = np.repeat(np.arange(first_seq, last_seq + 1), per_seq)
    events["index"] = np.tile(np.arange(per_seq), count)
    return AppliedBatch(1, first_seq, last_seq, events, GENESIS)


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path, 1)
    yield made
    made.close()


def read(store, from_seq, to_seq):
    found = list(store.read(from_seq, to_seq))
    seqs = [int(seq) for events, _ in found for seq in events["seq"]]
    return seqs, found[-1][1] if found else None


@pytest.mark.parametrize("window", [4, 1000])
def test_any_range_is_found_in_memory_or_on_disk(journal, window):
    store = EventStore(journal, window)
    for first in range(1, 41, 4):
        store.add((batch(first, first + 3),))
    for from_seq, to_seq in ((1, 40), (2, 3), (38, 40), (17, 33), (40, 40)):
        seqs, through = read(store, from_seq, to_seq)
        assert seqs == [seq for seq in range(from_seq, to_seq + 1) for _ in range(2)]
        assert through == to_seq
    assert read(store, 5, 4) == ([], None)


def test_cleared_window_falls_back_to_the_journal(journal):
    store = EventStore(journal, 1000)
    store.add((batch(1, 4),))
    store.clear()
    assert read(store, 2, 3)[0] == [2, 2, 3, 3]


def test_only_events_after_the_last_seen_id_are_given():
    events = batch(5, 7).events
    assert [(int(e["seq"]), int(e["index"])) for e in after_event(events, 6, 0)] == [(6, 1), (7, 0), (7, 1)]
    assert len(after_event(events, 4, 9)) == 6
    assert len(after_event(events, 7, 2**32 - 1)) == 0


def test_session_is_told_of_both_sides_but_never_of_overlays_that_alias_its_id():
    events = np.zeros(4, dtype=EVENT)
    events["seq"] = [1, 2, 3, 4]
    events["kind"] = [EventKind.ACCEPTED, EventKind.TRADE, EventKind.CASH_ADJUSTED, EventKind.EPOCH_STARTED]
    events["session_id"] = [77, 5, 5, 77]
    events["maker_session_id"] = [0, 77, 77, 0]
    assert of_session(events, 77)["seq"].tolist() == [1, 2]
