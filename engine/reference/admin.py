"""Administrative commands: reference data, deposits and withdrawals; and the sequencer's own words in the stream.

They are stamped like orders, so that they take effect at the same point of the stream on every replica.
"""

from typing import Any, Final

from lockstep.engine.reference import events, margin
from lockstep.engine.reference.accounts import MAX_POSITION_LOTS, Account
from lockstep.engine.reference.book import Book, Instrument
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.rows import ADMIN_ROW, COMMAND_ROW, TRANSFER_ROW, Row
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, AccountFlag, CommandKind, EventKind

MAX_UNIT_MICROS: Final = 2**40
"""Largest worth of one lot at one tick."""
_UNLIMITED: Final = int(AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS)
_MARGIN: Final = int(AccountFlag.MARGIN)
_SHORT_SALES: Final = int(AccountFlag.SHORT_SALES)
_KNOWN_ACCOUNT_FLAGS: Final = _UNLIMITED | _MARGIN | _SHORT_SALES | int(AccountFlag.DAY_TRADE_RULE)
_CONTROL_KINDS: Final = {
    int(CommandKind.EPOCH_START): int(EventKind.EPOCH_STARTED),
    int(CommandKind.GROW): int(EventKind.GROWN),
    int(CommandKind.GROW_REVOKED): int(EventKind.GROW_WITHDRAWN),
}


def _overlay(row: Row) -> tuple[Any, ...]:
    """The same 128 bytes, read as the ADMIN overlay: (name, tick, lot, quantity, amount)."""
    return ADMIN_ROW.unpack(COMMAND_ROW.pack(*row))[13:18]


def _name(field: bytes) -> bytes | None:
    """A name without its padding; None unless it is 1 to 32 printable ASCII characters."""
    name = field.rstrip(b"\0")
    return name if name and all(0x20 <= byte <= 0x7E for byte in name) else None


def define_instrument(state: State, row: Row, out: Output) -> None:
    """DEFINE_INSTRUMENT. Defining the same once more is answered as the first time and changes nothing."""
    field, tick_micros, lot_units, _, _ = _overlay(row)
    instrument_id = row[10]
    symbol = _name(field)
    code = Code.OK
    good_unit = tick_micros >= 1 and lot_units >= 1 and tick_micros * lot_units <= MAX_UNIT_MICROS
    if not instrument_id or symbol is None or not good_unit:
        code = Code.BAD_DEFINITION
    else:
        book = state.books.get(instrument_id)
        if book is None and symbol not in state.symbols:
            book = Book(Instrument(instrument_id, symbol, tick_micros, lot_units))
            state.books[instrument_id] = state.symbols[symbol] = book
        elif book is None or not book.instrument.is_defined_as(symbol, tick_micros, lot_units):
            code = Code.ALREADY_DEFINED
    kind = EventKind.ADMIN_REJECTED if code else EventKind.INSTRUMENT_DEFINED
    events.definition(out, row, kind, code=code, name=field, tick_micros=tick_micros, lot_units=lot_units)


def _are_flags(flags: int) -> bool:
    """Whether an account may have these flags together."""
    if flags & ~_KNOWN_ACCOUNT_FLAGS:
        return False
    return not flags & _UNLIMITED if flags & _MARGIN else not flags & _SHORT_SALES


def define_account(state: State, row: Row, out: Output) -> None:
    """DEFINE_ACCOUNT, with the account's flags in the head. Idempotent like DEFINE_INSTRUMENT."""
    field = _overlay(row)[0]
    account_id = row[9]
    flags = row[5]
    name = _name(field)
    code = Code.OK
    if not account_id or name is None or not _are_flags(flags):
        code = Code.BAD_DEFINITION
    else:
        account = state.accounts.get(account_id)
        if account is None and name not in state.account_names:
            account = Account(account_id, name, flags)
            state.accounts[account_id] = state.account_names[name] = account
        elif account is None or account.name != name or account.flags != flags:
            code = Code.ALREADY_DEFINED
    kind = EventKind.ADMIN_REJECTED if code else EventKind.ACCOUNT_DEFINED
    events.definition(out, row, kind, code=code, name=field)


def adjust_cash(state: State, row: Row, out: Output) -> None:
    """ADJUST_CASH: a deposit (positive) or withdrawal (negative), within what is not reserved."""
    amount = _overlay(row)[4]
    account = state.accounts.get(row[9])
    if account is None:
        events.definition(out, row, EventKind.ADMIN_REJECTED, code=Code.UNKNOWN_ACCOUNT)
        return
    cash = account.cash + amount
    code = Code.OK
    if cash < account.reserved and not account.borrows:
        code = Code.INSUFFICIENT_CASH
    elif account.margin and amount < 0 and margin.equity(state, account) + amount < margin.initial(state, account):
        code = Code.INSUFFICIENT_MARGIN
    elif max(cash, 0) + account.receivable > I64_MAX or account.reserved - min(cash, 0) > I64_MAX:
        code = Code.OVERFLOW
    if code:
        events.definition(out, row, EventKind.ADMIN_REJECTED, code=code, amount_micros=amount)
        return
    account.cash = cash
    events.definition(out, row, EventKind.CASH_ADJUSTED, amount_micros=cash)


def adjust_position(state: State, row: Row, out: Output) -> None:
    """ADJUST_POSITION: lots moved in (positive) or out (negative), within what is not reserved."""
    lots = _overlay(row)[3]
    account = state.accounts.get(row[9])
    code = Code.OK
    after = 0
    if account is None:
        code = Code.UNKNOWN_ACCOUNT
    elif row[10] not in state.books:
        code = Code.UNKNOWN_INSTRUMENT
    else:
        held = account.positions.get(row[10])
        after = lots + (held.quantity if held is not None else 0)
        reserved = held.reserved if held is not None else 0
        if after < reserved and not account.goes_short:
            code = Code.INSUFFICIENT_POSITION
        elif abs(after) > MAX_POSITION_LOTS:
            code = Code.OVERFLOW
        else:
            account.position(row[10]).adjust(after)
    if code:
        events.definition(out, row, EventKind.ADMIN_REJECTED, code=code, quantity_lots=lots)
        return
    events.definition(out, row, EventKind.POSITION_ADJUSTED, quantity_lots=after)


def transfer_position(state: State, row: Row, out: Output) -> None:
    """TRANSFER_POSITION: shares from one account to another, at what they cost the giver."""
    to_account, _, lots = TRANSFER_ROW.unpack(COMMAND_ROW.pack(*row))[13:16]
    giver = state.accounts.get(row[9])
    taker = state.accounts.get(to_account)
    held = giver.positions.get(row[10]) if giver is not None else None
    received = taker.positions.get(row[10]) if taker is not None else None
    code = Code.OK
    if giver is None or taker is None:
        code = Code.UNKNOWN_ACCOUNT
    elif row[10] not in state.books:
        code = Code.UNKNOWN_INSTRUMENT
    elif giver is taker:
        code = Code.BAD_DEFINITION
    elif not 1 <= lots <= MAX_POSITION_LOTS:
        code = Code.BAD_QUANTITY
    elif held is None or lots > held.quantity - held.reserved:
        code = Code.INSUFFICIENT_POSITION
    elif received is not None and received.quantity + lots > MAX_POSITION_LOTS:
        code = Code.OVERFLOW
    if code or held is None or taker is None:
        events.definition(out, row, EventKind.ADMIN_REJECTED, code=code, quantity_lots=lots)
        return
    cost = held.cost * lots // held.quantity
    held.adjust(held.quantity - lots)
    position = taker.position(row[10])
    position.trade(lots, cost)
    events.definition(out, row, EventKind.POSITION_TRANSFERRED, quantity_lots=held.quantity)
    events.definition(out, row, EventKind.POSITION_TRANSFERRED, account=to_account, quantity_lots=position.quantity)


def control(_state: State, row: Row, out: Output) -> None:
    """EPOCH_START, GROW, GROW_REVOKED: nothing to the books, but part of the event stream."""
    events.control(out, row, _CONTROL_KINDS[row[0]])
