"""Round lots: by the previous close, odd ones taken or not, and what the best bid and offer show."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.engine.contract import BookLevel
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import LOTS, CommandKind, EventKind, OddLotDisplay, OddLots

ACME = 7
ALICE, HOUSE = 1, 9
US = {
    "round1_lots": 100,
    "round2_lots": 40,
    "above2_ticks": 25_000,
    "round3_lots": 10,
    "above3_ticks": 100_000,
    "round4_lots": 1,
    "above4_ticks": 1_000_000,
}
"""Regulation NMS, rule 600(b)(93): a tick is a cent."""
Send = Callable[..., Any]


@pytest.fixture
def set_lots(venue: Any, make_command: Any) -> Send:
    """SET_LOTS of ACME."""

    def send(**terms: int) -> Any:
        (event,) = venue.send(make_command(CommandKind.SET_LOTS, LOTS, **{"instrument": ACME} | terms), session=0)
        return event

    return send


def best(venue: Any) -> tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]:
    """(price, lots, orders) of bid and offer."""

    def shown(level: BookLevel | None) -> tuple[int, int, int] | None:
        return None if level is None else (level.price_ticks, level.quantity_lots, level.orders)

    view = venue.engine.best(ACME)
    return shown(view.bid), shown(view.ask)


@pytest.mark.parametrize(
    ("close", "lots"),
    [(0, 100), (25_000, 100), (25_001, 40), (100_000, 40), (100_001, 10), (1_000_000, 10), (1_000_001, 1)],
)
def test_the_previous_close_says_what_a_round_lot_is(venue: Any, set_lots: Send, close: int, lots: int) -> None:
    if close:
        venue.market(CommandKind.SET_INDEX, instrument=ACME, close_price_ticks=close)
    event = set_lots(**US)
    assert (event.kind, event.value) == (EventKind.LOTS_SET, lots)


def test_odd_lots_are_refused_where_they_are_not_wanted(venue: Any, set_lots: Send) -> None:
    set_lots(round1_lots=10, odd_lots=OddLots.REFUSE)
    assert [venue.new(HOUSE, "B", lots, 5)[0].code for lots in (9, 10, 15, 20)] == [Code.ODD_LOT, 0, Code.ODD_LOT, 0]
    assert venue.new(HOUSE, "B", 5, tif=3)[0].code == Code.ODD_LOT, "a market order, too"
    venue.new(ALICE, "B", 20, 5, cid=1)
    assert venue.replace(ALICE, 1, 5, 25)[0].code == Code.ODD_LOT
    assert venue.replace(ALICE, 1, 5, 15)[0].code == Code.OK, "nothing keeps anybody from lessening an order"
    set_lots(round1_lots=10)
    assert venue.new(HOUSE, "B", 9, 5)[0].code == Code.OK


def test_the_price_is_asked_before_the_lots(venue: Any, set_lots: Send) -> None:
    set_lots(round1_lots=10, odd_lots=OddLots.REFUSE)
    assert venue.new(HOUSE, "B", 9, 2**40)[0].code == Code.BAD_PRICE


def test_the_best_bid_and_offer_are_of_round_lots(venue: Any, set_lots: Send) -> None:
    for price, lots in ((100, 30), (99, 50), (98, 140), (97, 500)):
        venue.new(HOUSE, "B", lots, price)
    venue.new(HOUSE, "S", 60, 101)
    venue.new(HOUSE, "S", 60, 101)
    assert best(venue) == ((100, 30, 1), (101, 120, 2))
    set_lots(round1_lots=100, display=OddLotDisplay.SHOWN)
    assert best(venue) == ((100, 30, 1), (101, 120, 2))
    set_lots(round1_lots=100, display=OddLotDisplay.OUT)
    assert best(venue) == ((98, 100, 1), (101, 100, 2))
    set_lots(round1_lots=100, display=OddLotDisplay.AGGREGATED)
    assert best(venue) == ((98, 200, 3), (101, 100, 2)), "30 + 50 + 140 at 98 or better"
    assert venue.book()[0][0] == (100, 30, 1), "depth shows all"
    set_lots()
    assert best(venue) == ((100, 30, 1), (101, 120, 2))


def test_a_side_of_odd_lots_alone_has_no_best_price(venue: Any, set_lots: Send) -> None:
    set_lots(round1_lots=100, display=OddLotDisplay.AGGREGATED)
    venue.new(HOUSE, "B", 60, 100)
    assert best(venue) == (None, None)
    venue.new(HOUSE, "B", 40, 90)
    assert best(venue) == ((90, 100, 2), None)


def test_hidden_lots_make_no_round_lot(venue: Any, set_lots: Send) -> None:
    set_lots(round1_lots=100, display=OddLotDisplay.OUT)
    venue.new(HOUSE, "B", 500, 100, flags=2)
    venue.new(HOUSE, "B", 500, 99, display_lots=60)
    assert best(venue) == (None, None)


def test_a_snapshot_has_them(venue: Any, set_lots: Send) -> None:
    set_lots(round1_lots=100, odd_lots=OddLots.REFUSE, display=OddLotDisplay.OUT)
    assert decode_snapshot(venue.engine.snapshot()).lots == ((ACME, 100, 1, 2),)
    set_lots()
    assert decode_snapshot(venue.engine.snapshot()).lots == ()


@pytest.mark.parametrize(
    "terms",
    [
        {"round1_lots": 0},
        {"round1_lots": 2**31},
        {"round2_lots": 0},
        {"above2_ticks": 0},
        {"above3_ticks": 25_000},
        {"above4_ticks": 2**40},
        {"odd_lots": 2},
        {"display": 3},
    ],
)
def test_lots_that_make_no_sense_are_refused(set_lots: Send, terms: dict[str, int]) -> None:
    assert set_lots(**US | terms).code == Code.BAD_DEFINITION
    assert set_lots(**US, instrument=99).code == Code.UNKNOWN_INSTRUMENT
