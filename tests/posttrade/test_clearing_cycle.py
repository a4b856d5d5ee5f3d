"""From the fill to the transfer: novation, netting, delivery versus payment, by examples."""

from lockstep.posttrade.clearing.entries import Commit, Deposit, EndDay, Fill, Prepare, StartDay, Undo
from lockstep.posttrade.clearing.machine import ClearingMachine
from lockstep.posttrade.clearing.outputs import Kind, Refusal
from lockstep.posttrade.clearing.state import EXCHANGE, UNASSIGNED
from tests.posttrade.clearing_world import MICROS, MONDAY, House, of_kind, refused

TUESDAY, WEDNESDAY = MONDAY + 1, MONDAY + 2
A, B, C = 2, 4, 6
"""Holders: the members' own sides."""


def test_fill_becomes_two_positions_against_the_clearing_house():
    house = House()
    out = house.fill(1, 2, 100, 200, fees=(30, -10))
    assert [(one.holder, one.quantity, one.amount, one.day) for one in of_kind(out, Kind.NOVATED)] == [
        (A, 100, -200 * MICROS, TUESDAY),
        (B, -100, 200 * MICROS, TUESDAY),
    ]
    assert [(one.holder, one.amount) for one in of_kind(out, Kind.FEE)] == [(A, -30), (B, 10)]
    assert house.state.due[TUESDAY, MONDAY, 1][EXCHANGE] == [0, 20, 0]


def test_hmrc_stsm126030_a_delivers_25_and_b_pays_20():
    house = House()
    house.give(1, shares=25)
    house.give(2, cash=20 * MICROS)
    house.fill(2, 1, 100, 100)
    house.fill(1, 2, 50, 110)
    house.fill(1, 2, 25, 100)
    out = house.whole_day(TUESDAY)
    netted = [(one.holder, one.quantity, one.amount) for one in of_kind(out, Kind.OBLIGATION)]
    assert netted == [(A, -25, 20 * MICROS), (B, 25, -20 * MICROS)]
    assert [(one.holder, one.other, one.quantity) for one in of_kind(out, Kind.SETTLED)] == [(A, B, 25)]
    assert (house.state.cash[A], house.state.cash[B]) == (20 * MICROS, 0)
    assert (house.state.shares[1, A], house.state.shares[1, B]) == (0, 25)
    assert not house.state.open
    assert not house.state.claims


def test_equal_quantities_settle_in_cash_alone():
    house = House()
    house.give(2, cash=30 * MICROS)
    house.fill(2, 1, 100, 130)
    house.fill(1, 2, 100, 100)
    out = house.whole_day(TUESDAY)
    assert not of_kind(out, Kind.INSTRUCTION, Kind.SETTLED)
    assert {one.holder: one.amount for one in of_kind(out, Kind.PAYMENT)} == {B: -30 * MICROS, A: 30 * MICROS}


def test_what_is_due_tomorrow_is_not_netted_today():
    house = House()
    house.fill(2, 1, 100, 100)
    house.fill(2, 1, 100, 100, day=TUESDAY)
    house.do(StartDay(TUESDAY))
    house.do(Prepare())
    assert list(house.state.due) == [(WEDNESDAY, TUESDAY, 1)]
    assert house.state.open_quantity(1, B) == 100


def test_buyer_without_cash_and_seller_without_shares_exchange_nothing():
    house = House()
    house.give(1, shares=100)
    house.fill(2, 1, 100, 100)
    assert not of_kind(house.whole_day(TUESDAY), Kind.SETTLED)
    other = House()
    other.give(2, cash=100 * MICROS)
    other.fill(2, 1, 100, 100)
    assert not of_kind(other.whole_day(TUESDAY), Kind.SETTLED)
    assert other.state.cash[B] == 100 * MICROS


def test_as_much_as_both_have_is_exchanged_where_parts_are_taken():
    house = House()
    house.give(1, shares=60)
    house.give(2, cash=45 * MICROS)
    house.fill(2, 1, 100, 100)
    (pair,) = of_kind(house.whole_day(TUESDAY), Kind.SETTLED)
    assert (pair.quantity, pair.amount) == (45, 45 * MICROS)
    assert (house.state.shares[1, A], house.state.cash[B]) == (15, 0)
    assert (house.state.open_quantity(1, A), house.state.open_quantity(1, B)) == (-55, 55)


def test_who_takes_no_parts_has_all_or_nothing():
    house = House(partial=False)
    house.give(1, shares=60)
    house.give(3, shares=40)
    house.give(2, cash=200 * MICROS)
    house.fill(2, 1, 100, 100)
    assert not of_kind(house.whole_day(TUESDAY), Kind.SETTLED)
    house.give(1, shares=40)
    (pair,) = of_kind(house.whole_day(WEDNESDAY), Kind.SETTLED)
    assert pair.quantity == 100


def test_members_that_wait_for_each_others_money_do_not_wait_for_ever():
    """Each has the shares that he sold, and not the cash for those that he bought."""
    house = House(issues=3)
    for member, issue in ((1, 1), (2, 2), (3, 3)):
        house.give(member, shares=100, issue=issue)
    house.fill(2, 1, 100, 100, issue=1)
    house.fill(3, 2, 100, 100, issue=2)
    house.fill(1, 3, 100, 100, issue=3)
    assert len(of_kind(house.whole_day(TUESDAY), Kind.SETTLED)) == 3
    assert not house.state.open


def test_what_a_buyer_cannot_pay_takes_money_from_his_seller_too():
    """B can't pay, so A is not paid, so A can't pay for what it buys of C."""
    house = House()
    house.give(1, shares=100)
    house.give(3, shares=100, issue=2)
    house.give(2, cash=40 * MICROS)
    house.fill(2, 1, 100, 100)
    house.fill(1, 3, 100, 100, issue=2)
    pairs = of_kind(house.whole_day(TUESDAY), Kind.SETTLED)
    assert [(one.issue, one.holder, one.other, one.quantity) for one in pairs] == [(1, A, B, 40), (2, C, A, 40)]
    assert house.state.cash[C] == 40 * MICROS


def test_prepared_is_locked_and_moves_only_when_committed():
    house = House()
    house.give(1, shares=100)
    house.give(2, cash=100 * MICROS)
    house.fill(2, 1, 100, 100)
    house.do(StartDay(TUESDAY))
    house.do(Prepare())
    assert house.state.shares[1, A] == 100
    assert refused(house.do(Deposit(1, False, 1, -1))) == Refusal.NOT_ENOUGH
    assert refused(house.do(Deposit(2, False, 0, -1))) == Refusal.NOT_ENOUGH
    assert refused(house.do(Prepare())) == Refusal.CYCLE_PREPARED
    assert refused(house.do(EndDay(TUESDAY))) == Refusal.CYCLE_PREPARED
    assert refused(house.do(Commit(7))) == Refusal.NO_SUCH_CYCLE
    out = house.do(Undo(1))
    assert [one.quantity for one in of_kind(out, Kind.RELEASED)] == [100]
    assert (house.state.shares[1, A], house.state.cash[B]) == (100, 100 * MICROS)
    assert refused(house.do(Commit(1))) == Refusal.NO_SUCH_CYCLE
    house.cycle()
    assert (house.state.shares[1, A], house.state.cash[B]) == (0, 0)


def test_second_cycle_of_a_day_settles_what_came_in_between():
    house = House()
    house.give(2, cash=100 * MICROS)
    house.fill(2, 1, 100, 100)
    house.do(StartDay(TUESDAY))
    assert not of_kind(house.cycle()[1], Kind.SETTLED)
    house.give(1, shares=100)
    assert of_kind(house.cycle()[1], Kind.SETTLED)


def test_days_go_forward_one_at_a_time_and_are_settlement_days():
    house = House()
    assert refused(house.do(StartDay(MONDAY - 1))) == Refusal.NO_SETTLEMENT_DAY
    assert refused(house.do(Prepare())) == Refusal.NO_DAY_OPEN
    house.do(StartDay(TUESDAY))
    assert refused(house.do(StartDay(WEDNESDAY))) == Refusal.DAY_IS_OPEN
    assert refused(house.do(EndDay(WEDNESDAY))) == Refusal.NO_DAY_OPEN
    assert refused(house.do(EndDay(TUESDAY))) == Refusal.NO_CYCLE
    house.cycle()
    house.do(EndDay(TUESDAY))
    assert refused(house.do(StartDay(TUESDAY))) == Refusal.DAY_IS_OVER


def test_account_of_nobody_is_a_break_and_no_lost_fill():
    house = House()
    house.do(Fill(1, 1, MONDAY * 86_400 * 10**9, 1, 10, 77, 100, 5, 0, 0))
    assert house.state.due[TUESDAY, MONDAY, 1][UNASSIGNED][0] == -5
    assert house.state.accounts[77] == UNASSIGNED


def test_prepared_state_survives_a_snapshot():
    house = House()
    house.give(1, shares=100)
    house.give(2, cash=100 * MICROS)
    house.fill(2, 1, 100, 100)
    house.do(StartDay(TUESDAY))
    house.do(Prepare())
    again = ClearingMachine.restored(house.machine.snapshot(), house.machine.digest)
    assert again.snapshot() == house.machine.snapshot()
    assert again.apply(Commit(1)) == house.machine.apply(Commit(1))
    assert (again.digest, again.snapshot()) == (house.machine.digest, house.machine.snapshot())
