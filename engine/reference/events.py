"""*Who gets a report*: outcomes as EVENT records. One function per kind, so that what a kind carries is said once.

Every event names the command that it answers (`session_id`, `session_no`). When the order concerned belongs to
another session, that one stands in `maker_session_id`, so that both get a report. Reports about an order echo
the order; refusals echo what the command said.
"""

from typing import Final, NamedTuple

from lockstep.engine.reference import records
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.bands import Bands
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import (
    AdminCommand,
    AnyCommand,
    ControlCommand,
    OrderCommand,
    TransferCommand,
)
from lockstep.engine.reference.words import BUY, HIDDEN, MARKET, SELL
from lockstep.stream.records import CommandKind, EventFlag, EventKind

# Plain ints: the operators of a Flag make a member of it for every result.
_OF_A_SESSION: Final = (CommandKind.MASS_CANCEL, CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED)
BOOKS: Final = int(EventFlag.BOOKS)
LOST_PRIORITY: Final = int(EventFlag.LOST_PRIORITY)
AUCTION: Final = int(EventFlag.AUCTION)
WAITS: Final = int(EventFlag.WAITS)
UNSEEN: Final = int(EventFlag.UNSEEN)


class Fees(NamedTuple):
    """Of a trade, in micros; below 0: a rebate."""

    taker: int
    maker: int


class Asker(NamedTuple):
    """Session and number of the command that something answers."""

    session_id: int
    session_no: int


NOBODY: Final = Asker(0, 0)


def asker_of(command: AnyCommand) -> Asker:
    """Whom the command's events answer."""
    return Asker(command.session_id, command.session_no)


def accepted(out: Output, order: Order, *, session_no: int, flags: int) -> None:
    """ACCEPTED: the order passed all checks; nothing has traded yet. Always the first event of its command."""
    # A market order is unseen where it rests, in an auction; elsewhere there is nothing to be seen of it.
    if order.display or order.flags & HIDDEN or (flags & BOOKS and order.order_type == MARKET):
        flags |= UNSEEN
    records.order_event(
        out,
        kind=EventKind.ACCEPTED,
        side=order.side,
        instrument=order.book.instrument_id,
        account=order.account.account_id,
        session_id=order.session_id,
        session_no=session_no,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        price_ticks=order.price,
        quantity_lots=order.quantity,
        leaves_lots=order.leaves,
        stop_price_ticks=order.stop_price,
        order_type=order.order_type,
        tif=order.tif,
        stp=order.stp,
        order_flags=order.flags,
        flags=flags,
        display_lots=order.display,
        expire_ns=order.expire_ns,
    )


def trade(
    out: Output, *, taker: Order, maker: Order, lots: int, price: int, fees: Fees, session_no: int, flags: int
) -> None:
    """TRADE: one match, after it was booked."""
    records.event(
        out,
        kind=EventKind.TRADE,
        side=taker.side,
        instrument=taker.book.instrument_id,
        account=taker.account.account_id,
        session_id=taker.session_id,
        session_no=session_no,
        order_id=taker.order_id,
        client_order_id=taker.client_order_id,
        price_ticks=price,
        quantity_lots=lots,
        leaves_lots=taker.leaves,
        maker_order_id=maker.order_id,
        maker_client_order_id=maker.client_order_id,
        maker_session_id=maker.session_id,
        maker_account=maker.account.account_id,
        flags=flags,
        maker_leaves_lots=maker.leaves,
        taker_fee_micros=fees.taker,
        maker_fee_micros=fees.maker,
    )


def taken_off(out: Output, order: Order, asker: Asker, *, lots: int, code: int, leaves: int = 0) -> None:
    """CANCELED: `lots` of the order were taken off and nothing of it is open any more; `code` says why.

    With `leaves` > 0 it is REDUCED: the order lives on with so many.
    """
    records.event(
        out,
        kind=EventKind.REDUCED if leaves else EventKind.CANCELED,
        side=order.side,
        code=code,
        instrument=order.book.instrument_id,
        account=order.account.account_id,
        session_id=asker.session_id,
        session_no=asker.session_no,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        price_ticks=order.price,
        quantity_lots=lots,
        leaves_lots=leaves,
        maker_session_id=order.session_id if order.session_id != asker.session_id else 0,
    )


class Before(NamedTuple):
    """What a replaced order was: its owner's session, its price, its open lots."""

    session_id: int
    price: int
    leaves: int


def replaced(out: Output, order: Order, before: Before, *, session_no: int, flags: int) -> None:
    """REPLACED: the order has its new terms. Always the first event of its command."""
    if order.is_unseen:
        flags |= UNSEEN
    records.order_event(
        out,
        kind=EventKind.REPLACED,
        side=order.side,
        instrument=order.book.instrument_id,
        account=order.account.account_id,
        session_id=order.session_id,
        session_no=session_no,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        price_ticks=order.price,
        quantity_lots=order.leaves,
        leaves_lots=order.leaves,
        stop_price_ticks=order.stop_price,
        maker_session_id=before.session_id if before.session_id != order.session_id else 0,
        order_type=order.order_type,
        tif=order.tif,
        stp=order.stp,
        order_flags=order.flags,
        flags=flags,
        display_lots=order.display,
        expire_ns=order.expire_ns,
        previous_price_ticks=before.price,
        previous_leaves_lots=before.leaves,
    )


def triggered(out: Output, order: Order, *, flags: int, stop_price: int) -> None:
    """TRIGGERED: a stop order was set off at `stop_price` (*Stops* 3), or an order's parent has ended (0).

    *Contingent orders* 3.
    """
    records.order_event(
        out,
        kind=EventKind.TRIGGERED,
        side=order.side,
        instrument=order.book.instrument_id,
        account=order.account.account_id,
        session_id=order.session_id,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        price_ticks=order.price,
        quantity_lots=order.leaves,
        leaves_lots=order.leaves,
        stop_price_ticks=order.stop_price,
        order_type=order.order_type,
        tif=order.tif,
        stp=order.stp,
        order_flags=order.flags,
        flags=flags,
        display_lots=order.display,
        expire_ns=order.expire_ns,
        previous_price_ticks=stop_price,
    )


def indicative(out: Output, book: Book, *, price: int, volume: int, imbalance: int) -> None:
    """INDICATIVE: what an auction would give now; `imbalance` is demand - supply (*Phases*)."""
    surplus = BUY if imbalance > 0 else SELL
    records.event(
        out,
        kind=EventKind.INDICATIVE,
        side=surplus if imbalance else 0,
        instrument=book.instrument_id,
        price_ticks=price,
        quantity_lots=volume,
        leaves_lots=abs(imbalance),
    )


def _order_named(command: AnyCommand) -> int:
    """The order that a command names; 0: none. Some kinds name a session in the same place."""
    return 0 if command.kind in _OF_A_SESSION else command.order_id


def refused(out: Output, command: AnyCommand, kind: EventKind, code: int) -> None:
    """The command had no effect. `kind` is REJECTED, CANCEL_REJECTED or REPLACE_REJECTED."""
    records.event(
        out,
        kind=kind,
        code=code,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        order_id=_order_named(command),
        client_order_id=command.client_order_id,
    )


def duplicate(out: Output, command: AnyCommand, *, outcome_seq: int) -> None:
    """DUPLICATE: the session's number was executed before, at `outcome_seq` (0: forgotten)."""
    records.event(
        out,
        kind=EventKind.DUPLICATE,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        order_id=_order_named(command),
        client_order_id=command.client_order_id,
        original_seq=outcome_seq,
    )


def mass_canceled(out: Output, command: OrderCommand, *, count: int) -> None:
    """MASS_CANCELED, the end of a mass cancel: `count` orders went before it."""
    records.event(
        out,
        kind=EventKind.MASS_CANCELED,
        side=command.side,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        client_order_id=command.client_order_id,
        quantity_lots=count,
    )


def admin_refused(
    out: Output,
    command: AnyCommand,
    code: int,
    *,
    name: bytes = b"",
    tick_micros: int = 0,
    lot_units: int = 0,
    quantity_lots: int = 0,
    amount_micros: int = 0,
) -> None:
    """ADMIN_REJECTED, with the definition or the amount that was asked for."""
    records.definition_event(
        out,
        kind=EventKind.ADMIN_REJECTED,
        code=code,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        name=name,
        tick_micros=tick_micros,
        lot_units=lot_units,
        quantity_lots=quantity_lots,
        amount_micros=amount_micros,
        flags=command.flags,
    )


def defined(out: Output, command: AdminCommand, kind: EventKind) -> None:
    """INSTRUMENT_DEFINED, ACCOUNT_DEFINED."""
    is_instrument = kind == EventKind.INSTRUMENT_DEFINED
    records.definition_event(
        out,
        kind=kind,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        name=command.name,
        tick_micros=command.tick_micros if is_instrument else 0,
        lot_units=command.lot_units if is_instrument else 0,
        flags=command.flags,
    )


def adjusted(
    out: Output,
    command: AdminCommand | TransferCommand,
    kind: EventKind,
    *,
    account: Account,
    quantity_lots: int = 0,
    amount_micros: int = 0,
) -> None:
    """CASH_ADJUSTED, POSITION_ADJUSTED, POSITION_TRANSFERRED: what the account has now."""
    records.definition_event(
        out,
        kind=kind,
        instrument=command.instrument,
        account=account.account_id,
        session_id=command.session_id,
        session_no=command.session_no,
        quantity_lots=quantity_lots,
        amount_micros=amount_micros,
        flags=command.flags,
    )


def setting(out: Output, command: AnyCommand, kind: EventKind, *, value: int = 0, previous: int = 0) -> None:
    """A SET command other than SET_PHASE was obeyed."""
    records.setting_event(
        out,
        kind=kind,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        value=value,
        previous_value=previous,
    )


def session_opened(out: Output, command: OrderCommand, *, gateway: int, previous: int, connection: int) -> None:
    """SESSION_OPENED: which gateway has the session in `order_id` now, and had it before; its highest connection."""
    records.setting_event(
        out,
        kind=EventKind.SESSION_OPENED,
        instrument=command.instrument,
        account=command.account,
        session_id=command.session_id,
        session_no=command.session_no,
        value=gateway,
        previous_value=previous,
        of_session=command.order_id,
        connection=connection,
    )


def market_halted(out: Output, *, level: int, previous: int, until_ns: int) -> None:
    """MARKET_HALTED: the index has reached a level (*Market-wide breaker*)."""
    records.setting_event(
        out,
        kind=EventKind.MARKET_HALTED,
        value=level,
        previous_value=previous,
        until_ns=until_ns,
    )


def margin_called(out: Output, account: Account, *, equity: int, maintenance: int) -> None:
    """MARGIN_CALLED: a margin call begins or ends (*Margin accounts*)."""
    records.setting_event(
        out,
        kind=EventKind.MARGIN_CALLED,
        account=account.account_id,
        value=equity,
        previous_value=maintenance,
    )


def phase_changed(out: Output, book: Book, asker: Asker, *, previous: int) -> None:
    """PHASE_CHANGED: the instrument is in another phase, or in the same with new terms (*Phases*)."""
    records.setting_event(
        out,
        kind=EventKind.PHASE_CHANGED,
        instrument=book.instrument_id,
        session_id=asker.session_id,
        session_no=asker.session_no,
        value=book.phase,
        previous_value=previous,
        reference_price_ticks=book.reference,
        until_ns=book.until_ns,
    )


def bands_moved(out: Output, book: Book, bands: Bands) -> None:
    """BANDS_MOVED: between which prices the instrument trades now (*Limit up and limit down*)."""
    records.setting_event(
        out,
        kind=EventKind.BANDS_MOVED,
        instrument=book.instrument_id,
        value=bands.low,
        previous_value=bands.high,
        reference_price_ticks=bands.reference,
    )


def limit_state_changed(out: Output, book: Book, bands: Bands, *, previous: int) -> None:
    """LIMIT_STATE_CHANGED: where the best prices stand within the bands (*Limit up and limit down*)."""
    records.setting_event(
        out,
        kind=EventKind.LIMIT_STATE_CHANGED,
        instrument=book.instrument_id,
        value=bands.state,
        previous_value=previous,
        reference_price_ticks=bands.reference,
        until_ns=bands.until_ns,
    )


def short_sales_restricted(out: Output, book: Book, *, price: int) -> None:
    """SHORT_SALES_RESTRICTED: the instrument has fallen to this price (*Short sales*)."""
    records.setting_event(
        out,
        kind=EventKind.SHORT_SALES_RESTRICTED,
        instrument=book.instrument_id,
        value=1,
        reference_price_ticks=price,
    )


def control(out: Output, command: ControlCommand, kind: EventKind) -> None:
    """The sequencer's own word in the stream, passed on."""
    records.control_event(
        out,
        kind=kind,
        epoch=command.epoch,
        in_sync=command.in_sync,
        primary=command.primary,
        member=command.member,
        sequencer=command.sequencer,
        cause=command.cause,
    )
