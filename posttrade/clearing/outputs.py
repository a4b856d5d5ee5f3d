"""What the clearing puts out: one flat record for everything, numbered by the entry that led to it. Pure."""

from enum import IntEnum

from lockstep.stream.values import frozen


class Kind(IntEnum):
    """What an output is. Fields that are not named with a kind are 0."""

    REFUSED = 1
    """A business command had no effect; `detail` is the `Refusal`."""
    DONE = 2
    """A business command had its effect; `detail` is the number of the cycle, of `Prepare`."""
    NOVATED = 10
    """One side of a fill against the clearing house: `day` it settles, `holder`, `issue`, `quantity`, `amount`;
    `detail`: the trade's day."""
    FEE = 11
    """Of a fill: `holder`, `amount`."""
    DEPOSITED = 12
    """A settled balance changed from outside: `holder`, `issue` (0: cash), `quantity` or `amount`."""
    OBLIGATION = 20
    """What a holder has after netting: `day`, `issue`, `quantity` to receive (below 0: to deliver), `amount` to be paid
    in all (below 0: by it); `price` that the delivery is worked out with; `detail`: fills' quantity before netting."""
    PAYMENT = 21
    """Money between a holder and the clearing house, without shares: `amount` to the holder (below 0: from it)."""
    INSTRUCTION = 30
    """One linked pair of a cycle (`detail`): `holder` delivers `quantity` of `issue` to `other` through the clearing
    house, for `amount`; it is locked."""
    SETTLED = 31
    """A pair of a cycle was exchanged; as `INSTRUCTION`."""
    RELEASED = 32
    """A pair of a cycle was released; as `INSTRUCTION`."""
    FAIL_TO_DELIVER = 40
    """At the end of the day: `holder`, `issue`, `quantity`; `detail`: its age, in settlement days."""
    FAIL_TO_RECEIVE = 41
    """Its other side; `quantity` that did not come."""
    FAIL_TO_PAY = 42
    """`holder` had not the cash: for `quantity` of `issue`, or without an issue for `amount`."""
    PENALTY = 43
    """`holder` pays (`amount` below 0) or receives; `detail`: the rate in millionths."""
    THRESHOLD = 44
    """`issue` is a threshold security from now on (`detail` 1), or not any more (0)."""
    BUY_IN = 45
    """`quantity` of `issue` is to be bought for `holder`; `detail`: the number of the buy-in."""
    BOUGHT_IN = 46
    """A fill of the buy-in account went to `holder`: `quantity`, `amount`; `detail`: the number of the buy-in."""
    BUY_IN_ENDED = 47
    """It needs no more; `quantity` was not bought."""
    DAY_STARTED = 50
    DAY_ENDED = 51


class Refusal(IntEnum):
    """Why a business command had no effect."""

    NONE = 0
    NO_SUCH_MEMBER = 1
    NO_SUCH_ISSUE = 2
    BAD_NUMBER = 3
    """An amount, price, rate, day or member that can't be."""
    NO_SETTLEMENT_DAY = 4
    DAY_IS_OVER = 5
    """It is not after the last one."""
    DAY_IS_OPEN = 6
    NO_DAY_OPEN = 7
    CYCLE_PREPARED = 8
    """A prepared cycle has to be committed or undone first."""
    NO_SUCH_CYCLE = 9
    NOT_ENOUGH = 10
    """The settled balance that is not locked does not have it."""
    NO_CYCLE = 11
    """The day had no settlement cycle yet."""
    ACCOUNT_IN_USE = 12
    """It was assigned, or has traded, already: `Reallocate` moves what it has."""
    CALENDAR_ENDS = 13


TEXTS = {
    Refusal.NO_SUCH_MEMBER: "there is no such member: enter it first",
    Refusal.NO_SUCH_ISSUE: "there is no such issue: the exchange has to define the instrument first",
    Refusal.BAD_NUMBER: "a number in it can't be: see docs/clearing.md",
    Refusal.NO_SETTLEMENT_DAY: "that day is no settlement day of the calendar",
    Refusal.DAY_IS_OVER: "that day is not after the last one",
    Refusal.DAY_IS_OPEN: "a settlement day is open: end it first",
    Refusal.NO_DAY_OPEN: "no settlement day is open, or another one: start it first",
    Refusal.CYCLE_PREPARED: "a cycle is prepared: commit or undo it first",
    Refusal.NO_SUCH_CYCLE: "that cycle is not the prepared one",
    Refusal.NOT_ENOUGH: "the settled balance that is not locked does not have so much",
    Refusal.NO_CYCLE: "the day had no settlement cycle yet: prepare and commit one",
    Refusal.ACCOUNT_IN_USE: "the account was assigned or has traded already: reallocate what it has",
    Refusal.CALENDAR_ENDS: "the calendar has no settlement day near",
}


@frozen
class Output:
    """See `Kind`. Its id is the number of its entry, and its place among that entry's outputs."""

    kind: int
    day: int = 0
    holder: int = 0
    other: int = 0
    issue: int = 0
    quantity: int = 0
    amount: int = 0
    price: int = 0
    detail: int = 0


COLUMNS = ("kind", "day", "holder", "other", "issue", "quantity", "amount", "price", "detail")


def row_of(one: Output) -> tuple[int, ...]:
    """Its fields in order."""
    return (
        int(one.kind), one.day, one.holder, one.other, one.issue, one.quantity, one.amount, one.price, int(one.detail),
    )  # fmt: skip
