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


def traded(first_seq, last_seq, session_id, maker_session_id=0):
    made = batch(first_seq, last_seq, per_seq=1)
    made.events["kind"], made.events["session_id"] = EventKind.TRADE, session_id
    made.events["maker_session_id"] = maker_session_id
    return made


def search(store, session_id, from_seq, to_seq):
    """Seqs of what was found, how far it went, and how many events were looked at in the journal."""
    looked = []
    read_all = store.read

    def read(first, last):
        for events, through in read_all(first, last):
            looked.extend(events["seq"].tolist())
            yield events, through

    store.read = read
    found = list(store.search(session_id, from_seq, to_seq))
    store.read = read_all
    throughs = [through for _, through in found]
    assert throughs == sorted(throughs)
    return [int(seq) for events, _ in found for seq in events["seq"]], throughs[-1] if throughs else None, len(looked)


def stored(journal, *batches, group=8):
    """A store whose window has nothing of it: as long ago."""
    store = EventStore(journal, 1)
    for start in range(0, len(batches), group):
        journal.derived.keep(tuple(batches[start : start + group]))
        journal.derived.write_pending()
    return store


def test_history_is_not_searched_where_a_session_has_no_part_in_it(journal):
    batches = [traded(seq, seq, session_id=77 if seq in (90, 700) else 5, maker_session_id=6) for seq in range(1, 1001)]
    store = stored(journal, *batches)
    assert search(store, 77, 1, 1000) == ([90, 700], 1000, 16)
    assert search(store, 78, 1, 1000) == ([], 1000, 0)
    seqs, through, _ = search(store, 6, 40, 52)
    assert (seqs, through) == (list(range(40, 53)), 52), "the other side of a trade gets it as well"


def test_what_was_stored_without_an_index_is_searched(journal):
    store = stored(journal, *(traded(seq, seq, session_id=77 if seq == 30 else 5) for seq in range(1, 101)))
    for key in (9, 25, 33):
        journal.derived._sessions.delete(key.to_bytes(8, "big"))
    assert search(store, 77, 1, 100)[:2] == ([30], 100)
    assert search(store, 5, 1, 100)[0] == [seq for seq in range(1, 101) if seq != 30]


def test_index_of_a_tail_that_was_given_up_does_not_hide_what_follows_in_its_place(tmp_path):
    journal = Journal(tmp_path, 1)
    stored(journal, *(traded(seq, seq, session_id=5) for seq in range(1, 17)), group=16)
    journal.derived.truncate(8)
    # One batch is stored together with others only in memory, and a crash takes that entry, not the events.
    stored(journal, traded(9, 12, session_id=77))
    journal.derived._sessions.delete((9).to_bytes(8, "big"))
    store = EventStore(journal, 1)
    assert search(store, 77, 1, 12)[0] == [9, 10, 11, 12]
    journal.close()


def test_index_that_a_crash_left_behind_the_journals_end_is_forgotten_when_it_is_opened(tmp_path):
    journal = Journal(tmp_path, 1)
    stored(journal, traded(1, 4, session_id=5))
    for name in ("events", "digests"):
        journal.derived._db.get_column_family(name).delete((1 if name == "events" else 4).to_bytes(8, "big"))
    journal.close()
    again = Journal(tmp_path, 1)
    # The journal has no record at all: other sessions may trade under these seqs.
    assert [span.concerned for span in again.derived.spans_of(77, 1, 4)] == [True]
    again.close()


def test_window_is_read_in_parts_and_goes_on_in_the_journal_where_it_has_moved_away(journal):
    store = EventStore(journal, 600)
    store.add(tuple(batch(seq, seq, per_seq=64) for seq in range(1, 601)))
    reading = store.read(1, 600)
    seqs = np.unique(next(reading)[0]["seq"]).tolist()
    assert 1 < len(seqs) < 100
    store.add(tuple(batch(seq, seq, per_seq=64) for seq in range(601, 1201)))
    for events, _ in reading:
        seqs += np.unique(events["seq"]).tolist()
    assert seqs == list(range(1, 601))
