"""Market orders, by a call of their own: one text for the clients and the sessions, asyncio or blocking."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from typing_extensions import Unpack

from lockstep.enums import Side
from lockstep.keywords import named_arguments
from lockstep.orders import MarketTerms, OrderTerms

Outcome = TypeVar("Outcome")


class MarketOrders(ABC, Generic[Outcome]):
    """Adds `place_market` to what has `place`, and gives what that gives."""

    @abstractmethod
    def place(
        self, *, account: int, instrument: str | int, side: Side | str, quantity_lots: int, **terms: Unpack[OrderTerms]
    ) -> Outcome:
        """Place one order."""
        ...

    @named_arguments
    def place_market(
        self, *, account: int, instrument: str | int, side: Side | str, quantity_lots: int, **terms: Unpack[MarketTerms]
    ) -> Outcome:
        """Place one market order: it trades at once at the best prices there are, however far away they are.

        With a `price` (or `price_ticks`) it trades no further than that; what is left then is canceled. Otherwise as
        `place` with `order_type="market"`, which raises the same.
        """
        return self.place(
            account=account,
            instrument=instrument,
            side=side,
            quantity_lots=quantity_lots,
            order_type="market",
            **terms,
        )
