"""What a session's rows say, as application messages in order. Pure.

The messages, their ordinals and their numbers follow from the session's rows alone (`gateway/reports.py`), up to the
row that leads to each: so every gateway that has read them has the same messages under the same numbers, and no store
has to be kept, copied or trusted. So have a client's numbers: notes say which of its messages were dealt with.

A session is *sealed* whenever it is opened (docs/adr/0022). Notes of the connection before may still come behind seals,
with messages missing between them; from a seal to the first note of the new connection nothing is counted as dealt
with. What comes again then is known by its ClOrdID.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep.edge.fix.notes import OF_COMMANDS, Given, Note, NoteKind, NoteReader, is_note
from lockstep.edge.fix.numbering import Numbering
from lockstep.edge.fix.orders import CANCELED, EXPIRED, EXPIRING, NEW, PARTIALLY_FILLED, Order, bits_of
from lockstep.edge.fix.reports import (
    Body,
    Event,
    MassCancel,
    Nothing,
    Refusal,
    business_reject,
    cancel_reject,
    code_text,
    execution,
    mass_cancel_report,
    new_reason,
    no_execution,
)
from lockstep.edge.fix.symbols import Symbols, price_text, quantity_text
from lockstep.edge.fix.values import Numbers
from lockstep.edge.fix.wire import Field
from lockstep.stream.codes import NOT_EXECUTED, Code
from lockstep.stream.records import ORDER_EVENT, EventFlag, EventKind, Events, Side

_SIDES = {Side.BUY: 0x31, Side.SELL: 0x32}
_ALL = ord("7")
"""MassStatusReqType: all orders."""


class StrangeNote(ValueError):
    """A note that no door has written: the session was used in another way, too."""


class Story:
    """See the module.

    Invariants: `used` has each ClOrdID that an executed message of the session gave, for ever; `bodies` has the
    messages of this life of the numbers, the first one at ordinal `numbering.base`.
    """

    def __init__(self, symbols: Symbols, session_id: int) -> None:
        self.orders: dict[int, Order] = {}
        """All of the session, also those that ended, by client order id."""
        self.used: dict[bytes, int] = {}
        """ClOrdID -> client order id of its order; 0: there is none, it was refused."""
        self.bodies: list[Body] = []
        self.numbering = Numbering()
        self.next_in = 1
        """All messages of the client below it were dealt with."""
        self.seen_no = 0
        """The highest number of the session whose outcome was read."""
        self.live = False
        """The session has a connection here, which gives the numbers itself."""
        self._symbols, self._session_id = symbols, session_id
        self._notes = NoteReader()
        self._pending: Note | None = None
        self._outcome_no = 0
        """Number of the command that the pending note speaks of."""
        self._sealed = False

    @property
    def count(self) -> int:
        """Ordinals that there are: of all messages, in all lives of the numbers."""
        return self.numbering.base + len(self.bodies)

    @property
    def next_out(self) -> int:
        """MsgSeqNum of the next message to the client."""
        return self.numbering.number_of(self.count)

    @property
    def numbers(self) -> Numbers:
        """Where a connection begins."""
        return Numbers(self.next_in, self.next_out, 0, self.numbering.life, self.numbering.since_ns)

    def restart(self, ordinal: int, since_ns: int) -> None:
        """Both numbers start at one again, in front of application message `ordinal`."""
        del self.bodies[: ordinal - self.numbering.base]
        self.numbering.restart(ordinal, since_ns)
        self.next_in = 1

    def take(self, rows: Events, legs: NDArray[np.uint8]) -> list[Body]:
        """Read rows; the messages that they lead to. `rows`, `legs`: shape (n,) both."""
        before = self.count
        orders = np.frombuffer(rows.tobytes(), dtype=ORDER_EVENT)
        for row, order, leg in zip(rows, orders, legs, strict=True):
            self._on_row(row, order, bool(leg))
        return self.bodies[before - self.numbering.base :]

    # ---- rows --------------------------------------------------------------------------------------------------------

    def _on_row(self, row: Any, order: Any, other_leg: bool) -> None:
        number = 0 if other_leg else int(row["session_no"])
        code = int(row["code"])
        if code in NOT_EXECUTED or row["kind"] == EventKind.DUPLICATE:
            # Nothing was executed under this number, or something was told of before.
            return
        self.seen_no = max(self.seen_no, number)
        if not other_leg and is_note(row):
            self._on_note(row)
            return
        asked = self._asked(number)
        match int(row["kind"]):
            case EventKind.ACCEPTED if asked is not None and not other_leg:
                self._on_accepted(row, order, asked)
            case EventKind.REJECTED if asked is not None:
                self._on_rejected(row, asked)
            case EventKind.TRADE:
                self._on_trade(row, other_leg)
            case EventKind.CANCELED | EventKind.REDUCED:
                self._on_taken_off(row, other_leg, asked)
            case EventKind.REPLACED:
                self._on_replaced(row, order, other_leg, asked)
            case EventKind.CANCEL_REJECTED | EventKind.REPLACE_REJECTED if asked is not None:
                self._on_change_rejected(row, asked)
            case EventKind.TRIGGERED:
                self._on_triggered(row, order)
            case EventKind.MASS_CANCELED if asked is not None and asked.kind is NoteKind.MASS_CANCEL:
                count = int(row["quantity_lots"])
                self._say(mass_cancel_report(MassCancel(asked.name, int(row["seq"]), asked.type, count, 0, _at(row))))
            case _:
                pass

    def _asked(self, number: int) -> Note | None:
        """What the client said that a row answers, if a note tells. The first such row says that it was executed."""
        note = self._pending
        if note is None or number != self._outcome_no:
            return None
        self._dealt_with(note.number)
        is_order = note.kind is NoteKind.NEW
        self.used.setdefault(note.name, bits_of(self._session_id, note.name) if is_order else 0)
        return note

    def _dealt_with(self, number: int) -> None:
        if not self._sealed:
            self.next_in = max(self.next_in, number + 1)

    # ---- notes -------------------------------------------------------------------------------------------------------

    def _on_note(self, row: Any) -> None:
        said = self._notes.take(row)
        if said is None:
            return
        if isinstance(said, Given):
            self._on_given(said)
        elif said.kind is NoteKind.SEAL:
            self._pending, self._sealed = None, True
        elif said.kind in OF_COMMANDS:
            self._pending, self._outcome_no = said, int(row["session_no"]) + 1
        else:
            self._dealt_with(said.number)
            self._on_said(said, row)

    def _on_given(self, given: Given) -> None:
        if given.kind is NoteKind.OPENED or given.kind is NoteKind.RESTARTED:
            self._sealed = False
        if self.live:
            # The connection here has counted them when it gave them.
            return
        if not self.numbering.base <= given.ordinal <= self.count:
            raise StrangeNote(f"numbers were given at message {given.ordinal} of {self.count}")
        if given.kind is NoteKind.RESTARTED:
            self.restart(given.ordinal, given.since_ns)
        self.numbering.give(given.ordinal, given.count)
        if not self._sealed:
            self.next_in = max(self.next_in, given.next_in)

    def _on_said(self, note: Note, row: Any) -> None:
        """A message that no command follows."""
        at_ns = _at(row)
        match note.kind:
            case NoteKind.STATUS:
                self._on_status(note, row)
            case NoteKind.STATUSES:
                self._on_statuses(note, row)
            case NoteKind.NOT_NEW:
                self._refuse_new(note, row)
            case NoteKind.NOT_CHANGED:
                self._unused(note)
                refused = Refusal(
                    note.name, note.other, self._named(note.other), note.code, note.type == 0x32, at_ns, note.tag
                )
                self._say(cancel_reject(refused))
            case NoteKind.NOT_MASS_CANCELED:
                self._unused(note)
                self._say(mass_cancel_report(MassCancel(note.name, 0, note.type, None, note.code, at_ns)))
            case NoteKind.NOT_UNDERSTOOD:
                text = code_text(note.code, note.tag)
                self._say(business_reject(note.number, note.other, note.type, note.name, text, at_ns))
            case _:
                pass

    def _unused(self, note: Note) -> None:
        """A ClOrdID whose message was refused is used all the same."""
        self.used.setdefault(note.name, 0)

    def _refuse_new(self, note: Note, row: Any) -> None:
        self._unused(note)
        text = code_text(note.code, note.tag)
        self._say(
            no_execution(
                Nothing(note.name, note.symbol, note.side, _id(row), b"8", new_reason(note.code), _at(row), text)
            )
        )

    def _named(self, name: bytes) -> Order | None:
        """The order that a ClOrdID stands for."""
        return self.orders.get(self.used.get(name, 0))

    def _on_status(self, note: Note, row: Any) -> None:
        extra: tuple[Field, ...] = ((790, note.other),) if note.other else ()
        order = self._named(note.name)
        if order is not None:
            self._execution(order, Event(_id(row), b"I", _at(row), extra=extra))
        else:
            text = code_text(Code.UNKNOWN_ORDER)
            said = Nothing(note.name, note.symbol, note.side, _id(row), b"I", 5, _at(row), text, extra=extra)
            self._say(no_execution(said))

    def _on_statuses(self, note: Note, row: Any) -> None:
        alive = [order for order in self.orders.values() if not order.ended]
        chosen = [order for order in alive if note.type == _ALL or order.instrument == note.instrument]
        extra: tuple[Field, ...] = ((584, note.name), (911, b"%d" % len(chosen)))
        for at, order in enumerate(chosen, 1):
            if at == len(chosen):
                extra += ((912, b"Y"),)
            self._execution(order, Event(b"%b.%d" % (_id(row), at), b"I", _at(row), extra=extra))
        if not chosen:
            text = b"no open orders"
            self._say(no_execution(Nothing(b"", b"", 0, _id(row), b"I", 5, _at(row), text, extra=extra)))

    # ---- outcomes ----------------------------------------------------------------------------------------------------

    def _on_accepted(self, row: Any, terms: Any, note: Note) -> None:
        bits = int(row["client_order_id"])
        order = self.orders[bits] = Order(note.name, bits, int(row["account"]), int(row["instrument"]), note.side)
        order.id, order.tif, order.flags = int(row["order_id"]), int(terms["tif"]), int(terms["order_flags"])
        order.display_lots, order.expire_ns = int(terms["display_lots"]), int(terms["expire_ns"])
        order.quantity_lots = int(row["quantity_lots"])
        self._terms(order, terms)
        self._execution(order, Event(_id(row), b"0", _at(row)))

    def _terms(self, order: Order, terms: Any) -> None:
        order.type = int(terms["order_type"])
        order.price_ticks, order.stop_price_ticks = int(terms["price_ticks"]), int(terms["stop_price_ticks"])
        order.leaves_lots = int(terms["leaves_lots"])

    def _on_rejected(self, row: Any, note: Note) -> None:
        code = int(row["code"])
        if note.kind is NoteKind.MASS_CANCEL:
            self._say(mass_cancel_report(MassCancel(note.name, 0, note.type, None, code, _at(row))))
            return
        if note.kind is not NoteKind.NEW:
            self._on_change_rejected(row, note)
            return
        instrument = self._symbols.get(int(row["instrument"]))
        symbol = b"" if instrument is None else instrument.name
        said = Nothing(
            note.name, symbol, note.side, _id(row), b"8", new_reason(code), _at(row), code_text(code),
            int(row["account"]),
        )  # fmt: skip
        self._say(no_execution(said))

    def _on_trade(self, row: Any, other_leg: bool) -> None:
        order = self.orders.get(int(row["client_order_id"]))
        instrument = None if order is None else self._symbols.get(order.instrument)
        if order is None or instrument is None or order.id != row["order_id"]:
            return
        lots, ticks = int(row["quantity_lots"]), int(row["price_ticks"])
        order.trade(ticks, lots, int(row["leaves_lots"]))
        extra: tuple[Field, ...] = (
            (32, quantity_text(lots, instrument)),
            (31, price_text(ticks, instrument)),
        )
        if not row["flags"] & EventFlag.AUCTION:
            extra += ((851, b"1" if other_leg else b"2"),)
        self._execution(order, Event(b"%b.%d" % (_id(row), other_leg), b"F", _at(row), extra=extra))

    def _on_taken_off(self, row: Any, other_leg: bool, note: Note | None) -> None:
        order = self.orders.get(int(row["client_order_id"]))
        if order is None or order.id != row["order_id"]:
            return
        code = int(row["code"])
        extra: tuple[Field, ...] = ((58, code_text(code)),)
        exec_id = b"%b.%d" % (_id(row), other_leg)
        if row["kind"] == EventKind.REDUCED:
            order.leaves_lots = int(row["leaves_lots"])
            order.quantity_lots = order.traded_lots + order.leaves_lots
            self._execution(order, Event(exec_id, b"D", _at(row), extra=((378, b"5"), *extra)))
            return
        former = b""
        if note is not None and note.kind in (NoteKind.CANCEL, NoteKind.REPLACE):
            former, order.name = order.name, note.name
            self.used[note.name] = order.bits
        order.end(EXPIRED if code in EXPIRING else CANCELED)
        self._execution(order, Event(exec_id, order.status, _at(row), former, extra))

    def _on_replaced(self, row: Any, terms: Any, other_leg: bool, note: Note | None) -> None:
        order = self.orders.get(int(row["client_order_id"]))
        if order is None or order.id != row["order_id"]:
            return
        if other_leg:
            # Another session of the account has it from here on.
            order.end(CANCELED)
            text: tuple[Field, ...] = ((58, b"another session has replaced it, and has it now"),)
            self._execution(order, Event(_id(row), CANCELED, _at(row), extra=text))
            return
        former = b""
        if note is not None and note.kind is NoteKind.REPLACE:
            former, order.name = order.name, note.name
            self.used[note.name] = order.bits
        self._terms(order, terms)
        order.quantity_lots = order.traded_lots + order.leaves_lots
        order.status = PARTIALLY_FILLED if order.traded_lots else NEW
        self._execution(order, Event(_id(row), b"5", _at(row), former))

    def _on_change_rejected(self, row: Any, note: Note) -> None:
        order = self.orders.get(int(row["client_order_id"]))
        former = b"" if order is None else order.name
        replaces = note.kind is NoteKind.REPLACE
        self._say(cancel_reject(Refusal(note.name, former, order, int(row["code"]), replaces, _at(row))))

    def _on_triggered(self, row: Any, terms: Any) -> None:
        order = self.orders.get(int(row["client_order_id"]))
        if order is None or order.id != row["order_id"]:
            return
        self._terms(order, terms)
        text: tuple[Field, ...] = ((378, b"99"), (58, b"its stop price was reached"))
        self._execution(order, Event(_id(row), b"D", _at(row), extra=text))

    def _execution(self, order: Order, event: Event) -> None:
        instrument = self._symbols.get(order.instrument)
        if instrument is None:
            raise ValueError(f"instrument {order.instrument} has orders, and was never defined")
        self._say(execution(order, instrument, event))

    def _say(self, said: Body) -> None:
        self.bodies.append(said)


def _at(row: Any) -> int:
    return int(row["timestamp_ns"])


def _id(row: Any) -> bytes:
    """ExecID: the event's."""
    return b"%d.%d" % (int(row["seq"]), int(row["index"]))
