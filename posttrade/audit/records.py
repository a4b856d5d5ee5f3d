"""Records of the audit trail: one for each command and one for each event, derived from the stream alone. Pure.

A record is one line of canonical JSON: keys in alphabetical order, no blanks, ASCII. Whoever derives it again, from any
journal, years later, gets the same bytes. Prices are decimal text in currency, quantities whole units, times UTC to the
microsecond, as RTS 24 writes them. What is nothing is left out. Names of accounts are left out, too: what may have to
be forgotten must not stand in what can't be changed. Numbers of accounts and clients are in records of version 1; in
those of version 2 pseudonyms stand in their place (`pseudonyms.py`), in those of version 3 in place of numbers of
sessions, too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lockstep.posttrade.audit.uuid7 import record_id
from lockstep.posttrade.chunks import Chunk
from lockstep.stream.batch import Batch
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    DEFINITION_EVENT,
    EVENT_LAYOUTS,
    KINDS,
    CommandKind,
    EventKind,
    Events,
    OrderType,
    Side,
    TimeInForce,
)

PLAIN: Final = 1
"""Version of records that have numbers of accounts and clients: trails that began so go on so."""
NUMBERED_SESSIONS: Final = 2
"""Of records that have pseudonyms, and numbers of sessions as clients drew them."""
VERSION: Final = 3
"""Of the records: raised when the same stream leads to other bytes. 3: with pseudonyms, of sessions as well."""
_MICROS: Final = 1_000_000
_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)
_PRICES: Final = (
    "price_ticks",
    "stop_price_ticks",
    "previous_price_ticks",
    "reference_price_ticks",
    "close_price_ticks",
)
_ENUMS: Final = {"side": Side, "order_type": OrderType, "tif": TimeInForce, "code": Code}
_HEAD: Final = ("gateway", "session_id", "session_no", "account", "received_ns")
"""Of every command."""
_SKIPPED: Final = frozenset({"kind", "seq", "index", "timestamp_ns", "received_ns", "gateway"})


@dataclass(slots=True)
class Instruments:
    """What prices and quantities are worth: (micros of a tick, units of a lot, symbol), by instrument."""

    known: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    defined: dict[int, int] = field(default_factory=dict)
    """By instrument: the seq that defined it."""

    def learn(self, event: Events) -> None:
        """Take an INSTRUMENT_DEFINED."""
        said = event.view(DEFINITION_EVENT)[0]
        name = bytes(said["name"]).rstrip(b"\0").decode("ascii")
        number = int(said["instrument"])
        if number not in self.known:
            self.known[number] = int(said["tick_micros"]), int(said["lot_units"]), name
            self.defined[number] = int(said["seq"])

    def forget_from(self, seq: int) -> None:
        """Not to know what was learned at this seq or behind it."""
        for number in [number for number, defined in self.defined.items() if defined >= seq]:
            del self.known[number], self.defined[number]


def stamp_text(timestamp_ns: int) -> str:
    """UTC to the microsecond."""
    seconds, rest = divmod(timestamp_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def decimal_text(micros: int) -> str:
    """Micros as decimal text in units of the currency, without trailing zeros."""
    whole, rest = divmod(abs(micros), _MICROS)
    return ("-" if micros < 0 else "") + f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def micros_of(text: str) -> int:
    """What `decimal_text` has written."""
    whole, _, rest = text.removeprefix("-").partition(".")
    micros = int(whole) * _MICROS + int(rest.ljust(6, "0"))
    return -micros if text.startswith("-") else micros


def encode(record: dict[str, Any]) -> bytes:
    """The one line that a record is."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def records_of(chunk: Chunk, instruments: Instruments) -> Iterator[tuple[int, dict[str, Any]]]:
    """(seq, record) of a chunk: each command, then its events, in order."""
    at = 0
    events = chunk.events
    seqs = events["seq"]
    for batch in chunk.batches:
        for place in range(batch.count):
            seq = batch.first_seq + place
            yield seq, _command(batch, place, instruments)
            while at < len(events) and int(seqs[at]) == seq:
                if int(events["kind"][at]) == _DEFINED:
                    instruments.learn(events[at : at + 1])
                yield seq, _event(batch, events[at : at + 1], instruments)
                at += 1


def _command(batch: Batch, place: int, instruments: Instruments) -> dict[str, Any]:
    row = batch.records[place : place + 1]
    number, seq = int(row["kind"][0]), batch.first_seq + place
    try:
        kind = CommandKind(number)
        layout, fields = KINDS[kind]
        name = kind.name
    except ValueError:
        # What no engine knows is refused, and recorded all the same.
        layout, fields, name = COMMAND, (), str(number)
    said = row.view(layout)[0]
    values = {field: _value(said, field) for field in (*_HEAD, *fields) if field in (layout.names or ())}
    if name == CommandKind.DEFINE_ACCOUNT.name:
        values.pop("name")
    record = _record("C", batch, seq, 0, name, values, instruments)
    if values.get("received_ns"):
        record["received"] = stamp_text(values["received_ns"])
    if values.get("gateway"):
        record["server"] = f"gateway-{values['gateway']}"
    return record


def _event(batch: Batch, row: Events, instruments: Instruments) -> dict[str, Any]:
    kind = EventKind(int(row["kind"][0]))
    layout = EVENT_LAYOUTS[kind]
    values = {name: _value(row.view(layout)[0], name) for name in layout.names or () if not name.startswith("_")}
    if kind is EventKind.ACCOUNT_DEFINED or (kind is EventKind.ADMIN_REJECTED and not values["instrument"]):
        values.pop("name")
    record = _record("E", batch, int(row["seq"][0]), int(row["index"][0]), kind.name, values, instruments)
    record["outcome"] = "refused" if kind.name.endswith("REJECTED") else "done"
    return record


def _value(row: Any, name: str) -> Any:
    value = row[name]
    return bytes(value).rstrip(b"\0").decode("ascii") if isinstance(value, bytes) else int(value)


def _record(
    what: str, batch: Batch, seq: int, index: int, kind: str, values: dict[str, Any], instruments: Instruments
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "epoch": batch.epoch,
        "id": str(record_id(what, batch.timestamp_ns, batch.epoch, seq, index)),
        "index": index,
        "kind": kind,
        "processed": stamp_text(batch.timestamp_ns),
        "seq": seq,
        "what": "command" if what == "C" else "event",
    }
    tick, lot, symbol = instruments.known.get(values.get("instrument", 0), (0, 0, ""))
    if symbol:
        record["symbol"] = symbol
    for name, value in values.items():
        if name in _SKIPPED or not value:
            continue
        if name in _ENUMS:
            record[name] = _name(name, value)
        elif name in _PRICES and tick:
            record[name.removesuffix("_ticks")] = decimal_text(value * tick)
        elif name.endswith("_lots") and lot:
            record[name.removesuffix("_lots")] = value * lot
        elif name.endswith("_micros"):
            record[name.removesuffix("_micros")] = decimal_text(value)
        else:
            record[name] = value
    return record


def _name(name: str, value: int) -> str:
    try:
        return _ENUMS[name](value).name
    except ValueError:
        # A command is recorded as it came, also where a field is none that there is.
        return str(value)
