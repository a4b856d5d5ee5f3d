"""The ledger as a fold: what a chunk of the stream does to the books. Pure.

Orders and their events are worked out as columns. Money and shares move event by event, because what a sale earns
depends on all purchases before it. Cash and shares are booked twice: what one account gets another gives, the outside
world and the exchange itself being accounts too (`schema.WORLD`, `schema.HOUSE`). Deposits and the like are booked by
their commands, and their events state what the account has then: where the two differ, the ledger stops.

What comes of a history does not depend on how it was cut into chunks.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from lockstep.posttrade.chunks import Chunk
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import AccountRow, Books, Instrument, LedgerBroken, key_of
from lockstep.posttrade.ledger.lots import I64_MAX, clamped
from lockstep.posttrade.ledger.orders import Context, order_rows
from lockstep.posttrade.ledger.rows import Ints, Rows, none, width_of
from lockstep.stream.records import (
    ADMIN,
    DEFINITION_EVENT,
    MARKET,
    RULES,
    SETTING_EVENT,
    TRANSFER,
    Commands,
    EventKind,
    Events,
    Side,
    join_records,
)

_TRADE: Final = int(EventKind.TRADE)
_BUY: Final = int(Side.BUY)
_DEFINES: Final = tuple(
    int(kind)
    for kind in (
        EventKind.INSTRUMENT_DEFINED,
        EventKind.ACCOUNT_DEFINED,
        EventKind.ACCOUNT_STATUS_SET,
        EventKind.FEES_SET,
        EventKind.MARGIN_SET,
        EventKind.PHASE_CHANGED,
    )
)
_CASH_ADJUSTED: Final = int(EventKind.CASH_ADJUSTED)
_POSITION_ADJUSTED: Final = int(EventKind.POSITION_ADJUSTED)
_POSITION_TRANSFERRED: Final = int(EventKind.POSITION_TRANSFERRED)
_ADJUSTS: Final = (_CASH_ADJUSTED, _POSITION_ADJUSTED, _POSITION_TRANSFERRED)
_MOVED: Final = (
    "kind", "seq", "index", "side", "instrument", "account", "maker_account", "price_ticks", "quantity_lots",
    "taker_fee_micros", "maker_fee_micros", "timestamp_ns", "order_id", "client_order_id", "maker_order_id",
    "maker_client_order_id",
)  # fmt: skip


def fold(chunk: Chunk, books: Books) -> Rows:
    """What is to be stored, after the books in memory were changed.

    Raises:
        LedgerBroken: the stream contradicts the books. What is in memory is of no use then (`Books.drop`).
    """
    commands = join_records([batch.records for batch in chunk.batches])
    events = chunk.events
    context = _define(commands, events, chunk.first_seq, books)
    rows = order_rows(commands, events, chunk.first_seq, context)
    _move(commands, events, chunk.first_seq, books, rows)
    rows.balances, rows.lots = books.take_balances()
    rows.instruments, rows.accounts = books.take_instruments(), books.take_accounts()
    return rows


# ---- definitions -------------------------------------------------------------------------------------------------


def _define(commands: Commands, events: Events, first_seq: int, books: Books) -> Context:
    """Take definitions and settings; units and fees as they were at each event."""
    kinds = events["kind"]
    numbers, places = np.unique(events["instrument"], return_inverse=True)
    unit, buy_ppm, sell_ppm = (np.zeros(len(events), dtype=np.int64) for _ in range(3))
    begin = 0
    for cut in [*np.flatnonzero(np.isin(kinds, _DEFINES)).tolist(), len(events)]:
        if cut > begin:
            known = [books.instruments.get(number) for number in numbers.tolist()]
            part = places[begin:cut]
            unit[begin:cut] = np.array([one.unit if one else 0 for one in known], dtype=np.int64)[part]
            highest = [max(one.maker_fee_ppm, one.taker_fee_ppm) if one else 0 for one in known]
            buy_ppm[begin:cut] = np.array(highest, dtype=np.int64)[part]
            rebate = [max(-one.maker_fee_ppm, 0) if one else 0 for one in known]
            sell_ppm[begin:cut] = np.array(rebate, dtype=np.int64)[part]
        if cut < len(events):
            _setting(commands, events[cut : cut + 1], first_seq, books)
            begin = cut
    return Context(unit, buy_ppm, sell_ppm)


def _setting(commands: Commands, event: Events, first_seq: int, books: Books) -> None:
    kind, seq = int(event["kind"][0]), int(event["seq"][0])
    number, account = int(event["instrument"][0]), int(event["account"][0])
    place = seq - first_seq
    command = commands[place : place + 1]
    if kind == EventKind.INSTRUMENT_DEFINED:
        if number not in books.instruments:
            said = event.view(DEFINITION_EVENT)[0]
            books.instruments[number] = Instrument(
                number, int(said["tick_micros"]), int(said["lot_units"]), defined_seq=seq, symbol=_text(said["name"])
            )
            books.changed_instruments.add(number)
    elif kind == EventKind.ACCOUNT_DEFINED:
        if account not in books.accounts:
            said = event.view(DEFINITION_EVENT)[0]
            books.accounts[account] = AccountRow(account, int(said["flags"]), 0, seq, _text(said["name"]))
            books.changed_accounts.add(account)
    elif kind == EventKind.ACCOUNT_STATUS_SET:
        books.accounts[account].status = int(event.view(SETTING_EVENT)[0]["value"])
        books.changed_accounts.add(account)
    else:
        _market_setting(kind, command, event, books.instruments[number])
        books.changed_instruments.add(number)


def _market_setting(kind: int, command: Commands, event: Events, instrument: Instrument) -> None:
    if kind == EventKind.FEES_SET:
        said = command.view(RULES)[0]
        instrument.maker_fee_ppm, instrument.taker_fee_ppm = int(said["maker_fee_ppm"]), int(said["taker_fee_ppm"])
    elif kind == EventKind.MARGIN_SET:
        terms = command.view(MARKET)[0]
        instrument.initial_margin_ppm = int(terms["initial_margin_ppm"])
        instrument.maintenance_margin_ppm = int(terms["maintenance_margin_ppm"])
    else:
        instrument.reference_price_ticks = int(event.view(SETTING_EVENT)[0]["reference_price_ticks"])


def _text(name: Any) -> str:
    return bytes(name).rstrip(b"\0").decode("ascii")


# ---- money and shares --------------------------------------------------------------------------------------------


class _Entries:
    """Entries and closings of a chunk in the making."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.entries: list[tuple[int, ...]] = []
        self.closings: list[tuple[int, ...]] = []

    def shares(
        self, key: int, event: tuple[int, int, int, int], kind: int, lots: int, value: int, *, free: bool = False
    ) -> None:
        """FIFO of one movement of shares."""
        account, instrument = key >> 32, key & 0xFFFFFFFF
        seq, index, leg, stamp = event
        for one in self.books.change(key, seq).fifo(event, lots, value, free=free):
            lot = one.lot
            self.closings.append((
                account, instrument, seq, index, leg, lot.seq, lot.index, lot.leg,
                kind, one.lots, one.cost, one.proceeds, one.profit, stamp,
            ))  # fmt: skip


def _move(commands: Commands, events: Events, first_seq: int, books: Books, rows: Rows) -> None:
    kinds = events["kind"]
    moving = events[(kinds == _TRADE) | np.isin(kinds, _ADJUSTS)]
    if not len(moving):
        return
    books.need(_keys(moving))
    made = _Entries(books)
    definitions = moving.view(DEFINITION_EVENT)
    for place, row in enumerate(zip(*(moving[name].tolist() for name in _MOVED), strict=True)):
        if row[0] == _TRADE:
            _trade(row, books, made)
        else:
            at = row[1] - first_seq
            _adjust(definitions[place], commands[at : at + 1], books, made)
    entries, closings = signed_rows(made.entries, "entries"), signed_rows(made.closings, "lot_closings")
    _check_sums(entries)
    # In the order of their keys, so that neighbours go into the same page of a tree.
    rows.entries = entries[np.lexsort(entries[:, 3::-1].T)]
    rows.lot_closings = closings[np.lexsort(closings[:, 7::-1].T)]


def _keys(moving: Events) -> list[int]:
    trades = moving[moving["kind"] == _TRADE]
    # Without a sign: the upper half of all account numbers would be below 0, where the system's accounts are.
    accounts = np.concatenate((moving["account"], trades["maker_account"])).astype(np.uint64) << np.uint64(32)
    numbers = np.concatenate((moving["instrument"], trades["instrument"])).astype(np.uint64)
    keys = np.unique(np.concatenate((accounts | numbers, accounts))).tolist()
    outside = [key_of(schema.WORLD, number) for number in np.unique(numbers).tolist()]
    return [*keys, *outside, key_of(schema.WORLD, 0), key_of(schema.HOUSE, 0)]


def _trade(row: tuple[int, ...], books: Books, made: _Entries) -> None:
    (_, seq, index, side, number, taker, maker, price, lots, taker_fee, maker_fee, stamp, *orders) = row
    instrument = books.instruments[number]
    value = price * lots * instrument.unit
    taken = lots if side == _BUY else -lots
    # The maker first, as the engines do: it matters where an account trades with itself.
    sides = (
        (1, maker, -taken, maker_fee, orders[2], orders[3]),
        (0, taker, taken, taker_fee, orders[0], orders[1]),
    )
    for leg, account, change, fee, order_id, name in sides:
        key = account << 32 | number
        cash = (-value if change > 0 else value) - fee
        books.change(account << 32, seq).amount += cash
        cost, profit = books.change(key, seq).trade(change, value)
        made.shares(key, (seq, index, leg, stamp), schema.TRADE, change, value)
        made.entries.append((
            account, seq, index, leg, schema.TRADE, number, change, cash, fee, price, order_id, name, cost, profit,
            stamp,
        ))  # fmt: skip
    if taker_fee or maker_fee:
        fees = taker_fee + maker_fee
        books.change(key_of(schema.HOUSE, 0), seq).amount += fees
        for leg, part in enumerate(parts_that_fit(fees), 2):
            made.entries.append((schema.HOUSE, seq, index, leg, schema.FEE, number, 0, part, 0, 0, 0, 0, 0, 0, stamp))
    instrument.last_price_ticks, instrument.last_trade_ns = price, stamp
    instrument.trades += 1
    instrument.volume_lots = clamped(instrument.volume_lots + lots)
    books.changed_instruments.add(number)


def _adjust(event: Any, command: Commands, books: Books, made: _Entries) -> None:
    kind, seq, index = int(event["kind"]), int(event["seq"]), int(event["index"])
    account, number, stamp = int(event["account"]), int(event["instrument"]), int(event["timestamp_ns"])
    if kind == _CASH_ADJUSTED:
        amount = int(command.view(ADMIN)[0]["amount_micros"])
        books.change(key_of(account, 0), seq).amount += amount
        books.change(key_of(schema.WORLD, 0), seq).amount -= amount
        sides = [(account, amount), *((schema.WORLD, part) for part in parts_that_fit(-amount))]
        for leg, (one, change) in enumerate(sides):
            made.entries.append((one, seq, index, leg, schema.CASH_MOVED, 0, 0, change, 0, 0, 0, 0, 0, 0, stamp))
        _stated(books, key_of(account, 0), int(event["amount_micros"]), seq)
        return
    key = key_of(account, number)
    if kind == _POSITION_ADJUSTED:
        lots = int(command.view(ADMIN)[0]["quantity_lots"])
        cost = books.change(key, seq).adjust(books.holdings[key].amount + lots)
        made.shares(key, (seq, index, 0, stamp), schema.SHARES_MOVED, lots, 0, free=True)
        books.change(key_of(schema.WORLD, number), seq).amount -= lots
        moved = [(account, lots, cost), *((schema.WORLD, part, 0) for part in parts_that_fit(-lots))]
        for leg, (one, change, out) in enumerate(moved):
            made.entries.append(
                (one, seq, index, leg, schema.SHARES_MOVED, number, change, 0, 0, 0, 0, 0, out, 0, stamp)
            )
    else:
        _transfer(event, int(command.view(TRANSFER)[0]["quantity_lots"]), books, made)
    _stated(books, key, int(event["quantity_lots"]), seq)


def _transfer(event: Any, lots: int, books: Books, made: _Entries) -> None:
    """Two events: the giver's, then the taker's, at what the shares cost the giver; under FIFO its oldest lots."""
    seq, index = int(event["seq"]), int(event["index"])
    account, number, stamp = int(event["account"]), int(event["instrument"]), int(event["timestamp_ns"])
    key = key_of(account, number)
    holding = books.change(key, seq)
    place = (seq, index, 0, stamp)
    if index == 0:
        change, cost = -lots, holding.adjust(holding.amount - lots)
        books.transferred = (cost, sum(lot.open_micros for lot in holding.lots))
        made.shares(key, place, schema.TRANSFER, change, 0, free=True)
        left = sum(lot.open_micros for lot in holding.lots)
        books.transferred = (cost, clamped(books.transferred[1] - left))
        profit = 0
    else:
        change = lots
        cost, profit = holding.trade(lots, books.transferred[0])
        made.shares(key, place, schema.TRANSFER, change, books.transferred[1])
    made.entries.append((account, seq, index, 0, schema.TRANSFER, number, change, 0, 0, 0, 0, 0, cost, profit, stamp))


def parts_that_fit(amount: int) -> Iterator[int]:
    """An amount as entries have it: one, but for what the other side of the lowest number of 64 bits is."""
    while abs(amount) > I64_MAX:
        part = I64_MAX if amount > 0 else -I64_MAX
        yield part
        amount -= part
    yield amount


def _stated(books: Books, key: int, stated: int, seq: int) -> None:
    amount = books.holdings[key].amount
    if amount != stated:
        account, number = key >> 32, key & 0xFFFFFFFF
        what = f"lots of instrument {number}" if number else "micros"
        raise LedgerBroken(f"at seq {seq} account {account} has {amount} {what}; the stream states {stated}")


def _check_sums(entries: Ints) -> None:
    """Every event's entries add up to nothing, in cash and in shares. Sums may wrap: zero is zero all the same."""
    order = np.lexsort((entries[:, 2], entries[:, 1]))
    kept = entries[order]
    # A transfer's two events are one movement.
    index = np.where(kept[:, 4] == schema.TRANSFER, 0, kept[:, 2])
    begins = np.flatnonzero(np.append(True, (np.diff(kept[:, 1]) != 0) | (np.diff(index) != 0)))
    for column, what in ((6, "shares"), (7, "cash")):
        with np.errstate(over="ignore"):
            off = np.add.reduceat(kept[:, column], begins)
        if off.any():
            at = int(begins[np.flatnonzero(off)[0]])
            raise LedgerBroken(f"{what} of event {kept[at, 1]}.{kept[at, 2]} do not add up to zero")


def signed_rows(rows: list[tuple[int, ...]], table: str) -> Ints:
    """Numbers of 64 bits without a sign as signed ones of the same bits."""
    if not rows:
        return none(width_of(table))
    try:
        return np.array(rows, dtype=np.int64)
    except OverflowError:
        wrapped = [tuple(value - 2**64 if value >= 2**63 else value for value in row) for row in rows]
        return np.array(wrapped, dtype=np.int64)
