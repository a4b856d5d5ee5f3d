"""Capture and novation: what happened on the exchange as positions against the clearing house. Pure.

Nothing that the exchange has committed can be refused here. An account that belongs to nobody counts for member 0, and
that is a break to be mended, not a fill to be lost.
"""

from lockstep.posttrade.clearing.entries import CashMoved, Fill, Issue, SharesMoved, SharesPassed
from lockstep.posttrade.clearing.outputs import Kind, Output
from lockstep.posttrade.clearing.state import CASH, EXCHANGE, UNASSIGNED, WORLD, IssueState, State, add_due


def on_issue(state: State, entry: Issue) -> list[Output]:
    """The exchange has an instrument. It says so again when somebody defines it again, which changes nothing."""
    if entry.issue not in state.issues:
        state.issues[entry.issue] = IssueState(entry.tick_micros, entry.lot_units, entry.symbol)
    return []


def on_fill(state: State, entry: Fill) -> list[Output]:
    """Lock a fill in: two positions against the clearing house take its place."""
    issue = state.issues[entry.issue]
    quantity = entry.lots * issue.lot_units
    issue.last = entry.price_ticks * issue.tick_micros
    trade_day = state.calendar.trade_day(entry.timestamp_ns)
    settlement = _settlement(state, trade_day)
    key = (settlement, trade_day, entry.issue)
    out: list[Output] = []
    sides = ((entry.buyer, quantity, entry.buyer_fee), (entry.seller, -quantity, entry.seller_fee))
    for account, signed, fee in sides:
        for holder, part in _parts(state, account, entry.issue, signed, issue.last, out):
            amount = -part * issue.last
            add_due(state, key, holder, part, amount, abs(part))
            out.append(Output(Kind.NOVATED, settlement, holder, 0, entry.issue, part, amount, issue.last, trade_day))
        if fee:
            holder = holder_of_account(state, account)
            add_due(state, key, holder, 0, -fee, 0)
            add_due(state, key, EXCHANGE, 0, fee, 0)
            out.append(Output(Kind.FEE, settlement, holder, 0, entry.issue, 0, -fee, 0, trade_day))
    state.fills += 1
    state.novated += 2
    return out


def on_cash(state: State, entry: CashMoved) -> list[Output]:
    """Money came in or went out on the exchange. What is not settled yet goes out when it is."""
    holder = holder_of_account(state, entry.account)
    today = state.calendar.trade_day(entry.timestamp_ns)
    at_once = max(entry.amount, -max(state.free_cash(holder), 0))
    state.cash[holder] += at_once
    state.cash[WORLD] -= at_once
    later = entry.amount - at_once
    if later:
        add_due(state, (today, today, CASH), holder, 0, later, 0)
        add_due(state, (today, today, CASH), WORLD, 0, -later, 0)
    return [Output(Kind.DEPOSITED, today, holder, WORLD, CASH, 0, at_once, 0, later)]


def on_shares(state: State, entry: SharesMoved) -> list[Output]:
    """Shares came in or went out on the exchange."""
    quantity = entry.lots * state.issues[entry.issue].lot_units
    holder = holder_of_account(state, entry.account)
    return _pass(state, entry.timestamp_ns, entry.issue, WORLD, holder, quantity)


def on_passed(state: State, entry: SharesPassed) -> list[Output]:
    """Shares went from one account to another."""
    quantity = entry.lots * state.issues[entry.issue].lot_units
    giver, taker = holder_of_account(state, entry.account), holder_of_account(state, entry.to_account)
    return _pass(state, entry.timestamp_ns, entry.issue, giver, taker, quantity)


def holder_of_account(state: State, account: int) -> int:
    """Whose an account of the exchange is; from its first use on it is somebody's."""
    return state.accounts.setdefault(account, UNASSIGNED)


def _settlement(state: State, trade_day: int) -> int:
    found = state.settlements.get(trade_day)
    if found is None:
        found = state.settlements[trade_day] = state.calendar.settlement_of(trade_day)
    return found


def _pass(state: State, timestamp_ns: int, issue: int, giver: int, taker: int, quantity: int) -> list[Output]:
    if quantity < 0:
        giver, taker, quantity = taker, giver, -quantity
    if giver == taker:
        return []
    today = state.calendar.trade_day(timestamp_ns)
    at_once = quantity if giver == WORLD else min(quantity, max(state.free_shares(issue, giver), 0))
    state.shares[issue, giver] -= at_once
    state.shares[issue, taker] += at_once
    later = quantity - at_once
    if later:
        add_due(state, (today, today, issue), giver, -later, 0, later)
        add_due(state, (today, today, issue), taker, later, 0, later)
    return [
        Output(Kind.DEPOSITED, today, giver, taker, issue, -at_once, 0, 0, -later),
        Output(Kind.DEPOSITED, today, taker, giver, issue, at_once, 0, 0, later),
    ]


def _parts(
    state: State, account: int, issue: int, quantity: int, price: int, out: list[Output]
) -> list[tuple[int, int]]:
    """Whose a side of a fill is: what was bought in is the failing members', oldest buy-in first."""
    if account != state.buy_in_account or quantity < 0:
        return [(holder_of_account(state, account), quantity)]
    parts: list[tuple[int, int]] = []
    for number, buy_in in sorted(state.buy_ins.items()):
        taken = min(buy_in.left, quantity) if buy_in.issue == issue else 0
        if taken:
            buy_in.left -= taken
            quantity -= taken
            parts.append((buy_in.holder, taken))
            out.append(Output(Kind.BOUGHT_IN, 0, buy_in.holder, 0, issue, taken, -taken * price, price, number))
            if not buy_in.left:
                del state.buy_ins[number]
    if quantity:
        parts.append((holder_of_account(state, account), quantity))
    return parts
