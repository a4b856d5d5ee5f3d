"""Entries of the clearing's log: what was captured of the exchange, and business commands. Pure.

The log is the machine's only input. Its entries are numbered 1, 2, 3 ... What is captured comes from an event of the
stream and names it; a business command comes from an operator. `encode` gives the same bytes for the same entry, which
go into the log, into the digest, and back through `decode`.
"""

import json
from dataclasses import fields
from typing import Any, Final

from lockstep.stream.values import frozen


@frozen
class Issue:
    """An instrument was defined on the exchange."""

    issue: int
    tick_micros: int
    lot_units: int
    symbol: str


@frozen
class Fill:
    """A trade between two accounts of the exchange, by the event that states it."""

    seq: int
    index: int
    timestamp_ns: int
    issue: int
    buyer: int
    seller: int
    price_ticks: int
    lots: int
    buyer_fee: int
    """Micros; below 0: a rebate."""
    seller_fee: int


@frozen
class CashMoved:
    """An account's cash on the exchange was raised or lowered from outside."""

    seq: int
    index: int
    timestamp_ns: int
    account: int
    amount: int


@frozen
class SharesMoved:
    """And its shares."""

    seq: int
    index: int
    timestamp_ns: int
    account: int
    issue: int
    lots: int


@frozen
class SharesPassed:
    """Shares went from one account to another without payment."""

    seq: int
    index: int
    timestamp_ns: int
    account: int
    to_account: int
    issue: int
    lots: int


@frozen
class SetCalendar:
    """Settlement days and lengths of the cycle, with their effective dates (`days.Calendar`)."""

    closed: tuple[int, ...]
    cycles: tuple[tuple[int, int], ...]
    offset_s: int


@frozen
class Member:
    """A clearing member; again: its name and policy are changed."""

    member: int
    name: str
    partial: bool
    """Whether what it delivers or receives may settle in parts."""


@frozen
class Assign:
    """An account of the exchange belongs to a member, as its own (house) or a customer's."""

    account: int
    member: int
    customer: bool


@frozen
class BuyInAccount:
    """The account of the exchange with which the clearing house buys in what members fail to deliver."""

    account: int


@frozen
class Terms:
    """What penalties and close-outs need to know of an issue."""

    issue: int
    penalty_class: int
    outstanding: int
    """Shares that there are of it; 0: not known, and it is never a threshold security."""


@frozen
class PenaltyRate:
    """What a class costs for each business day of a fail, from a day on, in millionths of the value."""

    penalty_class: int
    """0: a fail for lack of cash; the rate is the yearly one of the central bank then."""
    first_day: int
    ppm: int


@frozen
class CloseOutRule:
    """Settlement days after the due one on which a fail to deliver is bought in; of threshold securities, too."""

    days: int
    threshold_days: int


@frozen
class Price:
    """The settlement price of an issue: micros for a share."""

    issue: int
    micros: int


@frozen
class Deposit:
    """Shares, or cash where `issue` is 0, come to a member's settled balance from outside, or leave it (below 0)."""

    member: int
    customer: bool
    issue: int
    quantity: int


@frozen
class Reallocate:
    """A correction: what one side of the books is to receive (or to deliver, below 0) another one has instead."""

    member: int
    customer: bool
    to_member: int
    to_customer: bool
    issue: int
    trade_day: int
    quantity: int
    amount: int


@frozen
class StartDay:
    """A settlement day begins."""

    day: int


@frozen
class Prepare:
    """A settlement cycle: what is due is netted, what can be delivered and paid is chosen and locked."""


@frozen
class Commit:
    """What the prepared cycle has locked is exchanged."""

    cycle: int


@frozen
class Undo:
    """The prepared cycle is released, as if it had not been prepared; what was netted stays netted."""

    cycle: int


@frozen
class EndDay:
    """The settlement day ends: what is still open has failed."""

    day: int


Entry = (
    Issue | Fill | CashMoved | SharesMoved | SharesPassed | SetCalendar | Member | Assign | BuyInAccount | Terms
    | PenaltyRate | CloseOutRule | Price | Deposit | Reallocate | StartDay | Prepare | Commit | Undo | EndDay
)  # fmt: skip
CAPTURED: Final = (Issue, Fill, CashMoved, SharesMoved, SharesPassed)
BUSINESS: Final[tuple[type[Any], ...]] = (
    SetCalendar, Member, Assign, BuyInAccount, Terms, PenaltyRate, CloseOutRule, Price, Deposit, Reallocate, StartDay,
    Prepare, Commit, Undo, EndDay,
)  # fmt: skip
KINDS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in (*CAPTURED, *BUSINESS)}
_NAMES: Final = {kind: tuple(field.name for field in fields(kind)) for kind in KINDS.values()}


class BadEntry(ValueError):
    """It is no entry of a log. The text says why."""


def encode(entry: Entry) -> bytes:
    """An entry as JSON: its kind, then its fields in order."""
    kind = type(entry)
    return json.dumps([kind.__name__, *(getattr(entry, name) for name in _NAMES[kind])], separators=(",", ":")).encode()


def decode(said: bytes | str) -> Entry:
    """And back.

    Raises:
        BadEntry: it is none.
    """
    try:
        name, *values = json.loads(said)
        kind = KINDS[name]
        checked = [_checked(value, field.type) for value, field in zip(values, fields(kind), strict=True)]
    except (ValueError, KeyError, TypeError) as error:
        raise BadEntry(f"{said!r} is no entry of a clearing's log: {error}") from error
    made: Entry = kind(*checked)
    return made


def _checked(value: Any, wanted: Any) -> Any:
    if wanted in (int, bool, str):
        if type(value) is not wanted or (wanted is int and abs(value) >= 2**63):
            raise TypeError(f"{value!r} is no {wanted.__name__}")
        return value
    return _tuples(value)


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(one) for one in value)
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value
