"""What the fold keeps in memory: instruments, accounts, and the holdings that trade just now. Pure.

Holdings are loaded when an event first concerns them, and given up between two chunks when they are too many, so that a
ledger of a million accounts needs memory for those that trade.
"""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from typing import Any, Final

import numpy as np

from lockstep.posttrade.ledger.lots import Holding
from lockstep.posttrade.ledger.rows import Ints, none, width_of

MOST_HOLDINGS: Final = 400_000
MOST_LOTS: Final = 2_000_000
DEFAULT_MARGIN_PPM: Final = (500_000, 250_000)
"""Initial and maintenance margin until SET_MARGIN says another, as the engines have it (docs/engine.md)."""
_SHIFT: Final = 32
_LOW: Final = 2**32 - 1


def halves_of(amount: int) -> tuple[int, int]:
    """(low, high) of an amount as `balances` has it: low a signed number of 64 bits, high 0 where that is all."""
    low = (amount + 2**63) % 2**64 - 2**63
    return low, (amount - low) >> 64


def amount_of(low: int, high: int) -> int:
    """And back."""
    return (high << 64) + low


class LedgerBroken(Exception):
    """The books do not balance, or differ from what the stream states: nothing after this can be believed."""


def key_of(account: int, instrument: int) -> int:
    """One number for both; system accounts are below 0."""
    return account << _SHIFT | instrument


def parts_of(key: int) -> tuple[int, int]:
    """(account, instrument)"""
    return key >> _SHIFT, key & _LOW


@dataclass(slots=True)
class Instrument:
    """As its row stands; fields in the order of the columns."""

    instrument: int
    tick_micros: int
    lot_units: int
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    initial_margin_ppm: int = DEFAULT_MARGIN_PPM[0]
    maintenance_margin_ppm: int = DEFAULT_MARGIN_PPM[1]
    last_price_ticks: int = 0
    last_trade_ns: int = 0
    reference_price_ticks: int = 0
    trades: int = 0
    volume_lots: int = 0
    defined_seq: int = 0
    symbol: str = ""

    @property
    def unit(self) -> int:
        """What one lot at one tick is worth, in micros."""
        return self.tick_micros * self.lot_units


@dataclass(slots=True)
class AccountRow:
    """As its row stands."""

    account: int
    flags: int
    status: int
    defined_seq: int
    name: str


Loader = Callable[[list[int]], dict[int, Holding]]
"""Holdings by key, with their open lots, as stored; those that are not stored are left out."""


@dataclass(slots=True)
class Books:
    """See the module. Belongs to one thread."""

    load: Loader
    instruments: dict[int, Instrument] = field(default_factory=dict)
    accounts: dict[int, AccountRow] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)
    changed: list[int] = field(default_factory=list)
    """Keys of holdings that the chunk at work has changed."""
    changed_instruments: set[int] = field(default_factory=set)
    changed_accounts: set[int] = field(default_factory=set)
    transferred: tuple[int, int] = (0, 0)
    """What the shares of the transfer at work cost the giver: on average, and first in, first out."""

    def need(self, keys: Iterable[int]) -> None:
        """Have these holdings in memory."""
        missing = [key for key in keys if key not in self.holdings]
        if missing:
            found = self.load(missing)
            for key in missing:
                self.holdings[key] = found.get(key) or Holding()

    def change(self, key: int, seq: int) -> Holding:
        """A holding that the event at `seq` changes."""
        holding = self.holdings[key]
        if not holding.dirty:
            holding.dirty = True
            self.changed.append(key)
        holding.updated_seq = seq
        return holding

    def forget(self) -> None:
        """Between two chunks: have less in memory, if it is much; whatever is stored can be loaded again."""
        if len(self.holdings) > MOST_HOLDINGS or sum(len(one.lots) for one in self.holdings.values()) > MOST_LOTS:
            self.holdings.clear()

    def drop(self) -> None:
        """Forget everything in memory: it was not stored."""
        self.holdings.clear()
        self.changed.clear()
        self.changed_instruments.clear()
        self.changed_accounts.clear()

    # ---- rows ----------------------------------------------------------------------------------------------------

    def take_balances(self) -> tuple[Ints, Ints]:
        """(balances, lots) that have changed."""
        balances: list[tuple[int, ...]] = []
        lots: list[tuple[int, ...]] = []
        for key in self.changed:
            account, instrument = parts_of(key)
            one = self.holdings[key]
            amount = halves_of(one.amount)
            balances.append((account, instrument, *amount, one.cost, one.profit, one.fifo_profit, one.updated_seq))
            seen = {(lot.seq, lot.index, lot.leg): lot for lot in one.touched}
            lots += [
                (account, instrument, *place, lot.lots, lot.micros, lot.open_lots, lot.open_micros, lot.timestamp_ns)
                for place, lot in seen.items()
            ]
            one.dirty = False
            one.touched.clear()
        self.changed.clear()
        return _array(sorted(balances), "balances"), _array(sorted(lots), "lots")

    def take_instruments(self) -> list[tuple[Any, ...]]:
        """Rows that have changed."""
        rows = [astuple(self.instruments[number]) for number in sorted(self.changed_instruments)]
        self.changed_instruments.clear()
        return rows

    def take_accounts(self) -> list[tuple[Any, ...]]:
        """Rows that have changed."""
        rows = [astuple(self.accounts[number]) for number in sorted(self.changed_accounts)]
        self.changed_accounts.clear()
        return rows


def _array(rows: list[tuple[int, ...]], table: str) -> Ints:
    return np.array(rows, dtype=np.int64) if rows else none(width_of(table))
