"""Multilateral netting of what has come due, with what failed before. Pure.

By issue and holder, all that is due is one quantity and one amount. What is open is paid with the settlement price of
the day, whoever it is between; the difference to the contracts' amounts, and to the price of the day before, is money
alone. So every share that is delivered has one price, parts of an obligation can be delivered, and who delivers to whom
is free. What holders receive adds up to what their contracts say, in every case.
"""

from lockstep.posttrade.clearing.outputs import Kind, Output
from lockstep.posttrade.clearing.state import CASH, State

Netted = dict[tuple[int, int], list[int]]
"""(issue, holder): [quantity, amount, quantity of fills without a sign]."""


def net_due(state: State, day: int) -> Netted:
    """Take what is due by a day out of the books, netted."""
    netted: Netted = {}
    for key in sorted(key for key in state.due if key[0] <= day):
        for holder, side in sorted(state.due.pop(key).items()):
            sums = netted.setdefault((key[2], holder), [0, 0, 0])
            for place in range(3):
                sums[place] += side[place]
    return netted


def join_open(lots: list[list[int]], day: int, quantity: int) -> list[list[int]]:
    """Open lots after more has come due: what is of the other sign takes the oldest away. The age of the rest stays."""
    kept = [list(lot) for lot in lots]
    while quantity and kept and (kept[0][1] > 0) != (quantity > 0):
        taken = min(abs(kept[0][1]), abs(quantity))
        sign = 1 if quantity > 0 else -1
        kept[0][1] += sign * taken
        quantity -= sign * taken
        if not kept[0][1]:
            kept.pop(0)
    if quantity:
        if kept and kept[-1][0] == day:
            kept[-1][1] += quantity
        else:
            kept.append([day, quantity])
    return kept


def on_due(state: State, day: int) -> list[Output]:
    """Net, mark to the price of the day, and make obligations and claims of it."""
    out: list[Output] = []
    for (issue, holder), lots in sorted(state.open.items()):
        one = state.issues[issue]
        state.claims[holder] += sum(quantity for _, quantity in lots) * (one.reference() - one.mark)
    for one in state.issues.values():
        one.mark = one.reference()
    netted = net_due(state, day)
    for (issue, holder), (quantity, amount, gross) in sorted(netted.items()):
        mark = state.issues[issue].mark if issue != CASH else 0
        state.claims[holder] += amount + quantity * mark
        if quantity:
            set_open(state, issue, holder, join_open(state.open.get((issue, holder), []), day, quantity))
        state.gross_quantity += gross
        state.netted_quantity += abs(quantity)
        out.append(Output(Kind.OBLIGATION, day, holder, 0, issue, quantity, amount, mark, gross))
    return out


def set_open(state: State, issue: int, holder: int, lots: list[list[int]]) -> None:
    """Replace what is open; nothing open is no entry."""
    if lots:
        state.open[issue, holder] = lots
    else:
        state.open.pop((issue, holder), None)
