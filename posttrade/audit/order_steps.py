"""What happened to each order, from sealed records alone: what regulators' forms are made of. Pure.

Records say what changed; a form wants the order as it was then. So live orders are carried along: their terms as their
last record has them. Of an order that was live when a trail began behind a snapshot only that is known which its
records say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from lockstep.posttrade.audit.records import stamp_text
from lockstep.stream.records import EventFlag, OrderFlag, Phase

Record = dict[str, Any]
ENDED_BY_TIME: Final = ("EXPIRED", "AUCTION_ENDED")
ENDED_BY_MEMBER: Final = ("CANCEL_REQUESTED", "MASS_CANCEL")
_OTHER: Final = {"BUY": "SELL", "SELL": "BUY", "": ""}
_MEMBER_SHIFT: Final = 32


@dataclass(frozen=True, slots=True)
class Order:
    """An order's terms. Prices are decimal text, quantities units; what is not known is empty or 0."""

    order_id: int
    client_order_id: int = 0
    account: int | str = 0
    """Its number, or its pseudonym; `member` likewise."""
    member: int | str = 0
    """The client whose session gave it."""
    instrument: int = 0
    symbol: str = ""
    side: str = ""
    order_type: str = ""
    tif: str = ""
    price: str = ""
    stop_price: str = ""
    initial: int = 0
    remaining: int = 0
    display: int = 0
    minimum: int = 0
    hidden: bool = False
    post_only: bool = False
    self_trade_prevention: bool = False
    expire: str = ""
    received: str = ""
    """When it came; its date is the date of receipt."""
    priority: str = ""
    """When it got its place in the queue."""
    waits: bool = False
    """For its stop price, or for the closing auction: nobody can trade with it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to one order; `order` is what it is behind it."""

    what: str
    """NEW, REFUSED, REPLACED, REDUCED, TRIGGERED, TRADED, or why it ended: a code of docs/records.md."""
    order: Order
    record: Record
    phase: str = ""
    taken_off: int = 0
    traded: int = 0
    price: str = ""
    """Of the trade."""
    taker: bool | None = None
    """Of a trade: whether this order came to the other one; None: of an auction."""

    @property
    def seq(self) -> int:
        """Of the command."""
        return int(self.record["seq"])

    @property
    def time(self) -> str:
        """Stamped time."""
        return str(self.record["processed"])

    @property
    def number(self) -> int:
        """Ascending in the order of the events."""
        return self.seq * 1_000_000 + int(self.record["index"])

    @property
    def trade_id(self) -> str:
        """The same for both sides, and for ever: the record's id."""
        return str(self.record["id"]).replace("-", "") if self.traded else ""


def steps_of(records: Iterator[Record]) -> Iterator[Step]:
    """What happened to orders, in order; of a trade the taker's side first."""
    walk = _Walk()
    for record in records:
        yield from walk.take(record)


def within(steps: Iterator[Step], from_ns: int, to_ns: int) -> Iterator[Step]:
    """Those stamped from a time on, before another (0: to the end). All are read: what an order is follows from all."""
    begin, end = stamp_text(from_ns), stamp_text(to_ns) if to_ns else ""
    for step in steps:
        if end and step.time >= end:
            return
        if step.time >= begin:
            yield step


class _Walk:
    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._command: Record = {}
        self._phases: dict[int, str] = {}

    def take(self, record: Record) -> Iterator[Step]:
        if record["what"] == "command":
            self._command = record
            return
        kind = record["kind"]
        if kind == "PHASE_CHANGED":
            self._phases[record.get("instrument", 0)] = _phase(record.get("value", 0))
        elif kind == "ACCEPTED":
            yield self._step("NEW", self._entered(record), record)
        elif kind == "REJECTED" and self._command.get("kind") == "NEW_ORDER":
            order = replace(_order(self._command, record["seq"]), received=record["processed"])
            yield self._step("REFUSED", order, record)
        elif kind in ("REPLACED", "TRIGGERED"):
            yield self._step(kind, self._changed(record), record)
        elif kind in ("REDUCED", "CANCELED"):
            order = replace(self._known(record), remaining=_units(record, "leaves"))
            what = str(record.get("code", "CANCEL_REQUESTED")) if kind == "CANCELED" else kind
            yield self._step(what, order, record, taken_off=_units(record, "quantity"))
        elif kind == "TRADE":
            yield from self._trade(record)

    def _step(self, what: str, order: Order, record: Record, **more: Any) -> Step:
        ended = what not in ("NEW", "REPLACED", "REDUCED", "TRIGGERED", "TRADED") or (
            what in ("TRADED", "REDUCED") and not order.remaining
        )
        if ended:
            self._orders.pop(order.order_id, None)
        else:
            self._orders[order.order_id] = order
        return Step(what, order, record, self._phases.get(order.instrument, _phase(Phase.CONTINUOUS)), **more)

    def _known(self, record: Record, maker: str = "") -> Order:
        """The order that a record concerns, as it was; `maker`: the one whose fields begin so."""
        number = int(record.get(f"{maker}order_id", 0))
        known = self._orders.get(number)
        if known is not None:
            return known
        side = str(record.get("side", ""))
        return Order(
            number,
            client_order_id=int(record.get(f"{maker}client_order_id", 0)),
            account=record.get(f"{maker}account", 0),
            member=_member(record, maker),
            instrument=int(record.get("instrument", 0)),
            symbol=str(record.get("symbol", "")),
            side=_OTHER[side] if maker else side,
        )

    def _entered(self, record: Record) -> Order:
        return replace(
            _order(record, record["order_id"]),
            minimum=_units(self._command, "min"),
            received=record["processed"],
            priority=record["processed"],
        )

    def _changed(self, record: Record) -> Order:
        """By REPLACED or TRIGGERED, which state the terms anew."""
        before = self._known(record)
        loses = record["kind"] == "TRIGGERED" or record.get("flags", 0) & EventFlag.LOST_PRIORITY
        return replace(
            _order(record, record["order_id"]),
            initial=before.initial or _units(record, "quantity"),
            minimum=before.minimum,
            received=before.received,
            priority=record["processed"] if loses else before.priority,
        )

    def _trade(self, record: Record) -> Iterator[Step]:
        auction = bool(record.get("flags", 0) & EventFlag.AUCTION)
        for maker in ("", "maker_"):
            order = replace(self._known(record, maker), remaining=_units(record, f"{maker}leaves"))
            yield self._step(
                "TRADED", order, record,
                traded=_units(record, "quantity"), price=str(record.get("price", "")),
                taker=None if auction else not maker,
            )  # fmt: skip


def _order(record: Record, order_id: int) -> Order:
    """From a record that has all terms: a NEW_ORDER, or an ACCEPTED, REPLACED or TRIGGERED."""
    flags = OrderFlag(int(record.get("flags" if record["what"] == "command" else "order_flags", 0)))
    return Order(
        order_id=int(order_id),
        client_order_id=int(record.get("client_order_id", 0)),
        account=record.get("account", 0),
        member=_member(record),
        instrument=int(record.get("instrument", 0)),
        symbol=str(record.get("symbol", "")),
        side=str(record.get("side", "")),
        order_type=str(record.get("order_type", "")),
        tif=str(record.get("tif", "")),
        price=str(record.get("price", "")),
        stop_price=str(record.get("stop_price", "")),
        initial=_units(record, "quantity"),
        remaining=_units(record, "leaves"),
        display=_units(record, "display"),
        minimum=_units(record, "min"),
        hidden=bool(flags & OrderFlag.HIDDEN),
        post_only=bool(flags & OrderFlag.POST_ONLY),
        self_trade_prevention=bool(record.get("stp", 0)),
        expire=str(record.get("expire_ns", "")),
        waits=record["what"] == "event" and bool(record.get("flags", 0) & EventFlag.WAITS),
    )


def _member(record: Record, maker: str = "") -> int | str:
    """Records with pseudonyms name the client apart from his session."""
    if f"{maker}client" in record:
        return str(record[f"{maker}client"])
    return int(record.get(f"{maker}session_id", 0)) >> _MEMBER_SHIFT


def _units(record: Record, name: str) -> int:
    """Units; lots where the instrument is none that there is."""
    return int(record[name] if name in record else record.get(f"{name}_lots", 0))


def _phase(value: int) -> str:
    try:
        return Phase(value).name
    except ValueError:
        return str(value)
