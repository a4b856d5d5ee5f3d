"""Outcomes as EVENT records. One function per kind of event, so that what a kind carries is said in one place.

Every event names the command that it answers (`session_id`, `session_no`). When the order concerned belongs to
another session, that one stands in `maker_session_id`, so that a gateway can tell both. Reports about an order echo
the order; refusals echo what the command said.
"""

from lockstep.engine.reference.book import Fill, Order
from lockstep.engine.reference.rows import (
    COMMAND_ROW,
    CONTROL_EVENT_ROW,
    CONTROL_ROW,
    DEFINITION_EVENT_ROW,
    EVENT_ROW,
    Row,
)
from lockstep.stream.records import EventFlag, EventKind

_pack = EVENT_ROW.pack

_ACCEPTED = int(EventKind.ACCEPTED)
_TRADE = int(EventKind.TRADE)
_CANCELED = int(EventKind.CANCELED)
_REPLACED = int(EventKind.REPLACED)
_DUPLICATE = int(EventKind.DUPLICATE)
_MASS_CANCELED = int(EventKind.MASS_CANCELED)


def accepted(seq: int, now_ns: int, session_no: int, order: Order, flags: int) -> bytes:
    """The order passed all checks; nothing has traded yet."""
    lots = order.quantity
    return _pack(
        *(seq, 0, _ACCEPTED, order.side, 0, order.book.instrument.instrument_id, order.account.account_id),
        *(order.session_id, session_no, order.order_id, order.client_order_id, order.price, lots, lots),
        *(0, 0, 0, 0, flags, 0, now_ns, 0, 0, 0, 0),
    )


def trade(seq: int, index: int, now_ns: int, session_no: int, taker: Order, leaves: int, fill: Fill) -> bytes:
    """One match, at the maker's price. `leaves` is the taker's open quantity after it."""
    maker, lots, maker_leaves = fill
    return _pack(
        seq,
        index,
        _TRADE,
        taker.side,
        0,
        taker.book.instrument.instrument_id,
        taker.account.account_id,
        taker.session_id,
        session_no,
        taker.order_id,
        taker.client_order_id,
        maker.price,
        lots,
        leaves,
        maker.order_id,
        maker.client_order_id,
        maker.session_id,
        maker.account.account_id,
        0,
        maker_leaves,
        now_ns,
        0,
        0,
        0,
        0,
    )


def canceled(
    seq: int, index: int, now_ns: int, session_id: int, session_no: int, order: Order, lots: int, code: int
) -> bytes:
    """`lots` of the order were taken off and nothing of it is open any more; `code` says why."""
    owner = order.session_id
    return _pack(
        *(seq, index, _CANCELED, order.side, code, order.book.instrument.instrument_id, order.account.account_id),
        *(session_id, session_no, order.order_id, order.client_order_id, order.price, lots, 0),
        *(0, 0, owner if owner != session_id else 0, 0, 0, 0, now_ns, 0, 0, 0, 0),
    )


def replaced(seq: int, now_ns: int, session_no: int, order: Order, flags: int, previous: tuple[int, int, int]) -> bytes:
    """The order has its new terms. `previous` is its (owner session, price, open lots) before."""
    owner, price, leaves = previous
    lots = order.leaves
    return _pack(
        *(seq, 0, _REPLACED, order.side, 0, order.book.instrument.instrument_id, order.account.account_id),
        *(order.session_id, session_no, order.order_id, order.client_order_id, order.price, lots, lots),
        *(0, 0, owner if owner != order.session_id else 0, 0, flags, 0, now_ns, 0, 0, price, leaves),
    )


def refused(seq: int, now_ns: int, row: Row, kind: int, code: int) -> bytes:
    """The command had no effect. `kind` is REJECTED, CANCEL_REJECTED or REPLACE_REJECTED."""
    return _pack(
        *(seq, 0, kind, 0, code, row[10], row[9], row[7], row[8], row[12], row[11]),
        *(0, 0, 0, 0, 0, 0, 0, 0, 0, now_ns, 0, 0, 0, 0),
    )


def duplicate(seq: int, now_ns: int, row: Row, outcome_seq: int) -> bytes:
    """The session's number was executed before, at `outcome_seq` (0: forgotten)."""
    return _pack(
        *(seq, 0, _DUPLICATE, 0, 0, row[10], row[9], row[7], row[8], row[12], row[11]),
        *(0, 0, 0, 0, 0, 0, 0, 0, 0, now_ns, 0, 0, outcome_seq, 0),
    )


def mass_canceled(seq: int, index: int, now_ns: int, row: Row, count: int) -> bytes:
    """The end of a mass cancel: `count` orders went before it."""
    return _pack(
        *(seq, index, _MASS_CANCELED, row[1], 0, row[10], row[9], row[7], row[8], 0, row[11]),
        *(0, count, 0, 0, 0, 0, 0, 0, 0, now_ns, 0, 0, 0, 0),
    )


def definition(
    seq: int,
    now_ns: int,
    row: Row,
    kind: int,
    *,
    code: int = 0,
    name: bytes = b"",
    tick_micros: int = 0,
    lot_units: int = 0,
    quantity_lots: int = 0,
    amount_micros: int = 0,
) -> bytes:
    """An administrative outcome; fields that a kind doesn't speak of are 0."""
    return DEFINITION_EVENT_ROW.pack(
        *(seq, 0, kind, 0, code, row[10], row[9], row[7], row[8]),
        *(name, tick_micros, lot_units, quantity_lots, amount_micros, b"", row[5], b"", now_ns, b""),
    )


def control(seq: int, now_ns: int, row: Row, kind: int) -> bytes:
    """The sequencer's own word in the stream, passed on."""
    epoch, in_sync, primary, member, sequencer, cause = CONTROL_ROW.unpack(COMMAND_ROW.pack(*row))[13:19]
    return CONTROL_EVENT_ROW.pack(
        *(seq, 0, kind, 0, 0, epoch, in_sync, primary, member, sequencer, cause, b"", now_ns, b"")
    )


BOOKS = int(EventFlag.BOOKS)
LOST_PRIORITY = int(EventFlag.LOST_PRIORITY)
