"""What the clearing house knows, its canonical form, and what must always be true of it. Pure.

A *holder* is one side of the books: a member's house (`2 * member`) or its customers (`2 * member + 1`), or one of the
numbers below 0. What is settled (legal) is told apart from what was traded everywhere: `shares` and `cash` are settled,
`due` is traded and not due yet, `open` is due and not delivered yet, `claims` is money that is due and not paid yet.
Quantities are shares, money is micros; above 0 the holder has it, or is to receive it.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep.posttrade.clearing.days import Calendar
from lockstep.stream.values import frozen

CCP: Final = -1
"""The clearing house itself."""
WORLD: Final = -2
"""Everything outside: issuers, banks, what members bring and take away. Its balances may be below 0."""
EXCHANGE: Final = -3
"""The exchange, that gets fees and pays rebates. Its balances may be below 0."""
UNASSIGNED: Final = 0
"""The house of member 0: accounts of the exchange that nobody has assigned. A break, shown by `status`."""
UNBOUNDED: Final = (WORLD, EXCHANGE)
CASH: Final = 0
"""Where an issue is named."""


class ClearingBroken(Exception):
    """Something that must always be true is not. The process stops."""


@dataclass(slots=True)
class IssueState:
    """One issue."""

    tick_micros: int
    lot_units: int
    symbol: str
    price: int = 0
    """The settlement price; 0: none was entered, and the last trade's is used."""
    last: int = 0
    """Price of the last fill."""
    penalty_class: int = 1
    outstanding: int = 0
    mark: int = 0
    """What a share of an open position is paid with."""
    over_days: int = 0
    """Settlement days in a row with so many fails as a threshold security has; below 0: days in a row without."""
    threshold: int = 0

    def reference(self) -> int:
        """The price of today."""
        return self.price or self.last


@dataclass(slots=True)
class MemberState:
    """One member."""

    name: str
    partial: int


@dataclass(slots=True)
class BuyIn:
    """One buy-in, as long as something is to be bought."""

    holder: int
    issue: int
    left: int


@frozen
class Pair:
    """One linked pair: shares one way, cash the other way, both or neither."""

    issue: int
    seller: int
    buyer: int
    quantity: int
    amount: int


@dataclass(slots=True)
class State:
    """All of it. Dicts are keyed by holder, or by (issue, holder)."""

    number: int = 0
    """Of the last entry."""
    calendar: Calendar = field(default_factory=Calendar)
    issues: dict[int, IssueState] = field(default_factory=dict)
    members: dict[int, MemberState] = field(default_factory=dict)
    accounts: dict[int, int] = field(default_factory=dict)
    """Account of the exchange: holder. One that has traded unassigned is here, too."""
    buy_in_account: int = 0
    rates: dict[int, list[list[int]]] = field(default_factory=dict)
    """Of a penalty class: [first day, millionths], ascending."""
    close_out_days: int = 0
    """0: nothing is bought in."""
    threshold_close_out_days: int = 0
    cash: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    shares: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    due: dict[tuple[int, int, int], dict[int, list[int]]] = field(default_factory=dict)
    """(settlement day, trade day, issue): holder: [quantity, amount, quantity of fills without a sign]."""
    open: dict[tuple[int, int], list[list[int]]] = field(default_factory=dict)
    """Lots [day due, quantity], oldest first, all of one sign."""
    claims: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Money between a holder and the clearing house that has not moved yet."""
    day: int = 0
    """The settlement day that is open; 0: none."""
    last_day: int = 0
    """The last that was started."""
    cycle: int = 0
    """Number of the last prepared cycle."""
    prepared: list[Pair] = field(default_factory=list)
    payments: dict[int, int] = field(default_factory=dict)
    """Claims that the prepared cycle settles, by holder; below 0 it pays."""
    is_prepared: int = 0
    unpaid: dict[tuple[int, int], int] = field(default_factory=dict)
    """Shares that holders could not pay in the last cycle; under issue 0 money that they owed and had not."""
    lacking: dict[tuple[int, int], int] = field(default_factory=dict)
    """Shares that holders had to deliver in the last cycle and did not have."""
    cycle_day: int = 0
    """The day of the last prepared cycle."""
    buy_ins: dict[int, BuyIn] = field(default_factory=dict)
    last_buy_in: int = 0
    fills: int = 0
    novated: int = 0
    gross_quantity: int = 0
    """Shares of all fills that were netted."""
    netted_quantity: int = 0
    """Shares that were to be delivered for them."""

    settlements: dict[int, int] = field(default_factory=dict)
    """Settlement days by trade day, as the calendar has them: worked out, never stored."""

    def open_quantity(self, issue: int, holder: int) -> int:
        """Due and not delivered; above 0: to be received."""
        return sum(quantity for _, quantity in self.open.get((issue, holder), ()))

    def locked_cash(self, holder: int) -> int:
        """What the prepared cycle takes from it, less what it brings."""
        net = -self.payments.get(holder, 0)
        for pair in self.prepared:
            net += pair.amount if pair.buyer == holder else 0
            net -= pair.amount if pair.seller == holder else 0
        return max(net, 0)

    def locked_shares(self, issue: int, holder: int) -> int:
        """What the prepared cycle takes from it."""
        return sum(pair.quantity for pair in self.prepared if pair.issue == issue and pair.seller == holder)

    def free_cash(self, holder: int) -> int:
        """Settled, and not locked."""
        return self.cash[holder] - self.locked_cash(holder)

    def free_shares(self, issue: int, holder: int) -> int:
        """Settled, and not locked."""
        return self.shares[issue, holder] - self.locked_shares(issue, holder)


def holder_of(member: int, customer: bool) -> int:
    """One side of a member's books."""
    return 2 * member + int(customer)


def add_due(state: State, key: tuple[int, int, int], holder: int, quantity: int, amount: int, gross: int) -> None:
    """More to receive and to be paid; key: (settlement day, trade day, issue)."""
    sides = state.due.get(key)
    if sides is None:
        sides = state.due[key] = {}
    side = sides.get(holder)
    if side is None:
        sides[holder] = [quantity, amount, gross]
    else:
        side[0] += quantity
        side[1] += amount
        side[2] += gross


def check(state: State) -> None:
    """What must be true after each entry.

    Raises:
        ClearingBroken: it is not.
    """
    _zero(sum(state.cash.values()), "settled cash of all holders, the world among them,")
    by_issue: defaultdict[int, int] = defaultdict(int)
    for (issue, holder), quantity in state.shares.items():
        by_issue[issue] += quantity
        if quantity < 0 and holder not in UNBOUNDED:
            raise ClearingBroken(f"holder {holder} has {quantity} settled shares of issue {issue}")
    for issue, quantity in by_issue.items():
        _zero(quantity, f"settled shares of issue {issue}")
    for key, sides in state.due.items():
        _zero(sum(side[0] for side in sides.values()), f"quantities due {key}")
        _zero(sum(side[1] for side in sides.values()), f"amounts due {key}")
    by_issue.clear()
    for (issue, _), lots in state.open.items():
        by_issue[issue] += sum(quantity for _, quantity in lots)
    for issue, quantity in by_issue.items():
        _zero(quantity, f"open positions of issue {issue}")
    _zero(sum(state.claims.values()), "claims")
    _zero(state.cash[CCP], "what the clearing house has of others' money")
    _zero(sum(state.payments.values()), "prepared payments")
    for holder, amount in state.cash.items():
        if amount < 0 and holder not in UNBOUNDED:
            raise ClearingBroken(f"holder {holder} has {amount} micros of settled cash")
    if state.novated != 2 * state.fills:
        raise ClearingBroken(f"{state.fills} fills were captured, {state.novated} positions made of them")


def _zero(number: int, what: str) -> None:
    if number:
        raise ClearingBroken(f"{what} add up to {number}, not to 0")


# ---- snapshot ------------------------------------------------------------------------------------------------------

_PLAIN: Final = (
    "number", "buy_in_account", "close_out_days", "threshold_close_out_days", "day", "last_day", "cycle", "is_prepared",
    "last_buy_in", "cycle_day", "fills", "novated", "gross_quantity", "netted_quantity",
)  # fmt: skip


def encode_state(state: State) -> bytes:
    """A state as bytes; equal states give equal ones."""
    made: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    made["calendar"] = [state.calendar.closed, state.calendar.cycles, state.calendar.offset_s]
    for name, kind in (("issues", IssueState), ("members", MemberState), ("buy_ins", BuyIn)):
        names = kind.__slots__
        rows = sorted(getattr(state, name).items())
        made[name] = [[key, *(getattr(one, part) for part in names)] for key, one in rows]
    made["accounts"] = sorted(state.accounts.items())
    made["rates"] = sorted(state.rates.items())
    made["cash"] = [item for item in sorted(state.cash.items()) if item[1]]
    made["claims"] = [item for item in sorted(state.claims.items()) if item[1]]
    made["shares"] = [[*key, value] for key, value in sorted(state.shares.items()) if value]
    for name in ("unpaid", "lacking"):
        made[name] = [[*key, value] for key, value in sorted(getattr(state, name).items())]
    made["open"] = [[*key, lots] for key, lots in sorted(state.open.items())]
    made["due"] = [[*key, sorted(sides.items())] for key, sides in sorted(state.due.items())]
    made["payments"] = sorted(state.payments.items())
    made["prepared"] = [[p.issue, p.seller, p.buyer, p.quantity, p.amount] for p in state.prepared]
    return json.dumps(made, separators=(",", ":"), sort_keys=True).encode()


def decode_state(said: bytes) -> State:
    """And back."""
    made = json.loads(said)
    state = State(**{name: made[name] for name in _PLAIN})
    closed, cycles, offset_s = made["calendar"]
    state.calendar = Calendar(tuple(closed), tuple((first, days) for first, days in cycles), offset_s)
    state.issues = {key: IssueState(*rest) for key, *rest in made["issues"]}
    state.members = {key: MemberState(*rest) for key, *rest in made["members"]}
    state.buy_ins = {key: BuyIn(*rest) for key, *rest in made["buy_ins"]}
    state.accounts = dict(made["accounts"])
    state.rates = dict(made["rates"])
    state.cash.update(dict(made["cash"]))
    state.claims.update(dict(made["claims"]))
    state.shares.update({(issue, holder): value for issue, holder, value in made["shares"]})
    state.unpaid = {(issue, holder): value for issue, holder, value in made["unpaid"]}
    state.lacking = {(issue, holder): value for issue, holder, value in made["lacking"]}
    state.open = {(issue, holder): lots for issue, holder, lots in made["open"]}
    state.due = {(day, trade, issue): dict(sides) for day, trade, issue, sides in made["due"]}
    state.payments = dict(made["payments"])
    state.prepared = [Pair(*row) for row in made["prepared"]]
    return state
