"""What the signed manifests of moves say, as a chain: of each day in which tier it is, and which files it has.

The catalogue is a database that whoever has it can edit. What it says of a day that has moved counts only where the
newest manifest of that day says the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from lockstep.posttrade.archive.catalogue import Part
from lockstep.posttrade.archive.schema import COLD, WARM
from lockstep.posttrade.audit import manifest
from lockstep.posttrade.audit.manifest import ManifestFault, bytes_of

Entry = Mapping[str, Any]
"""Of a file, as its manifest has it."""
NAMES: Final = (
    "instrument", "records", "first_seq", "last_seq", "file", "file_bytes", "sha256", "root", "version_id",
)  # fmt: skip
"""Of a part, what its manifest says of it."""
_NUMBERS: Final = ("instrument", "records", "first_seq", "last_seq", "file_bytes")


@dataclass(frozen=True, slots=True)
class SignedDay:
    """What the newest manifest of a day says."""

    number: int
    """Of the manifest."""
    day: str
    tier: str
    files: dict[int, Entry]
    """By instrument."""
    until: datetime | None
    """Locked so long, in the cold tier."""
    loaded: int
    """Manifest of the trail up to which the archive was loaded when the day moved."""


@dataclass(slots=True)
class Signed:
    """The chain of moves as far as it can be believed."""

    moved: tuple[int, str] = (0, manifest.NOTHING)
    """(number, hash) of its end, as the catalogue says."""
    days: dict[str, SignedDay] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)
    """By file that any manifest names: its SHA-256, from each."""
    fingerprint: str = ""
    """Of the key that signed it."""
    loaded: int = 0
    """The furthest manifest of the trail that any move names."""
    fault: str = ""
    """Why what follows can't be believed; empty: the chain is whole."""

    def take(self, move: SignedDay) -> None:
        """The next one."""
        self.days[move.day] = move
        self.loaded = max(self.loaded, move.loaded)
        for entry in move.files.values():
            self.files.setdefault(entry["file"], set()).add(entry["sha256"])


def manifest_file(number: int) -> str:
    """Of a move."""
    return f"move-{number:010d}.json"


def entry_of(part: Part) -> dict[str, Any]:
    """What a manifest says of a part."""
    return {name: asdict(part)[name] for name in NAMES}


def signed_in(directory: Path, newest: int, sealed: str, before: Signed | None = None) -> Signed:
    """The moves whose manifests are in a directory. `newest`, `sealed`: number and hash of the last one.

    `before`: what was read before, and is gone on with where that was whole.
    """
    found = before if before is not None and not before.fault and before.moved[0] <= newest else Signed()
    begin, previous = found.moved
    found.moved = newest, sealed
    try:
        for number in range(begin + 1, newest + 1):
            raw, move, said, fingerprint = _read(directory / manifest_file(number))
            if move.number != number or said != previous:
                raise ManifestFault(f"{manifest_file(number)} does not follow from the one before it")
            if found.fingerprint and fingerprint != found.fingerprint:
                raise ManifestFault(f"{manifest_file(number)} is signed with another key than the first one")
            previous, found.fingerprint = manifest.hash_of(raw), fingerprint
            found.take(move)
        if previous != sealed:
            raise ManifestFault(f"{manifest_file(newest)} is not the one that the catalogue names")
    except ManifestFault as fault:
        found.fault = str(fault)
    return found


def beyond(directory: Path, newest: int) -> list[tuple[str, SignedDay | None]]:
    """Files that could be manifests of moves, and that the catalogue does not count; None: one is none."""
    known = {manifest_file(number) for number in range(1, newest + 1)}
    found: list[tuple[str, SignedDay | None]] = []
    for path in sorted(directory.glob("move-*.json")):
        if path.name in known:
            continue
        try:
            move = _read(path)[1]
            found.append((path.name, move if manifest_file(move.number) == path.name else None))
        except ManifestFault:
            found.append((path.name, None))
    return found


def _read(path: Path) -> tuple[bytes, SignedDay, str, str]:
    """(its bytes, what it says, hash of the one before it, fingerprint of its key)."""
    try:
        raw = bytes_of(path)
    except OSError as error:
        raise ManifestFault(f"{path.name} can't be read: {error.strerror}") from error
    try:
        body, fingerprint = manifest.read(raw)
        return raw, _day_of(body), str(body["previous"]), fingerprint
    except ManifestFault as fault:
        raise ManifestFault(f"{path.name}: {fault}") from fault
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestFault(f"{path.name} is no manifest of a move: {error!r}") from error


def _day_of(body: dict[str, Any]) -> SignedDay:
    day, tier = str(date.fromisoformat(body["day"])), body["tier"]
    if tier not in (WARM, COLD):
        raise ValueError(f"there is no tier {tier!r:.40}")
    files: dict[int, Entry] = {}
    for entry in body["files"]:
        for name in NAMES:
            if type(entry[name]) is not (int if name in _NUMBERS else str):
                raise TypeError(f"{name} of a file is {entry[name]!r:.40}")
        files[entry["instrument"]] = entry
    until = datetime.fromisoformat(body["locked_until"]) if tier == COLD else None
    if until is not None and until.tzinfo is None:
        raise ValueError("locked_until has no time zone")
    number, loaded = body["number"], body["trail"]["manifest"]
    if type(number) is not int or type(loaded) is not int:
        raise TypeError("its number, or that of the trail's manifest, is none")
    return SignedDay(number, day, tier, files, until, loaded)
