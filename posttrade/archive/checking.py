"""Checking an archive: manifests, files and objects, totals; and, where the trail is at hand, record by record."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lockstep.posttrade.archive.archive import Archive
from lockstep.posttrade.archive.catalogue import Part
from lockstep.posttrade.archive.counting import PartKey, counted, part_of
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.moves import root_of
from lockstep.posttrade.archive.schema import COLD, HOT
from lockstep.posttrade.audit.manifest import ManifestFault
from lockstep.posttrade.audit.sealed import sealed_segments
from lockstep.posttrade.audit.verify import Finding
from lockstep.runtime.faults import EnvironmentFault

_MOST: Final = 100
_SIGNED: Final = ("records", "first_seq", "last_seq", "file", "file_bytes", "sha256", "root", "version_id")


class Checked:
    """What a check came to."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.records: Counter[str] = Counter()
        """By tier."""
        self.files: Counter[str] = Counter()
        self.fingerprint = ""

    def find(self, place: str, what: str, text: str) -> None:
        """Something is not as it was signed."""
        if len(self.findings) < _MOST:
            self.findings.append(Finding(place, what, text))


def check_archive(archive: Archive, *, trail: Path | None = None, fingerprint: str | None = None) -> Checked:
    """Read all of it. `trail`: compare every record with what was sealed. `fingerprint`: of the key that signs moves.

    Raises:
        EnvironmentFault: database or cold tier don't answer.
    """
    found = Checked()
    signed = _signed(archive, found, fingerprint)
    roots: dict[PartKey, str] = {}
    for part, _ in archive.catalogue.parts():
        tier = archive.catalogue.tiers()[part.day]
        place = f"{part.day} instrument {part.instrument} ({tier})"
        lines = archive.catalogue.hot_lines(part) if tier == HOT else _lines(archive, found, part, tier, signed)
        if lines is None:
            continue
        roots[(part.day, part.instrument)] = root_of(lines)
        found.records[tier] += len(lines)
        found.files[tier] += tier != HOT
        if len(lines) != part.records:
            found.find(place, "changed", f"it has {len(lines)} records, and should have {part.records}")
        _totals(archive, found, part, lines, place)
    if trail is not None:
        _against_trail(archive, found, roots, trail)
    return found


def _signed(archive: Archive, found: Checked, wanted: str | None) -> dict[PartKey, dict[str, Any]]:
    """What the newest manifest of each day says of its files."""
    try:
        moves = archive.moves()
    except ManifestFault as fault:
        found.find("days", "manifest", str(fault))
        return {}
    found.fingerprint = moves[0][2] if moves else ""
    if wanted is not None and moves and found.fingerprint != wanted:
        found.find("days", "key", f"signed by {found.fingerprint}, not by {wanted}")
    return {
        (str(body["day"]), int(one["instrument"])): one | {"until": body.get("locked_until")}
        for body, _, _ in moves
        for one in body["files"]
    }


def _lines(
    archive: Archive, found: Checked, part: Part, tier: str, signed: dict[PartKey, dict[str, Any]]
) -> list[bytes] | None:
    from lockstep.posttrade.archive.parquet import NoParquet, lines_in

    place = part.file
    said = signed.get((part.day, part.instrument))
    if said is None:
        found.find(place, "added", "no signed manifest has it")
        return None
    if any(asdict(part)[name] != said[name] for name in _SIGNED):
        found.find(place, "changed", "the catalogue says something else of it than the signed manifest")
    try:
        raw = archive.cold().get(part.file, part.version_id) if tier == COLD else archive.path(part).read_bytes()
    except ArchiveFault as error:
        found.find(place, "changed", str(error))
        return None
    except (OSError, EnvironmentFault) as error:
        found.find(place, "dropped", f"can't be read: {error}")
        return None
    if tier == COLD:
        until = archive.cold().locked_until(part.file, part.version_id)
        if until is None or until < min(datetime.fromisoformat(said["until"]), datetime.max.replace(tzinfo=UTC)):
            found.find(place, "unlocked", f"it is locked until {until}, and was to be until {said['until']}")
    if hashlib.sha256(raw).hexdigest() != said["sha256"]:
        found.find(place, "changed", "its bytes are not those that were signed")
        return None
    try:
        lines = lines_in(raw)
    except (NoParquet, ValueError, KeyError) as error:
        found.find(place, "changed", f"can't be read: {error}")
        return None
    if root_of(lines) != said["root"]:
        found.find(place, "changed", "its records are not those that were signed")
    return lines


def _totals(archive: Archive, found: Checked, part: Part, lines: list[bytes], place: str) -> None:
    made = counted((line, json.loads(line)) for line in lines)
    rows = made.get((part.day, part.instrument))
    if rows is None or len(made) != 1:
        found.find(place, "changed", "it has records of another day or instrument")
        return
    (said,) = archive.catalogue.summaries((part.day, part.day), part.instrument)
    totals = rows.totals
    now = (totals.orders, totals.trades, totals.volume, dict(sorted(totals.refusals.items())))
    if now != (said["orders"], said["trades"], said["volume"], said["by_code"]):
        found.find(place, "changed", "the daily summary is not what its records add up to")


def _against_trail(archive: Archive, found: Checked, roots: dict[PartKey, str], trail: Path) -> None:
    """Record by record: what the trail has sealed, up to what is loaded, is what the archive has."""
    loaded = archive.catalogue.loaded()[0]
    sealed: dict[PartKey, list[bytes]] = defaultdict(list)
    today = ""
    try:
        for line in _loaded_lines(trail, loaded):
            key = part_of(json.loads(line))
            if key[0] != today:
                _compare(found, sealed, roots)
                today = key[0]
            sealed[key].append(line)
        _compare(found, sealed, roots)
    except ManifestFault as fault:
        found.find(str(trail), "manifest", str(fault))
        return
    for day, instrument in roots:
        found.find(f"{day} instrument {instrument}", "added", "the trail has nothing of it")


def _compare(found: Checked, sealed: dict[PartKey, list[bytes]], roots: dict[PartKey, str]) -> None:
    """One day of the trail; then it is forgotten."""
    for (day, instrument), lines in sealed.items():
        if roots.pop((day, instrument), "") != root_of(lines):
            place = f"{day} instrument {instrument}"
            found.find(place, "changed", "its records are not those that the trail has sealed")
    sealed.clear()


def _loaded_lines(trail: Path, loaded: int) -> Iterator[bytes]:
    for segment in sealed_segments(trail):
        if segment.body["number"] > loaded:
            return
        yield from segment.lines
