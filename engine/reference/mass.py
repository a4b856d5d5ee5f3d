"""Commands that take off many orders at once: *Mass cancel* with the kill switch, *Cancel on disconnect*."""

from collections.abc import Iterable
from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.events import Asker, asker_of
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import OrderCommand
from lockstep.engine.reference.state import Owner, State
from lockstep.engine.reference.words import BANNED, KILLED
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, MassCancelFlag

BLOCK: Final = int(MassCancelFlag.BLOCK)
_NO_OWNER: Final = Owner(connection=0, gateway=0)


def mass_cancel(state: State, command: OrderCommand, out: Output) -> None:
    """MASS_CANCEL: all live orders of an account, an instrument, a session, a side, or what these have in common."""
    account = state.accounts.get(command.account)
    names_something = command.account or command.instrument or command.order_id
    if not names_something or (command.account and account is None):
        events.refused(out, command, EventKind.REJECTED, Code.UNKNOWN_ACCOUNT)
        return
    if command.flags & ~BLOCK or (command.flags and account is None):
        events.refused(out, command, EventKind.REJECTED, Code.NOT_SUPPORTED)
        return
    if command.flags and account is not None and account.status != BANNED:
        account.status = KILLED
    chosen = [order for order in state.orders.values() if _fits(order, command)]
    events.mass_canceled(out, command, count=cancel_all(state, chosen, asker_of(command), Code.MASS_CANCEL, out))


def _fits(order: Order, command: OrderCommand) -> bool:
    """0 fits all."""
    return (
        command.account in (0, order.account.account_id)
        and command.instrument in (0, order.book.instrument_id)
        and command.side in (0, order.side)
        and command.order_id in (0, order.session_id)
    )


def session_opened(state: State, command: OrderCommand, out: Output) -> None:
    """SESSION_OPENED: this connection's end is the session's, unless a later one was opened before."""
    session_id, connection = command.order_id, command.client_order_id
    before = state.owners.get(session_id, _NO_OWNER)
    now = before
    if connection > before.connection:
        now = state.owners[session_id] = Owner(connection, command.gateway)
    events.session_opened(out, command, gateway=now.gateway, previous=before.gateway, connection=now.connection)


def session_closed(state: State, command: OrderCommand, out: Output) -> None:
    """SESSION_CLOSED: a gateway has lost a session that wants its orders canceled then. It may be elsewhere by now.

    Its latest connection is kept: what is said late of it, or of an earlier one, must not open the session again.
    """
    session_id, connection = command.order_id, command.client_order_id
    chosen: list[Order] = []
    if command.gateway and state.owners.get(session_id) == Owner(connection, command.gateway):
        state.owners[session_id] = Owner(connection, gateway=0)
        chosen = [order for order in state.orders.values() if order.session_id == session_id]
    events.mass_canceled(out, command, count=cancel_all(state, chosen, asker_of(command), Code.DISCONNECTED, out))


def cancel_all(state: State, orders: Iterable[Order], asker: Asker, code: Code, out: Output) -> int:
    """Take off orders in order of exchange id; how many they were."""
    chosen = sorted(orders, key=lambda order: order.order_id)
    for order in chosen:
        state.withdraw(order)
        events.taken_off(out, order, asker, lots=order.leaves, code=code)
    return len(chosen)
