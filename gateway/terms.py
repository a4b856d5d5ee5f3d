"""What the events leave out of an order's terms, read from the command that made it. Pure.

An ACCEPTED event says that an order is not displayed in full (`UNSEEN`), or that it waits (`WAITS`), but not how much
an iceberg displays, nor whether an order waits for its stop price or for the closing auction. A book needs both. The
order id is the seq of the order's NEW_ORDER, so its terms stand in the journal there, the same on every replica.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from lockstep.stream.records import CommandKind, Commands, EventFlag, EventKind, Events, OrderFlag, TimeInForce

_ACCEPTED: Final = int(EventKind.ACCEPTED)
_UNSEEN: Final = int(EventFlag.UNSEEN)
_WAITS: Final = int(EventFlag.WAITS)

CommandId = tuple[int, int]
"""(session id, session number): names the same command on every engine, whatever stands at a seq there."""


@dataclass(frozen=True, slots=True)
class HiddenTerms:
    """Of an order that is not displayed in full, or that waits."""

    display_lots: int = 0
    """Size of an iceberg's peak; 0: no iceberg."""
    hidden: bool = False
    at_close: bool = False
    """It comes to rest when the closing auction begins."""


PLAIN: Final = HiddenTerms()
"""Displayed in full, in the book."""


def orders_with_hidden_terms(events: Events, after_seq: int) -> dict[int, CommandId]:
    """Orders whose terms `Books.apply` has to be told with these events, by id, with the commands that made them."""
    flags = events["flags"]
    # Of the orders that wait, those for the closing auction have a limit; most stop orders have none.
    waits = (flags & _WAITS != 0) & (events["price_ticks"] != 0)
    rows = events[(events["kind"] == _ACCEPTED) & ((flags & _UNSEEN != 0) | waits) & (events["seq"] > after_seq)]
    ids = zip(rows["session_id"].tolist(), rows["session_no"].tolist(), strict=True)
    return dict(zip(rows["order_id"].tolist(), ids, strict=True))


def read_terms(commands: Commands, first_seq: int, wanted: Mapping[int, CommandId]) -> dict[int, HiddenTerms]:
    """Terms of those of the wanted orders that were made by these commands, the first of which has `first_seq`."""
    found = {}
    new = commands["kind"] == CommandKind.NEW_ORDER
    for place in np.flatnonzero(new).tolist():
        order_id = first_seq + place
        if order_id not in wanted:
            continue
        row = commands[place]
        if (int(row["session_id"]), int(row["session_no"])) == wanted[order_id]:
            hidden = bool(row["flags"] & OrderFlag.HIDDEN)
            found[order_id] = HiddenTerms(int(row["display_lots"]), hidden, bool(row["tif"] == TimeInForce.AT_CLOSE))
    return found
