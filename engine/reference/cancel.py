"""*Cancel*, and what a gateway refuses."""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import OrderCommand
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind

_MOST_CODE: Final = 2**16 - 1


def addressed_order(state: State, command: OrderCommand) -> Order | None:
    """*Cancel*: the live order of the command's account that it names, by exchange id or else by client id."""
    account = state.accounts.get(command.account)
    if account is None:
        return None
    # Client id 0 means none, so no order is ever found under it.
    by_id = account.orders.get(command.order_id)
    found: Order | None = by_id if command.order_id else account.by_client_id.get(command.client_order_id)
    return found


def cancel(state: State, command: OrderCommand, out: Output) -> None:
    """CANCEL: take a live order out of its place."""
    order = addressed_order(state, command)
    if order is None:
        events.refused(out, command, EventKind.CANCEL_REJECTED, Code.UNKNOWN_ORDER)
        return
    state.withdraw(order)
    events.taken_off(out, order, events.asker_of(command), lots=order.leaves, code=Code.CANCEL_REQUESTED)


def gateway_refusal(_state: State, command: OrderCommand, out: Output) -> None:
    """REFUSED: a gateway said no; the stream keeps its answer (*Who gets a report*)."""
    is_code = 1 <= command.tag <= _MOST_CODE
    events.refused(out, command, EventKind.REJECTED, command.tag if is_code else Code.UNKNOWN_COMMAND)
