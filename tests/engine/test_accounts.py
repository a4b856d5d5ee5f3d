"""Cash and shares: reserved before matching, moved by trades, conserved."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, EventKind, TimeInForce

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
UNLIMITED_CASH, UNLIMITED_POSITIONS = 1, 2


def code(events: list[Any]) -> int:
    return int(events[0].code)


def test_resting_buy_reserves_its_worth_and_resting_sell_its_lots(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100)
    venue.new(BOB, "S", 10, 200)
    assert venue.cash_of(ALICE) == (100_000, 10_000)
    assert venue.lots_of(BOB) == (100, 10)


def test_trade_moves_cash_and_shares_and_releases_reservations(venue: Any) -> None:
    venue.new(BOB, "S", 10, 100)
    venue.new(ALICE, "B", 4, 100)
    assert venue.cash_of(ALICE) == (96_000, 0)
    assert venue.cash_of(BOB) == (104_000, 0)
    assert venue.lots_of(ALICE) == (104, 0)
    assert venue.lots_of(BOB) == (96, 6)


def test_price_improvement_is_released(venue: Any) -> None:
    venue.new(BOB, "S", 4, 50)
    venue.new(ALICE, "B", 10, 100)
    assert venue.cash_of(ALICE) == (98_000, 6_000)


def test_cash_is_good_for_exactly_what_is_there(venue: Any) -> None:
    assert code(venue.new(ALICE, "B", 101, 100)) == Code.INSUFFICIENT_CASH
    assert code(venue.new(ALICE, "B", 60, 100, cid=1)) == Code.OK
    assert code(venue.new(ALICE, "B", 41, 100)) == Code.INSUFFICIENT_CASH
    assert code(venue.new(ALICE, "B", 40, 100)) == Code.OK
    assert code(venue.new(ALICE, "B", 1, 1)) == Code.INSUFFICIENT_CASH
    venue.cancel(ALICE, 1)
    assert code(venue.new(ALICE, "B", 1, 1)) == Code.OK


def test_shares_are_good_for_exactly_what_is_there(venue: Any) -> None:
    assert code(venue.new(ALICE, "S", 101, 100)) == Code.INSUFFICIENT_POSITION
    assert code(venue.new(ALICE, "S", 60, 100)) == Code.OK
    assert code(venue.new(ALICE, "S", 41, 100)) == Code.INSUFFICIENT_POSITION
    assert code(venue.new(ALICE, "S", 40, 100)) == Code.OK
    assert code(venue.new(ALICE, "S", 1)) == Code.INSUFFICIENT_POSITION


def test_limit_buy_needs_its_whole_worth_though_it_would_trade_for_less(venue: Any) -> None:
    venue.new(BOB, "S", 10, 1)
    assert code(venue.new(ALICE, "B", 10, 1001, tif=TimeInForce.IOC)) == Code.INSUFFICIENT_CASH


def test_fok_check_does_not_skip_the_balance(venue: Any) -> None:
    venue.new(BOB, "S", 100, 101)
    assert code(venue.new(ALICE, "B", 100, 101, tif=TimeInForce.FOK)) == Code.INSUFFICIENT_CASH


def test_market_buy_needs_exactly_what_it_would_trade_for(venue: Any) -> None:
    venue.new(BOB, "S", 50, 100)
    venue.new(BOB, "S", 50, 200)
    assert code(venue.new(ALICE, "B", 76)) == Code.INSUFFICIENT_CASH
    assert code(venue.new(ALICE, "B", 75)) == Code.OK
    assert venue.cash_of(ALICE) == (0, 0)


def test_market_buy_that_finds_nothing_needs_nothing(venue: Any) -> None:
    venue.define_account(5, b"poor")
    assert code(venue.new(5, "B", 10)) == Code.OK
    venue.new(BOB, "S", 5, 100)
    assert code(venue.new(5, "B", 10, tif=TimeInForce.FOK)) == Code.OK
    assert code(venue.new(5, "B", 10)) == Code.INSUFFICIENT_CASH


def test_proceeds_can_be_spent_by_the_next_command(venue: Any) -> None:
    venue.define_account(5, b"poor")
    venue.move_in(5, 10)
    venue.new(ALICE, "B", 10, 100)
    venue.new(5, "S", 10, 100)
    assert code(venue.new(5, "B", 10, 100)) == Code.OK


def test_unlimited_accounts_go_below_zero_and_are_still_booked(venue: Any) -> None:
    venue.new(HOUSE, "S", 10, 100)
    venue.new(ALICE, "B", 10, 100)
    assert venue.lots_of(HOUSE) == (-10, 0)
    assert venue.cash_of(HOUSE) == (10_000, 0)
    venue.new(BOB, "S", 100, 500)
    venue.new(HOUSE, "B", 100, 500)
    assert venue.cash_of(HOUSE) == (10_000 - 500_000, 0)


@pytest.mark.parametrize(
    ("flags", "buy", "sell"),
    [
        (UNLIMITED_CASH, Code.OK, Code.INSUFFICIENT_POSITION),
        (UNLIMITED_POSITIONS, Code.INSUFFICIENT_CASH, Code.OK),
    ],
)
def test_each_flag_lifts_one_limit(venue: Any, flags: int, buy: Code, sell: Code) -> None:
    venue.define_account(5, b"half", flags)
    assert code(venue.new(5, "B", 1, 100)) == buy
    assert code(venue.new(5, "S", 1, 200)) == sell


def rich_venue(venue: Any, unit: int = 1) -> Any:
    venue.define_instrument(ACME, b"ACME", tick=unit)
    venue.define_account(HOUSE, b"house", 3)
    venue.define_account(8, b"house 2", 3)
    return venue


def test_buys_cannot_bring_a_balance_below_64_bits(bare_venue: Any) -> None:
    venue = rich_venue(bare_venue, 2**40)
    assert code(venue.new(HOUSE, "B", 2**21, 3, cid=1)) == Code.OK
    assert code(venue.new(HOUSE, "B", 2**21, 1)) == Code.OVERFLOW
    assert code(venue.new(HOUSE, "B", 2**21 - 1, 1)) == Code.OK
    venue.new(8, "S", 2**21, 3)
    assert venue.cash_of(HOUSE) == (-3 * 2**61, 2**61 - 2**40)
    assert code(venue.new(HOUSE, "B", 1, 1)) == Code.OVERFLOW
    assert code(venue.replace(HOUSE, 1, 1, 1)) == Code.UNKNOWN_ORDER


def test_sells_cannot_bring_a_balance_above_64_bits(bare_venue: Any) -> None:
    venue = rich_venue(bare_venue, 2**40)
    assert code(venue.new(HOUSE, "S", 2**21, 3, cid=1)) == Code.OK
    assert code(venue.new(HOUSE, "S", 2**21, 4)) == Code.OVERFLOW
    assert code(venue.replace(HOUSE, 1, 4, 2**21)) == Code.OVERFLOW
    assert code(venue.pay_in(HOUSE, 2**61)) == Code.OVERFLOW
    assert code(venue.pay_in(HOUSE, 2**60)) == Code.OK
    assert code(venue.new(8, "B", 2**21, 3)) == Code.OK
    assert venue.cash_of(HOUSE) == (2**60 + 3 * 2**61, 0)
    assert code(venue.new(8, "B", 2**19, 2)) == Code.OK
    assert code(venue.new(HOUSE, "S", 2**19, 1)) == Code.OVERFLOW, "it would trade at the better bid"
    assert code(venue.new(HOUSE, "S", 2**19)) == Code.OVERFLOW
    assert code(venue.new(HOUSE, "S", 2**19 - 1)) == Code.OK


def test_market_order_whose_sum_overflows_is_refused(bare_venue: Any) -> None:
    venue = rich_venue(bare_venue, 2**40)
    for account in (8, 10):
        venue.define_account(account, b"seller %d" % account, 3)
        venue.new(account, "S", 2**21, 2)
    assert code(venue.new(HOUSE, "B", 2**22)) == Code.OVERFLOW
    assert code(venue.new(HOUSE, "B", 2**21)) == Code.OK


def test_positions_stay_within_their_bound(bare_venue: Any) -> None:
    venue = rich_venue(bare_venue)
    assert code(venue.move_in(HOUSE, 2**62)) == Code.OK
    assert code(venue.move_in(HOUSE, 1)) == Code.OVERFLOW
    assert code(venue.new(HOUSE, "B", 1, 1)) == Code.OVERFLOW
    assert code(venue.move_in(8, -(2**62))) == Code.OK
    assert code(venue.new(8, "S", 1, 1)) == Code.OVERFLOW
    assert code(venue.new(8, "B", 1, 1)) == Code.OK
    assert code(venue.move_in(8, -I64_MAX - 1)) == Code.OVERFLOW


def test_book_view_sums_levels_and_stops_at_the_depth(venue: Any) -> None:
    for price in (90, 91, 91, 92):
        venue.new(ALICE, "B", 5, price)
    view = venue.engine.book(ACME, 2)
    assert [(level.price_ticks, level.quantity_lots, level.orders) for level in view.bids] == [(92, 5, 1), (91, 10, 2)]
    assert venue.engine.book(ACME, 0).bids == ()
    assert venue.engine.book(99, 5) is None


def test_account_view_omits_empty_positions(venue: Any) -> None:
    venue.define_account(5, b"new")
    venue.new(5, "B", 1, tif=TimeInForce.IOC)
    view = venue.engine.account(5)
    assert (view.name, view.flags, view.positions) == ("new", 0, ())
    assert [view.account for view in venue.engine.accounts()] == [1, 2, 3, 5, 9]
    assert venue.engine.account(99) is None
    assert venue.engine.open_orders(99) == ()
    assert venue.new(5, "S", 1, 1)[0].kind == EventKind.REJECTED
