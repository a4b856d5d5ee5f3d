"""Cancel, replace, mass cancel."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, EventFlag, EventKind, ReplaceFlag

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9


def trades(events: list[Any]) -> list[tuple[int, int, int]]:
    return [(e.maker_client_order_id, e.quantity_lots, e.price_ticks) for e in events if e.kind == EventKind.TRADE]


@pytest.mark.parametrize("by_order_id", [True, False])
def test_cancel_takes_off_what_is_open(venue: Any, by_order_id: bool) -> None:
    order_id = venue.new(ALICE, "B", 10, 100, cid=5)[0].order_id
    venue.new(BOB, "S", 4, 100)
    (event,) = venue.cancel(ALICE, order_id=order_id) if by_order_id else venue.cancel(ALICE, 5)
    assert (event.kind, event.code) == (EventKind.CANCELED, Code.CANCEL_REQUESTED)
    assert (event.order_id, event.client_order_id, event.account, event.instrument) == (order_id, 5, ALICE, ACME)
    assert (event.side, event.price_ticks, event.quantity_lots, event.leaves_lots) == (1, 100, 6, 0)
    assert (event.session_id, event.session_no, event.maker_session_id) == (100, 3, 0)
    assert venue.book() == ([], [])
    assert venue.cash_of(ALICE) == (100_000 - 4_000, 0)


def test_cancel_from_another_session_names_the_owner_session_too(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=5, session=100)
    (event,) = venue.cancel(ALICE, 5, session=200)
    assert (event.session_id, event.session_no, event.maker_session_id) == (200, 1, 100)


def test_cancel_of_what_is_not_live_is_refused(venue: Any) -> None:
    order_id = venue.new(ALICE, "B", 10, 100, cid=5)[0].order_id
    refusals = [
        venue.cancel(BOB, 5),
        venue.cancel(BOB, order_id=order_id),
        venue.cancel(ALICE, 6),
        venue.cancel(ALICE, 5, order_id=order_id + 1),
        venue.cancel(99, 5),
    ]
    venue.new(BOB, "S", 10, 100)
    refusals += [venue.cancel(ALICE, 5), venue.cancel(ALICE, order_id=order_id)]
    for (event,) in refusals:
        assert (event.kind, event.code) == (EventKind.CANCEL_REJECTED, Code.UNKNOWN_ORDER)


@pytest.mark.parametrize("side", ["B", "S"])
def test_best_price_is_not_stale_after_a_cancel(venue: Any, side: str) -> None:
    best, behind = (100, 99) if side == "B" else (99, 100)
    venue.new(ALICE, side, 5, behind, cid=2)
    venue.new(ALICE, side, 5, best, cid=1)
    venue.cancel(ALICE, 1)
    other = "S" if side == "B" else "B"
    assert trades(venue.new(BOB, other, 5, behind)) == [(2, 5, behind)]


def test_cancel_in_the_middle_of_a_level_keeps_the_others_in_order(venue: Any) -> None:
    for cid in (1, 2, 3):
        venue.new(ALICE, "B", 5, 100, cid=cid)
    venue.cancel(ALICE, 2)
    assert trades(venue.new(BOB, "S", 10, 100)) == [(1, 5, 100), (3, 5, 100)]


def test_smaller_quantity_at_the_same_price_keeps_priority(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(CAROL, "B", 10, 100, cid=2)
    (event,) = venue.replace(ALICE, 1, 100, 4)
    assert (event.kind, event.flags) == (EventKind.REPLACED, EventFlag.BOOKS)
    assert (event.price_ticks, event.quantity_lots, event.leaves_lots) == (100, 4, 4)
    assert (event.previous_price_ticks, event.previous_leaves_lots, event.side) == (100, 10, 1)
    assert venue.book() == ([(100, 14, 2)], [])
    assert trades(venue.new(BOB, "S", 5, 100)) == [(1, 4, 100), (2, 1, 100)]


def test_unchanged_terms_keep_priority(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(CAROL, "B", 10, 100, cid=2)
    assert venue.replace(ALICE, 1, 100, 10)[0].flags == EventFlag.BOOKS
    assert trades(venue.new(BOB, "S", 1, 100)) == [(1, 1, 100)]


@pytest.mark.parametrize(("price", "lots"), [(100, 11), (101, 10), (101, 4), (99, 4)])
def test_larger_quantity_or_another_price_loses_priority(venue: Any, price: int, lots: int) -> None:
    venue.new(CAROL, "B", 1, 99, cid=3)
    venue.new(CAROL, "B", 1, 101, cid=4)
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(CAROL, "B", 10, 100, cid=2)
    (event,) = venue.replace(ALICE, 1, price, lots)
    assert event.flags == EventFlag.BOOKS | EventFlag.LOST_PRIORITY
    level = venue.state.books[ACME].bids.levels[price]
    assert [order.client_order_id for order in level.displayed.values()][1:] == [1]


def test_replace_that_crosses_trades_at_the_makers_price_and_rests_the_remainder(venue: Any) -> None:
    venue.new(BOB, "S", 3, 105, cid=9)
    venue.new(ALICE, "B", 10, 100, cid=1)
    replaced, trade = venue.replace(ALICE, 1, 106, 8)
    assert (replaced.kind, replaced.index, replaced.leaves_lots) == (EventKind.REPLACED, 0, 8)
    assert (trade.price_ticks, trade.quantity_lots, trade.leaves_lots) == (105, 3, 5)
    assert (trade.client_order_id, trade.session_no) == (1, replaced.session_no)
    assert venue.book() == ([(106, 5, 1)], [])
    assert venue.cash_of(ALICE) == (100_000 - 3 * 1050, 5 * 1060)


def test_replace_that_fills_completely_leaves_no_order(venue: Any) -> None:
    venue.new(BOB, "S", 10, 105, cid=9)
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.replace(ALICE, 1, 105, 10)
    assert venue.engine.order_by_client_id(ALICE, 1) is None
    assert venue.cancel(ALICE, 1)[0].code == Code.UNKNOWN_ORDER
    assert venue.new(ALICE, "B", 1, 10, cid=1)[0].kind == EventKind.ACCEPTED


def test_replaced_order_is_found_under_both_ids_and_once(venue: Any) -> None:
    order_id = venue.new(ALICE, "B", 10, 100, cid=1)[0].order_id
    venue.replace(ALICE, 1, 90, 12)
    venue.replace(ALICE, 0, 95, 12, order_id=order_id)
    view = venue.engine.order(order_id)
    assert view == venue.engine.order_by_client_id(ALICE, 1)
    assert (view.price_ticks, view.quantity_lots, view.leaves_lots) == (95, 12, 12)
    assert venue.engine.open_orders(ALICE) == (view,)


def test_replace_of_a_partly_filled_order_sets_the_open_quantity(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 6, 100)
    (event,) = venue.replace(ALICE, 1, 100, 4)
    assert (event.previous_leaves_lots, event.leaves_lots, event.flags) == (4, 4, EventFlag.BOOKS)


def test_replace_from_another_session_tells_the_former_owner_and_takes_the_order_over(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1, session=100)
    (event,) = venue.replace(ALICE, 1, 100, 9, session=200)
    assert (event.session_id, event.maker_session_id) == (200, 100)
    assert venue.replace(ALICE, 1, 100, 8, session=200)[0].maker_session_id == 0
    assert venue.new(BOB, "S", 1, 100)[1].maker_session_id == 200


@pytest.mark.parametrize(
    ("price", "lots", "code"),
    [
        (100, 0, Code.BAD_QUANTITY),
        (100, -1, Code.BAD_QUANTITY),
        (100, MAX_QUANTITY_LOTS + 1, Code.BAD_QUANTITY),
        (0, 5, Code.BAD_PRICE),
        (-1, 5, Code.BAD_PRICE),
        (MAX_PRICE_TICKS + 1, 5, Code.BAD_PRICE),
        (I64_MAX, 0, Code.BAD_QUANTITY),
        (MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, Code.OVERFLOW),
        (100, 101, Code.INSUFFICIENT_CASH),
        (1001, 10, Code.INSUFFICIENT_CASH),
    ],
)
def test_refused_replace_leaves_the_order_untouched(venue: Any, price: int, lots: int, code: Code) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(CAROL, "B", 10, 100, cid=2)
    before = (venue.book(), venue.engine.order_by_client_id(ALICE, 1), venue.cash_of(ALICE))
    (event,) = venue.replace(ALICE, 1, price, lots)
    assert (event.kind, event.code, event.client_order_id) == (EventKind.REPLACE_REJECTED, code, 1)
    assert (venue.book(), venue.engine.order_by_client_id(ALICE, 1), venue.cash_of(ALICE)) == before
    assert trades(venue.new(BOB, "S", 1, 100)) == [(1, 1, 100)]


def test_replace_counts_its_own_reservation_as_free(venue: Any) -> None:
    venue.new(ALICE, "B", 100, 100, cid=1)
    assert venue.cash_of(ALICE) == (100_000, 100_000)
    assert venue.replace(ALICE, 1, 50, 200)[0].kind == EventKind.REPLACED
    venue.new(BOB, "S", 100, 300, cid=2)
    assert venue.lots_of(BOB) == (100, 100)
    assert venue.replace(BOB, 2, 250, 100)[0].kind == EventKind.REPLACED
    assert venue.replace(BOB, 2, 250, 101)[0].code == Code.INSUFFICIENT_POSITION


def test_replace_of_what_is_not_live_is_refused(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    for (event,) in (venue.replace(BOB, 1, 100, 5), venue.replace(ALICE, 2, 100, 5), venue.replace(99, 1, 100, 5)):
        assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, Code.UNKNOWN_ORDER)


def test_mass_cancel_takes_all_orders_of_an_account_in_order_of_id(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(ALICE, "B", 10, 101, cid=2)
    venue.new(BOB, "B", 10, 99, cid=3)
    venue.new(ALICE, "S", 10, 200, cid=4, session=200)
    venue.replace(ALICE, 1, 90, 10)
    events = venue.mass_cancel(ALICE)
    assert [event.client_order_id for event in events[:-1]] == [1, 2, 4]
    assert {(event.kind, event.code) for event in events[:-1]} == {(EventKind.CANCELED, Code.MASS_CANCEL)}
    assert [event.maker_session_id for event in events[:-1]] == [0, 0, 200]
    assert (events[-1].kind, events[-1].quantity_lots) == (EventKind.MASS_CANCELED, 3)
    assert venue.book() == ([(99, 10, 1)], [])
    assert venue.cash_of(ALICE) == (100_000, 0)


def test_mass_cancel_can_be_limited_to_an_instrument_and_a_side(venue: Any) -> None:
    venue.define_instrument(8, b"OTHER")
    venue.move_in(ALICE, 100, 8)

    def canceled(**fields: int) -> list[int]:
        return [event.client_order_id for event in venue.mass_cancel(ALICE, **fields)[:-1]]

    for cid, side, instrument in ((1, "B", 7), (2, "S", 7), (3, "B", 8), (4, "S", 8), (5, "B", 8)):
        venue.new(ALICE, side, 1, 10 if side == "B" else 20, cid=cid, instrument=instrument)
    assert canceled(instrument=8, side=1) == [3, 5]
    assert canceled(side=2) == [2, 4]
    assert canceled(instrument=8) == []
    assert canceled(instrument=7) == [1]


def test_mass_cancel_of_nothing_says_zero_and_of_an_unknown_account_is_refused(venue: Any) -> None:
    (event,) = venue.mass_cancel(ALICE)
    assert (event.kind, event.quantity_lots, event.index) == (EventKind.MASS_CANCELED, 0, 0)
    (event,) = venue.mass_cancel(99)
    assert (event.kind, event.code) == (EventKind.REJECTED, Code.UNKNOWN_ACCOUNT)


TOTAL, CUT = int(ReplaceFlag.TOTAL), int(ReplaceFlag.CUT)


def test_a_total_counts_what_has_traded(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 4, 100)
    (event,) = venue.replace(ALICE, 1, 100, 8, flags=TOTAL)
    assert (event.kind, event.leaves_lots, event.previous_leaves_lots) == (EventKind.REPLACED, 4, 6)
    assert event.flags == EventFlag.BOOKS, "less: it keeps its place"
    (event,) = venue.replace(ALICE, 1, 99, 20, flags=TOTAL)
    assert (event.kind, event.leaves_lots, event.price_ticks) == (EventKind.REPLACED, 16, 99)
    venue.new(BOB, "S", 6, 99)
    (event,) = venue.replace(ALICE, 1, 99, 15, flags=TOTAL)
    assert event.leaves_lots == 5, "15 in all, of which 4 and 6 have traded"


@pytest.mark.parametrize(("lots", "taken_off"), [(4, 6), (1, 6)])
def test_a_total_that_has_traded_already_ends_the_order(venue: Any, lots: int, taken_off: int) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 4, 100)
    (event,) = venue.replace(ALICE, 1, 100, lots, flags=TOTAL)
    assert (event.kind, event.code, event.quantity_lots) == (EventKind.CANCELED, Code.CANCEL_REQUESTED, taken_off)
    assert venue.book() == ([], [])
    assert venue.cash_of(ALICE)[1] == 0


@pytest.mark.parametrize("lots", [0, -1, MAX_QUANTITY_LOTS + 1])
def test_a_total_that_no_order_may_have_is_refused(venue: Any, lots: int) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 4, 100)
    (event,) = venue.replace(ALICE, 1, 100, lots, flags=TOTAL)
    assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, Code.BAD_QUANTITY)


def test_a_cut_keeps_the_price_and_only_takes_off(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 4, 100)
    for lots in (10, 11, MAX_QUANTITY_LOTS):
        (event,) = venue.replace(ALICE, 1, 777, lots, flags=TOTAL | CUT)
        assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, Code.BAD_QUANTITY)
    (event,) = venue.replace(ALICE, 1, 777, 9, stop_price_ticks=5, flags=TOTAL | CUT)
    assert (event.kind, event.leaves_lots, event.price_ticks) == (EventKind.REPLACED, 5, 100)
    (event,) = venue.replace(ALICE, 1, 0, 3, flags=CUT)
    assert (event.kind, event.leaves_lots, event.price_ticks) == (EventKind.REPLACED, 3, 100)
    (event,) = venue.replace(ALICE, 1, 0, 3, flags=CUT)
    assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, Code.BAD_QUANTITY)


def test_a_cut_of_a_waiting_stop_keeps_its_stop_price(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 0, cid=1, order_type=3, stop_price_ticks=150)
    (event,) = venue.replace(ALICE, 1, 0, 4, stop_price_ticks=160, flags=CUT)
    assert (event.kind, event.leaves_lots, event.stop_price_ticks) == (EventKind.REPLACED, 4, 150)
