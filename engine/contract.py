"""What a matching engine is to the rest of the cluster.

An engine is a deterministic function from (state, stamped commands) to (state, events). It has no clock, no I/O and
no randomness: two engines that were given the same stream have the same state and gave the same events, whichever
implementation they are. That is checked at run time, batch by batch, by the digest chain.

`lockstep.engine.reference` is the specification in plain Python.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from lockstep.engine.order_view import OrderView
from lockstep.engine.pages import AccountsPage, InstrumentsPage, OrdersPage
from lockstep.stream.records import Commands, Events, Phase, Side

ALL_ORDERS: Final = 2**62
"""Limit of `MatchingEngine.queue` that leaves nothing out."""


@dataclass(frozen=True, slots=True)
class PositionView:
    """What an account holds of one instrument."""

    instrument: int
    quantity_lots: int
    reserved_lots: int
    cost_micros: int = 0
    """What the lots held were bought (short: sold) for, before fees; divided by them it is their average cost."""
    realised_micros: int = 0


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account's money and shares. Reserved is the part bound by resting orders."""

    account: int
    name: str
    flags: int
    cash_micros: int
    reserved_micros: int
    positions: tuple[PositionView, ...]
    status: int = 0
    """An `AccountStatus`."""


@dataclass(frozen=True, slots=True)
class InstrumentView:
    """A tradable instrument. One lot at one tick is worth `tick_micros * lot_units` currency micros."""

    instrument: int
    symbol: str
    tick_micros: int
    lot_units: int
    phase: int = int(Phase.CONTINUOUS)
    last_price_ticks: int = 0


@dataclass(frozen=True, slots=True)
class BookLevel:
    """One price level: displayed quantity and number of displayed orders."""

    price_ticks: int
    quantity_lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class BookView:
    """Price levels of one instrument, best first."""

    instrument: int
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


@dataclass(frozen=True, slots=True)
class BestView:
    """Best bid and offer of one instrument: the best price of each side at which something is displayed, or None.

    In a call phase, where orders gather and none trade, the bid may be above the ask.
    """

    instrument: int
    bid: BookLevel | None
    ask: BookLevel | None


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """One price level with all that stands there. An iceberg counts as one displayed order, by its peak."""

    price_ticks: int
    displayed_lots: int
    """Open lots of plain orders, and the peaks of icebergs: what `BookLevel` has."""
    displayed_orders: int
    hidden_lots: int
    """Icebergs beyond their peaks, hidden orders, and market orders that gather for an auction."""
    hidden_orders: int
    """Orders of which nothing is displayed."""


@dataclass(frozen=True, slots=True)
class DepthView:
    """Price levels of one instrument, best first, those that display nothing too."""

    instrument: int
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]


@dataclass(frozen=True, slots=True)
class QueueView:
    """The orders at one price, in the order in which they trade."""

    instrument: int
    side: Side
    price_ticks: int
    orders: tuple[OrderView, ...]
    """Plain orders and icebergs; in an auction also the market orders that gather here, which nobody is shown."""
    hidden: tuple[OrderView, ...]
    """Hidden orders: they trade after all of `orders`."""


class MatchingEngine(Protocol):
    """The contract. All queries show the state after the last applied command."""

    def apply(self, commands: Commands, *, first_seq: int, timestamp_ns: int) -> Events:
        """Apply one stamped batch: command i has seq `first_seq + i`, all are stamped `timestamp_ns`.

        Every command yields at least one event. Events are in order of (seq, index), index counting from 0 within
        each seq. A command is validated completely before it changes anything.

        Raises:
            StreamGap: `first_seq` is not the one after the last applied, or time went backwards. The state is
                unchanged; this is a broken invariant of the caller.
        """
        ...

    @property
    def last_seq(self) -> int:
        """Seq of the last applied command, 0 before the first."""
        ...

    @property
    def last_timestamp_ns(self) -> int:
        """Stamp of the last applied batch, 0 before the first; the next one's may not be lower."""
        ...

    def snapshot(self) -> bytes:
        """The whole state in canonical bytes (`lockstep.engine.snapshot_format`)."""
        ...

    def state_digest(self) -> bytes:
        """16 bytes over the whole canonical state; equal states have equal digests, whichever engine holds them."""
        ...

    def session_last_no(self, session_id: int) -> int:
        """Last session number executed, 0 if none."""
        ...

    @property
    def fees_micros(self) -> int:
        """All fees that were paid: with the cash of all accounts, this is what was ever paid in."""
        ...

    def order(self, order_id: int) -> OrderView | None:
        """A live order by its exchange id."""
        ...

    def order_by_client_id(self, account: int, client_order_id: int) -> OrderView | None:
        """A live order by the id that its account gave it."""
        ...

    def open_orders(self, account: int) -> tuple[OrderView, ...]:
        """Live orders of an account in order of exchange id."""
        ...

    def account(self, account: int) -> AccountView | None:
        """An account's balances."""
        ...

    def accounts(self) -> tuple[AccountView, ...]:
        """All accounts in order of id."""
        ...

    def instruments(self) -> tuple[InstrumentView, ...]:
        """All instruments in order of id."""
        ...

    def orders_page(self, account: int, after: int, limit: int) -> OrdersPage:
        """At most `limit` live orders of an account with ids above `after`, in order of exchange id.

        A page may have fewer rows than there are, even none, and say that there are more: what one page costs is
        bounded, also where much has to be passed over. The next one goes on with `page.after`.
        """
        ...

    def all_orders_page(self, after: tuple[int, int], limit: int) -> OrdersPage:
        """The same for all accounts, by account and exchange id; begins with (0, 0)."""
        ...

    def accounts_page(self, after: int, limit: int) -> AccountsPage:
        """Accounts with ids above `after`, by id: at most `limit`, fewer where they hold much, but one."""
        ...

    def instruments_page(self, after: int, limit: int) -> InstrumentsPage:
        """At most `limit` instruments with ids above `after`, in order of id."""
        ...

    def book(self, instrument: int, depth: int) -> BookView | None:
        """The best `depth` levels of both sides as they are displayed; None for an unknown instrument."""
        ...

    def best(self, instrument: int) -> BestView | None:
        """Best bid and offer as they are displayed; None for an unknown instrument.

        It costs a look at each order of the two levels, and at those before them that display nothing.
        """
        ...

    def depth(self, instrument: int, levels: int) -> DepthView | None:
        """The best `levels` levels of both sides with what is hidden there; None for an unknown instrument."""
        ...

    def queue(self, instrument: int, side: Side | str, price_ticks: int, limit: int = ALL_ORDERS) -> QueueView | None:
        """The first `limit` orders at a price, the next to trade first; None for an unknown instrument.

        Without orders where nothing stands at that price.

        Raises:
            ValueError: no such side; its name will do ("buy").
        """
        ...


class EngineType(Protocol):
    """The class of an engine."""

    def __call__(self) -> MatchingEngine:
        """An engine in which nothing has happened."""
        ...

    def restore(self, raw: bytes) -> MatchingEngine:
        """An engine in the state of a snapshot.

        Raises:
            SnapshotError: the bytes are not a canonical snapshot of this version or the one before.
        """
        ...


class StreamGap(Exception):
    """The caller broke the contract of `MatchingEngine.apply`; a replica stops on it."""


__all__ = [
    "ALL_ORDERS",
    "AccountView",
    "BestView",
    "BookLevel",
    "BookView",
    "DepthLevel",
    "DepthView",
    "EngineType",
    "InstrumentView",
    "MatchingEngine",
    "OrderView",
    "PositionView",
    "QueueView",
    "StreamGap",
]
