"""What happens to what was not delivered or not paid: ages, penalties, threshold securities, buy-ins. Pure.

Penalties follow Regulation (EU) 2017/389: for each business day, quantity times the price of the day times the rate of
the issue's class; for a fail for lack of cash the central bank's yearly rate, never below 0. What one pays who failed,
those get who waited, to the last micro. Threshold securities follow Regulation SHO, rule 203: fails of at least 10 000
shares and half a per cent of what is outstanding, five settlement days in a row.
"""

from typing import Final

from lockstep.posttrade.clearing.entries import EndDay
from lockstep.posttrade.clearing.outputs import Kind, Output, Refusal
from lockstep.posttrade.clearing.state import CASH, UNBOUNDED, BuyIn, State

MILLION: Final = 1_000_000
DAYS_OF_A_YEAR: Final = 360
"""As money markets count."""
CASH_CLASS: Final = 0
THRESHOLD_SHARES: Final = 10_000
THRESHOLD_PART: Final = 200
"""One part of so many of what is outstanding."""
THRESHOLD_DAYS: Final = 5


def apportion(amount: int, weights: list[int]) -> list[int]:
    """An amount in parts by weight, that add up to it: each rounded down, then one more for the largest remainders."""
    total = sum(weights)
    assert total > 0, "somebody has a part"
    parts = [amount * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-(amount * weights[place] % total), place))
    for place in order[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def rate_of(state: State, penalty_class: int, day: int) -> int:
    """In millionths, of that day; 0 where none was entered."""
    rates = [ppm for first, ppm in state.rates.get(penalty_class, ()) if first <= day]
    return max(rates[-1], 0) if rates else 0


def on_end(state: State, entry: EndDay) -> list[Output] | Refusal:
    """What is still open has failed."""
    if not state.day or entry.day != state.day:
        return Refusal.NO_DAY_OPEN
    if state.is_prepared:
        return Refusal.CYCLE_PREPARED
    if state.cycle_day != state.day:
        return Refusal.NO_CYCLE
    out: list[Output] = []
    by_issue: dict[int, list[tuple[int, int]]] = {}
    for issue, holder in sorted(state.open):
        by_issue.setdefault(issue, []).append((holder, state.open_quantity(issue, holder)))
    failed: dict[int, int] = {}
    # Before the penalties of today, which are due tomorrow.
    _cash_fails(state, out)
    for issue, sides in by_issue.items():
        failed[issue] = _issue_fails(state, issue, sides, out)
    for issue, one in sorted(state.issues.items()):
        over = one.outstanding and failed.get(issue, 0) >= max(THRESHOLD_SHARES, -(-one.outstanding // THRESHOLD_PART))
        one.over_days = max(one.over_days, 0) + 1 if over else min(one.over_days, 0) - 1
        if bool(one.threshold) != (one.over_days > 0) and abs(one.over_days) >= THRESHOLD_DAYS:
            one.threshold = int(one.over_days > 0)
            out.append(Output(Kind.THRESHOLD, state.day, issue=issue, detail=one.threshold))
    out += _end_buy_ins(state)
    out.append(Output(Kind.DAY_ENDED, state.day))
    state.unpaid, state.lacking, state.day = {}, {}, 0
    return out


def _issue_fails(state: State, issue: int, sides: list[tuple[int, int]], out: list[Output]) -> int:
    """Fails of one issue; shares that were not delivered for lack of them."""
    one = state.issues[issue]
    shorts = [(holder, -quantity) for holder, quantity in sides if quantity < 0]
    longs = [(holder, quantity) for holder, quantity in sides if quantity > 0]
    lack = {holder: min(state.lacking.get((issue, holder), 0), quantity) for holder, quantity in shorts}
    unpaid = {holder: min(state.unpaid.get((issue, holder), 0), quantity) for holder, quantity in longs}
    waits = [(holder, quantity - unpaid[holder]) for holder, quantity in longs]
    ready = [(holder, quantity - lack[holder]) for holder, quantity in shorts]
    rate = rate_of(state, one.penalty_class, state.day)
    for holder, quantity in lack.items():
        if quantity:
            age = state.calendar.between(state.open[issue, holder][0][0], state.day)
            out.append(Output(Kind.FAIL_TO_DELIVER, state.day, holder, 0, issue, quantity, 0, one.reference(), age))
            _penalty(state, issue, holder, quantity * one.reference() * rate // MILLION, rate, waits, longs, out)
    for holder, quantity in waits:
        if quantity:
            age = state.calendar.between(state.open[issue, holder][0][0], state.day)
            out.append(Output(Kind.FAIL_TO_RECEIVE, state.day, holder, 0, issue, quantity, 0, one.reference(), age))
    rate = rate_of(state, CASH_CLASS, state.day)
    for holder, quantity in unpaid.items():
        if quantity:
            value = quantity * one.mark
            out.append(Output(Kind.FAIL_TO_PAY, state.day, holder, 0, issue, quantity, value, one.mark))
            _penalty(state, issue, holder, value * rate // (MILLION * DAYS_OF_A_YEAR), rate, ready, shorts, out)
    return sum(lack.values())


def _cash_fails(state: State, out: list[Output]) -> None:
    """Money that is owed without shares."""
    rate = rate_of(state, CASH_CLASS, state.day)
    owing = [
        (holder, min(-claim, state.unpaid[CASH, holder]))
        for holder, claim in sorted(state.claims.items())
        if claim < 0 and (CASH, holder) in state.unpaid
    ]
    waits = [(holder, claim) for holder, claim in sorted(state.claims.items()) if claim > 0]
    for holder, amount in owing:
        out.append(Output(Kind.FAIL_TO_PAY, state.day, holder, amount=amount))
        _penalty(state, 0, holder, amount * rate // (MILLION * DAYS_OF_A_YEAR), rate, waits, waits, out)


def _penalty(
    state: State,
    issue: int,
    holder: int,
    amount: int,
    rate: int,
    receivers: list[tuple[int, int]],
    otherwise: list[tuple[int, int]],
    out: list[Output],
) -> None:
    """Charge one, and credit those that wait, by what they wait for."""
    parts = receivers if any(weight for _, weight in receivers) else otherwise
    if not amount or not parts:
        return
    state.claims[holder] -= amount
    out.append(Output(Kind.PENALTY, state.day, holder, 0, issue, 0, -amount, 0, rate))
    for (other, _), part in zip(parts, apportion(amount, [weight for _, weight in parts]), strict=True):
        if part:
            state.claims[other] += part
            out.append(Output(Kind.PENALTY, state.day, other, holder, issue, 0, part, 0, rate))


# ---- buy-ins -------------------------------------------------------------------------------------------------------


def order_buy_ins(state: State) -> list[Output]:
    """What has been open so long that the close-out rule wants it bought, and is not on its way yet."""
    out: list[Output] = []
    for (issue, holder), lots in sorted(state.open.items()):
        one = state.issues[issue]
        days = state.threshold_close_out_days if one.threshold else state.close_out_days
        if holder in UNBOUNDED or lots[0][1] > 0 or not days:
            continue
        aged = -sum(part for due, part in lots if state.calendar.between(due, state.day) >= days)
        wanted = aged - _coming(state, issue, holder) - _ordered(state, issue, holder)
        if wanted > 0:
            state.last_buy_in += 1
            state.buy_ins[state.last_buy_in] = BuyIn(holder, issue, wanted)
            out.append(Output(Kind.BUY_IN, state.day, holder, 0, issue, wanted, 0, one.reference(), state.last_buy_in))
    return out


def _end_buy_ins(state: State) -> list[Output]:
    """Orders for what was delivered after all, or is on its way, end."""
    out: list[Output] = []
    for number, buy_in in sorted(state.buy_ins.items()):
        short = max(-state.open_quantity(buy_in.issue, buy_in.holder), 0)
        needed = max(short - _coming(state, buy_in.issue, buy_in.holder), 0)
        if buy_in.left > needed:
            surplus = buy_in.left - needed
            out.append(Output(Kind.BUY_IN_ENDED, state.day, buy_in.holder, 0, buy_in.issue, surplus, 0, 0, number))
            buy_in.left = needed
            if not needed:
                del state.buy_ins[number]
    return out


def _coming(state: State, issue: int, holder: int) -> int:
    """Bought and not due yet."""
    return max(sum(sides[holder][0] for key, sides in state.due.items() if key[2] == issue and holder in sides), 0)


def _ordered(state: State, issue: int, holder: int) -> int:
    return sum(one.left for one in state.buy_ins.values() if (one.issue, one.holder) == (issue, holder))
