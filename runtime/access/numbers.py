"""Client numbers that are somebody else's: of a client of the configuration, or of who had them before, though nobody
here can verify that any more, as after a change of the cluster's key. Pure.

Engines keep sessions for ever, and a session is its client number's. A document that was written with a key that is not
known here lets nobody in; but who is in it had sessions, and their numbers go to nobody else.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lockstep.runtime.access.registry import MAX_BYTES, Registry
from lockstep.runtime.topology import OPERATOR_NUMBERS, Principal

NOBODY: Final = ""
"""In place of a name: of somebody who was revoked."""


def numbers_named(raw: bytes | None) -> Mapping[int, str]:
    """Who has or had which number, as a document says that may be anybody's. Nothing, of what is no document."""
    try:
        if raw is None or len(raw) > MAX_BYTES:
            return {}
        row = json.loads(json.loads(raw)["registry"])
        had = {number: NOBODY for number in row["retired"] if _is_number(number)}
        return had | {one["number"]: str(one["name"]) for one in row["entries"] if _is_number(one["number"])}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def highest(numbers: Iterable[int]) -> int:
    """Above which numbers are given. 0: anywhere, as also where there would be too few."""
    found = max(numbers, default=0)
    return found if found < OPERATOR_NUMBERS // 2 else 0


def clashes(registry: Registry, clients: Iterable[Principal]) -> dict[str, str]:
    """Stored principals that have something of a client of the configuration, by name, and what it is.

    A session is its client number's, a budget its name's: two who share one would have each other's.
    """
    found: dict[str, str] = {}
    for client in clients:
        for entry in registry.entries:
            users = {one.user for one in entry.credentials if one.user}
            shared = [
                *([f"client number {client.number}"] if entry.number == client.number else ()),
                *(["name"] if entry.name == client.name else ()),
                *([f"user {client.soup_user!r} of the binary door"] if client.soup_user in users else ()),
            ]
            if shared:
                found[entry.name] = f"it has the {' and the '.join(shared)} of the [[client]] {client.name!r}"
    return found


def clashes_with_former(registry: Registry, former: Mapping[int, str]) -> dict[str, str]:
    """Stored principals that have somebody else's number, by name, and what it is."""
    return {
        entry.name: f"its client number {entry.number} was {former[entry.number] or 'a revoked one'}'s, as principals "
        "say that were kept here and written with another key"
        for entry in registry.entries
        if former.get(entry.number, entry.name) != entry.name
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and 0 < value < OPERATOR_NUMBERS
