"""Which deliveries a settlement cycle makes: as many as shares and cash allow, none without both. Pure.

Shares limit what a holder can deliver; in one issue nobody both delivers and receives. Cash is netted over all issues
and all claims: what somebody is paid in this cycle pays for what he receives in it, so that members who wait for each
other's money do not wait for ever. All is planned as if cash were no limit; whoever would end below nothing has
deliveries to him cut, then what he pays of claims; that takes money from others, so it is planned again until nobody
ends below nothing. Cuts only grow, so this ends, with nothing settled at the worst.

A holder that takes no parts has all of an obligation settled in one cycle, or nothing of it.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from lockstep.posttrade.clearing.state import CASH, UNBOUNDED, Pair
from lockstep.stream.values import frozen

Key = tuple[int, int]
"""(issue, holder)."""
_NO_LIMIT: Final = 2**100


@frozen
class Side:
    """One open position, as the planning needs it."""

    holder: int
    quantity: int
    """Without a sign."""
    limit: int
    """Settled shares for who delivers; no limit for who receives."""
    partial: bool


@frozen
class Book:
    """Open positions of one issue, the most urgent first."""

    issue: int
    mark: int
    shorts: tuple[Side, ...]
    longs: tuple[Side, ...]


@frozen
class Plan:
    """What a cycle exchanges."""

    pairs: list[Pair]
    payments: dict[int, int]
    """Claims that are settled, by holder; they add up to 0."""
    unpaid: dict[Key, int]
    """What holders would have had, but could not pay: shares of an issue; under issue 0 money that they owe."""


def plan(books: list[Book], cash: Mapping[int, int], claims: Mapping[int, int]) -> Plan:
    """All that shares and cash allow."""
    work = _Work(books, cash, claims)
    while below := work.below():
        for holder, deficit in below:
            work.cut(holder, deficit)
        work.again()
    pairs = [pair for book in books for pair in work.made[book.issue]]
    payments = {holder: amount for holder, amount in sorted(work.payments.items()) if amount}
    return Plan(pairs, payments, work.unpaid)


class _Work:
    """A plan in the making."""

    def __init__(self, books: list[Book], cash: Mapping[int, int], claims: Mapping[int, int]) -> None:
        self.books = {book.issue: book for book in books}
        self.cash = cash
        self.caps: dict[Key, int] = {(book.issue, side.holder): side.limit for book in books for side in book.longs}
        self.payments = dict(sorted(claims.items()))
        self.unpaid: dict[Key, int] = {}
        self.made = {book.issue: _pairs(book, self.caps) for book in books}
        self.changed: dict[int, None] = {}

    def again(self) -> None:
        """Deliveries of the issues where something was cut."""
        for issue in self.changed:
            self.made[issue] = _pairs(self.books[issue], self.caps)
        self.changed = {}

    def below(self) -> list[tuple[int, int]]:
        """Holders that would have less than nothing, and how much less."""
        net: defaultdict[int, int] = defaultdict(int, self.payments)
        for pairs in self.made.values():
            for pair in pairs:
                net[pair.seller] += pair.amount
                net[pair.buyer] -= pair.amount
        return [
            (holder, -(change + self.cash.get(holder, 0)))
            for holder, change in sorted(net.items())
            if holder not in UNBOUNDED and change + self.cash.get(holder, 0) < 0
        ]

    def cut(self, holder: int, deficit: int) -> None:
        """Take deliveries from a holder until the deficit is gone, the last issues first; then what it owes."""
        for issue in sorted(self.made, reverse=True):
            mark = self.books[issue].mark
            taken = sum(pair.quantity for pair in self.made[issue] if pair.buyer == holder)
            if not taken or not mark or deficit <= 0:
                continue
            side = next(side for side in self.books[issue].longs if side.holder == holder)
            cut = min(taken, -(-deficit // mark)) if side.partial else taken
            self.caps[issue, holder] = taken - cut
            self.unpaid[issue, holder] = self.unpaid.get((issue, holder), 0) + cut
            self.changed[issue] = None
            deficit -= cut * mark
        if deficit > 0:
            self._owe(holder, deficit)

    def _owe(self, holder: int, amount: int) -> None:
        """It does not pay so much; those that wait for money get less, the last ones first."""
        assert -self.payments[holder] >= amount, "who has no deliveries is below nothing for what he owes"
        self.payments[holder] += amount
        self.unpaid[CASH, holder] = self.unpaid.get((CASH, holder), 0) + amount
        for other in sorted(self.payments, reverse=True):
            less = min(max(self.payments[other], 0), amount)
            self.payments[other] -= less
            amount -= less
        assert not amount, "what is owed is owed to somebody"


def _pairs(book: Book, caps: Mapping[Key, int]) -> list[Pair]:
    """Who delivers to whom in one issue."""
    receive = tuple(
        Side(side.holder, side.quantity, min(side.quantity, caps[book.issue, side.holder]), side.partial)
        for side in book.longs
    )
    total = _NO_LIMIT
    while True:
        out = _take(book.shorts, total)
        into = _take(receive, sum(out))
        if sum(into) == sum(out):
            break
        total = sum(into)
    pairs: list[Pair] = []
    supply = [[side.holder, part] for side, part in zip(book.shorts, out, strict=True) if part]
    for side, wanted in zip(receive, into, strict=True):
        left = wanted
        while left:
            moved = min(left, supply[0][1])
            pairs.append(Pair(book.issue, supply[0][0], side.holder, moved, moved * book.mark))
            left -= moved
            supply[0][1] -= moved
            if not supply[0][1]:
                supply.pop(0)
    return pairs


def _take(sides: tuple[Side, ...], total: int) -> list[int]:
    """How much of each, `total` at most, the first ones first."""
    taken = []
    for side in sides:
        part = min(side.quantity, side.limit, total)
        if part < side.quantity and not side.partial:
            part = 0
        taken.append(part)
        total -= part
    return taken
