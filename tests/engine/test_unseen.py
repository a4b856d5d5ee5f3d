"""Icebergs and hidden orders: what is shown, and in which order it trades."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderFlag, OrderType, TimeInForce

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACME = 7
VECTOR = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "setsmm_iceberg" / "vector.json"


def trades(events: list[Any]) -> list[tuple[int, int]]:
    """(maker's client id, lots) of each trade."""
    return [(e.maker_client_order_id, e.quantity_lots) for e in events if e.kind == EventKind.TRADE]


def test_iceberg_shows_its_peak_and_renews_it_behind(venue: Any) -> None:
    (event,) = venue.new(ALICE, "S", 20, 100, cid=1, display_lots=5)
    assert event.flags == EventFlag.BOOKS | EventFlag.UNSEEN
    venue.new(BOB, "S", 5, 100, cid=2)
    assert venue.book()[1] == [(100, 10, 2)]
    assert trades(venue.new(HOUSE, "B", 12, 100)) == [(1, 5), (2, 5), (1, 2)]
    assert venue.book()[1] == [(100, 3, 1)]
    assert venue.engine.order_by_client_id(ALICE, 1).leaves_lots == 13


def test_iceberg_gives_all_its_peaks_before_a_worse_price(venue: Any) -> None:
    venue.new(ALICE, "S", 12, 100, cid=1, display_lots=5)
    venue.new(BOB, "S", 5, 101, cid=2)
    assert trades(venue.new(HOUSE, "B", 13, 101)) == [(1, 5), (1, 5), (1, 2), (2, 1)]


def test_icebergs_remainder_makes_its_first_peak(venue: Any) -> None:
    venue.new(BOB, "S", 7, 100, cid=2)
    venue.new(ALICE, "B", 20, 100, cid=1, display_lots=5)
    assert venue.book() == ([(100, 5, 1)], [])
    assert venue.engine.order_by_client_id(ALICE, 1).leaves_lots == 13


def test_hidden_order_trades_after_all_displayed_ones_of_its_price(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1, flags=OrderFlag.HIDDEN)
    venue.new(BOB, "S", 10, 100, cid=2, display_lots=4)
    assert venue.book()[1] == [(100, 4, 1)]
    assert trades(venue.new(HOUSE, "B", 13, 100)) == [(2, 4), (2, 4), (2, 2), (1, 3)]
    assert venue.book()[1] == []
    assert trades(venue.new(HOUSE, "B", 13, 100)) == [(1, 2)]


def test_fok_reaches_what_is_not_shown(venue: Any) -> None:
    venue.new(ALICE, "S", 5, 100, cid=1, flags=OrderFlag.HIDDEN)
    venue.new(BOB, "S", 10, 100, cid=2, display_lots=4)
    assert sum(lots for _, lots in trades(venue.new(HOUSE, "B", 15, 100, tif=TimeInForce.FOK))) == 15


@pytest.mark.parametrize("fields", [{"display_lots": -1}, {"display_lots": 21}])
def test_display_outside_the_quantity_is_refused(venue: Any, fields: dict[str, int]) -> None:
    assert venue.new(ALICE, "S", 20, 100, **fields)[0].code == Code.BAD_DISPLAY


def test_peak_below_a_thousandth_is_refused(venue: Any) -> None:
    assert venue.new(HOUSE, "S", 1001, 100, display_lots=1)[0].code == Code.BAD_DISPLAY
    assert venue.new(HOUSE, "S", 1000, 100, cid=1, display_lots=1)[0].kind == EventKind.ACCEPTED
    assert venue.replace(HOUSE, 1, 100, 1001)[0].code == Code.BAD_DISPLAY


def test_lessened_iceberg_keeps_its_place_and_shows_no_more_than_it_has(venue: Any) -> None:
    venue.new(ALICE, "S", 20, 100, cid=1, display_lots=5)
    venue.new(BOB, "S", 5, 100, cid=2)
    (event,) = venue.replace(ALICE, 1, 100, 3)
    assert event.flags == EventFlag.BOOKS | EventFlag.UNSEEN
    assert venue.book()[1] == [(100, 8, 2)]
    assert trades(venue.new(HOUSE, "B", 4, 100)) == [(1, 3), (2, 1)]


def test_worked_example_of_a_real_venue(venue: Any) -> None:
    if not VECTOR.exists():
        text = f"VECTORS MISSING: {VECTOR} is absent, so icebergs were NOT compared with a real venue's example"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    example = json.loads(VECTOR.read_text())
    names: dict[str, int] = {}

    def enter(order: dict[str, Any]) -> list[Any]:
        names[order["id"]] = len(names) + 1
        fields: dict[str, Any] = {"display_lots": order["peak"]} if "peak" in order else {}
        if order.get("type") == "market":
            fields["order_type"] = OrderType.MARKET
        side = order["side"][0].upper()
        return list(venue.new(HOUSE, side, order["qty"], order.get("price", 0), cid=names[order["id"]], **fields))

    for order in sorted(example["opening_book"], key=lambda order: order["time"]):
        enter(order)
    for step in example["steps"]:
        events = enter(step["order"])
        done = trades(events)
        if "trades" in step:
            assert done == [(names[maker], lots) for _, maker, _, lots in step["trades"]]
        for name, lots in step.get("trade_volume_per_counterparty", {}).items():
            assert sum(part for maker, part in done if maker == names[name]) == lots
        check_after(venue, names, step["after"])


def check_after(venue: Any, names: dict[str, int], after: dict[str, Any]) -> None:
    """What the example says of the book after a step."""
    views = {name: venue.engine.order_by_client_id(HOUSE, cid) for name, cid in names.items()}
    for key, value in after.items():
        name, _, part = key.partition("_")
        if part == "total":
            assert views[name].leaves_lots == value
        elif part == "visible":
            assert views[name].shown_lots == value
        elif key == "best_ask":
            assert list(venue.book()[1][0][:2]) == value
        elif key == "bid_queue_at_100_visible":
            queue = venue.state.books[ACME].bids.best().displayed.values()
            assert [[order.client_order_id, order.shown] for order in queue] == [[names[n], lots] for n, lots in value]
        else:
            raise AssertionError(f"the example says {key}, which this test does not know")
