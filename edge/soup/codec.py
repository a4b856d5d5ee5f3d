"""A client's OUCH session in plain Python: its packets to COMMAND records, its EVENT records to packets. Pure.

The executable specification of `native/codec.hpp`, which is what the door uses; tests hold the two together byte by
byte.

A session's messages are numbered 1, 2, 3 ... as its rows (`gateway/reports.py`) say them, from the session's first row
on. Which row says what depends on the rows before it alone. So whoever has all rows of a session, in order, has the
same messages under the same numbers; nobody needs to store them.

A token is used for ever: an order, or a replacement, under a token that was used is dropped without a word, since its
outcome is among the messages. What the stream has no field for is *noted*: a REFUSED command with code NOTED, whose
event brings the token back. A note speaks of the command of the next number. Refusals of the door are REFUSED
commands, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.edge.soup import ouch
from lockstep.edge.soup.entry import Fault, Fields, keeps_time_in_force, manner_fault, order_of
from lockstep.edge.soup.instruments import Instruments, lots_of, price_of, shares_of, ticks_of
from lockstep.edge.soup.ouch import Halt, Note
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    ORDER_EVENT,
    CommandKind,
    EventFlag,
    EventKind,
    Events,
    OrderFlag,
    OrderType,
    ReplaceFlag,
    Side,
    TimeInForce,
)

MAX_PACKET: Final = 1024
_NS_PER_S: Final = 1_000_000_000
_NS_PER_DAY: Final = 86_400 * _NS_PER_S
_CROSSES: Final[dict[int, bytes]] = {TimeInForce.AT_OPEN: b"O", TimeInForce.AT_CLOSE: b"C"}
_NO_OUTCOME: Final = (Code.KEY_REUSED, Code.SESSION_OUT_OF_ORDER)
"""A number was refused because another command has it, or a lower one is missing: nothing has happened."""


@dataclass(slots=True)
class _Live:
    """What has to be known of an order while it is alive. `pending`: the token of a replace that is under way."""

    token: bytes = b""
    pending: bytes = b""
    account: int = 0
    instrument: int = 0
    side: int = 0
    tif: int = 0
    flags: int = 0


@dataclass(slots=True)
class _Reading:
    """One call of `decode`."""

    next_no: int
    now_ns: int
    commands: list[Fields] = field(default_factory=list)


class Codec:
    """See the module. Invariant: a live order's bits are those that its token, or the token before it, was used for."""

    def __init__(
        self,
        instruments: Instruments,
        *,
        session_id: int,
        gateway: int,
        account: int,
        accounts: Sequence[int],
        stp: int,
        max_tokens: int,
        seed: int = 0,
    ) -> None:
        """`account`: of orders that name no firm. `accounts`: that may be traded, empty: all. `stp`: of all orders.

        `seed`: of the native twin's hash tables.
        """
        del seed
        self.next_message = 1
        """Number of the next message to the client."""
        self._instruments = instruments
        self._session_id, self._gateway = session_id, gateway
        self._account, self._accounts = account, tuple(accounts)
        self._stp = stp
        self._max_tokens = max_tokens
        self._tokens: dict[bytes, int] = {}
        self._live: dict[int, _Live] = {}
        self._noted, self._noted_no = ouch.BLANK_TOKEN, 0
        self._out: list[bytes] = []
        self._emit_from = 1

    @property
    def used(self) -> int:
        """Tokens that were used."""
        return len(self._tokens)

    @property
    def alive(self) -> int:
        """Orders that live, or are under way."""
        return len(self._live)

    # ---- from the client -----------------------------------------------------------------------------------------

    def decode(self, data: bytes, next_no: int, room: int, now_ns: int) -> tuple[int, int, int, bytes]:
        """Whole packets of `data`, as many as fit into `room` commands numbered from `next_no`.

        Returns bytes consumed, packets looked at, a `Halt`, and COMMAND records.
        """
        reading = _Reading(next_no, now_ns)
        at = packets = 0
        halt = Halt.NONE
        while halt is Halt.NONE and len(data) - at >= 2:
            length = int.from_bytes(data[at : at + 2], "big")
            if not 1 <= length <= MAX_PACKET:
                halt = Halt.BAD_LENGTH
                break
            if len(data) - at < 2 + length:
                break
            kind, text = data[at + 2 : at + 3], bytes(data[at + 3 : at + 2 + length])
            if kind == b"U":
                if len(reading.commands) + 2 > room:
                    break
                halt = self._message(text, reading)
            elif kind == b"O":
                halt = Halt.LOGOUT
            elif kind not in (b"R", b"+"):
                halt = Halt.UNKNOWN_PACKET
            packets += 1
            if halt > Halt.LOGOUT:
                break
            at += 2 + length
        return at, packets, int(halt), self._records(reading)

    def _records(self, reading: _Reading) -> bytes:
        records = np.zeros(len(reading.commands), dtype=COMMAND)
        for at, fields in enumerate(reading.commands):
            for name, value in fields.items():
                records[name][at] = value
        records["gateway"] = self._gateway
        records["session_id"] = self._session_id
        records["session_no"] = np.arange(reading.next_no, reading.next_no + len(records), dtype=np.uint64)
        records["received_ns"] = reading.now_ns
        return records.tobytes()

    def _message(self, text: bytes, reading: _Reading) -> Halt:
        kind = text[:1]
        if len(text) not in ouch.SIZES.get(kind, ()):
            return Halt.UNKNOWN_MESSAGE
        if not ouch.is_token(text[1:15]) or (kind == b"U" and not ouch.is_token(text[15:29])):
            return Halt.BAD_TOKEN
        if self.used >= self._max_tokens and kind in (b"O", b"U"):
            return Halt.FULL
        if kind == b"O":
            self._enter(text, reading)
        elif kind == b"U":
            self._replace(text, reading)
        else:
            self._cancel(kind, text, reading)
        return Halt.NONE

    def _enter(self, text: bytes, reading: _Reading) -> None:
        token = text[1:15]
        if token in self._tokens:
            return
        order = order_of(text, reading.now_ns, self._instruments, self._account, self._accounts)
        if isinstance(order, Fault):
            self._refuse(Note.ENTER, token, order, reading)
            return
        bits = ouch.packed(token)
        if bits & ouch.TOP:
            self._note(Note.ENTER, token, Fault(Code.NOTED, b"\0"), reading)
        reading.commands.append(order | {"client_order_id": bits, "stp": self._stp})
        self._tokens[token] = bits
        self._live[bits] = _Live(
            token, b"", order["account"], order["instrument"], order["side"], order["tif"], order["flags"]
        )

    def _replace(self, text: bytes, reading: _Reading) -> None:
        existing, replacement, shares, price, seconds, display, sweep, minimum = ouch.REPLACE.unpack(text[1:])
        if replacement in self._tokens:
            return
        bits, live = self._named(existing)
        if live is None:
            self._refuse(Note.REPLACE, replacement, Fault(Code.UNKNOWN_ORDER, b"O"), reading)
            return
        instrument = self._instruments.get(live.instrument)
        lots = lots_of(shares, instrument)
        ticks = 0 if price == ouch.MARKET_PRICE else ticks_of(price, instrument)
        if not lots:
            fault: Fault | None = Fault(Code.BAD_QUANTITY, b"Z")
        elif not ticks:
            fault = Fault(Code.BAD_PRICE, b"X")
        else:
            fault = manner_fault(display, sweep, minimum, live.flags)
        if fault is None and not keeps_time_in_force(seconds, live.tif):
            fault = Fault(Code.NOT_SUPPORTED, b"O")
        if fault is not None:
            self._refuse(Note.REPLACE, replacement, fault, reading)
            return
        self._note(Note.REPLACE, replacement, Fault(Code.NOTED, b"\0"), reading)
        order = _addressed(CommandKind.REPLACE, live, bits)
        reading.commands.append(order | {"flags": int(ReplaceFlag.TOTAL), "quantity_lots": lots, "price_ticks": ticks})
        self._tokens[replacement] = bits
        live.pending = replacement

    def _cancel(self, kind: bytes, text: bytes, reading: _Reading) -> None:
        """Cancel Order and Modify Order. One that names no live order is without effect, as the protocol has it."""
        token = text[1:15]
        bits, live = self._named(token)
        if live is None:
            return
        if kind == b"M":
            self._note(Note.CANCEL, token, Fault(Code.NOT_SUPPORTED, b"O"), reading)
            return
        _, shares = ouch.CANCEL.unpack(text[1:])
        if not shares:
            reading.commands.append(_addressed(CommandKind.CANCEL, live, bits))
            return
        lots = lots_of(shares, self._instruments.get(live.instrument))
        if not lots:
            self._note(Note.CANCEL, token, Fault(Code.BAD_QUANTITY, b"O"), reading)
            return
        flags = int(ReplaceFlag.TOTAL | ReplaceFlag.CUT)
        reading.commands.append(_addressed(CommandKind.REPLACE, live, bits) | {"flags": flags, "quantity_lots": lots})

    def _named(self, token: bytes) -> tuple[int, _Live | None]:
        """The live order that a client means by a token."""
        bits = self._tokens.get(token, 0)
        live = self._live.get(bits) if bits else None
        return bits, live if live is not None and token in (live.token, live.pending) else None

    def _note(self, kind: Note, token: bytes, fault: Fault, reading: _Reading) -> None:
        first, last = ouch.halves(token)
        reading.commands.append(
            {
                "kind": CommandKind.REFUSED,
                "account": self._account,
                "order_id": ouch.TOP | kind << 55 | fault.reason[0] << 48 | first,
                "client_order_id": last,
                "tag": fault.code,
            }
        )

    def _refuse(self, kind: Note, token: bytes, fault: Fault, reading: _Reading) -> None:
        self._note(kind, token, fault, reading)
        self._tokens[token] = 0

    # ---- to the client -------------------------------------------------------------------------------------------

    def encode(self, rows: Events, legs: NDArray[np.uint8], emit_from: int) -> bytes:
        """Sequenced packets of what happened to the session, from message `emit_from` on.

        `rows`, `legs`: as `gateway/reports.py` has them, shape (n,) both.
        """
        self._out, self._emit_from = [], emit_from
        orders = np.frombuffer(rows.tobytes(), dtype=ORDER_EVENT)
        for row, order, leg in zip(rows, orders, legs, strict=True):
            self._on_row(row, order, bool(leg))
        return b"".join(self._out)

    def _on_row(self, row: Any, order: Any, other_leg: bool) -> None:
        if self.next_message == 1:
            self._say(b"S" + _time(row) + b"S")
        match int(row["kind"]):
            case EventKind.ACCEPTED:
                self._on_accepted(row, order, other_leg)
            case EventKind.REJECTED:
                self._on_rejected(row)
            case EventKind.TRADE:
                self._on_trade(row, other_leg)
            case EventKind.CANCELED | EventKind.REDUCED:
                self._on_taken_off(row, other_leg)
            case EventKind.REPLACED:
                self._on_replaced(row, order, other_leg)
            case EventKind.CANCEL_REJECTED:
                self._on_cancel_rejected(row)
            case EventKind.REPLACE_REJECTED:
                self._on_replace_rejected(row)
            case _:
                pass

    def _is_noted(self, row: Any) -> bool:
        """Whether a note says what the command of this number is about."""
        return bool(self._noted_no and row["session_no"] == self._noted_no + 1)

    def _token_of(self, row: Any) -> bytes | None:
        """The token of a new order."""
        bits = int(row["client_order_id"])
        if bits & ouch.TOP:
            return self._noted if self._is_noted(row) else None
        return ouch.unpacked(bits)

    def _on_accepted(self, row: Any, order: Any, other_leg: bool) -> None:
        # The session may have given an order of another instrument over gRPC.
        known = not other_leg and self._instruments.knows(int(row["instrument"]))
        token = self._token_of(row) if known else None
        if token is None:
            return
        bits = int(row["client_order_id"])
        self._tokens[token] = bits
        live = self._live.setdefault(bits, _Live())
        live.token = token
        live.account, live.instrument, live.side = int(row["account"]), int(row["instrument"]), int(row["side"])
        live.tif, live.flags = int(order["tif"]), int(order["order_flags"])
        self._say(b"A" + _time(row) + token + self._terms(order, live) + b"L ")

    def _on_rejected(self, row: Any) -> None:
        code = int(row["code"])
        if code in _NO_OUTCOME:
            return
        noted, last = int(row["order_id"]), int(row["client_order_id"])
        if not noted & ouch.TOP:
            token = self._token_of(row)
            if token is not None:
                self._tokens[token] = 0
                self._live.pop(last, None)
                self._say(b"J" + _time(row) + token + ouch.reject_reason(code))
            return
        token, kind = ouch.joined(noted & (1 << 48) - 1, last), noted >> 55 & 0xFF
        if code == Code.NOTED:
            self._noted, self._noted_no = token, int(row["session_no"]) if kind else 0
        elif kind == Note.CANCEL:
            self._say(b"I" + _time(row) + token)
        else:
            self._tokens[token] = 0
            reason = noted >> 48 & 0x7F
            self._say(b"J" + _time(row) + token + (bytes((reason,)) if reason else b""))

    def _on_trade(self, row: Any, other_leg: bool) -> None:
        bits = int(row["client_order_id"])
        live = self._live.get(bits)
        if live is None:
            return
        instrument = self._instruments.get(int(row["instrument"]))
        liquidity = b"R" if not other_leg else b"J" if live.flags & OrderFlag.HIDDEN else b"A"
        if row["flags"] & EventFlag.AUCTION:
            liquidity = b"C" if live.tif == TimeInForce.AT_CLOSE else b"O"
        match_no = int(row["seq"]) << 20 & (1 << 64) - 1 | int(row["index"]) & 0xFFFFF
        shares, price = shares_of(row["quantity_lots"], instrument), price_of(row["price_ticks"], instrument)
        self._say(b"E" + _time(row) + live.token + ouch.EXECUTED.pack(shares, price, liquidity, match_no))
        if row["leaves_lots"] == 0:
            del self._live[bits]

    def _on_taken_off(self, row: Any, other_leg: bool) -> None:
        bits = int(row["client_order_id"])
        live = self._live.get(bits)
        if live is None:
            return
        instrument = self._instruments.get(int(row["instrument"]))
        shares = shares_of(row["quantity_lots"], instrument)
        if row["code"] == Code.SELF_TRADE:
            price = price_of(row["price_ticks"], instrument)
            liquidity = b"A" if other_leg else b"R"
            self._say(b"D" + _time(row) + live.token + ouch.AIQ_CANCELED.pack(shares, b"Q", shares, price, liquidity))
        else:
            self._canceled(row, live, shares, ouch.cancel_reason(int(row["code"]), own=not other_leg))
        if self._is_noted(row) and not other_leg:
            self._tokens[self._noted] = 0
        if row["kind"] == EventKind.CANCELED:
            del self._live[bits]

    def _on_replaced(self, row: Any, order: Any, other_leg: bool) -> None:
        bits = int(row["client_order_id"])
        live = self._live.get(bits)
        if live is None:
            return
        instrument = self._instruments.get(int(row["instrument"]))
        if other_leg:
            self._canceled(row, live, shares_of(row["previous_leaves_lots"], instrument), ouch.SUPERVISORY)
            del self._live[bits]
            return
        if not self._is_noted(row):
            off = max(0, int(row["previous_leaves_lots"]) - int(row["leaves_lots"]))
            self._canceled(row, live, shares_of(off, instrument), b"U")
            return
        previous, live.token = live.token, self._noted
        if live.pending == self._noted:
            live.pending = b""
        self._tokens[self._noted] = bits
        self._say(b"U" + _time(row) + self._noted + self._terms(order, live) + b"L" + previous + b" ")

    def _on_cancel_rejected(self, row: Any) -> None:
        live = self._live.get(int(row["client_order_id"]))
        if live is not None and row["code"] not in (Code.UNKNOWN_ORDER, *_NO_OUTCOME):
            self._say(b"I" + _time(row) + live.token)

    def _on_replace_rejected(self, row: Any) -> None:
        code = int(row["code"])
        if code in _NO_OUTCOME:
            return
        live = self._live.get(int(row["client_order_id"]))
        if self._is_noted(row):
            if live is not None and live.pending == self._noted:
                live.pending = b""
            self._tokens[self._noted] = 0
            self._say(b"J" + _time(row) + self._noted + ouch.reject_reason(code))
        elif live is not None and code not in (Code.UNKNOWN_ORDER, Code.BAD_QUANTITY):
            self._say(b"I" + _time(row) + live.token)

    def _terms(self, order: Any, live: _Live) -> bytes:
        """What Accepted and Replaced have in common, from the side on."""
        instrument = self._instruments.get(int(order["instrument"]))
        market = order["order_type"] == OrderType.MARKET
        flags = int(order["order_flags"])
        return ouch.TERMS.pack(
            b"B" if order["side"] == Side.BUY else b"S",
            shares_of(order["leaves_lots"], instrument),
            instrument.name,
            ouch.MARKET_PRICE if market else price_of(order["price_ticks"], instrument),
            _seconds(order),
            (b"%d" % live.account if live.account <= ouch.LONGEST_FIRM else b"").ljust(4),
            b"N" if flags & OrderFlag.HIDDEN else b"P" if flags & OrderFlag.POST_ONLY else b"Y",
            int(order["order_id"]),
            b"O",
            b"N",
            0,
            _CROSSES.get(int(order["tif"]), b"N"),
        )

    def _canceled(self, row: Any, live: _Live, shares: int, reason: bytes) -> None:
        self._say(b"C" + _time(row) + live.token + ouch.CANCELED.pack(shares, reason))

    def _say(self, message: bytes) -> None:
        if self.next_message >= self._emit_from:
            self._out.append((len(message) + 1).to_bytes(2, "big") + b"S" + message)
        self.next_message += 1


def _addressed(kind: CommandKind, live: _Live, bits: int) -> Fields:
    return {"kind": kind, "account": live.account, "client_order_id": bits}


def _time(row: Any) -> bytes:
    """Nanoseconds since midnight, UTC, of the event's stamp."""
    return (int(row["timestamp_ns"]) % _NS_PER_DAY).to_bytes(8, "big")


def _seconds(order: Any) -> int:
    """The time in force of an Accepted or Replaced."""
    tif = int(order["tif"])
    if tif in (TimeInForce.IOC, TimeInForce.FOK):
        return 0
    if tif != TimeInForce.GTD:
        return ouch.DAY
    left_ns = int(order["expire_ns"]) - int(order["timestamp_ns"])
    return min(max(-(-left_ns // _NS_PER_S), 1), ouch.LAST_SECOND)
