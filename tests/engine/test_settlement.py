"""Fees, cost and profit of positions, transfers of shares."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, OrderType, Phase

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACME = 7


def cost_of(venue: Any, account: int) -> tuple[int, int, int]:
    """(lots, cost, realised)."""
    held = [p for p in venue.engine.account(account).positions if p.instrument == ACME]
    return (held[0].quantity_lots, held[0].cost_micros, held[0].realised_micros) if held else (0, 0, 0)


def deal(venue: Any, buyer: int, seller: int, lots: int, price: int) -> Any:
    venue.new(seller, "S", lots, price)
    return venue.new(buyer, "B", lots, price)[1]


def test_fees_are_paid_by_both_sides_into_the_pot(venue: Any) -> None:
    (event,) = venue.fees(1_000, 2_500)
    assert event.kind == EventKind.FEES_SET
    trade = deal(venue, ALICE, BOB, 7, 101)
    assert (trade.maker_fee_micros, trade.taker_fee_micros) == (7, 17)
    assert venue.cash_of(ALICE) == (100_000 - 7_070 - 17, 0)
    assert venue.cash_of(BOB) == (100_000 + 7_070 - 7, 0)
    assert venue.engine.fees_micros == 24


def test_buys_reserve_the_highest_fee_per_lot_rounded_up(venue: Any) -> None:
    venue.fees(1_000, 2_500)
    venue.new(ALICE, "B", 7, 101, cid=1)
    assert venue.cash_of(ALICE) == (100_000, 7 * (1_010 + 3))
    venue.new(BOB, "S", 3, 101)
    assert venue.cash_of(ALICE) == (100_000 - 3_030 - 3, 4 * 1_013)
    venue.replace(ALICE, 1, 100, 4)
    assert venue.cash_of(ALICE)[1] == 4 * 1_003


def test_an_order_that_can_pay_its_price_but_not_its_fees_is_refused(venue: Any) -> None:
    venue.fees(0, 10_000)
    venue.new(HOUSE, "S", 100, 100)
    assert venue.new(ALICE, "B", 100, 100)[0].code == Code.INSUFFICIENT_CASH
    assert venue.new(ALICE, "B", 100, order_type=OrderType.MARKET)[0].code == Code.INSUFFICIENT_CASH
    assert venue.new(ALICE, "B", 99, order_type=OrderType.MARKET)[0].kind == EventKind.ACCEPTED
    assert venue.cash_of(ALICE) == (100_000 - 99_000 - 990, 0)


def test_fees_change_only_without_live_orders(venue: Any) -> None:
    venue.new(ALICE, "B", 1, cid=1, order_type=OrderType.STOP, stop_price_ticks=200)
    assert venue.fees(1, 1)[0].code == Code.ORDERS_LIVE
    assert venue.fees(0, 0)[0].kind == EventKind.FEES_SET
    venue.cancel(ALICE, 1)
    assert venue.fees(1, 1)[0].kind == EventKind.FEES_SET
    assert venue.fees(-1, 0)[0].code == venue.fees(0, 100_001)[0].code == Code.BAD_DEFINITION


def test_cost_grows_by_purchases_and_falls_in_proportion_by_sales(venue: Any) -> None:
    venue.define_account(4, b"dora")
    venue.pay_in(4, 100_000)
    deal(venue, 4, BOB, 3, 100)
    deal(venue, 4, BOB, 4, 107)
    assert cost_of(venue, 4) == (7, 7_280, 0)
    deal(venue, CAROL, 4, 2, 110)
    assert cost_of(venue, 4) == (5, 5_200, 2_200 - 2_080)
    deal(venue, CAROL, 4, 5, 90)
    assert cost_of(venue, 4) == (0, 0, 120 + 4_500 - 5_200)


def test_sale_through_zero_opens_a_short_position_at_the_price(venue: Any) -> None:
    deal(venue, HOUSE, BOB, 4, 100)
    deal(venue, CAROL, HOUSE, 10, 105)
    assert cost_of(venue, HOUSE) == (-6, 6_300, 200)
    deal(venue, HOUSE, BOB, 9, 101)
    assert cost_of(venue, HOUSE) == (3, 3_030, 200 + 240)


def test_lots_moved_out_take_their_cost_along_and_no_profit(venue: Any) -> None:
    deal(venue, HOUSE, BOB, 4, 100)
    venue.move_in(HOUSE, 1)
    assert cost_of(venue, HOUSE) == (5, 4_000, 0)
    venue.move_in(HOUSE, -2)
    assert cost_of(venue, HOUSE) == (3, 4_000 - 1_600, 0)
    venue.move_in(HOUSE, -5)
    assert cost_of(venue, HOUSE) == (-2, 0, 0)


def test_transfer_moves_shares_and_their_cost(venue: Any) -> None:
    deal(venue, HOUSE, BOB, 4, 100)
    giver, taker = venue.transfer(HOUSE, CAROL, 3)
    assert (giver.kind, giver.account, giver.quantity_lots) == (EventKind.POSITION_TRANSFERRED, HOUSE, 1)
    assert (taker.kind, taker.account, taker.quantity_lots) == (EventKind.POSITION_TRANSFERRED, CAROL, 103)
    assert cost_of(venue, HOUSE) == (1, 1_000, 0)
    assert cost_of(venue, CAROL) == (103, 3_000, 0)


@pytest.mark.parametrize(
    ("giver", "taker", "lots", "instrument", "code"),
    [
        (77, ALICE, 1, ACME, Code.UNKNOWN_ACCOUNT),
        (ALICE, 77, 1, ACME, Code.UNKNOWN_ACCOUNT),
        (ALICE, BOB, 1, 99, Code.UNKNOWN_INSTRUMENT),
        (ALICE, ALICE, 1, ACME, Code.BAD_DEFINITION),
        (ALICE, BOB, 0, ACME, Code.BAD_QUANTITY),
        (ALICE, BOB, 2**62 + 1, ACME, Code.BAD_QUANTITY),
        (ALICE, BOB, 91, ACME, Code.INSUFFICIENT_POSITION),
        (HOUSE, BOB, 1, ACME, Code.INSUFFICIENT_POSITION),
    ],
)
def test_transfers_that_can_not_be_are_refused(
    venue: Any, giver: int, taker: int, lots: int, instrument: int, code: Code
) -> None:
    venue.new(ALICE, "S", 10, 100)
    (event,) = venue.transfer(giver, taker, lots, instrument)
    assert (event.kind, event.code, event.quantity_lots) == (EventKind.ADMIN_REJECTED, code, lots)


def test_transfer_beyond_the_largest_position_is_an_overflow(venue: Any) -> None:
    venue.move_in(HOUSE, 2**62)
    assert venue.transfer(HOUSE, ALICE, 2**62)[0].code == Code.OVERFLOW


def test_rebate_is_paid_to_the_maker_from_the_takers_fee(venue: Any) -> None:
    assert venue.fees(-2_501, 2_500)[0].code == Code.BAD_DEFINITION
    assert venue.fees(-1_000, 2_500)[0].code == Code.OK
    trade = deal(venue, ALICE, BOB, 7, 101)
    assert (trade.maker_fee_micros, trade.taker_fee_micros) == (-7, 17)
    assert venue.cash_of(BOB) == (100_000 + 7_070 + 7, 0)
    assert venue.engine.fees_micros == 10


def test_auction_pays_no_rebate(venue: Any) -> None:
    venue.fees(-1_000, 2_500)
    venue.phase(Phase.PRE_OPEN)
    venue.new(ALICE, "B", 7, 101)
    venue.new(BOB, "S", 7, 101)
    (trade,) = [e for e in venue.phase(Phase.CONTINUOUS) if e.kind == EventKind.TRADE]
    assert (trade.maker_fee_micros, trade.taker_fee_micros) == (0, 0)
