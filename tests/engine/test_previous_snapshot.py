"""A snapshot that the version before wrote is read: `snapshots/version-9.snapshot`, which has one of everything."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.engine import snapshot_format
from lockstep.engine.driver import EngineDriver
from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from lockstep.engine.reference.invariants import check_invariants
from lockstep.engine.snapshot_format import SnapshotError, decode_snapshot, in_this_version
from lockstep.stream.records import EventKind

OLD = (Path(__file__).parent / "snapshots" / "version-9.snapshot").read_bytes()


def test_both_engines_read_it_into_the_same_state() -> None:
    now = in_this_version(OLD)
    assert (OLD[8], now[8]) == (snapshot_format.VERSION - 1, snapshot_format.VERSION)
    assert NativeEngine.restore(OLD).snapshot() == ReferenceEngine.restore(OLD).snapshot() == now
    assert in_this_version(now) == now
    check_invariants(ReferenceEngine.restore(OLD))


def test_nothing_is_lost() -> None:
    image = decode_snapshot(in_this_version(OLD))
    assert (image.last_seq, image.last_timestamp_ns) == (44, 21_985)
    assert (len(image.instruments), len(image.accounts), len(image.positions), len(image.sessions)) == (3, 5, 1, 1)
    assert [order.client_order_id for order in image.orders] == [1, 2, 3, 5, 4, 7, 6]
    assert [order.parent_id for order in image.orders if order.parent_id] == [38]
    assert len(image.stood) == 8
    assert (image.market.level3_ppm, image.market.orders_per_second) == (200_000, 10**9)
    (acme, _, quiet) = image.instruments
    assert (acme.band_ppm, acme.breaker_window_ns, acme.index_weight, acme.close_ticks) == (500_000, 1_000, 3, 100)
    assert acme.orders_per_second == 10**8
    assert (quiet.phase, quiet.next_phase, quiet.until_ns, quiet.reference_ticks) == (4, 3, 80_000, 70)
    (bands,) = image.bands
    assert (bands.instrument, bands.reference_ticks, bands.low_ticks, bands.high_ticks) == (8, 490, 441, 539)
    assert (image.sales, image.lots) == (((8, 21_985, 1, 480),), ((7, 4, 0, 1),))
    assert (image.restrictions, image.short_sales) == ((), ())


def test_it_goes_on_from_there(engine_type: type[Any]) -> None:
    """490 still stands in OTHER's breaker, to which 463 is more than 5 % below."""
    driver = EngineDriver(engine_type.restore(OLD), session_id=2)
    for side in ("sell", "buy"):
        driver.commands.limit(account=9, instrument=8, side=side, price_ticks=463, quantity_lots=1)
    assert [event.kind for event in driver.events(21_990)] == [
        EventKind.ACCEPTED,
        EventKind.ACCEPTED,
        EventKind.TRADE,
        EventKind.PHASE_CHANGED,
    ]


@pytest.mark.parametrize("raw", [OLD[:-1], OLD + b"\0", OLD[:100]], ids=["short", "long", "head"])
def test_a_damaged_one_is_refused(engine_type: type[Any], raw: bytes) -> None:
    with pytest.raises(SnapshotError):
        engine_type.restore(raw)


def test_an_older_one_is_refused_by_its_number(engine_type: type[Any]) -> None:
    with pytest.raises(SnapshotError, match="version 8"):
        engine_type.restore(OLD[:8] + b"\x08" + OLD[9:])
