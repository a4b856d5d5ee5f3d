"""Business commands that set what holds, and corrections. Pure: each is refused with a code, or has its effect."""

from typing import Final

from lockstep.posttrade.clearing.days import DAYS, Calendar, CalendarEnds
from lockstep.posttrade.clearing.entries import (
    Assign,
    BuyInAccount,
    CloseOutRule,
    Deposit,
    Member,
    PenaltyRate,
    Price,
    Reallocate,
    SetCalendar,
    Terms,
)
from lockstep.posttrade.clearing.outputs import Kind, Output, Refusal
from lockstep.posttrade.clearing.state import CASH, WORLD, MemberState, State, add_due, holder_of

Done = list[Output] | Refusal
_HALF_A_DAY_S: Final = 86_400


def on_calendar(state: State, entry: SetCalendar) -> Done:
    """Settlement days. What was captured keeps the day that it settles on."""
    lengths_ok = all(0 <= days <= 10 for _, days in entry.cycles) and bool(entry.cycles)
    ascending = list(entry.closed) == sorted(set(entry.closed)) and list(entry.cycles) == sorted(set(entry.cycles))
    if not lengths_ok or not ascending or abs(entry.offset_s) > _HALF_A_DAY_S:
        return Refusal.BAD_NUMBER
    calendar = Calendar(entry.closed, entry.cycles, entry.offset_s)
    try:
        for day in entry.closed:
            # From the weekend beside it, too.
            calendar.before_or_on(day + 2)
            calendar.after(day - 3)
    except CalendarEnds:
        return Refusal.CALENDAR_ENDS
    state.calendar = calendar
    state.settlements.clear()
    return []


def on_member(state: State, entry: Member) -> Done:
    """A clearing member."""
    if not 0 < entry.member < 2**31:
        return Refusal.BAD_NUMBER
    state.members[entry.member] = MemberState(entry.name, int(entry.partial))
    return []


def on_assign(state: State, entry: Assign) -> Done:
    """Whose an account is, before it has traded."""
    if entry.member not in state.members:
        return Refusal.NO_SUCH_MEMBER
    if entry.account in state.accounts or entry.account == state.buy_in_account:
        return Refusal.ACCOUNT_IN_USE
    if entry.account <= 0:
        return Refusal.BAD_NUMBER
    state.accounts[entry.account] = holder_of(entry.member, entry.customer)
    return []


def on_buy_in_account(state: State, entry: BuyInAccount) -> Done:
    """With which account the clearing house buys."""
    if entry.account in state.accounts:
        return Refusal.ACCOUNT_IN_USE
    if entry.account <= 0:
        return Refusal.BAD_NUMBER
    state.buy_in_account = entry.account
    return []


def on_terms(state: State, entry: Terms) -> Done:
    """Penalty class and size of an issue."""
    if entry.issue not in state.issues:
        return Refusal.NO_SUCH_ISSUE
    if entry.penalty_class < 1 or entry.outstanding < 0:
        return Refusal.BAD_NUMBER
    issue = state.issues[entry.issue]
    issue.penalty_class, issue.outstanding = entry.penalty_class, entry.outstanding
    return []


def on_rate(state: State, entry: PenaltyRate) -> Done:
    """A rate from a day on; one of the same day is replaced, days that have ended stay as they were charged."""
    if entry.penalty_class < 0 or abs(entry.ppm) > 1_000_000:
        return Refusal.BAD_NUMBER
    rows = [row for row in state.rates.get(entry.penalty_class, []) if row[0] != entry.first_day]
    state.rates[entry.penalty_class] = sorted([*rows, [entry.first_day, entry.ppm]])
    return []


def on_close_out(state: State, entry: CloseOutRule) -> Done:
    """After how many settlement days a fail is bought in."""
    if entry.days < 0 or entry.threshold_days < 0:
        return Refusal.BAD_NUMBER
    state.close_out_days, state.threshold_close_out_days = entry.days, entry.threshold_days
    return []


def on_price(state: State, entry: Price) -> Done:
    """The settlement price of an issue, until the next one."""
    if entry.issue not in state.issues:
        return Refusal.NO_SUCH_ISSUE
    if entry.micros <= 0:
        return Refusal.BAD_NUMBER
    state.issues[entry.issue].price = entry.micros
    return []


def on_deposit(state: State, entry: Deposit) -> Done:
    """A settled balance is raised or lowered from outside, behind the exchange's back."""
    if entry.member not in state.members:
        return Refusal.NO_SUCH_MEMBER
    if entry.issue != CASH and entry.issue not in state.issues:
        return Refusal.NO_SUCH_ISSUE
    holder = holder_of(entry.member, entry.customer)
    if entry.issue == CASH:
        if state.free_cash(holder) + entry.quantity < 0:
            return Refusal.NOT_ENOUGH
        state.cash[holder] += entry.quantity
        state.cash[WORLD] -= entry.quantity
        return [Output(Kind.DEPOSITED, state.day, holder, WORLD, CASH, 0, entry.quantity)]
    if state.free_shares(entry.issue, holder) + entry.quantity < 0:
        return Refusal.NOT_ENOUGH
    state.shares[entry.issue, holder] += entry.quantity
    state.shares[entry.issue, WORLD] -= entry.quantity
    return [Output(Kind.DEPOSITED, state.day, holder, WORLD, entry.issue, entry.quantity)]


def on_reallocate(state: State, entry: Reallocate) -> Done:
    """A correction: a new position for each of two holders, never a change of what was captured."""
    if not {entry.member, entry.to_member} <= state.members.keys() | {0}:
        return Refusal.NO_SUCH_MEMBER
    if entry.issue not in state.issues:
        return Refusal.NO_SUCH_ISSUE
    giver, taker = holder_of(entry.member, entry.customer), holder_of(entry.to_member, entry.to_customer)
    if giver == taker or entry.trade_day not in DAYS:
        return Refusal.BAD_NUMBER
    settlement = state.calendar.settlement_of(entry.trade_day)
    key = (settlement, entry.trade_day, entry.issue)
    out = []
    for holder, sign in ((giver, -1), (taker, 1)):
        quantity, amount = sign * entry.quantity, sign * entry.amount
        add_due(state, key, holder, quantity, amount, 0)
        out.append(Output(Kind.NOVATED, settlement, holder, 0, entry.issue, quantity, amount, 0, entry.trade_day))
    return out
