"""Alerts: what a user asks for, and when it fires. Pure.

An alert either watches a *level* (a number that goes up and down: a price, a change, buying power) or *events* (a fill,
what happens to an order).

**Crossing.** A level alert has a threshold T, a hysteresis h >= 0 and a side, `BELOW` or `ABOVE`, on which the level
was last. Up to h behind the threshold the level counts as on the side where it was:

| direction | comes to ABOVE | comes to BELOW | fires when it comes to | begins |
| --- | --- | --- | --- | --- |
| ABOVE | v >= T | v < T - h | ABOVE | BELOW |
| BELOW | v > T + h | v <= T | BELOW | ABOVE |
| CROSSING | v >= T | v < T - h | either | not known: the first level says it |

So an alert fires once for each crossing, and is armed again when the level has come back by more than h. ABOVE and
BELOW fire at once where the level is there already; CROSSING never does. A level that is not known (no bid, no trade
yet, no limit) leaves the side as it is.
"""

from enum import IntEnum
from typing import Final

from lockstep.stream.values import frozen

MOST_TEXT: Final = 200
PPM: Final = 1_000_000


class Kind(IntEnum):
    """What an alert watches."""

    PRICE = 1
    """The last price, or the best bid or offer, in ticks."""
    CHANGE = 2
    """The last price against a base, in millionths of it, rounded towards zero."""
    VOLUME = 3
    """Lots that the instrument has traded in its session."""
    FILL = 4
    """Each trade of an account."""
    ORDER_STATE = 5
    """What happens to an account's orders."""
    BUYING_POWER = 6
    """Of an account, in micros."""
    POSITION_LIMIT = 7
    """How much of an account's position limit its position and open orders use, in millionths."""
    ACCOUNT_STATUS = 8
    """The account's status: 0 active ... 4 stopped by the kill switch."""
    MARGIN_CALL = 9
    """1 while the account is under a margin call, else 0."""


class Direction(IntEnum):
    """Which crossings of a threshold fire."""

    ABOVE = 1
    BELOW = 2
    CROSSING = 3


class Price(IntEnum):
    """Which price of an instrument."""

    LAST = 1
    BID = 2
    ASK = 3


class Base(IntEnum):
    """What a change is measured against."""

    OPEN = 1
    """The first price of the session."""
    CLOSE = 2
    """The last price of the session before."""
    REFERENCE = 3
    """The instrument's reference price."""
    GIVEN = 4
    """The price that the alert names."""


class OrderState(IntEnum):
    """What happened to an order; an alert watches a set of them, as bits."""

    ACCEPTED = 1
    REJECTED = 2
    PARTLY_FILLED = 4
    FILLED = 8
    CANCELED = 16
    REPLACED = 32
    TRIGGERED = 64


ALL_STATES: Final = sum(OrderState)


class Side(IntEnum):
    """Of the threshold, on which the level was last."""

    UNKNOWN = 0
    BELOW = 1
    ABOVE = 2


class Status(IntEnum):
    """Of an alert."""

    ACTIVE = 1
    FIRED = 2
    """It was to fire once, and has."""
    EXPIRED = 3


LEVELS: Final = frozenset(Kind) - {Kind.FILL, Kind.ORDER_STATE}
OF_INSTRUMENT: Final = frozenset({Kind.PRICE, Kind.CHANGE, Kind.VOLUME})
OF_ACCOUNT: Final = frozenset(Kind) - OF_INSTRUMENT


class BadAlert(ValueError):
    """An alert can't be meant so. The text says what to change."""


@frozen
class Definition:
    """What a user asks for. Fields that its kind has no use for are 0."""

    kind: int
    instrument: int = 0
    """Of PRICE, CHANGE, VOLUME, POSITION_LIMIT; of FILL and ORDER_STATE: only this one, 0: any."""
    account: int = 0
    direction: int = 0
    threshold: int = 0
    """In the unit of the kind."""
    hysteresis: int = 0
    price: int = 0
    """`Price`, of PRICE."""
    base: int = 0
    """`Base`, of CHANGE."""
    base_ticks: int = 0
    """Of base GIVEN."""
    states: int = 0
    """Bits of `OrderState`."""
    client_order_id: int = 0
    """Of FILL and ORDER_STATE: only the order of this name; 0: any."""
    once: bool = False
    """It fires once, and is over then."""
    expire_ns: int = 0
    """Stamped time from which on it does not fire; 0: never."""
    note: str = ""
    """The user's own words, sent along."""


_NUMBERS: Final = (
    "instrument", "account", "direction", "threshold", "hysteresis", "price", "base", "base_ticks", "states",
    "client_order_id",
)  # fmt: skip
_USES: Final = {
    Kind.PRICE: {"instrument", "direction", "threshold", "hysteresis", "price"},
    Kind.CHANGE: {"instrument", "direction", "threshold", "hysteresis", "base", "base_ticks"},
    Kind.VOLUME: {"instrument", "direction", "threshold"},
    Kind.FILL: {"account", "instrument", "client_order_id"},
    Kind.ORDER_STATE: {"account", "instrument", "client_order_id", "states"},
    Kind.BUYING_POWER: {"account", "direction", "threshold", "hysteresis"},
    Kind.POSITION_LIMIT: {"account", "instrument", "direction", "threshold", "hysteresis"},
    Kind.ACCOUNT_STATUS: {"account", "direction", "threshold"},
    Kind.MARGIN_CALL: {"account", "direction", "threshold"},
}
_NEEDS: Final = ("instrument", "account", "direction", "price", "base", "states")
_OPTIONAL: Final = {(kind, "instrument") for kind in (Kind.FILL, Kind.ORDER_STATE)}


def check(one: Definition) -> None:
    """Whether an alert can be meant so.

    Raises:
        BadAlert: it can't.
    """
    try:
        kind = Kind(one.kind)
    except ValueError:
        raise BadAlert(f"kind {one.kind} is none: {', '.join(f'{k.value} {k.name}' for k in Kind)}") from None
    uses = _USES[kind]
    for name in _NUMBERS:
        value = getattr(one, name)
        if value and name not in uses:
            raise BadAlert(f"an alert of kind {kind.name} has no {name}; leave it out")
        if not value and name in uses and name in _NEEDS and (kind, name) not in _OPTIONAL:
            raise BadAlert(f"an alert of kind {kind.name} needs {name}")
    for name, values in (("direction", Direction), ("price", Price), ("base", Base)):
        value = getattr(one, name)
        if value and value not in tuple(values):
            raise BadAlert(f"{name} {value} is none: {', '.join(f'{v.value} {v.name}' for v in values)}")
    if one.states & ~ALL_STATES:
        raise BadAlert(f"states {one.states} has unknown bits; all known ones are {ALL_STATES}")
    if one.hysteresis < 0 or one.expire_ns < 0 or not all(-(2**62) <= getattr(one, n) < 2**62 for n in _LIMITED):
        raise BadAlert("threshold, hysteresis, base_ticks or expire_ns is out of range")
    if (one.base == Base.GIVEN) != (one.base_ticks > 0):
        raise BadAlert("base GIVEN needs a base_ticks above 0, and no other base has one")
    if kind is Kind.VOLUME and (one.direction != Direction.ABOVE or one.threshold < 1):
        raise BadAlert("a volume only grows: direction ABOVE, threshold 1 or more")
    if len(one.note) > MOST_TEXT or not one.note.isprintable():
        raise BadAlert(f"a note is one line of at most {MOST_TEXT} letters")


_LIMITED: Final = ("threshold", "hysteresis", "base_ticks", "expire_ns")


def first_side(one: Definition) -> Side:
    """On which side a level alert begins."""
    match one.direction:
        case Direction.ABOVE:
            return Side.BELOW
        case Direction.BELOW:
            return Side.ABOVE
        case _:
            return Side.UNKNOWN


def side_of(one: Definition, before: int, level: int) -> Side:
    """On which side a level is, seen from where it was."""
    low, high = one.threshold - one.hysteresis, one.threshold
    if one.direction == Direction.BELOW:
        if level <= one.threshold:
            return Side.BELOW
        return Side.ABOVE if level > one.threshold + one.hysteresis else Side(before)
    if level >= high:
        return Side.ABOVE
    return Side.BELOW if level < low or before == Side.UNKNOWN else Side(before)


def fires(one: Definition, before: int, after: int) -> bool:
    """Whether coming from one side to another is what the alert waits for."""
    if before == after or before == Side.UNKNOWN:
        return False
    return one.direction == Direction.CROSSING or after == (
        Side.ABOVE if one.direction == Direction.ABOVE else Side.BELOW
    )


def change_ppm(last: int, base: int) -> int | None:
    """A price against a base, in millionths, rounded towards zero; None: there is no base."""
    if base <= 0:
        return None
    moved = (last - base) * PPM
    return moved // base if moved >= 0 else -(-moved // base)
