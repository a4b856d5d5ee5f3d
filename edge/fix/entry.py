"""What a client's application messages ask for, as commands behind notes. Pure.

Each message becomes the same commands whenever it is looked at, or none at all if its ClOrdID was used: a message that
comes again after a failure has the outcome that it had.
"""

from collections.abc import Callable, Sequence
from typing import Final

from lockstep.edge.fix.notes import MAX_TEXT, Fields, Note, NoteKind, note_commands
from lockstep.edge.fix.orders import ORDER_TYPES, TIMES_IN_FORCE, TYPE_LETTERS, Order, bits_of
from lockstep.edge.fix.story import Story
from lockstep.edge.fix.symbols import Instrument, Symbols, lots_of, ticks_of
from lockstep.edge.fix.times import timestamp_ns
from lockstep.edge.fix.wire import Message
from lockstep.stream.codes import Code
from lockstep.stream.records import CommandKind, OrderFlag, OrderType, ReplaceFlag, Side, TimeInForce

MAX_COMMANDS: Final = 32
"""That one message may become."""

_UNSUPPORTED: Final = (
    152, 516, 168, 432, 847, 848, 849, 211, 835, 836, 837, 838, 840, 1100, 1101, 1102, 1107, 1109, 1110, 1139, 1140,
    2362,
)  # fmt: skip
"""Fields that would change what an order does, in a way that it can't here."""
_SIDES: Final = {b"1": Side.BUY, b"2": Side.SELL, b"5": Side.SELL, b"6": Side.SELL}
_INSTRUCTIONS: Final = {b"6": OrderFlag.POST_ONLY, b"K": OrderFlag.CANCEL_ON_HALT}
"""By ExecInst (18): participate don't initiate; cancel on trading halt."""
_DISPLAYS: Final = (1138, 111, 210)
_PRICED: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT)
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
_UNSUPPORTED_MESSAGE: Final = 3
"""BusinessRejectReason."""


_Maker = Callable[[Message, bytes], list[Fields]]


class Fault(Exception):
    """Why a message is refused, and for which field (0: none)."""

    def __init__(self, code: Code, tag: int) -> None:
        super().__init__(code, tag)
        self.code, self.tag = code, tag


class Entry:
    """Invariant: a ClOrdID that was given commands here is in `_sent` until its outcome is in the story."""

    def __init__(self, story: Story, symbols: Symbols, session_id: int, account: int, accounts: Sequence[int]) -> None:
        """`account`: of orders that name none; `accounts`: that may be traded, empty: all."""
        self._story, self._symbols, self._session_id = story, symbols, session_id
        self._account, self._accounts = account, tuple(accounts)
        self._sent: dict[bytes, Order | None] = {}
        """ClOrdID -> its order, as far as it is known; None: it asks for something about all."""

    def commands(self, message: Message) -> list[Fields]:
        """In order; none for a message that was dealt with before."""
        match message.kind:
            case b"D":
                return self._once(message, self._enter)
            case b"F":
                return self._once(message, self._cancel)
            case b"G":
                return self._once(message, self._replace)
            case b"q":
                return self._once(message, self._mass_cancel)
            case b"H":
                return self._status(message)
            case b"AF":
                return self._statuses(message)
            case _:
                return self._not_understood(message, Code.NOT_SUPPORTED, 0)

    def forget_outcomes(self) -> None:
        """What is in the story by now need not be kept here."""
        for name in [name for name in self._sent if name in self._story.used]:
            del self._sent[name]

    # ---- names -------------------------------------------------------------------------------------------------------

    def _once(self, message: Message, make: _Maker) -> list[Fields]:
        name = message.value(11) or b""
        if len(name) > MAX_TEXT or len(message.value(41) or b"") > MAX_TEXT:
            return self._not_understood(message, Code.FIELD_OUT_OF_RANGE, 11)
        if name not in self._story.used and name not in self._sent:
            return make(message, name)
        if message.value(43) == b"Y":
            # It comes again because what was counted as dealt with is a lower bound.
            return []
        if message.value(97) == b"Y":
            return self._status(message)
        return self._refused(message, name, Fault(Code.DUPLICATE_ORDER_ID, 11))

    def _order(self, name: bytes) -> Order | None:
        """The order that a ClOrdID stands for, live or under way."""
        bits = self._story.used.get(name, 0)
        return self._story.orders.get(bits) if bits else self._sent.get(name)

    # ---- refusals ----------------------------------------------------------------------------------------------------

    def _refused(self, message: Message, name: bytes, fault: Fault) -> list[Fields]:
        """By the message that answers one of this type."""
        number, known = _number(message), self._sent
        if fault.code is not Code.DUPLICATE_ORDER_ID:
            known[name] = None
        former = message.value(41) or b""
        match message.kind:
            case b"D":
                kind, side = NoteKind.NOT_NEW, (message.value(54) or b"1")[0]
                symbol = (message.value(55) or b"")[:MAX_TEXT]
                return note_commands(Note(kind, number, name, symbol=symbol, code=fault.code, tag=fault.tag, side=side))
            case b"q":
                kind, letter = NoteKind.NOT_MASS_CANCELED, (message.value(530) or b"7")[0]
                return note_commands(Note(kind, number, name, code=fault.code, tag=fault.tag, type=letter))
            case _:
                kind, letter = NoteKind.NOT_CHANGED, 0x32 if message.kind == b"G" else 0x31
                return note_commands(Note(kind, number, name, former, b"", fault.code, fault.tag, type=letter))

    def _not_understood(self, message: Message, code: Code, tag: int) -> list[Fields]:
        name = next((value for at in (11, 262, 320, 324, 117, 584) if (value := message.value(at))), b"")
        reason = _UNSUPPORTED_MESSAGE if code is Code.NOT_SUPPORTED else 0
        said = Note(
            NoteKind.NOT_UNDERSTOOD, _number(message), name[:MAX_TEXT], message.kind, code=code, tag=tag, type=reason
        )
        return note_commands(said)

    # ---- orders ------------------------------------------------------------------------------------------------------

    def _enter(self, message: Message, name: bytes) -> list[Fields]:
        try:
            order = self._order_of(message)
        except Fault as fault:
            return self._refused(message, name, fault)
        side = (message.value(54) or b"1")[0]
        bits = bits_of(self._session_id, name)
        self._sent[name] = Order(
            name, bits, order["account"], order["instrument"], side, type=order["order_type"], tif=order["tif"],
            display_lots=order["display_lots"],
        )  # fmt: skip
        note = Note(NoteKind.NEW, _number(message), name, side=side)
        return [*note_commands(note), order | {"client_order_id": bits}]

    def _order_of(self, message: Message) -> Fields:
        """Its fields, looked at in the order in which they are written here. Raises Fault."""
        instrument = self._symbols.named(message.value(55) or b"")
        if instrument is None:
            raise Fault(Code.UNKNOWN_INSTRUMENT, 55)
        side = _SIDES.get(message.value(54) or b"")
        if side is None:
            raise Fault(Code.NOT_SUPPORTED, 54)
        for tag in _UNSUPPORTED:
            if message.value(tag) is not None:
                raise Fault(Code.NOT_SUPPORTED, tag)
        order_type = ORDER_TYPES.get(message.value(40) or b"")
        if order_type is None:
            raise Fault(Code.NOT_SUPPORTED, 40)
        tif = TIMES_IN_FORCE.get(message.value(59) or b"0")
        if tif is None:
            raise Fault(Code.NOT_SUPPORTED, 59)
        flags, display_lots = _manner(message, instrument)
        return {
            "kind": CommandKind.NEW_ORDER,
            "side": side,
            "order_type": order_type,
            "tif": tif,
            "flags": flags,
            "account": self._account_of(message),
            "instrument": instrument.id,
            "price_ticks": _price(message, 44, instrument, wanted=order_type in _PRICED),
            "stop_price_ticks": _price(message, 99, instrument, wanted=order_type in _STOPS),
            "quantity_lots": _lots(message, 38, instrument),
            "display_lots": display_lots,
            "min_lots": _lots(message, 110, instrument) if _has_quantity(message, 110) else 0,
            "expire_ns": _expiry(message, tif),
        }

    def _account_of(self, message: Message) -> int:
        text = message.value(1)
        account = self._account if text is None else int(text) if text.isdigit() and len(text) < 10 else 0
        if not account:
            raise Fault(Code.UNKNOWN_ACCOUNT, 1)
        if self._accounts and account not in self._accounts:
            raise Fault(Code.NOT_ENTITLED, 1)
        return account

    def _cancel(self, message: Message, name: bytes) -> list[Fields]:
        order = self._order(message.value(41) or b"")
        if order is None:
            return self._refused(message, name, Fault(Code.UNKNOWN_ORDER, 41))
        try:
            self._require_same(message, order)
        except Fault as fault:
            return self._refused(message, name, fault)
        self._sent[name] = order
        note = note_commands(Note(NoteKind.CANCEL, _number(message), name))
        return [*note, {"kind": CommandKind.CANCEL, "account": order.account, "client_order_id": order.bits}]

    def _replace(self, message: Message, name: bytes) -> list[Fields]:
        order = self._order(message.value(41) or b"")
        if order is None:
            return self._refused(message, name, Fault(Code.UNKNOWN_ORDER, 41))
        try:
            terms = self._new_terms(message, order)
        except Fault as fault:
            return self._refused(message, name, fault)
        self._sent[name] = order
        command = {
            "kind": CommandKind.REPLACE,
            "account": order.account,
            "client_order_id": order.bits,
            "flags": int(ReplaceFlag.TOTAL),
        }
        return [*note_commands(Note(NoteKind.REPLACE, _number(message), name)), command | terms]

    def _require_same(self, message: Message, order: Order) -> Instrument:
        """The order's instrument. Raises Fault: the message names another one, or the other side."""
        instrument = self._symbols.get(order.instrument)
        if instrument is None or message.value(55) not in (None, instrument.name):
            raise Fault(Code.NOT_SUPPORTED, 55)
        if (message.value(54) or b"") != bytes((order.side,)):
            raise Fault(Code.NOT_SUPPORTED, 54)
        return instrument

    def _new_terms(self, message: Message, order: Order) -> Fields:
        """Quantity and prices; all else has to stay as it is. Raises Fault."""
        instrument = self._require_same(message, order)
        if message.value(40) != TYPE_LETTERS.get(order.type):
            raise Fault(Code.NOT_SUPPORTED, 40)
        tif = message.value(59)
        if tif is not None and TIMES_IN_FORCE.get(tif) != order.tif:
            raise Fault(Code.NOT_SUPPORTED, 59)
        for tag in (*_UNSUPPORTED, 110):
            if message.value(tag) is not None:
                raise Fault(Code.NOT_SUPPORTED, tag)
        return {
            "price_ticks": _price(message, 44, instrument, wanted=order.type in _PRICED),
            "stop_price_ticks": _price(message, 99, instrument, wanted=order.type in _STOPS),
            "quantity_lots": _lots(message, 38, instrument),
        }

    def _mass_cancel(self, message: Message, name: bytes) -> list[Fields]:
        kind = message.value(530) or b""
        instrument = self._symbols.named(message.value(55) or b"")
        if kind not in (b"1", b"7"):
            return self._refused(message, name, Fault(Code.NOT_SUPPORTED, 530))
        if kind == b"1" and instrument is None:
            return self._refused(message, name, Fault(Code.UNKNOWN_INSTRUMENT, 55))
        side = message.value(54)
        if side is not None and side not in _SIDES:
            return self._refused(message, name, Fault(Code.NOT_SUPPORTED, 54))
        self._sent[name] = None
        note = note_commands(Note(NoteKind.MASS_CANCEL, _number(message), name, type=kind[0]))
        command: Fields = {"kind": CommandKind.MASS_CANCEL, "order_id": self._session_id}
        if kind == b"1" and instrument is not None:
            command["instrument"] = instrument.id
        if side is not None:
            command["side"] = _SIDES[side]
        return [*note, command]

    # ---- questions ---------------------------------------------------------------------------------------------------

    def _status(self, message: Message) -> list[Fields]:
        name, other = message.value(11) or b"", message.value(790) or b""
        if max(len(name), len(other)) > MAX_TEXT:
            return self._not_understood(message, Code.FIELD_OUT_OF_RANGE, 11)
        symbol, side = (message.value(55) or b"")[:MAX_TEXT], (message.value(54) or b"1")[0]
        return note_commands(Note(NoteKind.STATUS, _number(message), name, other, symbol, side=side))

    def _statuses(self, message: Message) -> list[Fields]:
        name, kind = message.value(584) or b"", message.value(585) or b""
        instrument = self._symbols.named(message.value(55) or b"")
        if len(name) > MAX_TEXT:
            return self._not_understood(message, Code.FIELD_OUT_OF_RANGE, 584)
        if kind not in (b"1", b"7"):
            return self._not_understood(message, Code.NOT_SUPPORTED, 585)
        if kind == b"1" and instrument is None:
            return self._not_understood(message, Code.UNKNOWN_INSTRUMENT, 55)
        of = instrument.id if kind == b"1" and instrument is not None else 0
        return note_commands(Note(NoteKind.STATUSES, _number(message), name, type=kind[0], instrument=of))


def _number(message: Message) -> int:
    return int(message.value(34) or b"0")


def _price(message: Message, tag: int, instrument: Instrument, *, wanted: bool) -> int:
    """In ticks; 0 where the type of order has none. Raises Fault."""
    text = message.value(tag)
    code = Code.BAD_PRICE if tag == 44 else Code.BAD_STOP_PRICE
    if not wanted:
        if text is not None:
            raise Fault(Code.NOT_SUPPORTED, tag)
        return 0
    ticks = ticks_of(text or b"", instrument)
    if not ticks:
        raise Fault(code, tag)
    return ticks


def _lots(message: Message, tag: int, instrument: Instrument) -> int:
    lots = lots_of(message.value(tag) or b"", instrument)
    if not lots:
        raise Fault(Code.BAD_MINIMUM if tag == 110 else Code.BAD_DISPLAY if tag != 38 else Code.BAD_QUANTITY, tag)
    return lots


def _has_quantity(message: Message, tag: int) -> bool:
    return (message.value(tag) or b"0").strip(b"0.") != b""


def _manner(message: Message, instrument: Instrument) -> tuple[int, int]:
    """Flags, and the displayed quantity: none at all is hidden. Raises Fault."""
    flags = 0
    for letter in (message.value(18) or b"").split():
        if letter not in _INSTRUCTIONS:
            raise Fault(Code.NOT_SUPPORTED, 18)
        flags |= _INSTRUCTIONS[letter]
    for tag in _DISPLAYS:
        if message.value(tag) is None:
            continue
        if _has_quantity(message, tag):
            return flags, _lots(message, tag, instrument)
        return flags | OrderFlag.HIDDEN, 0
    return flags, 0


def _expiry(message: Message, tif: TimeInForce) -> int:
    text = message.value(126)
    if tif is not TimeInForce.GTD:
        if text is not None:
            raise Fault(Code.NOT_SUPPORTED, 126)
        return 0
    expire_ns = timestamp_ns(text or b"")
    if not expire_ns:
        raise Fault(Code.BAD_EXPIRY, 126)
    return expire_ns
