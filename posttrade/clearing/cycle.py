"""The settlement day and its cycles: prepare locks, commit exchanges, undo releases. Pure.

Between prepare and commit nothing has moved, and nothing that is locked can leave. A process that dies in between finds
the cycle prepared, and commits or undoes all of it.
"""

from lockstep.posttrade.clearing.days import DAYS, FURTHEST
from lockstep.posttrade.clearing.delivery import Book, Side, plan
from lockstep.posttrade.clearing.entries import Commit, Prepare, StartDay, Undo
from lockstep.posttrade.clearing.fails import order_buy_ins
from lockstep.posttrade.clearing.netting import join_open, on_due, set_open
from lockstep.posttrade.clearing.outputs import Kind, Output, Refusal
from lockstep.posttrade.clearing.state import CCP, UNBOUNDED, Pair, State

Done = list[Output] | Refusal


def on_start(state: State, entry: StartDay) -> Done:
    """A settlement day begins: what has failed too long is to be bought in."""
    if state.day:
        return Refusal.DAY_IS_OPEN
    if entry.day not in DAYS or (state.last_day and entry.day > state.last_day + FURTHEST):
        return Refusal.BAD_NUMBER
    if entry.day <= state.last_day:
        return Refusal.DAY_IS_OVER
    if not state.calendar.settles(entry.day):
        return Refusal.NO_SETTLEMENT_DAY
    state.day = state.last_day = entry.day
    return [Output(Kind.DAY_STARTED, entry.day), *order_buy_ins(state)]


def on_prepare(state: State, _entry: Prepare) -> Done:
    """Net what is due, choose what can be delivered and paid, and lock it."""
    if not state.day:
        return Refusal.NO_DAY_OPEN
    if state.is_prepared:
        return Refusal.CYCLE_PREPARED
    out = on_due(state, state.day)
    books = _books(state)
    made = plan(books, state.cash, state.claims)
    state.unpaid = made.unpaid
    state.lacking = {
        (book.issue, side.holder): side.quantity - side.limit
        for book in books
        for side in book.shorts
        if side.limit < side.quantity
    }
    state.cycle += 1
    state.cycle_day = state.day
    state.prepared, state.payments, state.is_prepared = made.pairs, made.payments, 1
    return [*out, *_said(state, Kind.INSTRUCTION), Output(Kind.DONE, state.day, detail=state.cycle)]


def on_commit(state: State, entry: Commit) -> Done:
    """Exchange what is locked, all of it."""
    if not state.is_prepared or entry.cycle != state.cycle:
        return Refusal.NO_SUCH_CYCLE
    out = _said(state, Kind.SETTLED)
    for pair in state.prepared:
        _exchange(state, pair)
    for holder, amount in state.payments.items():
        state.cash[holder] += amount
        state.claims[holder] -= amount
        out.append(Output(Kind.PAYMENT, state.day, holder, CCP, 0, 0, amount, 0, state.cycle))
    for holder in [holder for holder, claim in state.claims.items() if not claim]:
        del state.claims[holder]
    _release(state)
    return out


def on_undo(state: State, entry: Undo) -> Done:
    """Release what is locked."""
    if not state.is_prepared or entry.cycle != state.cycle:
        return Refusal.NO_SUCH_CYCLE
    out = _said(state, Kind.RELEASED)
    _release(state)
    return out


def _release(state: State) -> None:
    state.prepared, state.payments, state.is_prepared = [], {}, 0


def _exchange(state: State, pair: Pair) -> None:
    state.shares[pair.issue, pair.seller] -= pair.quantity
    state.shares[pair.issue, pair.buyer] += pair.quantity
    state.cash[pair.seller] += pair.amount
    state.cash[pair.buyer] -= pair.amount
    for holder, change in ((pair.seller, pair.quantity), (pair.buyer, -pair.quantity)):
        set_open(state, pair.issue, holder, join_open(state.open[pair.issue, holder], state.day, change))


def _said(state: State, kind: Kind) -> list[Output]:
    return [
        Output(
            kind, state.day, one.seller, one.buyer, one.issue, one.quantity, one.amount, state.issues[one.issue].mark,
            state.cycle,
        )
        for one in state.prepared
    ]  # fmt: skip


def _books(state: State) -> list[Book]:
    """Open positions by issue: what has waited longest comes first."""
    sides: dict[int, tuple[list[tuple[int, Side]], list[tuple[int, Side]]]] = {}
    for (issue, holder), lots in sorted(state.open.items()):
        quantity = sum(part for _, part in lots)
        shorts, longs = sides.setdefault(issue, ([], []))
        member = state.members.get(holder >> 1)
        partial = member is None or bool(member.partial)
        if quantity < 0:
            have = -quantity if holder in UNBOUNDED else max(state.shares[issue, holder], 0)
            shorts.append((lots[0][0], Side(holder, -quantity, min(-quantity, have), partial)))
        else:
            longs.append((lots[0][0], Side(holder, quantity, quantity, partial)))
    return [
        Book(issue, state.issues[issue].mark, _ordered(shorts), _ordered(longs))
        for issue, (shorts, longs) in sorted(sides.items())
    ]


def _ordered(sides: list[tuple[int, Side]]) -> tuple[Side, ...]:
    return tuple(side for _, side in sorted(sides, key=lambda one: (one[0], one[1].holder)))
