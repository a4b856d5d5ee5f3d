"""Commands that take off many orders at once: mass cancel, kill switch, cancel on disconnect."""

from collections.abc import Iterable
from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.book import Order
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.rows import Row
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import AccountStatus, EventKind, MassCancelFlag

BLOCK: Final = int(MassCancelFlag.BLOCK)


def mass_cancel(state: State, row: Row, out: Output) -> None:
    """MASS_CANCEL: all live orders of an account, an instrument, a session, a side, or what these have in common."""
    side, bits, account_id, instrument_id, session_id = row[1], row[5], row[9], row[10], row[12]
    account = state.accounts.get(account_id)
    if account is None and (account_id or not (instrument_id or session_id)):
        events.refused(out, row, EventKind.REJECTED, Code.UNKNOWN_ACCOUNT)
        return
    if bits & ~BLOCK or (bits and account is None):
        events.refused(out, row, EventKind.REJECTED, Code.NOT_SUPPORTED)
        return
    if bits and account is not None and account.status != AccountStatus.BANNED:
        account.status = int(AccountStatus.KILLED)
    chosen = [
        order
        for order in (state.orders if account is None else account.orders).values()
        if (not side or order.side == side)
        and (not instrument_id or order.book.instrument.instrument_id == instrument_id)
        and (not session_id or order.session_id == session_id)
    ]
    events.mass_canceled(out, row, cancel_all(state, chosen, row, Code.MASS_CANCEL, out))


def session_opened(state: State, row: Row, out: Output) -> None:
    """SESSION_OPENED: this connection's end is the session's, unless a later one was opened before."""
    gateway, connection, session_id = row[6], row[11], row[12]
    latest, previous = state.owners.get(session_id, (0, 0))
    if connection > latest:
        state.owners[session_id] = (connection, gateway)
        events.session_opened(out, row, gateway, previous, connection)
    else:
        events.session_opened(out, row, previous, previous, latest)


def session_closed(state: State, row: Row, out: Output) -> None:
    """SESSION_CLOSED: a gateway has lost a session that wants its orders canceled then. It may be elsewhere by now.

    Its latest connection is kept: what is said late of it, or of an earlier one, must not open the session again.
    """
    gateway, connection, session_id = row[6], row[11], row[12]
    chosen: list[Order] = []
    if gateway and state.owners.get(session_id) == (connection, gateway):
        state.owners[session_id] = (connection, 0)
        chosen = [order for order in state.orders.values() if order.session_id == session_id]
    events.mass_canceled(out, row, cancel_all(state, chosen, row, Code.DISCONNECTED, out))


def cancel_all(state: State, orders: Iterable[Order], row: Row, code: Code, out: Output) -> int:
    """Take off orders in order of exchange id; how many they were."""
    count = 0
    for order in sorted(orders, key=lambda order: order.order_id):
        state.withdraw(order)
        events.taken_off(out, row[7], row[8], order, order.leaves, code)
        count += 1
    return count
