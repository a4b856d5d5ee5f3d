"""`NativeEngine`: the contract of `lockstep.engine.contract` over the C++ core.

This module turns plain tuples into the contract's frozen values and checks the caller's side of the contract;
everything that decides is in `include/lockstep`. The GIL is released while a batch is applied, and the events are an
array over the core's own memory (read-only, alive as long as anybody holds it).
"""

from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lockstep.engine.command_arguments import U32, whole, word
from lockstep.engine.contract import (
    ALL_ORDERS,
    AccountView,
    BestView,
    BookLevel,
    BookView,
    DepthLevel,
    DepthView,
    InstrumentView,
    OrderView,
    PositionView,
    QueueView,
    StreamGap,
)
from lockstep.engine.native._core import SCHEMA as CORE_SCHEMA
from lockstep.engine.native._core import NativeCore, SnapshotDamaged
from lockstep.engine.pages import MAX_POSITIONS, AccountsPage, InstrumentsPage, OrdersPage
from lockstep.engine.snapshot_format import SnapshotError, in_this_version
from lockstep.stream.digest import DIGEST_SIZE
from lockstep.stream.layouts import SCHEMA
from lockstep.stream.records import COMMAND, EVENT, MAX_PRICE_TICKS, Commands, Events, Side, no_events

if TYPE_CHECKING:
    from lockstep.engine.native._core import AccountTuple

_COMMAND_BYTES: Final = COMMAND.itemsize
_MANY: Final = 2**62
_ORDER_FIELDS: Final = tuple(field.name for field in fields(OrderView))

if CORE_SCHEMA != SCHEMA:
    # It would read other bytes than were written.
    raise ImportError("the compiled core is of another version of proto/records.toml; build it again (`make setup`)")


@dataclass(frozen=True, slots=True)
class Sizes:
    """For how many of each a `NativeEngine` has memory before its first command, with the pages touched.

    Give the most that will be there at once. Everything grows beyond it without a bound but the machine's memory, and
    nothing is wrong then, only slower: the commands that make it grow pay for it, with a call of the system for each
    further 16 384 orders or 4 096 levels, the first touch of every new page, and id maps that double and move their
    entries over. (`docs/engine-alone.md` has figures.) An order costs about 200 bytes, used or not.
    """

    orders: int = 16_384
    """Live at once: resting or waiting, in all books together."""
    levels: int = 4_096
    """Prices at which orders rest, in all books together."""
    accounts: int = 256
    """Also positions: pairs of an account and an instrument that it ever traded or held."""
    instruments: int = 16
    """Of their id map only."""
    sessions: int = 16
    """Of their id map only."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no number of records."""
        for name in self.__slots__:
            whole(name, getattr(self, name), 0, U32)


class NativeEngine:
    """The native `MatchingEngine`. Not thread safe: one thread applies and queries.

    Say what it will hold, `NativeEngine(Sizes(orders=100_000))`, or its tables grow in the middle of the flow.
    """

    __slots__ = ("_core",)

    def __init__(self, sizes: Sizes | None = None) -> None:
        """An engine in which nothing has happened.

        Args:
            sizes: for how much there is memory from the start; None: `Sizes()`, 16 384 live orders.

        Raises:
            ValueError: no `Sizes`.
        """
        if sizes is not None and not isinstance(sizes, Sizes):
            raise ValueError(f"sizes is {sizes!r}: give Sizes(orders=...), the most orders that will be live at once")
        self._core = NativeCore(**asdict(sizes or Sizes()))

    @property
    def last_seq(self) -> int:
        """Seq of the last applied command, 0 before the first."""
        return self._core.last_seq

    @property
    def last_timestamp_ns(self) -> int:
        """Stamp of the last applied batch, 0 before the first."""
        return self._core.last_timestamp_ns

    def apply(self, commands: Commands, *, first_seq: int, timestamp_ns: int) -> Events:
        """Apply one stamped batch; see `MatchingEngine.apply`. An empty batch changes nothing.

        Raises:
            StreamGap: `first_seq` is not the next, or time went backwards; nothing was applied.
            ValueError: the array does not hold 128-byte command records.
        """
        core = self._core
        if commands.dtype.itemsize != _COMMAND_BYTES:
            raise ValueError(f"commands are records of {_COMMAND_BYTES} bytes, not {commands.dtype.itemsize}")
        if first_seq != core.last_seq + 1:
            raise StreamGap(f"batch starts at seq {first_seq}, but {core.last_seq + 1} is next")
        if timestamp_ns < core.last_timestamp_ns:
            raise StreamGap(f"time went back from {core.last_timestamp_ns} to {timestamp_ns} ns at seq {first_seq}")
        if not len(commands):
            return no_events()
        if not commands.flags.c_contiguous:
            commands = np.ascontiguousarray(commands)
        return np.frombuffer(core.apply(commands, first_seq, timestamp_ns), dtype=EVENT)

    @property
    def fees_micros(self) -> int:
        """All fees that were paid: with the cash of all accounts, this is what was ever paid in."""
        high, low = self._core.fees_micros
        return high << 64 | low

    def snapshot(self) -> bytes:
        """The whole state in the canonical format of `lockstep.engine.snapshot_format`."""
        return self._core.snapshot()

    @classmethod
    def restore(cls, raw: bytes, sizes: Sizes | None = None) -> "NativeEngine":
        """An engine in the state of a snapshot, of whichever implementation.

        Args:
            raw: what `snapshot` gave.
            sizes: as of a new engine; they are no part of the state, so give them again.

        Raises:
            SnapshotError: the bytes are not a canonical snapshot of this version or the one before.
        """
        engine = cls(sizes)
        try:
            engine._core.restore(in_this_version(raw))
        except SnapshotDamaged as damaged:
            raise SnapshotError(str(damaged)) from None
        return engine

    def state_digest(self) -> bytes:
        """BLAKE2b-128 of `snapshot()`: equal states, equal digests, whichever engine."""
        return blake2b(self.snapshot(), digest_size=DIGEST_SIZE).digest()

    def session_last_no(self, session_id: int) -> int:
        """Last session number executed, 0 if none."""
        return self._core.session_last_no(session_id)

    def order(self, order_id: int) -> OrderView | None:
        """A live order by its exchange id."""
        row = self._core.order(order_id)
        return _order_view(row) if row is not None else None

    def order_by_client_id(self, account: int, client_order_id: int) -> OrderView | None:
        """A live order by the id that its account gave it."""
        row = self._core.order_by_client_id(account, client_order_id)
        return _order_view(row) if row is not None else None

    def open_orders(self, account: int) -> tuple[OrderView, ...]:
        """Live orders of an account in order of exchange id; none for an unknown account."""
        return tuple(map(_order_view, self._core.open_orders(account)))

    def account(self, account: int) -> AccountView | None:
        """An account's balances."""
        rows = self._core.account(account)
        return _account_view(rows[0]) if rows else None

    def accounts(self) -> tuple[AccountView, ...]:
        """All accounts in order of id."""
        return tuple(map(_account_view, self._core.accounts()))

    def instruments(self) -> tuple[InstrumentView, ...]:
        """All instruments in order of id."""
        return tuple(
            InstrumentView(number, symbol.decode("ascii"), tick, lot, phase, last)
            for number, symbol, tick, lot, phase, last in self._core.instruments()
        )

    def orders_page(self, account: int, after: int, limit: int) -> OrdersPage:
        """See `MatchingEngine.orders_page`."""
        rows, number, last, more = self._core.orders_page(account, after, limit)
        return OrdersPage(rows, (number, last), more)

    def all_orders_page(self, after: tuple[int, int], limit: int) -> OrdersPage:
        """See `MatchingEngine.all_orders_page`."""
        rows, account, last, more = self._core.all_orders_page(*after, limit)
        return OrdersPage(rows, (account, last), more)

    def accounts_page(self, after: int, limit: int) -> AccountsPage:
        """See `MatchingEngine.accounts_page`."""
        return AccountsPage(*self._core.accounts_page(after, limit, MAX_POSITIONS))

    def instruments_page(self, after: int, limit: int) -> InstrumentsPage:
        """See `MatchingEngine.instruments_page`."""
        return InstrumentsPage(*self._core.instruments_page(after, limit))

    def book(self, instrument: int, depth: int) -> BookView | None:
        """The best `depth` levels of both sides; None for an unknown instrument."""
        halves = self._core.book(_known(instrument), _within(depth))
        if halves is None:
            return None
        bids, asks = (tuple(BookLevel(*level) for level in half) for half in halves)
        return BookView(instrument, bids, asks)

    def best(self, instrument: int) -> BestView | None:
        """Best bid and offer as they are displayed; None for an unknown instrument."""
        found = self._core.best(_known(instrument))
        if found is None:
            return None
        bid, ask = found
        return BestView(instrument, BookLevel(*bid) if bid else None, BookLevel(*ask) if ask else None)

    def depth(self, instrument: int, levels: int) -> DepthView | None:
        """The best `levels` levels of both sides with what is hidden there; None for an unknown instrument."""
        halves = self._core.depth(_known(instrument), _within(levels))
        if halves is None:
            return None
        bids, asks = (tuple(DepthLevel(*level) for level in half) for half in halves)
        return DepthView(instrument, bids, asks)

    def queue(self, instrument: int, side: Side | str, price_ticks: int, limit: int = ALL_ORDERS) -> QueueView | None:
        """See `MatchingEngine.queue`."""
        of_side = word(Side, "side", side)
        # Nothing stands at 0, which is in the range of the core's prices.
        price = price_ticks if 0 < price_ticks <= MAX_PRICE_TICKS else 0
        found = self._core.queue(_known(instrument), of_side, price, _within(limit))
        if found is None:
            return None
        orders, hidden = (tuple(map(_order_view, rows)) for rows in found)
        return QueueView(instrument, of_side, price_ticks, orders, hidden)


def _known(instrument: int) -> int:
    """An instrument's number, as far as the core can be asked for it; 0 is none's."""
    return instrument if 0 <= instrument <= U32 else 0


def _within(count: int) -> int:
    """So many rows, in the core's numbers."""
    return max(0, min(count, _MANY))


def _order_view(row: tuple[int, ...]) -> OrderView:
    # The core gives the fields in their order.
    order: dict[str, Any] = dict(zip(_ORDER_FIELDS, row, strict=True))
    order["side"] = Side(order["side"])
    return OrderView(**order)


def _account_view(row: "AccountTuple") -> AccountView:
    account, name, flags, cash, reserved, status, positions = row
    held = tuple(PositionView(*position) for position in positions)
    return AccountView(account, name.decode("ascii"), flags, cash, reserved, held, status)
