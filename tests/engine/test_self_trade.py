"""Self-trade prevention: the four ways, the checks that must know of it, and the cases of a real venue."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, OrderType, SelfTradePrevention, TimeInForce

ALICE, BOB, HOUSE = 1, 2, 9
STP = SelfTradePrevention
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "binance_stp" / "vectors.json"
MODES = {
    "NONE": STP.NONE,
    "EXPIRE_MAKER": STP.CANCEL_OLDEST,
    "EXPIRE_TAKER": STP.CANCEL_NEWEST,
    "EXPIRE_BOTH": STP.CANCEL_BOTH,
    "DECREMENT": STP.DECREMENT,
}


def what(events: list[Any]) -> list[tuple[EventKind, int, int, int, int]]:
    """(kind, code, client id, lots, left) of each event but the first."""
    return [(e.kind, e.code, e.client_order_id, e.quantity_lots, e.leaves_lots) for e in events[1:]]


def test_cancel_newest_ends_the_taker_at_its_own_order(venue: Any) -> None:
    venue.new(BOB, "S", 2, 99, cid=1)
    venue.new(ALICE, "S", 5, 100, cid=2)
    events = venue.new(ALICE, "B", 10, 101, cid=3, stp=STP.CANCEL_NEWEST)
    assert [e.kind for e in events] == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED]
    assert what(events)[-1] == (EventKind.CANCELED, Code.SELF_TRADE, 3, 8, 0)
    assert venue.book() == ([], [(100, 5, 1)])


def test_cancel_oldest_takes_own_orders_off_and_goes_on(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1, session=200)
    venue.new(BOB, "S", 5, 100, cid=2)
    events = venue.new(ALICE, "B", 8, 100, cid=3, stp=STP.CANCEL_OLDEST)
    assert what(events) == [
        (EventKind.CANCELED, Code.SELF_TRADE, 1, 5, 0),
        (EventKind.TRADE, Code.OK, 3, 5, 3),
    ]
    assert (events[1].session_id, events[1].maker_session_id) == (100, 200)
    assert venue.book() == ([(100, 3, 1)], [])


def test_cancel_both_ends_both(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    events = venue.new(ALICE, "B", 8, 100, cid=3, stp=STP.CANCEL_BOTH)
    assert what(events) == [
        (EventKind.CANCELED, Code.SELF_TRADE, 1, 5, 0),
        (EventKind.CANCELED, Code.SELF_TRADE, 3, 8, 0),
    ]
    assert venue.book() == ([], [])


@pytest.mark.parametrize(("taker", "maker_left", "taker_left"), [(3, 2, 0), (5, 0, 0), (8, 0, 3)])
def test_decrement_takes_the_smaller_quantity_off_both(
    venue: Any, taker: int, maker_left: int, taker_left: int
) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    events = venue.new(ALICE, "B", taker, 100, cid=3, stp=STP.DECREMENT)
    lots = min(taker, 5)
    kinds = [EventKind.REDUCED if left else EventKind.CANCELED for left in (maker_left, taker_left)]
    assert what(events) == [
        (kinds[0], Code.SELF_TRADE, 1, lots, maker_left),
        (kinds[1], Code.SELF_TRADE, 3, lots, taker_left),
    ]
    assert venue.lots_of(ALICE) == (100, maker_left)


def test_decremented_maker_keeps_its_place(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    venue.new(BOB, "S", 5, 100, cid=2)
    venue.new(ALICE, "B", 2, 100, cid=3, stp=STP.DECREMENT)
    (_, trade) = venue.new(HOUSE, "B", 1, 100)
    assert trade.maker_client_order_id == 1


@pytest.mark.parametrize("stp", [STP.CANCEL_NEWEST, STP.CANCEL_BOTH, STP.DECREMENT])
def test_remainder_after_prevention_does_not_rest(venue: Any, stp: STP) -> None:
    venue.new(ALICE, "S", 8, 100, cid=1)
    events = venue.new(ALICE, "B", 8, 100, cid=3, stp=stp)
    assert events[-1].leaves_lots == 0
    assert venue.engine.order_by_client_id(ALICE, 3) is None
    assert venue.book()[0] == []


@pytest.mark.parametrize("stp", [STP.CANCEL_NEWEST, STP.CANCEL_OLDEST, STP.CANCEL_BOTH, STP.DECREMENT])
def test_fok_counts_only_what_prevention_lets_it_trade(venue: Any, stp: STP) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    venue.new(BOB, "S", 5, 101, cid=2)
    events = venue.new(ALICE, "B", 6, 101, cid=3, stp=stp, tif=TimeInForce.FOK)
    assert what(events) == [(EventKind.CANCELED, Code.FOK_UNFILLABLE, 3, 6, 0)]
    assert venue.book() == ([], [(100, 5, 1), (101, 5, 1)])


def test_fok_is_filled_past_own_orders_that_are_canceled(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    venue.new(BOB, "S", 5, 100, cid=2)
    events = venue.new(ALICE, "B", 5, 100, cid=3, stp=STP.CANCEL_OLDEST, tif=TimeInForce.FOK)
    assert [e.kind for e in events] == [EventKind.ACCEPTED, EventKind.CANCELED, EventKind.TRADE]


def test_minimum_counts_the_peaks_before_an_own_order_only(venue: Any) -> None:
    """The iceberg's second peak stands behind the own order, where the taker ends."""
    venue.new(BOB, "S", 20, 100, cid=1, display_lots=5)
    venue.new(ALICE, "S", 5, 100, cid=2)
    events = venue.new(ALICE, "B", 20, 100, cid=3, stp=STP.CANCEL_NEWEST, min_lots=6)
    assert what(events) == [(EventKind.CANCELED, Code.MIN_QUANTITY, 3, 20, 0)]
    events = venue.new(ALICE, "B", 20, 100, cid=3, stp=STP.CANCEL_NEWEST, min_lots=5)
    assert what(events) == [
        (EventKind.TRADE, Code.OK, 3, 5, 15),
        (EventKind.CANCELED, Code.SELF_TRADE, 3, 15, 0),
    ]


def test_replace_that_crosses_an_own_order_keeps_to_its_mode(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1)
    venue.new(ALICE, "B", 5, 90, cid=2, stp=STP.CANCEL_NEWEST)
    events = venue.replace(ALICE, 2, 100, 5)
    assert [(e.kind, e.code) for e in events] == [
        (EventKind.REPLACED, Code.OK),
        (EventKind.CANCELED, Code.SELF_TRADE),
    ]


def cases() -> list[Any]:
    return json.loads(VECTORS.read_text())["cases"] if VECTORS.exists() else []


def test_the_venues_seven_cases_are_there() -> None:
    if not VECTORS.exists():
        text = f"VECTORS MISSING: {VECTORS} is absent, so self-trade prevention was NOT compared with a real venue"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    assert len(cases()) == 7


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_case_of_a_real_venue(venue: Any, case: dict[str, Any]) -> None:
    def lots(units: float) -> int:
        return round(units * 10)

    for cid, (side, quantity, price) in enumerate(case["makers"], 1):
        venue.new(HOUSE, side[0].upper(), lots(quantity), lots(price), cid=cid, stp=STP.CANCEL_OLDEST)
    side, order_type, quantity, price, mode = case["taker"]
    fields = {"order_type": OrderType.MARKET} if order_type == "market" else {}
    price_ticks = lots(price) if price else 0
    events = venue.new(HOUSE, side[0].upper(), lots(quantity), price_ticks, cid=99, stp=MODES[mode], **fields)
    traded = [(e.price_ticks, e.quantity_lots) for e in events if e.kind == EventKind.TRADE]
    assert traded == [(lots(p), lots(q)) for q, p in case["trades"]]
    prevented = {e.client_order_id: e.quantity_lots for e in events if e.code == Code.SELF_TRADE}
    for cid, quantity in enumerate(case.get("maker_prevented", ()), 1):
        assert prevented[cid] == lots(quantity)
    for cid, status in enumerate(case["maker_status"], 1):
        assert (venue.engine.order_by_client_id(HOUSE, cid) is not None) == (status == "NEW")
    for cid, quantity in enumerate(case.get("maker_open_qty", ()), 1):
        assert venue.engine.order_by_client_id(HOUSE, cid).leaves_lots == lots(quantity)
    taker = venue.engine.order_by_client_id(HOUSE, 99)
    if case["taker_status"] == "NEW":
        assert [taker.leaves_lots, taker.price_ticks] == [lots(number) for number in case["taker_rests"]]
    else:
        assert taker is None
    if "taker_prevented" in case:
        assert prevented[99] == lots(case["taker_prevented"])
    if case["taker_status"].startswith("EXPIRED (no"):
        assert events[-1].code == Code.NO_LIQUIDITY
