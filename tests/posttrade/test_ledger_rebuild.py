"""A rebuild is swapped in where it takes nothing back: not before it has come as far as the ledger that counts."""

import threading
import time
from contextlib import closing

import pytest

from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.posttrade.ledger import rebuild
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.rebuild import Behind, Stopped, is_behind, rebuild_from_chunks, rebuild_from_engines
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store import Reached
from lockstep.runtime.process import StopRequest
from tests.posttrade.flows import epoch_start, history
from tests.posttrade.served import ServedEngine, served, topology_of

MADE = history(17, 160)
HALF = len(MADE.batches) // 2
LAST = MADE.batches[-1].last_seq
PATIENCE_S = 60.0


def live_ledger(place: SqlitePlace, batches: int = len(MADE.batches)) -> Position:
    sink = LedgerSink(place.open(place.current()))
    for begin in range(0, batches, 20):
        sink.apply(MADE.chunk(begin, min(begin + 20, batches) - 1))
    position = sink.position()
    sink.close()
    return position


def at(seq: int, epoch: int, *begins: tuple[int, int]) -> Reached:
    return Reached(Position(seq, epoch), tuple(EpochBegin(*one) for one in begins))


@pytest.mark.parametrize(
    ("made", "live", "behind"),
    [
        (at(90, 2, (1, 1), (2, 50)), at(100, 2), True),
        (at(100, 2, (1, 1), (2, 50)), at(100, 2), False),
        (at(130, 3, (1, 1), (3, 120)), at(100, 2), False),
        # An operator had the cluster go on without what the live one has from seq 80 on.
        (at(90, 3, (1, 1), (2, 50), (3, 80)), at(100, 2), False),
        # A later epoch began behind everything that the live one has: nothing of that was given up.
        (at(90, 2, (1, 1), (2, 50), (3, 101)), at(100, 2), True),
    ],
)
def test_behind_is_who_would_take_back_what_is_still_history(made, live, behind):
    assert is_behind(made, live) is behind
    assert not is_behind(made, None)


def test_a_journal_that_ends_before_the_ledger_that_counts_is_not_swapped_in(tmp_path):
    place = SqlitePlace(tmp_path)
    position = live_ledger(place)
    with pytest.raises(Behind, match=rf"ends at seq \d+, the ledger that counts is at {position.seq}"):
        rebuild_from_chunks(place, (MADE.chunk(begin, begin) for begin in range(HALF)))
    assert place.current() == 1
    assert not place.path(2).exists()
    assert rebuild_from_chunks(place, MADE.chunks(40)) == position
    assert place.current() == 2


def begun(topology, place, stop):
    """A rebuild in a thread; what came of it."""
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(rebuild_from_engines(topology, place, stop, lambda *_: None))
        except Exception as error:  # noqa: BLE001 - the test judges it
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


def until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


def test_one_engines_word_for_the_end_is_not_taken_where_the_live_ledger_is_ahead(tmp_path):
    place = SqlitePlace(tmp_path / "ledger")
    position = live_ledger(place)
    engine = ServedEngine(1, MADE, HALF)
    stop = StopRequest()
    with served(engine):
        thread, ended = begun(topology_of(place.directory, engine), place, stop)
        try:
            made = MADE.batches[HALF - 1].last_seq
            until(lambda: (found := place.reached(2)) and found.position.seq == made, "all that the engine has")
            asked = engine.asked
            until(lambda: engine.asked > asked + 20 or ended, "another look")
            assert (ended, place.current()) == ([], 1)
            engine.batches = len(MADE.batches)
            until(lambda: bool(ended), "the rebuild's end")
        finally:
            stop.request("test ends")
            thread.join(PATIENCE_S)
    assert ended == [position]
    assert place.current() == 2
    with closing(place.open(1, write=False)) as one, closing(place.open(2, write=False)) as two:
        assert table_digests(one) == table_digests(two)


def test_a_ledger_of_given_up_history_is_replaced_by_a_shorter_one(tmp_path):
    """An operator had the cluster go on from the middle, without what the ledger has stored since then."""
    place = SqlitePlace(tmp_path / "ledger")
    stored = live_ledger(place)
    other = history(17, 60)
    assert other.batches[40].raw == MADE.batches[40].raw
    other.epoch = stored.epoch + 1
    other.stamp(epoch_start(other.epoch, previous=stored.epoch))
    for _ in other.go_on(5):
        pass
    assert other.batches[-1].last_seq < stored.seq
    engine = ServedEngine(1, other, len(other.batches))
    stop = StopRequest()
    with served(engine):
        thread, ended = begun(topology_of(place.directory, engine), place, stop)
        until(lambda: bool(ended), "the rebuild's end")
        thread.join(PATIENCE_S)
    assert ended == [Position(other.batches[-1].last_seq, other.batches[-1].epoch, other.batches[-1].timestamp_ns)]
    assert place.current() == 2


def test_a_rebuild_that_can_come_no_further_says_so_and_swaps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuild, "BEHIND_S", 1.0)
    place = SqlitePlace(tmp_path / "ledger")
    live_ledger(place)
    engine = ServedEngine(1, MADE, HALF)
    stop = StopRequest()
    with served(engine):
        thread, ended = begun(topology_of(place.directory, engine), place, stop)
        until(lambda: bool(ended), "the rebuild's end")
        thread.join(PATIENCE_S)
    (said,) = ended
    assert isinstance(said, Behind)
    assert f"the ledger that counts is at {LAST}: nothing was swapped" in str(said)
    assert place.current() == 1


def test_a_rebuild_that_is_stopped_swaps_nothing(tmp_path):
    place = SqlitePlace(tmp_path / "ledger")
    engine = ServedEngine(1, MADE, HALF)
    engine.cut_seq = 10
    stop = StopRequest()
    thread, ended = begun(topology_of(place.directory, engine), place, stop)
    stop.request("asked")
    thread.join(PATIENCE_S)
    assert isinstance(ended[0], Stopped)
    assert place.current() == 1


def test_a_ledger_of_another_version_or_a_damaged_one_is_no_hindrance_but_the_former_is_a_measure(tmp_path):
    place = SqlitePlace(tmp_path)
    live_ledger(place)
    with closing(place.open(1)) as store:
        store.rows("UPDATE position SET version = 1")
    reached = place.reached(1)
    assert reached is not None
    assert reached.position.seq == LAST
    with pytest.raises(Behind):
        rebuild_from_chunks(place, [MADE.chunk(0, 3)])
    place.path(1).write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        place.path(1).with_name(place.path(1).name + suffix).unlink(missing_ok=True)
    assert place.reached(1) is None
    assert rebuild_from_chunks(place, [MADE.chunk(0, 3)]).seq == MADE.batches[3].last_seq
