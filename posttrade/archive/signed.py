"""What the signed manifests of moves say, as a chain: of each day in which tier it is, and which files it has.

The catalogue is a database that whoever has it can edit. What it says of a day that has moved counts only where the
newest manifest of that day says the same.
"""

import re
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
_BEGINNING: Final = re.compile(rb'\{"body":\{"day":"([0-9]{4}-[0-9]{2}-[0-9]{2})"')
_PEEKED: Final = 64
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


def signed_in(directory: Path, newest: int, sealed: str) -> Signed:
    """All moves, as a chain. `newest`, `sealed`: number and hash of the last one."""
    found = Signed((newest, sealed))
    previous = manifest.NOTHING
    try:
        for number in range(1, newest + 1):
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


class SignedDays:
    """The newest manifest of one day or another, without reading those of all days: an answer is of few.

    Each is verified for itself; it has to be signed with the key of the first one. What their order proves says
    `signed_in`, which reads all of them.
    """

    def __init__(self, directory: Path, newest: int, sealed: str) -> None:
        self.moved = newest, sealed
        self._directory = directory
        self._numbers = {_day_in(directory / manifest_file(number)): number for number in range(1, newest + 1)}
        self._key = _read(directory / manifest_file(1))[3] if newest else ""
        self._last: SignedDay | None = None

    def between(self, first: str, last: str) -> list[str]:
        """Days that have moved, from one on and up to another ("": open)."""
        return sorted(day for day in self._numbers if day >= first and (not last or day <= last))

    def of(self, day: str) -> SignedDay | None:
        """What was signed of a day; None: it has not moved.

        Raises:
            ManifestFault: its manifest is not the one that was signed.
        """
        number = self._numbers.get(day)
        if number is None or (self._last is not None and self._last.day == day):
            return None if number is None else self._last
        raw, move, _, fingerprint = _read(self._directory / manifest_file(number))
        if (move.number, move.day) != (number, day):
            raise ManifestFault(f"{manifest_file(number)} is another manifest under this name")
        if fingerprint != self._key:
            raise ManifestFault(f"{manifest_file(number)} is signed with another key than the first one")
        if number == self.moved[0] and manifest.hash_of(raw) != self.moved[1]:
            raise ManifestFault(f"{manifest_file(number)} is not the one that the catalogue names")
        self._last = move
        return move


def _day_in(path: Path) -> str:
    """Which day a manifest is of, by its beginning: keys are in alphabetical order. It is verified before it counts."""
    try:
        with path.open("rb") as file:
            found = _BEGINNING.match(file.read(_PEEKED))
    except OSError as error:
        raise ManifestFault(f"{path.name} can't be read: {error.strerror}") from error
    if found is None:
        raise ManifestFault(f"{path.name} is no manifest of a move")
    return found[1].decode("ascii")


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
        raw = bytes_of(path, follow=False)
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
