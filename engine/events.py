"""An iterator of events as values: one class per layout of `lockstep.stream.records`, with the same fields.

The array that `MatchingEngine.apply` gives is the fast way to read events: a column at a time, without an object for
each. These are for programs that look at them one by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Final

from lockstep.engine.command_rows import record_struct
from lockstep.engine.event_values import CLASSES as CLASSES
from lockstep.engine.event_values import AnyEvent as AnyEvent
from lockstep.engine.event_values import ControlEvent as ControlEvent
from lockstep.engine.event_values import DefinitionEvent as DefinitionEvent
from lockstep.engine.event_values import Event as Event
from lockstep.engine.event_values import OrderEvent as OrderEvent
from lockstep.engine.event_values import SettingEvent as SettingEvent
from lockstep.stream.codes import Code
from lockstep.stream.records import EVENT, EVENT_LAYOUTS, EventKind, Events, Side

_NAME: Final = [field.name for field in fields(DefinitionEvent)].index("name") - 5
"""Place of the name behind the five first fields."""
_CODES: Final[dict[int, int]] = {int(code): code for code in Code}
_SIDES: Final[dict[int, int]] = {int(side): side for side in Side}
_KIND_AT: Final = EVENT.fields["kind"][1] if EVENT.fields is not None else 0


def _reader(kind: EventKind) -> Callable[[bytes, int], AnyEvent]:
    """What makes the value of an event of this kind, of the record at an offset."""
    found: Any = CLASSES[kind]
    layout, _ = record_struct(EVENT_LAYOUTS[kind])
    unpack = layout.unpack_from

    def read(raw: bytes, at: int) -> AnyEvent:
        seq, index, _kind, side, code, *rest = unpack(raw, at)
        value: AnyEvent = found(seq, index, kind, _SIDES.get(side, side), _CODES.get(code, code), *rest)
        return value

    def read_definition(raw: bytes, at: int) -> AnyEvent:
        seq, index, _kind, side, code, *rest = unpack(raw, at)
        rest[_NAME] = rest[_NAME].rstrip(b"\0").decode("ascii", "backslashreplace")
        return DefinitionEvent(seq, index, kind, side, _CODES.get(code, code), *rest)

    return read_definition if found is DefinitionEvent else read


_READERS: Final = {int(kind): _reader(kind) for kind in EventKind}


def each_event(events: Events) -> Iterator[AnyEvent]:
    """The events of an array one by one, in order.

    Args:
        events: what `MatchingEngine.apply` gave: dtype EVENT, shape (n,).

    Raises:
        ValueError: no records of 160 bytes. At the call, not at the first `next`.
    """
    if events.dtype.itemsize != EVENT.itemsize:
        raise ValueError(f"events are records of {EVENT.itemsize} bytes, not {events.dtype.itemsize}")
    raw = events.tobytes()
    return (_READERS[raw[at + _KIND_AT]](raw, at) for at in range(0, len(raw), EVENT.itemsize))
