"""What alerts are about: instruments, accounts, live orders, as the committed events say. Pure.

Prices are those of trades; the best bid and offer are the best prices at which anything is displayed. A *session* of an
instrument begins when its phase leaves CLOSED; of one that was never closed, with the first trade of a UTC day. Cash,
positions and reservations are the engine's (docs/engine.md, *New order*, "Worth"; *Margin accounts*).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sortedcontainers import SortedDict

from lockstep.engine.snapshot_format import StateImage
from lockstep.stream.records import AccountFlag, OrderFlag, OrderType, Phase, Side, TimeInForce

DAY_NS: Final = 86_400 * 10**9
_PPM: Final = 1_000_000
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_MARKET: Final = int(OrderType.MARKET)
_OCO: Final = int(OrderType.OCO)
_HIDDEN: Final = int(OrderFlag.HIDDEN)
_CLOSED: Final = int(Phase.CLOSED)
_CLOSING_AUCTION: Final = int(Phase.CLOSING_AUCTION)
_CALLS: Final = (int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION), int(Phase.VOLATILITY_AUCTION), _CLOSING_AUCTION)
_FOR_AUCTION: Final = int(TimeInForce.GOOD_FOR_AUCTION)
_MARGIN: Final = int(AccountFlag.MARGIN)
DEFAULT_MARGIN_PPM: Final = 500_000

# Where a live order is.
OUTSIDE: Final = 0
IN_BOOK: Final = 1
FOR_CLOSE: Final = 2
FOR_AUCTION: Final = 3
"""It waits for the next auction of any kind."""


@dataclass(slots=True)
class Instrument:
    """Fields in the order of the columns. Prices in ticks, 0: none yet; volume in lots, of the session."""

    instrument: int
    tick_micros: int
    lot_units: int
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    initial_margin_ppm: int = DEFAULT_MARGIN_PPM
    last: int = 0
    open: int = 0
    close: int = 0
    reference: int = 0
    volume: int = 0
    phase: int = int(Phase.CONTINUOUS)
    ever_closed: int = 0
    day: int = -1
    """UTC day of the last trade."""
    symbol: str = ""

    @property
    def unit(self) -> int:
        """What one lot at one tick is worth, in micros."""
        return self.tick_micros * self.lot_units


@dataclass(slots=True)
class Account:
    """Fields in the order of the columns."""

    account: int
    flags: int = 0
    status: int = 0
    cash: int = 0
    max_position_lots: int = 0
    margin_called: int = 0


@dataclass(slots=True)
class Order:
    """A live order; fields in the order of the columns."""

    order_id: int
    account: int
    instrument: int
    side: int
    price: int
    leaves: int
    lot_micros: int
    """What one lot reserves."""
    binds: int
    """1: it reserves; 0: it waits for its parent."""
    place: int
    seen: int
    """1: something of it is displayed while it is in the book."""
    client_order_id: int


class _Levels:
    """How many displayed orders stand at each price."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids: SortedDict = SortedDict()
        self.asks: SortedDict = SortedDict()

    def count(self, side: int, price: int, change: int) -> None:
        levels = self.bids if side == _BUY else self.asks
        count = levels.get(price, 0) + change
        if count:
            levels[price] = count
        else:
            del levels[price]


@dataclass(slots=True)
class Bound:
    """Of one account's live orders in one instrument."""

    buys: int = 0
    sells: int = 0
    micros: int = 0
    """Reserved by buys."""


class World:
    """See the module.

    `touched_*` name what the command at work has touched; `changed_*` what is to be stored.
    """

    def __init__(self) -> None:
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}
        self.positions: dict[tuple[int, int], int] = {}
        """Lots, by (account, instrument)."""
        self.bound: dict[tuple[int, int], Bound] = {}
        self.of_account: dict[int, set[int]] = {}
        """Instruments in which an account may have anything."""
        self._levels: dict[int, _Levels] = {}
        self._reserved: dict[int, int] = {}
        self._waiting: dict[int, dict[int, None]] = {}
        """Orders of each instrument that wait for an auction."""
        self.touched_instruments: set[int] = set()
        self.touched_accounts: set[int] = set()
        self.changed_instruments: set[int] = set()
        self.changed_accounts: set[int] = set()
        self.changed_orders: set[int] = set()
        self.changed_positions: set[tuple[int, int]] = set()

    # ---- beginning -------------------------------------------------------------------------------------------------

    def load(
        self,
        instruments: Iterable[Instrument],
        accounts: Iterable[Account],
        orders: Iterable[Order],
        positions: Iterable[tuple[int, int, int]],
    ) -> None:
        """Have what is stored."""
        self.instruments = {one.instrument: one for one in instruments}
        self.accounts = {one.account: one for one in accounts}
        for account, instrument, lots in positions:
            self.positions[account, instrument] = lots
            self.of_account.setdefault(account, set()).add(instrument)
        for order in orders:
            self._add(order)
        self.settle()
        self.take_changes()

    def begin(self, image: StateImage) -> None:
        """Have what an engine's snapshot says; all of it is to be stored."""
        for row in image.instruments:
            self.instruments[row.instrument] = Instrument(
                row.instrument, row.tick_micros, row.lot_units, row.maker_fee_ppm, row.taker_fee_ppm,
                row.initial_margin_ppm, row.last_ticks, 0, row.close_ticks, row.reference_ticks, 0, row.phase,
                int(row.phase == _CLOSED), -1, row.symbol.decode("ascii"),
            )  # fmt: skip
        for one in image.accounts:
            self.accounts[one.account] = Account(
                one.account, one.flags, one.status, one.cash_micros, one.max_position_lots, one.margin_called
            )
        for held in image.positions:
            self._move(held.account, held.instrument, held.quantity_lots)
        places = {0: IN_BOOK, 2: FOR_CLOSE}
        for order in image.orders:
            place = places.get(order.place, OUTSIDE)
            if place == FOR_CLOSE and order.tif == _FOR_AUCTION:
                place = FOR_AUCTION
            seen = not (order.flags & _HIDDEN or order.order_type == _MARKET)
            self._add(
                Order(
                    order.order_id, order.account, order.instrument, order.side, order.held_ticks or order.price_ticks,
                    order.leaves_lots, order.lot_micros, int(order.place != 3), place,
                    int(seen), order.client_order_id,
                )
            )  # fmt: skip
        self.changed_instruments.update(self.instruments)
        self.changed_accounts.update(self.accounts)
        self.settle()

    def settle(self) -> None:
        """The command at work is over."""
        self.touched_instruments.clear()
        self.touched_accounts.clear()

    def take_changes(self) -> None:
        """What has changed is stored."""
        for changed in (self.changed_instruments, self.changed_accounts, self.changed_orders, self.changed_positions):
            changed.clear()

    # ---- levels ----------------------------------------------------------------------------------------------------

    def best(self, instrument: int) -> tuple[int, int]:
        """(bid, offer) in ticks; 0: there is none."""
        levels = self._levels.get(instrument)
        if levels is None:
            return 0, 0
        bid = levels.bids.keys()[-1] if levels.bids else 0
        return bid, (levels.asks.keys()[0] if levels.asks else 0)

    def buying_power(self, account: int) -> int | None:
        """In micros; None: there is no such account."""
        own = self.accounts.get(account)
        if own is None:
            return None
        if not own.flags & _MARGIN:
            return own.cash - self._reserved.get(account, 0)
        equity, required = own.cash, 0
        for number in self.of_account.get(account, ()):
            lots, bound = self.positions.get((account, number), 0), self.bound.get((account, number))
            one = self.instruments[number]
            worth = (one.last or one.reference) * one.unit
            buys, sells = (bound.buys, bound.sells) if bound else (0, 0)
            equity += lots * worth
            most = max(abs(lots + buys), abs(lots - sells)) * worth
            required += -(-most * one.initial_margin_ppm // _PPM)
        return equity - required

    def reserved(self, account: int) -> int:
        """Micros that live buys bind."""
        return self._reserved.get(account, 0)

    def limit_use_ppm(self, account: int, instrument: int) -> int | None:
        """How much of its position limit an account uses in one instrument, as the engine's check 20 counts; None: it
        has no limit."""
        own = self.accounts.get(account)
        if own is None or not own.max_position_lots:
            return None
        lots, bound = self.positions.get((account, instrument), 0), self.bound.get((account, instrument))
        buys, sells = (bound.buys, bound.sells) if bound else (0, 0)
        return max(lots + buys, sells - lots) * _PPM // own.max_position_lots

    # ---- what events do --------------------------------------------------------------------------------------------

    def define_instrument(self, one: Instrument) -> None:
        """A new one; the definition of a known one changes nothing."""
        if one.instrument not in self.instruments:
            self.instruments[one.instrument] = one
            self.instrument_changes(one.instrument)

    def instrument_changes(self, number: int) -> Instrument:
        """It, to be changed."""
        self.touched_instruments.add(number)
        self.changed_instruments.add(number)
        return self.instruments[number]

    def account_changes(self, number: int) -> Account:
        """It, to be changed; known accounts only, but for the one that defines it."""
        self.touched_accounts.add(number)
        self.changed_accounts.add(number)
        return self.accounts.setdefault(number, Account(number))

    def phase(self, number: int, phase: int, reference: int) -> None:
        """An instrument's phase has changed."""
        one = self.instrument_changes(number)
        if one.phase == _CLOSED and phase != _CLOSED:
            self._new_session(one)
        if phase == _CLOSED:
            one.ever_closed = 1
        if phase in _CALLS:
            places = (FOR_CLOSE, FOR_AUCTION) if phase == _CLOSING_AUCTION else (FOR_AUCTION,)
            waiting = self._waiting.get(number, {})
            for order in [self.orders[one] for one in waiting]:
                if order.place in places:
                    self.rest(order)
        one.phase, one.reference = phase, reference

    def _new_session(self, one: Instrument) -> None:
        one.close, one.open, one.volume = one.last or one.close, 0, 0

    def traded(self, number: int, price: int, lots: int, stamp: int, *, auction: bool) -> None:
        """The instrument's side of a trade. The price of an auction is its reference price from then on."""
        one = self.instrument_changes(number)
        day = stamp // DAY_NS
        if not one.ever_closed and one.day not in (-1, day):
            self._new_session(one)
        one.day, one.last = day, price
        one.open = one.open or price
        one.reference = price if auction else one.reference
        one.volume += lots

    def settled(self, account: int, number: int, lots: int, cash: int) -> None:
        """One side of a trade, or of whatever moves shares: signed lots, and cash."""
        self.account_changes(account).cash += cash
        self._move(account, number, self.positions.get((account, number), 0) + lots)

    def position(self, account: int, number: int, lots: int) -> None:
        """An account's position is this now."""
        self.touched_accounts.add(account)
        self._move(account, number, lots)

    def _move(self, account: int, number: int, lots: int) -> None:
        self.positions[account, number] = lots
        self.changed_positions.add((account, number))
        self.of_account.setdefault(account, set()).add(number)

    # ---- orders ----------------------------------------------------------------------------------------------------

    def worth(self, number: int, side: int, order_type: int, price: int, stop: int) -> int:
        """What one lot of an order reserves, in micros."""
        one = self.instruments[number]
        held = stop if order_type == _OCO and side == _BUY else price or stop
        value = held * one.unit
        fees = (one.maker_fee_ppm, one.taker_fee_ppm)
        ppm = max(fees) if side == _BUY else max(-one.maker_fee_ppm, 0)
        return value + -(-value * ppm // _PPM)

    def enter(self, order: Order) -> None:
        """A new live order."""
        self._add(order)
        self.touched_accounts.add(order.account)

    def leaves(self, order_id: int, leaves: int) -> None:
        """So many lots of it are open now; none: it is over."""
        order = self.orders.get(order_id)
        if order is None:
            return
        self._bind(order, -1)
        order.leaves = leaves
        self.changed_orders.add(order_id)
        self.touched_accounts.add(order.account)
        if leaves:
            self._bind(order, 1)
            return
        self._stand(order, -1)
        self._waits_no_more(order)
        del self.orders[order_id]

    def change(self, order: Order, price: int, leaves: int, lot_micros: int, *, binds: bool) -> None:
        """Its terms are these now. Where it stands is as it was."""
        self._bind(order, -1)
        self._stand(order, -1)
        order.price, order.leaves, order.lot_micros, order.binds = price, leaves, lot_micros, int(binds)
        self.changed_orders.add(order.order_id)
        self.touched_accounts.add(order.account)
        if not leaves:
            self._waits_no_more(order)
            del self.orders[order.order_id]
            return
        self._bind(order, 1)
        self._stand(order, 1)

    def rest(self, order: Order) -> None:
        """It stands in the book now."""
        if order.place != IN_BOOK:
            self._waits_no_more(order)
            order.place = IN_BOOK
            self.changed_orders.add(order.order_id)
            self._stand(order, 1)

    def _add(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.changed_orders.add(order.order_id)
        self._bind(order, 1)
        self._stand(order, 1)
        if order.place in (FOR_CLOSE, FOR_AUCTION):
            self._waiting.setdefault(order.instrument, {})[order.order_id] = None

    def _waits_no_more(self, order: Order) -> None:
        self._waiting.get(order.instrument, {}).pop(order.order_id, None)

    def _bind(self, order: Order, sign: int) -> None:
        if not order.binds:
            return
        key = order.account, order.instrument
        bound = self.bound.get(key)
        if bound is None:
            bound = self.bound[key] = Bound()
            self.of_account.setdefault(order.account, set()).add(order.instrument)
        if order.side == _SELL:
            bound.sells += sign * order.leaves
        else:
            bound.buys += sign * order.leaves
            micros = sign * order.leaves * order.lot_micros
            bound.micros += micros
            self._reserved[order.account] = self._reserved.get(order.account, 0) + micros
        if not (bound.buys or bound.sells):
            del self.bound[key]

    def _stand(self, order: Order, sign: int) -> None:
        if order.place == IN_BOOK and order.seen:
            levels = self._levels.get(order.instrument)
            if levels is None:
                levels = self._levels[order.instrument] = _Levels()
            levels.count(order.side, order.price, sign)
            self.touched_instruments.add(order.instrument)
