"""*Phases*, "Uncross": the price at which most of a gathered book can trade, and trading it there.

That price is one that somebody named: the limit of an order, the protection of a market order, or the reference price.
What merely holds a market order (the band; one tick, for a sell without either) says at which prices it takes part and
is no candidate itself. So market orders alone trade at the reference price, and not at all where there is none, as in
the auctions of Xetra (Deutsche Boerse, "Market Model for the Trading Venue Xetra", price determination in auctions).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from lockstep.engine.reference import events
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import Asker
from lockstep.engine.reference.matching import trade_in_auction
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX


class Equilibrium(NamedTuple):
    """What an auction would give as the book stands; `imbalance` is demand - supply."""

    price: int
    volume: int
    imbalance: int


_NOTHING: Final = Equilibrium(price=0, volume=0, imbalance=0)


def equilibrium(book: Book) -> Equilibrium:
    """The candidate with the largest volume; then smallest imbalance, then nearest to the reference, then lowest."""
    reference = book.last or book.reference
    candidates = _candidates(book)
    return min(
        (one for one in _at_each_price(book, candidates) if one.price in candidates and one.volume),
        key=lambda one: (-one.volume, abs(one.imbalance), abs(one.price - reference), one.price),
        default=_NOTHING,
    )


def _candidates(book: Book) -> set[int]:
    """Prices that clients or the market named."""
    named = {level.price for half in (book.bids, book.asks) for level in half.best_first() if level.is_named()}
    reference = book.last or book.reference
    return named | {reference} if reference else named


def _at_each_price(book: Book, candidates: set[int]) -> Iterator[Equilibrium]:
    """Demand of the buys that may pay so much against supply of the sells that may take so little, at rising prices."""
    bids = {level.price: level.quantity() for level in book.bids.best_first()}
    asks = {level.price: level.quantity() for level in book.asks.best_first()}
    demand, supply = sum(bids.values()), 0
    for price in sorted({*bids, *asks, *candidates}):
        supply += asks.get(price, 0)
        yield Equilibrium(price=price, volume=min(demand, supply), imbalance=demand - supply)
        demand -= bids.get(price, 0)


def uncross(state: State, book: Book, asker: Asker, out: Output) -> int:
    """Trade the book at its equilibrium; it is not crossed afterwards. The price; 0: nothing trades."""
    price, volume, _ = equilibrium(book)
    if not volume:
        return 0
    while True:
        bid, ask = book.bids.best(), book.asks.best()
        if bid is None or ask is None or bid.price < price or ask.price > price:
            break
        buy, sell = bid.front(), ask.front()
        lots = min(buy.leaves, sell.leaves)
        if _brings_too_much(sell, lots, price):
            state.withdraw(sell)
            events.taken_off(out, sell, asker, lots=sell.leaves, code=Code.OVERFLOW)
        else:
            trade_in_auction(state, buy, sell, lots=lots, price=price, out=out)
    book.last = book.reference = price
    return price


def _brings_too_much(sell: Order, lots: int, price: int) -> bool:
    """Whether the sale would bring the seller beyond 64 bits."""
    seller = sell.account
    receivable = seller.receivable - sell.lot_micros * lots
    return max(seller.cash, 0) + receivable + price * lots * sell.book.unit > I64_MAX
