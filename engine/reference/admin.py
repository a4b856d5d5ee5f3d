"""*Administration*: reference data, deposits, withdrawals and transfers; and the sequencer's own words in the stream.

They are stamped like orders, so that they take effect at the same point of the stream on every replica.
"""

from typing import Final

from lockstep.engine.reference import events, margin
from lockstep.engine.reference.accounts import MAX_POSITION_LOTS, Account
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import admin_refused
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import AdminCommand, ControlCommand, TransferCommand
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, AccountFlag, CommandKind, EventKind

MAX_UNIT_MICROS: Final = 2**40
"""Largest worth of one lot at one tick."""
_UNLIMITED: Final = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
_KNOWN_FLAGS: Final = _UNLIMITED | AccountFlag.MARGIN | AccountFlag.SHORT_SALES | AccountFlag.DAY_TRADE_RULE
_CONTROL_EVENTS: Final = {
    int(CommandKind.EPOCH_START): EventKind.EPOCH_STARTED,
    int(CommandKind.GROW): EventKind.GROWN,
    int(CommandKind.GROW_REVOKED): EventKind.GROW_WITHDRAWN,
}


def _is_name(name: bytes) -> bool:
    """1 to 32 printable ASCII characters, without the padding."""
    return len(name) > 0 and all(0x20 <= byte <= 0x7E for byte in name)


def define_instrument(state: State, command: AdminCommand, out: Output) -> None:
    """DEFINE_INSTRUMENT. Defining the same once more is answered as the first time and changes nothing."""
    code = _definition_refusal(state, command)
    if code is not None:
        admin_refused(
            out,
            command,
            code,
            name=command.name,
            tick_micros=command.tick_micros,
            lot_units=command.lot_units,
        )
        return
    if command.instrument not in state.books:
        book = Book(
            instrument_id=command.instrument,
            symbol=command.name.rstrip(b"\0"),
            tick_micros=command.tick_micros,
            lot_units=command.lot_units,
        )
        state.books[book.instrument_id] = state.symbols[book.symbol] = book
    events.defined(out, command, EventKind.INSTRUMENT_DEFINED)


def _definition_refusal(state: State, command: AdminCommand) -> Code | None:
    """Of an instrument."""
    symbol, tick, lot = command.name.rstrip(b"\0"), command.tick_micros, command.lot_units
    good_unit = tick >= 1 and lot >= 1 and tick * lot <= MAX_UNIT_MICROS
    if not command.instrument or not _is_name(symbol) or not good_unit:
        return Code.BAD_DEFINITION
    book = state.books.get(command.instrument)
    if book is None:
        return Code.ALREADY_DEFINED if symbol in state.symbols else None
    same = (book.symbol, book.tick_micros, book.lot_units) == (symbol, tick, lot)
    return None if same else Code.ALREADY_DEFINED


def define_account(state: State, command: AdminCommand, out: Output) -> None:
    """DEFINE_ACCOUNT, with the account's flags in the head. Idempotent like DEFINE_INSTRUMENT."""
    code = _account_refusal(state, command)
    if code is not None:
        admin_refused(out, command, code, name=command.name)
        return
    if command.account not in state.accounts:
        account = Account(account_id=command.account, name=command.name.rstrip(b"\0"), flags=command.flags)
        state.accounts[account.account_id] = state.account_names[account.name] = account
    events.defined(out, command, EventKind.ACCOUNT_DEFINED)


def _account_refusal(state: State, command: AdminCommand) -> Code | None:
    """Of an account."""
    name = command.name.rstrip(b"\0")
    if not command.account or not _is_name(name) or not _are_flags(command.flags):
        return Code.BAD_DEFINITION
    account = state.accounts.get(command.account)
    if account is None:
        return Code.ALREADY_DEFINED if name in state.account_names else None
    return None if (account.name, account.flags) == (name, command.flags) else Code.ALREADY_DEFINED


def _are_flags(flags: int) -> bool:
    """Whether an account may have these flags together."""
    if flags & ~int(_KNOWN_FLAGS):
        return False
    return not flags & _UNLIMITED if flags & AccountFlag.MARGIN else not flags & AccountFlag.SHORT_SALES


def adjust_cash(state: State, command: AdminCommand, out: Output) -> None:
    """ADJUST_CASH: a deposit (positive) or withdrawal (negative), within what is not reserved."""
    account, amount = state.accounts.get(command.account), command.amount_micros
    if account is None:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT)
        return
    code = _cash_refusal(state, account, amount)
    if code is not None:
        admin_refused(out, command, code, amount_micros=amount)
        return
    account.cash += amount
    events.adjusted(out, command, EventKind.CASH_ADJUSTED, account=account, amount_micros=account.cash)


def _cash_refusal(state: State, account: Account, amount: int) -> Code | None:
    after = account.cash + amount
    if after < account.reserved and not account.borrows:
        return Code.INSUFFICIENT_CASH
    is_withdrawal = account.is_margin and amount < 0
    if is_withdrawal and margin.equity(state, account) + amount < margin.initial(state, account):
        return Code.INSUFFICIENT_MARGIN
    if max(after, 0) + account.receivable > I64_MAX or account.reserved - min(after, 0) > I64_MAX:
        return Code.OVERFLOW
    return None


def adjust_position(state: State, command: AdminCommand, out: Output) -> None:
    """ADJUST_POSITION: lots moved in (positive) or out (negative), within what is not reserved."""
    account, lots = state.accounts.get(command.account), command.quantity_lots
    if account is None:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT, quantity_lots=lots)
    elif command.instrument not in state.books:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT, quantity_lots=lots)
    else:
        position = account.position(command.instrument)
        after = position.quantity + lots
        if after < position.reserved and not account.goes_short:
            admin_refused(out, command, Code.INSUFFICIENT_POSITION, quantity_lots=lots)
        elif abs(after) > MAX_POSITION_LOTS:
            admin_refused(out, command, Code.OVERFLOW, quantity_lots=lots)
        else:
            position.adjust(after)
            events.adjusted(out, command, EventKind.POSITION_ADJUSTED, account=account, quantity_lots=after)


def transfer_position(state: State, command: TransferCommand, out: Output) -> None:
    """TRANSFER_POSITION: shares from one account to another, at what they cost the giver."""
    giver, taker = state.accounts.get(command.account), state.accounts.get(command.to_account)
    lots = command.quantity_lots
    if giver is None or taker is None:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT, quantity_lots=lots)
        return
    code = _transfer_refusal(state, command, giver, taker)
    if code is not None:
        admin_refused(out, command, code, quantity_lots=lots)
        return
    given, received = giver.position(command.instrument), taker.position(command.instrument)
    cost = given.cost * lots // given.quantity
    given.adjust(given.quantity - lots)
    received.trade(lots, cost)
    for account, position in ((giver, given), (taker, received)):
        events.adjusted(out, command, EventKind.POSITION_TRANSFERRED, account=account, quantity_lots=position.quantity)


def _transfer_refusal(state: State, command: TransferCommand, giver: Account, taker: Account) -> Code | None:
    lots = command.quantity_lots
    if command.instrument not in state.books:
        return Code.UNKNOWN_INSTRUMENT
    if giver is taker:
        return Code.BAD_DEFINITION
    if not 1 <= lots <= MAX_POSITION_LOTS:
        return Code.BAD_QUANTITY
    given = giver.position(command.instrument)
    if lots > given.quantity - given.reserved:
        return Code.INSUFFICIENT_POSITION
    return Code.OVERFLOW if taker.position(command.instrument).quantity + lots > MAX_POSITION_LOTS else None


def control(_state: State, command: ControlCommand, out: Output) -> None:
    """EPOCH_START, GROW, GROW_REVOKED: nothing to the books, but part of the event stream."""
    events.control(out, command, _CONTROL_EVENTS[command.kind])
