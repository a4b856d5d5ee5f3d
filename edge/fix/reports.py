"""Application messages to a client, as the fields behind the header. Pure.

A body is kept as bytes, `tag=value` and the byte 1, again and again: an eighth of what its fields would take.
"""

from typing import Final, NamedTuple

from lockstep.edge.fix.orders import FILLED, REJECTED, TIME_LETTERS, TYPE_LETTERS, Order
from lockstep.edge.fix.symbols import Instrument, average_text, price_text, quantity_text
from lockstep.edge.fix.times import timestamp
from lockstep.edge.fix.wire import SOH, Field
from lockstep.stream.codes import Code
from lockstep.stream.records import OrderFlag, OrderType

EXECUTION_REPORT: Final = b"8"
CANCEL_REJECT: Final = b"9"
MASS_CANCEL_REPORT: Final = b"r"
BUSINESS_REJECT: Final = b"j"

NO_ORDER: Final = b"NONE"
"""OrderID where there is none."""

_NEW_REASONS: Final[dict[int, int]] = {
    Code.UNKNOWN_INSTRUMENT: 1,
    Code.WRONG_PHASE: 2,
    Code.ORDER_TOO_LARGE: 3,
    Code.ORDER_WORTH_TOO_MUCH: 3,
    Code.POSITION_LIMIT: 3,
    Code.INSUFFICIENT_CASH: 3,
    Code.INSUFFICIENT_POSITION: 3,
    Code.INSUFFICIENT_MARGIN: 3,
    Code.UNKNOWN_ORDER: 5,
    Code.DUPLICATE_ORDER_ID: 6,
    Code.NOT_SUPPORTED: 11,
    Code.BAD_QUANTITY: 13,
    Code.UNKNOWN_ACCOUNT: 15,
    Code.NOT_ENTITLED: 15,
    Code.BAD_PRICE: 16,
    Code.OUTSIDE_BAND: 16,
    Code.PRICE_COLLAR: 16,
    Code.BAD_STOP_PRICE: 16,
}
"""OrdRejReason (103) by code; 99 stands for all others, and Text (58) names the code in any case."""
_OTHER: Final = 99


class Body(NamedTuple):
    """A message: its type, its stamped time, and what stands between its header and its end."""

    kind: bytes
    sent_ns: int
    text: bytes

    def fields(self) -> tuple[Field, ...]:
        """As the session machine wants them."""
        pairs = (part.partition(b"=") for part in self.text[:-1].split(SOH))
        return tuple((int(tag), value) for tag, _, value in pairs)


class Event(NamedTuple):
    """What an execution report says besides the order's state."""

    id: bytes
    """ExecID."""
    type: bytes
    """ExecType."""
    at_ns: int
    former: bytes = b""
    """OrigClOrdID."""
    extra: tuple[Field, ...] = ()


def body(kind: bytes, at_ns: int, fields: tuple[Field, ...]) -> Body:
    """A message of these fields."""
    return Body(kind, at_ns, b"".join([b"%d=%b\x01" % field for field in fields]))


def execution(order: Order, instrument: Instrument, event: Event) -> Body:
    """An order's state, and what led to it."""
    fields: list[Field] = [(37, b"%d" % order.id), (11, order.name)]
    if event.former:
        fields.append((41, event.former))
    fields += ((17, event.id), (150, event.type), (39, order.status), (1, b"%d" % order.account))
    fields += ((55, instrument.name), (54, bytes((order.side,))), (38, quantity_text(order.quantity_lots, instrument)))
    fields.append((40, TYPE_LETTERS.get(order.type, b"2")))
    if order.price_ticks:
        fields.append((44, price_text(order.price_ticks, instrument)))
    if order.stop_price_ticks and order.type not in (OrderType.LIMIT, OrderType.MARKET):
        fields.append((99, price_text(order.stop_price_ticks, instrument)))
    if order.tif in TIME_LETTERS:
        fields.append((59, TIME_LETTERS[order.tif]))
    if order.expire_ns:
        fields.append((126, timestamp(order.expire_ns)))
    if order.flags & OrderFlag.HIDDEN:
        fields.append((111, b"0"))
    elif order.display_lots:
        fields.append((111, quantity_text(order.display_lots, instrument)))
    fields += (
        (151, quantity_text(order.leaves_lots, instrument)),
        (14, quantity_text(order.traded_lots, instrument)),
        (6, average_text(order.worth, order.traded_lots, instrument)),
        (60, timestamp(event.at_ns)),
        *event.extra,
    )
    return body(EXECUTION_REPORT, event.at_ns, tuple(fields))


class Nothing(NamedTuple):
    """An execution report about an order that there is not: refused, or unknown."""

    name: bytes
    symbol: bytes
    side: int
    id: bytes
    """ExecID."""
    type: bytes
    """ExecType: 8 rejected, or I where a state was asked for."""
    reason: int
    at_ns: int
    text: bytes
    account: int = 0
    extra: tuple[Field, ...] = ()


def no_execution(said: Nothing) -> Body:
    """See `Nothing`."""
    account: tuple[Field, ...] = ((1, b"%d" % said.account),) if said.account else ()
    return body(
        EXECUTION_REPORT,
        said.at_ns,
        (
            (37, NO_ORDER),
            (11, said.name or NO_ORDER),
            (17, said.id),
            (150, said.type),
            (39, REJECTED),
            (103, b"%d" % said.reason),
            *account,
            (55, said.symbol or b"[N/A]"),
            (54, bytes((said.side or 0x31,))),
            (151, b"0"),
            (14, b"0"),
            (6, b"0"),
            (60, timestamp(said.at_ns)),
            (58, said.text),
            *said.extra,
        ),
    )


class Refusal(NamedTuple):
    """Of a cancel or a replace."""

    name: bytes
    former: bytes
    order: Order | None
    code: int
    replaces: bool
    at_ns: int
    tag: int = 0


def cancel_reject(said: Refusal) -> Body:
    """Message 9. CxlRejReason (102): 1 no such order, 0 too late for it, 6 ClOrdID used before, 2 anything else."""
    order = said.order
    reason = 2
    if said.code == Code.DUPLICATE_ORDER_ID:
        reason = 6
    elif order is None:
        reason = 1
    elif said.code == Code.UNKNOWN_ORDER or order.status == FILLED:
        reason = 0
    return body(
        CANCEL_REJECT,
        said.at_ns,
        (
            (37, b"%d" % order.id if order is not None and order.id else NO_ORDER),
            (11, said.name),
            (41, said.former or NO_ORDER),
            (39, order.status if order is not None else REJECTED),
            (60, timestamp(said.at_ns)),
            (434, b"2" if said.replaces else b"1"),
            (102, b"%d" % reason),
            (58, code_text(said.code, said.tag)),
        ),
    )


class MassCancel(NamedTuple):
    """What became of a mass cancel. `taken_off`: orders that it took off; None: it was refused."""

    name: bytes
    id: int
    type: int
    taken_off: int | None
    code: int
    at_ns: int


def mass_cancel_report(said: MassCancel) -> Body:
    """Message r."""
    kind = bytes((said.type,))
    fields: tuple[Field, ...] = (
        (11, said.name), (37, b"%d" % said.id), (530, kind), (531, kind if said.taken_off is not None else b"0"),
    )  # fmt: skip
    if said.taken_off is None:
        fields += ((532, b"99"), (60, timestamp(said.at_ns)), (58, code_text(said.code)))
    else:
        fields += ((533, b"%d" % said.taken_off), (60, timestamp(said.at_ns)))
    return body(MASS_CANCEL_REPORT, said.at_ns, fields)


def business_reject(number: int, kind: bytes, reason: int, name: bytes, text: bytes, at_ns: int) -> Body:
    """Message j, for message `number` of type `kind`."""
    fields: tuple[Field, ...] = ((45, b"%d" % number), (372, kind))
    if name:
        fields += ((379, name),)
    return body(BUSINESS_REJECT, at_ns, (*fields, (380, b"%d" % reason), (58, text)))


def new_reason(code: int) -> int:
    """OrdRejReason (103)."""
    return _NEW_REASONS.get(code, _OTHER)


def code_text(code: int, tag: int = 0) -> bytes:
    """The code's name, and the field that it is about."""
    try:
        name = Code(code).name.encode()
    except ValueError:
        name = b"code %d" % code
    return name + b": tag %d" % tag if tag else name
