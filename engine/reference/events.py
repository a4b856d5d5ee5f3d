"""Outcomes as EVENT records. One function per kind of event, so that what a kind carries is said in one place.

Every event names the command that it answers (`session_id`, `session_no`). When the order concerned belongs to
another session, that one stands in `maker_session_id`, so that a gateway can tell both. Reports about an order echo
the order; refusals echo what the command said.
"""

from typing import Final

from lockstep.engine.reference.book import HIDDEN, MARKET, Book, Order
from lockstep.engine.reference.rows import (
    COMMAND_ROW,
    CONTROL_EVENT_ROW,
    CONTROL_ROW,
    DEFINITION_EVENT_ROW,
    EVENT_ROW,
    ORDER_EVENT_ROW,
    SETTING_EVENT_ROW,
    Emit,
    Row,
)
from lockstep.stream.records import EventFlag, EventKind

_pack = EVENT_ROW.pack
_pack_order = ORDER_EVENT_ROW.pack

_ACCEPTED = int(EventKind.ACCEPTED)
_TRADE = int(EventKind.TRADE)
_CANCELED = int(EventKind.CANCELED)
_REDUCED = int(EventKind.REDUCED)
_REPLACED = int(EventKind.REPLACED)
_TRIGGERED = int(EventKind.TRIGGERED)
_INDICATIVE = int(EventKind.INDICATIVE)
_DUPLICATE = int(EventKind.DUPLICATE)
_MASS_CANCELED = int(EventKind.MASS_CANCELED)
_PHASE_CHANGED = int(EventKind.PHASE_CHANGED)
_SESSION_OPENED = int(EventKind.SESSION_OPENED)

BOOKS: Final = int(EventFlag.BOOKS)
LOST_PRIORITY: Final = int(EventFlag.LOST_PRIORITY)
AUCTION: Final = int(EventFlag.AUCTION)
WAITS: Final = int(EventFlag.WAITS)
UNSEEN: Final = int(EventFlag.UNSEEN)


class Output:
    """The events of a batch in the making: stamp of the command at work, and the index of its next event."""

    __slots__ = ("append", "index", "now_ns", "seq")

    def __init__(self, append: Emit, seq: int, now_ns: int) -> None:
        self.append = append
        self.seq = seq
        self.now_ns = now_ns
        self.index = 0


def accepted(out: Output, session_no: int, order: Order, flags: int) -> None:
    """The order passed all checks; nothing has traded yet. Always the first event of its command."""
    lots = order.quantity
    # A market order is unseen where it rests, in an auction; elsewhere there is nothing to be seen of it.
    if order.display or order.flags & HIDDEN or (flags & BOOKS and order.order_type == MARKET):
        flags |= UNSEEN
    out.append(
        _pack_order(
            *(out.seq, 0, _ACCEPTED, order.side, 0, order.book.instrument.instrument_id, order.account.account_id),
            *(order.session_id, session_no, order.order_id, order.client_order_id, order.price, lots, lots),
            *(b"", order.stop, 0, order.order_type, order.tif, order.stp, order.flags, flags, order.display),
            *(out.now_ns, b"", order.expire_ns, 0, 0),
        )
    )
    out.index = 1


def trade(
    out: Output, session_no: int, taker: Order, maker: Order, lots: int, price: int, fees: tuple[int, int], flags: int
) -> None:
    """One match, after it was booked; `fees` are the taker's and the maker's."""
    index = out.index
    out.index = index + 1
    out.append(
        _pack(
            out.seq,
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
            price,
            lots,
            taker.leaves,
            maker.order_id,
            maker.client_order_id,
            maker.session_id,
            maker.account.account_id,
            flags,
            maker.leaves,
            out.now_ns,
            fees[0],
            fees[1],
            0,
            0,
        )
    )


def taken_off(
    out: Output, session_id: int, session_no: int, order: Order, lots: int, code: int, leaves: int = 0
) -> None:
    """CANCELED: `lots` of the order were taken off and nothing of it is open any more; `code` says why.

    With `leaves` > 0 it is REDUCED: the order lives on with so many.
    """
    owner = order.session_id
    out.append(
        _pack(
            *(out.seq, out.index, _REDUCED if leaves else _CANCELED, order.side, code),
            *(order.book.instrument.instrument_id, order.account.account_id),
            *(session_id, session_no, order.order_id, order.client_order_id, order.price, lots, leaves),
            *(0, 0, owner if owner != session_id else 0, 0, 0, 0, out.now_ns, 0, 0, 0, 0),
        )
    )
    out.index += 1


def replaced(out: Output, session_no: int, order: Order, flags: int, previous: tuple[int, int, int]) -> None:
    """The order has its new terms. `previous` is its (owner session, price, open lots) before. Always the first."""
    owner, price, leaves = previous
    lots = order.leaves
    if order.is_unseen:
        flags |= UNSEEN
    out.append(
        _pack_order(
            *(out.seq, 0, _REPLACED, order.side, 0, order.book.instrument.instrument_id, order.account.account_id),
            *(order.session_id, session_no, order.order_id, order.client_order_id, order.price, lots, lots),
            *(b"", order.stop, owner if owner != order.session_id else 0),
            *(order.order_type, order.tif, order.stp, order.flags, flags, order.display),
            *(out.now_ns, b"", order.expire_ns, price, leaves),
        )
    )
    out.index = 1


def triggered(out: Output, order: Order, flags: int) -> None:
    """A stop order was set off."""
    lots = order.leaves
    out.append(
        _pack_order(
            *(out.seq, out.index, _TRIGGERED, order.side, 0),
            *(order.book.instrument.instrument_id, order.account.account_id),
            *(order.session_id, 0, order.order_id, order.client_order_id, order.price, lots, lots),
            *(b"", order.stop, 0, order.order_type, order.tif, order.stp, order.flags, flags, order.display),
            *(out.now_ns, b"", order.expire_ns, order.stop, 0),
        )
    )
    out.index += 1


def indicative(out: Output, book: Book, price: int, volume: int, imbalance: int) -> None:
    """What an auction would give now; `imbalance` is demand - supply."""
    side = 1 if imbalance > 0 else 2 if imbalance else 0
    out.append(
        _pack(
            *(out.seq, out.index, _INDICATIVE, side, 0, book.instrument.instrument_id, 0, 0, 0, 0, 0),
            *(price, volume, abs(imbalance), 0, 0, 0, 0, 0, 0, out.now_ns, 0, 0, 0, 0),
        )
    )
    out.index += 1


def refused(out: Output, row: Row, kind: int, code: int) -> None:
    """The command had no effect. `kind` is REJECTED, CANCEL_REJECTED or REPLACE_REJECTED."""
    out.append(
        _pack(
            *(out.seq, 0, kind, 0, code, row[10], row[9], row[7], row[8], row[12], row[11]),
            *(0, 0, 0, 0, 0, 0, 0, 0, 0, out.now_ns, 0, 0, 0, 0),
        )
    )


def duplicate(out: Output, row: Row, outcome_seq: int) -> None:
    """The session's number was executed before, at `outcome_seq` (0: forgotten)."""
    out.append(
        _pack(
            *(out.seq, 0, _DUPLICATE, 0, 0, row[10], row[9], row[7], row[8], row[12], row[11]),
            *(0, 0, 0, 0, 0, 0, 0, 0, 0, out.now_ns, 0, 0, outcome_seq, 0),
        )
    )


def mass_canceled(out: Output, row: Row, count: int) -> None:
    """The end of a mass cancel: `count` orders went before it."""
    out.append(
        _pack(
            *(out.seq, out.index, _MASS_CANCELED, row[1], 0, row[10], row[9], row[7], row[8], 0, row[11]),
            *(0, count, 0, 0, 0, 0, 0, 0, 0, out.now_ns, 0, 0, 0, 0),
        )
    )
    out.index += 1


def definition(
    out: Output,
    row: Row,
    kind: int,
    *,
    code: int = 0,
    account: int | None = None,
    name: bytes = b"",
    tick_micros: int = 0,
    lot_units: int = 0,
    quantity_lots: int = 0,
    amount_micros: int = 0,
) -> None:
    """An administrative outcome; fields that a kind doesn't speak of are 0. `account`: another than the command's."""
    number = row[9] if account is None else account
    out.append(
        DEFINITION_EVENT_ROW.pack(
            *(out.seq, out.index, kind, 0, code, row[10], number, row[7], row[8]),
            *(name, tick_micros, lot_units, quantity_lots, amount_micros, b"", row[5], b"", out.now_ns, b""),
        )
    )
    out.index += 1


def setting(out: Output, row: Row, kind: int, value: int = 0, previous: int = 0) -> None:
    """A SET command other than SET_PHASE was obeyed."""
    out.append(
        SETTING_EVENT_ROW.pack(
            *(out.seq, out.index, kind, 0, 0, row[10], row[9], row[7], row[8]),
            *(value, previous, 0, 0, 0, 0, b"", 0, b"", out.now_ns, b""),
        )
    )
    out.index += 1


def session_opened(out: Output, row: Row, gateway: int, previous: int, connection: int) -> None:
    """Which gateway has the session in `order_id` now, and had it before; its highest connection."""
    out.append(
        SETTING_EVENT_ROW.pack(
            *(out.seq, out.index, _SESSION_OPENED, 0, 0, row[10], row[9], row[7], row[8]),
            *(gateway, previous, 0, 0, row[12], connection, b"", 0, b"", out.now_ns, b""),
        )
    )
    out.index += 1


def notice(out: Output, kind: int, value: int, previous: int, *, account: int = 0, until_ns: int = 0) -> None:
    """What came to pass without anybody's asking: MARKET_HALTED, MARGIN_CALLED."""
    out.append(
        SETTING_EVENT_ROW.pack(
            *(out.seq, out.index, kind, 0, 0, 0, account, 0, 0),
            *(value, previous, 0, until_ns, 0, 0, b"", 0, b"", out.now_ns, b""),
        )
    )
    out.index += 1


def phase_changed(out: Output, session: tuple[int, int], book: Book, previous: int) -> None:
    """The instrument is in another phase (or in the same with new terms). `session`: (id, number) that asked for it."""
    out.append(
        SETTING_EVENT_ROW.pack(
            *(out.seq, out.index, _PHASE_CHANGED, 0, 0, book.instrument.instrument_id, 0, *session),
            *(book.phase, previous, book.reference, book.until_ns, 0, 0, b"", 0, b"", out.now_ns, b""),
        )
    )
    out.index += 1


def control(out: Output, row: Row, kind: int) -> None:
    """The sequencer's own word in the stream, passed on."""
    epoch, in_sync, primary, member, sequencer, cause = CONTROL_ROW.unpack(COMMAND_ROW.pack(*row))[13:19]
    out.append(
        CONTROL_EVENT_ROW.pack(
            *(out.seq, out.index, kind, 0, 0, epoch, in_sync, primary, member, sequencer, cause),
            *(b"", out.now_ns, b""),
        )
    )
    out.index += 1
