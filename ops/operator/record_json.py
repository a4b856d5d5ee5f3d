"""Commands, events and batches of the stream as JSON objects with every field, and back, byte for byte. Pure.

What a journal holds can be rebuilt, and replayed, from these objects alone:

* the fields are those of the record's layout (`lockstep.stream.records`), by their names, zeros included;
* integers of 64 bits are decimal texts, as in protobuf's JSON: many readers of JSON keep no more than 53 bits. `seq`,
  `first_seq`, `epoch` and `count` of a row or batch are plain numbers: they count up from 1;
* a number that has a name (kind, side, type, time in force, phase, code ...) is that name, flags are a list of names;
  one without a name stays a number, so that records of a newer version are kept, too;
* bytes that a layout reserves are left out where they are zero, else hexadecimal digits.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any, Final

import numpy as np

from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    EVENT,
    EVENT_LAYOUTS,
    KINDS,
    AccountFlag,
    AccountStatus,
    AckPolicy,
    CommandKind,
    Commands,
    EventFlag,
    EventKind,
    LimitState,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    Phase,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

Layout = np.dtype[np.void]

_WORDS: Final[Mapping[str, type[IntEnum]]] = {
    "side": Side,
    "order_type": OrderType,
    "tif": TimeInForce,
    "stp": SelfTradePrevention,
    "code": Code,
    "policy": AckPolicy,
}
_VALUES: Final = ("value", "next_value", "previous_value")
_COMMAND_VALUES: Final = {
    CommandKind.SET_PHASE: Phase,
    CommandKind.SET_ACCOUNT_STATUS: AccountStatus,
}
_EVENT_VALUES: Final = {
    EventKind.PHASE_CHANGED: Phase,
    EventKind.ACCOUNT_STATUS_SET: AccountStatus,
    EventKind.LIMIT_STATE_CHANGED: LimitState,
}
_COMMAND_FLAGS: Final = {
    CommandKind.NEW_ORDER: OrderFlag,
    CommandKind.MASS_CANCEL: MassCancelFlag,
    CommandKind.DEFINE_ACCOUNT: AccountFlag,
}
_WIDE: Final = 8
"""Bytes of an integer that is a text."""


def command_layout(kind: int) -> Layout:
    """The layout of a command record; that of orders for kinds without one of their own."""
    return KINDS[CommandKind(kind)][0] if kind in CommandKind else COMMAND


def event_layout(kind: int) -> Layout:
    """The layout of an event record."""
    return EVENT_LAYOUTS[EventKind(kind)] if kind in EventKind else EVENT


def command_to_json(record: Any) -> dict[str, Any]:
    """Every field of a command record, by its kind's layout."""
    return _to_json(record, command_layout(int(record["kind"])), _command_words(int(record["kind"])), CommandKind)


def command_from_json(fields: Mapping[str, Any]) -> bytes:
    """The 128 bytes of the command that `command_to_json` described.

    Raises:
        KeyError, ValueError: a field is missing, or has no such value.
    """
    kind = _number(fields["kind"], CommandKind)
    return _from_json(fields, command_layout(kind), _command_words(kind), CommandKind)


def event_to_json(event: Any) -> dict[str, Any]:
    """Every field of an event record, by its kind's layout."""
    return _to_json(event, event_layout(int(event["kind"])), _event_words(int(event["kind"])), EventKind)


def event_from_json(fields: Mapping[str, Any]) -> bytes:
    """The 160 bytes of the event that `event_to_json` described.

    Raises:
        KeyError, ValueError: a field is missing, or has no such value.
    """
    kind = _number(fields["kind"], EventKind)
    return _from_json(fields, event_layout(kind), _event_words(kind), EventKind)


def batch_to_json(batch: Batch, digest: bytes | None) -> dict[str, Any]:
    """What the journal keeps of a batch beside its commands. `digest`: the engine's after it; None: not kept."""
    return {
        "first_seq": batch.first_seq,
        "count": batch.count,
        "epoch": batch.epoch,
        "timestamp_ns": str(batch.timestamp_ns),
        "digest": None if digest is None else digest.hex(),
    }


def batch_from_json(fields: Mapping[str, Any], commands: Commands) -> Batch:
    """The batch that `batch_to_json` described, with its commands: its `raw` is the journal's entry."""
    return stamp_batch(
        commands,
        epoch=int(fields["epoch"]),
        first_seq=int(fields["first_seq"]),
        timestamp_ns=int(fields["timestamp_ns"]),
    )


Words = Mapping[str, type[IntEnum] | type[IntFlag]]


def _command_words(kind: int) -> Words:
    words: dict[str, type[IntEnum] | type[IntFlag]] = dict(_WORDS)
    values = next((value for known, value in _COMMAND_VALUES.items() if known == kind), None)
    flags = next((value for known, value in _COMMAND_FLAGS.items() if known == kind), None)
    if values is not None:
        words |= dict.fromkeys(_VALUES, values)
    if flags is not None:
        words["flags"] = flags
    if kind == CommandKind.SET_PRICE_LIMITS:
        words["breaker_phase"] = Phase
    return words


def _event_words(kind: int) -> Words:
    words: dict[str, type[IntEnum] | type[IntFlag]] = {**_WORDS, "flags": EventFlag, "order_flags": OrderFlag}
    values = next((value for known, value in _EVENT_VALUES.items() if known == kind), None)
    if values is not None:
        words |= dict.fromkeys(_VALUES, values)
    if kind == EventKind.ACCOUNT_DEFINED:
        words["flags"] = AccountFlag
    return words


def _to_json(record: Any, layout: Layout, words: Words, kinds: type[IntEnum]) -> dict[str, Any]:
    row = np.frombuffer(record.tobytes(), layout)[0]
    fields: dict[str, Any] = {}
    for name in layout.names or ():
        value = row[name]
        dtype = layout[name]
        if name == "kind":
            fields[name] = _word(int(value), kinds)
        elif dtype.kind == "V":
            if any(raw := value.tobytes()):
                fields[name] = raw.hex()
        elif dtype.kind == "S":
            # Names are ASCII; whatever else may stand there comes back as it was.
            fields[name] = bytes(value).decode("latin-1")
        else:
            found = _word(int(value), words[name]) if name in words else int(value)
            fields[name] = str(found) if isinstance(found, int) and dtype.itemsize == _WIDE else found
    return fields


def _from_json(fields: Mapping[str, Any], layout: Layout, words: Words, kinds: type[IntEnum]) -> bytes:
    row = np.zeros(1, layout)
    unknown = set(fields) - set(layout.names or ())
    if unknown:
        raise ValueError(f"no such fields in a {fields['kind']}: {', '.join(sorted(unknown))}")
    for name in layout.names or ():
        dtype = layout[name]
        if dtype.kind == "V":
            row[name] = np.frombuffer(bytes.fromhex(fields.get(name, "00" * dtype.itemsize)), dtype)
        elif dtype.kind == "S":
            row[name] = fields[name].encode("latin-1")
        else:
            row[name] = _number(fields[name], kinds if name == "kind" else words.get(name))
    return row.tobytes()


def _word(number: int, words: type[IntEnum] | type[IntFlag]) -> Any:
    names = _names(words)
    if issubclass(words, IntFlag):
        bits = [bit for bit in names if number & bit]
        return [names[bit] for bit in bits] if sum(bits) == number else number
    return names.get(number, number)


@cache
def _names(words: type[IntEnum] | type[IntFlag]) -> dict[int, str]:
    return {int(member): name for name, member in words.__members__.items()}


def _number(value: Any, words: type[IntEnum] | type[IntFlag] | None) -> int:
    if words is not None and isinstance(value, list):
        return sum(int(words[name]) for name in value)
    if words is not None and isinstance(value, str) and value in words.__members__:
        return int(words[value])
    return int(value)
