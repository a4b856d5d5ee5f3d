"""Moves between tiers, a day at a time: write, read again and compare, sign, switch, then drop.

Until the catalogue switches, the day is where it was, whole; from then on it is in the other tier, whole. What a move
left behind that was killed is written anew, or removed, by the next one.

    hot -> warm    files of a day, compared record by record with what the hot tier has
    warm -> cold   the same files as locked objects, compared byte by byte
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.posttrade.archive.archive import Archive, put_file
from lockstep.posttrade.archive.catalogue import Part
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.parquet import file_name, lines_in, written
from lockstep.posttrade.archive.schema import COLD, HOT, WARM
from lockstep.posttrade.archive.signed import entry_of, manifest_file
from lockstep.posttrade.audit import manifest, merkle

HOT_DAYS: Final = 90
WARM_DAYS: Final = 365
LOCK_DAYS: Final = 7 * 365
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What lies where for how long, counted back from the newest day that is loaded."""

    hot_days: int = HOT_DAYS
    warm_days: int = WARM_DAYS
    """From the day itself on, the hot ones among them. Without a cold tier warm is for ever."""
    cold: bool = False
    lock_days: int = LOCK_DAYS
    """From the day itself on."""
    lock_mode: str = "COMPLIANCE"


@dataclass(frozen=True, slots=True)
class Moved:
    """One day's move."""

    day: str
    tier: str
    files: int
    records: int
    bytes: int


class Mover:
    """Moves the days of one archive. One process at a time."""

    def __init__(self, archive: Archive, key: Ed25519PrivateKey, step: Step | None = None) -> None:
        self.archive = archive
        self._key = key
        self._step = step or (lambda _what: None)

    def run(self, plan: MovePlan, say: Callable[[Moved], None] | None = None) -> list[Moved]:
        """Move every day whose time has come.

        Raises:
            ArchiveFault: what was written is not what is read.
            EnvironmentFault: disk or cold tier refuse.
        """
        self._clear()
        done: list[Moved] = []
        for day, tier in due(self.archive.catalogue.tiers(), plan):
            moved = self._warm(day) if tier == WARM else self._cold(day, plan)
            done.append(moved)
            if say is not None:
                say(moved)
        return done

    def _warm(self, day: str) -> Moved:
        done: list[Part] = []
        parts = [part for part, _ in self.archive.catalogue.parts((day, day))]
        there = self.archive.catalogue.hot_records(day)
        if there != {part.part: part.records for part in parts}:
            text = "its table has other records than the catalogue says: it was not moved"
            raise ArchiveFault(f"{day}: {text}; `lockstep audit verify-archive` names what was changed")
        for part in parts:
            lines = self.archive.catalogue.hot_lines(part)
            content = written([_record(line) for line in lines])
            name = file_name(day, part.instrument, part.first_seq)
            sha256 = hashlib.sha256(content).hexdigest()
            made = replace(part, file=name, file_bytes=len(content), sha256=sha256, root=root_of(lines))
            self._step("write")
            put_file(self.archive.path(made), content)
            self._step("read")
            if lines_in(self.archive.read_back(made, WARM)) != lines:
                raise ArchiveFault(f"{name} does not give back the records that were written: it was not moved")
            done.append(made)
        return self._switch(day, WARM, done, {})

    def _cold(self, day: str, plan: MovePlan) -> Moved:
        cold = self.archive.cold()
        until = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + timedelta(plan.lock_days)
        done: list[Part] = []
        for part, _ in self.archive.catalogue.parts((day, day)):
            content = self.archive.content(part, WARM)
            self._step("put")
            made = replace(part, version_id=cold.put(part.file, content, plan.lock_mode, until))
            self._step("get")
            if cold.get(made.file, made.version_id) != content:
                raise ArchiveFault(f"{part.file} came back from {cold.url} as other bytes: it was not moved")
            done.append(made)
        place = {"url": cold.url, "locked_until": until.isoformat(), "lock_mode": plan.lock_mode}
        moved = self._switch(day, COLD, done, place)
        number = self.archive.catalogue.moved()[0]
        signed = self.archive.manifest_path(number).read_bytes()
        cold.put(f"days/{manifest_file(number)}", signed, plan.lock_mode, until)
        self._drop(done)
        return moved

    def _switch(self, day: str, tier: str, parts: list[Part], place: dict[str, Any]) -> Moved:
        number, previous = self.archive.catalogue.moved()
        loaded, sealed = self.archive.catalogue.loaded()
        body = {
            "version": manifest.VERSION,
            "number": number + 1,
            "previous": previous,
            "day": day,
            "tier": tier,
            "trail": {"manifest": loaded, "hash": sealed},
            "files": [entry_of(part) for part in parts],
            **place,
        }
        raw = manifest.sign(body, self._key)
        self._step("sign")
        put_file(self.archive.manifest_path(number + 1), raw)
        self._step("switch")
        names = ("part", "file", "file_bytes", "sha256", "root", "version_id")
        changed = [{name: asdict(part)[name] for name in names} for part in parts]
        self.archive.catalogue.switch(day, tier, changed, number + 1, manifest.hash_of(raw))
        self._step("switched")
        return Moved(day, tier, len(parts), sum(part.records for part in parts), sum(part.file_bytes for part in parts))

    def _drop(self, parts: list[Part]) -> None:
        for part in parts:
            self._step("drop")
            self._remove(part)

    def _remove(self, part: Part) -> None:
        path = self.archive.path(part)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()
            path.parent.parent.rmdir()

    def _clear(self) -> None:
        """Remove files of days that are in the cold tier: a move was killed before it had."""
        tiers = self.archive.catalogue.tiers()
        for day in (day for day, tier in tiers.items() if tier == COLD):
            if (self.archive.directory / WARM / f"date={day}").exists():
                for part, _ in self.archive.catalogue.parts((day, day)):
                    self._remove(part)


def due(tiers: dict[str, str], plan: MovePlan) -> list[tuple[str, str]]:
    """(day, tier) of the moves to make, in order: from hot to warm first, and each day one tier at a time.

    The newest day is never moved: more of it may come.
    """
    if not tiers:
        return []
    newest = date.fromisoformat(max(tiers))
    found = []
    for wanted, before, days in ((WARM, HOT, plan.hot_days), (COLD, WARM, plan.warm_days)):
        if wanted == COLD and not plan.cold:
            continue
        for day, tier in sorted(tiers.items()):
            now = WARM if (day, WARM) in found else tier
            if now == before and (newest - date.fromisoformat(day)).days >= max(days, 1):
                found.append((day, wanted))
    return found


def root_of(lines: list[bytes]) -> str:
    """Merkle root (RFC 6962) over records, hexadecimal."""
    return merkle.root_of([merkle.leaf_hash(line) for line in lines]).hex()


def _record(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found
