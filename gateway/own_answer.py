"""Whether an answer is to a command, or to another one of the same number that somebody else brought in. Pure.

An engine gives a number one outcome, and reports it to each gateway, whosever command it was. What an event says of its
command is compared; the engine itself compares the whole content, and is asked again where something differs.
"""

from typing import Any, Final

import numpy as np

from lockstep.stream.codes import Code
from lockstep.stream.records import ORDER_EVENT, CommandKind, EventKind

_TERMS: Final = ("side", "price_ticks", "quantity_lots", "order_type", "tif", "stp", "display_lots", "expire_ns")
_REFUSALS: Final = {
    CommandKind.NEW_ORDER: EventKind.REJECTED,
    CommandKind.CANCEL: EventKind.CANCEL_REJECTED,
    CommandKind.REPLACE: EventKind.REPLACE_REJECTED,
    CommandKind.MASS_CANCEL: EventKind.REJECTED,
}


def is_answer_to(command: Any, event: Any) -> bool:
    """Whether the first event (an EVENT) of an outcome can be that of a command (a COMMAND)."""
    kind, said = int(command["kind"]), int(event["kind"])
    if kind not in _REFUSALS:
        return said in (EventKind.REJECTED, EventKind.DUPLICATE)
    if said in (_REFUSALS[CommandKind(kind)], EventKind.DUPLICATE):
        return _repeats(command, event)
    match kind, said:
        case CommandKind.NEW_ORDER, EventKind.ACCEPTED:
            return _repeats(command, event) and _has_terms(command, event)
        case CommandKind.CANCEL, EventKind.CANCELED:
            return event["code"] != Code.MASS_CANCEL and _names(command, event)
        case CommandKind.REPLACE, EventKind.REPLACED:
            return _names(command, event) and bool(command["price_ticks"] == event["price_ticks"])
        case CommandKind.MASS_CANCEL, EventKind.MASS_CANCELED:
            return _repeats(command, event)
        case CommandKind.MASS_CANCEL, EventKind.CANCELED:
            fits = (int(command[name]) in (0, int(event[name])) for name in ("account", "instrument"))
            return event["code"] == Code.MASS_CANCEL and all(fits)
        case _:
            return False


def _repeats(command: Any, event: Any) -> bool:
    """Refusals and the like say the command's own words."""
    return all(command[name] == event[name] for name in ("account", "instrument", "client_order_id"))


def _has_terms(command: Any, event: Any) -> bool:
    accepted = np.frombuffer(event.tobytes(), dtype=ORDER_EVENT)[0]
    same = all(command[name] == accepted[name] for name in _TERMS)
    return same and bool(command["flags"] == accepted["order_flags"])


def _names(command: Any, event: Any) -> bool:
    """The order that it speaks of is the one that the command names."""
    own = command["account"] == event["account"]
    return bool(own) and all(int(command[name]) in (0, int(event[name])) for name in ("order_id", "client_order_id"))
