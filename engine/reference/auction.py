"""Auctions: the price at which most of a gathered book can trade, and trading it there.

That price is one that somebody named: the limit of an order, the protection of a market order, or the reference price.
What merely holds a market order (the band; one tick, for a sell without either) says at which prices it takes part and
is no candidate itself. So market orders alone trade at the reference price, and not at all where there is none, as in
the auctions of Xetra (Deutsche Boerse, "Market Model for the Trading Venue Xetra", price determination in auctions).
"""

from lockstep.engine.reference import events
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.matching import trade_in_auction
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX


def equilibrium(book: Book) -> tuple[int, int, int]:
    """(price, volume, demand - supply) of the auction as the book stands; all 0 if nothing would trade."""
    reference = book.last or book.reference
    best: tuple[int, int, int, int] | None = None
    result = (0, 0, 0)
    supply = 0
    demand = sum(level.quantity for level in book.bids.levels.values())
    asks = {level.price: level.quantity for level in book.asks.levels.values()}
    bids = {level.price: level.quantity for level in book.bids.levels.values()}
    named = {level.price for half in (book.asks, book.bids) for level in half.levels.values() if level.is_named()}
    if reference:
        named.add(reference)
    # Upwards: supply grows with each ask level reached, demand falls behind each bid level passed.
    for price in sorted({*asks, *bids, *named}):
        supply += asks.get(price, 0)
        volume = min(demand, supply)
        rank = (-volume, abs(demand - supply), abs(price - reference), price)
        if volume and price in named and (best is None or rank < best):
            best = rank
            result = (price, volume, demand - supply)
        demand -= bids.get(price, 0)
    return result


def uncross(state: State, book: Book, session: tuple[int, int], out: Output) -> None:
    """Trade the book at its equilibrium; it is not crossed afterwards. `session` asked for it."""
    price, volume, _ = equilibrium(book)
    if not volume:
        return
    while True:
        bids, asks = book.bids.best, book.asks.best
        if bids is None or asks is None or bids.price < price or asks.price > price:
            break
        buy, sell = bids.front(), asks.front()
        lots = min(buy.leaves, sell.leaves)
        seller = sell.account
        proceeds = price * lots * book.unit_micros
        if max(seller.cash, 0) + seller.receivable - sell.lot_micros * lots + proceeds > I64_MAX:
            state.withdraw(sell)
            events.taken_off(out, *session, sell, sell.leaves, Code.OVERFLOW)
            continue
        trade_in_auction(state, buy, sell, lots, price, out)
    book.last = book.reference = price
