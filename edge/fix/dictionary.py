"""What messages may hold: fields, values, repeating groups. Pure. The tables are in `fields.py` and `messages.py`.

A message is looked at once, in the order of its bytes, and the first thing that is wrong is what it is rejected for;
what is missing is looked for last.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from lockstep.edge.fix import tags
from lockstep.edge.fix.fields import FIELDS, FIELDS_50SP2
from lockstep.edge.fix.formats import CHECKS, Type
from lockstep.edge.fix.messages import COMPONENTS, HEADER, HEADER_FIXT, MESSAGES, MESSAGES_FIXT, TRAILER
from lockstep.edge.fix.tags import RejectReason
from lockstep.edge.fix.wire import Field, Message
from lockstep.stream.values import frozen

_FRAME: Final = (tags.BEGIN_STRING, tags.BODY_LENGTH, tags.MSG_TYPE, tags.CHECK_SUM)
FIX_44: Final = b"FIX.4.4"
FIXT_11: Final = b"FIXT.1.1"
FIX_50SP2: Final = b"9"
"""ApplVerID of FIX 5.0 SP2."""


@frozen
class Fault:
    """Why a message is rejected. `tag`: the field it is about, if it is about one."""

    reason: RejectReason
    tag: int | None = None


@frozen
class FieldType:
    """One field. `values`: empty if all of the type are allowed."""

    tag: int
    name: str
    type: Type
    values: frozenset[bytes] = frozenset()

    def fault(self, value: bytes) -> Fault | None:
        """What is wrong with a value."""
        if not value:
            return Fault(RejectReason.EMPTY, self.tag)
        if not CHECKS[self.type](value):
            return Fault(RejectReason.WRONG_FORMAT, self.tag)
        if self.values:
            named = value.split(b" ") if self.type is Type.MULTIPLE else (value,)
            if not self.values.issuperset(named):
                return Fault(RejectReason.WRONG_VALUE, self.tag)
        return None


@frozen
class Layout:
    """Fields of a message, or of one entry of a repeating group. `members`: each tag, with its group if it counts one.

    `first`: the field that begins each entry (0 in a message).
    """

    name: str
    members: Mapping[int, "Layout | None"]
    required: tuple[int, ...] = ()
    first: int = 0


class Dictionary:
    """One version of FIX, as far as this venue speaks it."""

    def __init__(
        self,
        begin: bytes,
        appl_version: bytes,
        fields: Mapping[int, FieldType],
        header: Layout,
        messages: Mapping[bytes, Layout],
        trailer: Layout,
    ) -> None:
        """`appl_version`: what DefaultApplVerID (1137) has to say; empty before FIXT."""
        self.begin, self.appl_version = begin, appl_version
        self.fields, self.header, self.messages, self.trailer = fields, header, messages, trailer
        self._places = {kind: self._places_of(layout) for kind, layout in messages.items()}

    def _places_of(self, layout: Layout) -> dict[int, tuple[int, Layout | None]]:
        """Where each field of a message stands: (0 header, 1 body, 2 trailer), and its group if it counts one."""
        found: dict[int, tuple[int, Layout | None]] = {}
        for section, part in enumerate((self.header, layout, self.trailer)):
            for tag, group in part.members.items():
                found.setdefault(tag, (section, group))
        return found

    def fault(self, message: Message) -> Fault | None:
        """The first thing that is wrong with a message; None if nothing is."""
        places = self._places.get(message.kind)
        if places is None:
            return Fault(RejectReason.INVALID_MSG_TYPE)
        seen = set(_FRAME)
        fields = message.fields
        section = at = 0
        while at < len(fields):
            tag, value = fields[at]
            fault = self._fault_of_field(tag, value)
            if fault is not None:
                return fault
            place = places.get(tag)
            if place is None:
                return Fault(RejectReason.TAG_NOT_DEFINED, tag)
            if tag in seen:
                return Fault(RejectReason.REPEATED, tag)
            if place[0] < section:
                return Fault(RejectReason.OUT_OF_ORDER, tag)
            seen.add(tag)
            section, group = place
            at += 1
            if group is not None:
                end = self._group(fields, group, tag, int(value), at)
                if isinstance(end, Fault):
                    return end
                at = end
        for part in (self.header, self.messages[message.kind], self.trailer):
            if not seen.issuperset(part.required):
                return _missing(part, seen)
        return None

    def _fault_of_field(self, tag: int, value: bytes) -> Fault | None:
        known = self.fields.get(tag)
        return Fault(RejectReason.INVALID_TAG, tag) if known is None else known.fault(value)

    def _group(self, fields: tuple[Field, ...], group: Layout, counter: int, count: int, at: int) -> int | Fault:
        """Where a group ends, whose entries begin at `at`. Nested groups are read by the same rule."""
        entries = 0
        seen: set[int] = set()
        while at < len(fields) and fields[at][0] in group.members:
            tag, value = fields[at]
            fault = self._fault_of_field(tag, value)
            if fault is not None:
                return fault
            if tag == group.first:
                missing = _missing(group, seen) if entries else None
                if missing is not None:
                    return missing
                entries, seen = entries + 1, set()
            elif not entries:
                return Fault(RejectReason.GROUP_OUT_OF_ORDER, tag)
            elif tag in seen:
                return Fault(RejectReason.REPEATED, tag)
            seen.add(tag)
            at += 1
            inner = group.members[tag]
            if inner is not None:
                end = self._group(fields, inner, tag, int(value), at)
                if isinstance(end, Fault):
                    return end
                at = end
        if entries != count:
            return Fault(RejectReason.GROUP_COUNT, counter)
        return (_missing(group, seen) if entries else None) or at


def _missing(group: Layout, seen: set[int]) -> Fault | None:
    return next((Fault(RejectReason.REQUIRED_TAG_MISSING, tag) for tag in group.required if tag not in seen), None)


# ---- from the tables -----------------------------------------------------------------------------------------------


@cache
def fix_44() -> Dictionary:
    """FIX 4.4."""
    fields = _fields(FIELDS)
    layouts = _layouts(MESSAGES)
    return Dictionary(FIX_44, b"", fields, _layout("header", HEADER), layouts, _layout("trailer", TRAILER))


@cache
def fix_50sp2() -> Dictionary:
    """FIX 5.0 SP2 over FIXT 1.1."""
    fields = _fields(FIELDS) | _fields(FIELDS_50SP2)
    layouts = _layouts(MESSAGES) | _layouts(MESSAGES_FIXT)
    return Dictionary(FIXT_11, FIX_50SP2, fields, _layout("header", HEADER_FIXT), layouts, _layout("trailer", TRAILER))


def _fields(table: str) -> dict[int, FieldType]:
    found: dict[int, FieldType] = {}
    for line in table.strip().splitlines():
        tag, name, kind, *values = line.split()
        found[int(tag)] = FieldType(int(tag), name, Type(kind), frozenset(value.encode() for value in values))
    return found


def _layouts(table: str) -> dict[bytes, Layout]:
    found: dict[bytes, Layout] = {}
    for paragraph in table.strip().split("\n\n"):
        title, _, text = paragraph.partition("\n")
        kind, name = title.split()
        found[kind.encode()] = _layout(name, text)
    return found


def _layout(name: str, text: str) -> Layout:
    for component, members in COMPONENTS.items():
        text = text.replace(component, members)
    words = text.replace("[", " [ ").replace("]", " ] ").split()
    layout, end = _members(name, words, 0)
    if end != len(words):
        raise ValueError(f"{name}: a ] too many")
    return layout


def _members(name: str, words: list[str], at: int) -> tuple[Layout, int]:
    """The words of one layout, up to the bracket that closes it."""
    members: dict[int, Layout | None] = {}
    required: list[int] = []
    last = first = 0
    while at < len(words) and words[at] != "]":
        word = words[at]
        at += 1
        if word == "[":
            inner, at = _members(f"{name}.{last}", words, at)
            members[last] = inner
            at += 1
            continue
        last = int(word.rstrip("!"))
        if last in members:
            raise ValueError(f"{name} has field {last} twice")
        first = first or last
        members[last] = None
        if word.endswith("!"):
            required.append(last)
    return Layout(name, members, tuple(required), first), at
