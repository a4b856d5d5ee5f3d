"""The demo market's order flow: a market maker's quotes and the orders of noise traders, from one seed. Pure.

A market's price goes at random and is drawn back to where it began, so that the market may run for days and stay in
sight. The maker quotes around it, more lots further out; it replaces what has become wrong, a few orders at a time, so
that each burst is bounded. The noise buys and sells at once, at random, in sizes of which few are large.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from lockstep.enums import CommandKind, EventKind, OrderType, SelfTradePrevention, Side, TimeInForce
from lockstep.rows import CommandRow

LEVELS: Final = 18
"""The maker's orders a side."""
_DRAWN_BACK: Final = 0.0002
_VOLATILITY: Final = 0.000008
"""Of the logarithm of the price, per step."""
_RESTING: Final = 24
"""Orders that a noise trader has in the book at the most; beyond it cancels the oldest."""
_SIDES: Final = (Side.BUY, Side.SELL)
_NEW: Final = int(CommandKind.NEW_ORDER)


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument of the demo market."""

    id: int
    symbol: str
    tick: str
    """Money for one unit."""
    start_ticks: int
    spread_ticks: int = 2
    """Between the best quotes."""
    step_ticks: int = 1
    """Between two levels of quotes, at least."""


class FairPrice:
    """A random walk of the price's logarithm, drawn back to its begin."""

    def __init__(self, start_ticks: int, chance: random.Random) -> None:
        self._start = start_ticks
        self._chance = chance
        self._log = 0.0
        self._drift = 0.0

    @property
    def ticks(self) -> float:
        """Now."""
        return self._start * math.exp(self._log)

    def step(self) -> None:
        """One step of time."""
        # Short trends, so that candles look like a market's and not like noise.
        self._drift = 0.96 * self._drift + self._chance.gauss(0.0, _VOLATILITY / 4)
        self._log += self._drift + self._chance.gauss(0.0, _VOLATILITY) - _DRAWN_BACK * self._log


class MakerFlow:
    """The quotes of one instrument. Invariant: an order's place is taken until a report says that it has ended."""

    def __init__(self, listing: Listing, account: int, first_id: int, chance: random.Random) -> None:
        self.listing = listing
        self.fair = FairPrice(listing.start_ticks, chance)
        self._account = account
        self._chance = chance
        self._next_id = first_id
        self._orders: dict[tuple[Side, int], tuple[int, int]] = {}
        """By side and level: the client order id, and the price."""
        self._places: dict[int, tuple[Side, int]] = {}

    def on_ended(self, client_order_id: int) -> None:
        """An order of it is gone: filled, canceled or rejected."""
        place = self._places.pop(client_order_id, None)
        if place is not None:
            self._orders.pop(place, None)

    def next(self, most: int) -> list[CommandRow]:
        """At most so many commands towards the quotes as they should be; the nearest levels first."""
        commands: list[CommandRow] = []
        for level in range(LEVELS):
            for side in _SIDES:
                if len(commands) >= most:
                    return commands
                price = self._price(side, level)
                found = self._orders.get((side, level))
                if found is None:
                    commands.append(self._place(side, level, price))
                elif abs(found[1] - price) > level // 4:
                    commands.append(self._move(side, level, found[0], price))
        return commands

    def _price(self, side: Side, level: int) -> int:
        away = self.listing.spread_ticks / 2 + level * self.listing.step_ticks + level * level // 12
        return max(1, round(self.fair.ticks - away) if side is Side.BUY else round(self.fair.ticks + away))

    def _lots(self, level: int) -> int:
        return 4 + self._chance.randrange(12 + 7 * level)

    def _place(self, side: Side, level: int, price: int) -> CommandRow:
        number = self._next_id
        self._next_id += 1
        self._orders[side, level] = number, price
        self._places[number] = side, level
        return CommandRow(
            kind=_NEW,
            side=side,
            order_type=OrderType.LIMIT,
            tif=TimeInForce.GTC,
            stp=SelfTradePrevention.CANCEL_OLDEST,
            account=self._account,
            instrument=self.listing.id,
            client_order_id=number,
            price_ticks=price,
            quantity_lots=self._lots(level),
        )

    def _move(self, side: Side, level: int, number: int, price: int) -> CommandRow:
        self._orders[side, level] = number, price
        return CommandRow(
            kind=int(CommandKind.REPLACE),
            account=self._account,
            client_order_id=number,
            price_ticks=price,
            quantity_lots=self._lots(level),
        )


class NoiseFlow:
    """One noise trader, in all instruments."""

    def __init__(self, account: int, first_id: int, chance: random.Random) -> None:
        self._account = account
        self._chance = chance
        self._next_id = first_id
        self._resting: list[int] = []

    def on_ended(self, client_order_id: int) -> None:
        """An order of it is gone."""
        if client_order_id in self._resting:
            self._resting.remove(client_order_id)

    def next(self, maker: MakerFlow, *, auction: bool) -> CommandRow:
        """One command in the maker's instrument; in an auction a limit that may cross, since nothing trades at once."""
        if len(self._resting) >= _RESTING:
            oldest = self._resting.pop(0)
            return CommandRow(kind=int(CommandKind.CANCEL), account=self._account, client_order_id=oldest)
        dice = self._chance.random()
        side = self._chance.choice(_SIDES)
        sign = 1 if side is Side.BUY else -1
        number = self._next_id
        self._next_id += 1
        lots = 1 + int(self._chance.paretovariate(1.3)) % 120
        if auction or dice < 0.3:
            reach = self._chance.randint(-6, 5) if auction else -self._chance.randint(1, 12)
            self._resting.append(number)
            tif, price = TimeInForce.DAY, round(maker.fair.ticks) + sign * reach
        else:
            tif, price = TimeInForce.IOC, round(maker.fair.ticks) + sign * self._chance.randint(2, 6)
        return CommandRow(
            kind=_NEW,
            side=side,
            order_type=OrderType.LIMIT,
            tif=tif,
            stp=SelfTradePrevention.CANCEL_OLDEST,
            account=self._account,
            instrument=maker.listing.id,
            client_order_id=number,
            price_ticks=max(1, price),
            quantity_lots=lots,
        )


def is_end(kind: int, leaves_lots: int) -> bool:
    """Whether a report says that its order is gone."""
    if kind in (EventKind.TRADE, EventKind.REDUCED):
        return leaves_lots == 0
    return kind in (EventKind.CANCELED, EventKind.REJECTED, EventKind.REPLACE_REJECTED)
