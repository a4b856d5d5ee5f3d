"""The contract: batches, gaps, determinism, snapshots."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.engine.contract import MatchingEngine, StreamGap
from lockstep.engine.reference import ReferenceEngine, check_invariants
from lockstep.engine.snapshot_format import SnapshotError, decode_snapshot
from lockstep.stream.records import COMMAND, EVENT, CommandKind, no_commands

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9


def busy(venue: Any) -> Any:
    """A venue with something of everything in its state."""
    venue.define_instrument(3, b"THREE", tick=7, lot=3)
    venue.new(ALICE, "B", 10, 90, cid=1)
    venue.new(ALICE, "B", 10, 95, cid=2, session=200)
    venue.new(CAROL, "B", 10, 95, cid=3)
    venue.new(BOB, "S", 20, 110, cid=4)
    venue.new(BOB, "S", 20, 105, cid=5)
    venue.new(HOUSE, "B", 5, 105)
    venue.new(HOUSE, "S", 5, 50, instrument=3)
    venue.replace(ALICE, 1, 95, 8)
    venue.replace(BOB, 4, 110, 15)
    return venue


def test_reference_engine_is_a_matching_engine() -> None:
    engine: MatchingEngine = ReferenceEngine()
    assert engine.last_seq == 0


def test_empty_batch_changes_nothing() -> None:
    engine = ReferenceEngine()
    before = engine.snapshot()
    events = engine.apply(no_commands(), first_seq=1, timestamp_ns=5)
    assert len(events) == 0
    assert events.dtype == EVENT
    assert engine.snapshot() == before


@pytest.mark.parametrize("first_seq", [1, 3, 0])
def test_batch_that_is_not_the_next_is_a_gap_and_changes_nothing(
    make_command: Callable[..., Any], first_seq: int
) -> None:
    engine = ReferenceEngine()
    engine.apply(make_command(CommandKind.EPOCH_START), first_seq=1, timestamp_ns=5)
    before = engine.snapshot()
    with pytest.raises(StreamGap, match="2 is next"):
        engine.apply(make_command(CommandKind.EPOCH_START), first_seq=first_seq, timestamp_ns=6)
    assert engine.snapshot() == before


def test_time_may_stand_still_but_not_go_back(make_command: Callable[..., Any]) -> None:
    engine = ReferenceEngine()
    row = make_command(CommandKind.EPOCH_START)
    engine.apply(row, first_seq=1, timestamp_ns=5)
    engine.apply(row, first_seq=2, timestamp_ns=5)
    with pytest.raises(StreamGap, match="time went back"):
        engine.apply(row, first_seq=3, timestamp_ns=4)
    assert engine.last_seq == 2


def test_array_of_other_records_is_refused() -> None:
    with pytest.raises(ValueError, match="128 bytes, not 160"):
        ReferenceEngine().apply(np.zeros(1, dtype=EVENT), first_seq=1, timestamp_ns=0)


def test_events_do_not_depend_on_how_the_stream_is_cut_into_batches() -> None:
    pick = np.random.default_rng(3)
    rows = np.zeros(400, dtype=COMMAND)
    rows["kind"] = pick.integers(0, 8, 400)
    for name, high in (("side", 4), ("order_type", 3), ("tif", 5), ("account", 4), ("instrument", 3)):
        rows[name] = pick.integers(0, high, 400)
    rows["session_id"] = pick.integers(0, 3, 400)
    rows["session_no"] = pick.integers(1, 200, 400)
    whole, single = ReferenceEngine(), ReferenceEngine()
    together = whole.apply(rows, first_seq=1, timestamp_ns=9).tobytes()
    apart = b"".join(
        single.apply(rows[at : at + 1], first_seq=at + 1, timestamp_ns=9).tobytes() for at in range(len(rows))
    )
    assert together == apart
    assert whole.state_digest() == single.state_digest()


def test_strided_batch_is_read_as_it_stands(make_command: Callable[..., Any]) -> None:
    rows = np.zeros(4, dtype=COMMAND)
    rows[::2] = make_command(CommandKind.EPOCH_START)[0]
    assert len(ReferenceEngine().apply(rows[::2], first_seq=1, timestamp_ns=0)) == 2


def test_restored_engine_equals_the_one_that_was_saved(venue: Any) -> None:
    engine = busy(venue).engine
    restored = ReferenceEngine.restore(engine.snapshot())
    check_invariants(restored, cash_micros=venue.cash, lots=venue.lots)
    assert restored.state_digest() == engine.state_digest()
    assert (restored.accounts(), restored.instruments()) == (engine.accounts(), engine.instruments())
    for account in (ALICE, BOB, CAROL, HOUSE):
        assert restored.open_orders(account) == engine.open_orders(account)
    assert restored.book(7, 9) == engine.book(7, 9)
    assert restored.last_seq == engine.last_seq


def test_restored_engine_continues_in_step(venue: Any, make_command: Callable[..., Any]) -> None:
    engine = busy(venue).engine
    restored = ReferenceEngine.restore(engine.snapshot())
    rows = np.concatenate(
        [
            make_command(CommandKind.NEW_ORDER, account=HOUSE, instrument=7, side=2, order_type=2, tif=3),
            make_command(CommandKind.CANCEL, account=ALICE, client_order_id=2),
            make_command(CommandKind.MASS_CANCEL, account=BOB),
            make_command(CommandKind.CANCEL, account=ALICE),
        ]
    )
    rows["quantity_lots"] = 25
    rows["session_id"] = 100
    rows["session_no"] = np.arange(4) + venue.numbers[100] + 1
    rows["session_no"][3] = 2
    outcomes = [
        each.apply(rows, first_seq=engine.last_seq + 1, timestamp_ns=10**6).tobytes() for each in (restored, engine)
    ]
    assert outcomes[0] == outcomes[1]
    assert restored.state_digest() == engine.state_digest()


def test_digest_covers_priority_and_session_windows(venue: Any) -> None:
    raw = busy(venue).engine.snapshot()
    assert ReferenceEngine.restore(raw).state_digest() == venue.engine.state_digest()
    image = decode_snapshot(raw)
    bids = [row.client_order_id for row in image.orders if row.instrument == 7 and row.side == 1]
    assert bids == [2, 3, 1]
    assert [len(row.outcomes) // 16 for row in image.sessions] == [venue.numbers[100], venue.numbers[200]]


def test_empty_engine_has_a_snapshot() -> None:
    engine = ReferenceEngine()
    assert ReferenceEngine.restore(engine.snapshot()).state_digest() == engine.state_digest()


def test_damaged_snapshot_is_refused_by_name(venue: Any) -> None:
    raw = busy(venue).engine.snapshot()
    with pytest.raises(SnapshotError, match="cut short"):
        ReferenceEngine.restore(raw[:-1])
    with pytest.raises(SnapshotError, match="after its end"):
        ReferenceEngine.restore(raw + b"x")
    with pytest.raises(SnapshotError, match="LKSTSNAP"):
        ReferenceEngine.restore(b"X" + raw[1:])
    with pytest.raises(SnapshotError, match="version 1"):
        ReferenceEngine.restore(raw[:8] + struct.pack("<I", 1) + raw[12:])
    with pytest.raises(SnapshotError, match="cut short"):
        ReferenceEngine.restore(b"")


def test_snapshot_that_is_not_canonical_is_refused(venue: Any) -> None:
    raw = busy(venue).engine.snapshot()
    row = struct.calcsize("<II32sqB16qB")
    header = struct.calcsize("<8sIQq16s3IqqBqqqq7Q")
    at = header + len(decode_snapshot(raw).instruments) * struct.calcsize("<I32sqqBBqqqi4IqqBIIqqqqq")
    swapped = raw[:at] + raw[at + row : at + 2 * row] + raw[at : at + row] + raw[at + 2 * row :]
    assert swapped != raw
    with pytest.raises(SnapshotError, match="canonical"):
        ReferenceEngine.restore(swapped)


def test_snapshot_with_an_order_of_nobody_is_refused(venue: Any) -> None:
    raw = busy(venue).engine.snapshot()
    order = struct.calcsize("<QQQIIBBBqqqqBBBqqqqqqQq")
    at = len(raw) - order + 24
    with pytest.raises(SnapshotError, match="not in the snapshot"):
        ReferenceEngine.restore(raw[:at] + struct.pack("<I", 77) + raw[at + 4 :])
