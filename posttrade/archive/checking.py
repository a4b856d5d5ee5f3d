"""Checking an archive: manifests, catalogue, files and objects, totals, indexes; with the trail at hand every record.

It goes both ways: what the catalogue has must be signed, and what was signed must be in the catalogue. Where they
differ it goes on with what was signed.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lockstep.posttrade.archive import index
from lockstep.posttrade.archive.archive import DAYS, Archive
from lockstep.posttrade.archive.catalogue import Part
from lockstep.posttrade.archive.counting import PartKey, PartRows, counted, part_of
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.moves import root_of
from lockstep.posttrade.archive.rows import NoRecord, record_from
from lockstep.posttrade.archive.schema import COLD, HOT, WARM
from lockstep.posttrade.archive.seqs import Seqs
from lockstep.posttrade.archive.signed import Signed, SignedDay, beyond, entry_of, signed_in
from lockstep.posttrade.audit.manifest import ManifestFault, bytes_of
from lockstep.posttrade.audit.sealed import sealed_segments
from lockstep.posttrade.audit.verify import Finding
from lockstep.runtime.faults import EnvironmentFault

_MOST: Final = 100
_NAMED: Final = 3
"""Of what differs in an index: so many are named."""


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
        EnvironmentFault: database or cold tier don't answer, or something was loaded or moved meanwhile.
    """
    return _Check(archive).run(trail, fingerprint)


class _Check:
    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.catalogue = archive.catalogue
        self.found = Checked()
        self._signed = Signed()
        self._tables: set[str] = set()
        self._seqs = Seqs()
        self._unread = False
        """Something of it could not be read: which records are missing can't be said."""
        self._hot: list[str] = []
        """Days that are in the hot tier, with their tables."""

    def run(self, trail: Path | None, fingerprint: str | None) -> Checked:
        before = self._places()
        self._chain(fingerprint)
        self._tables = index.hot_tables(self.catalogue)
        parts: dict[str, list[Part]] = defaultdict(list)
        for part, _ in self.catalogue.parts():
            parts[part.day].append(part)
        tiers = self.catalogue.tiers()
        roots: dict[PartKey, str] = {}
        try:
            for day in sorted({*parts, *tiers, *self._signed.days}):
                roots |= self._day(day, tiers.get(day), parts[day])
            self._order()
            self._warm_files()
            self._leftovers({(part.day, part.instrument) for of_day in parts.values() for part in of_day})
            if trail is not None:
                self._against_trail(roots, trail)
        finally:
            if self._places() != before:
                # Whatever was found, or failed, may be of that.
                raise EnvironmentFault("something was loaded or moved while the archive was read: verify it again")
        return self.found

    # ---- signed manifests, and how far the catalogue is ------------------------------------------------------------

    def _places(self) -> tuple[tuple[int, str] | None, ...]:
        """How far it is loaded, and moved; None: the catalogue says nothing that can be read."""
        found: list[tuple[int, str] | None] = []
        for place in (self.catalogue.loaded, self.catalogue.moved):
            try:
                found.append(place())
            except ArchiveFault:
                found.append(None)
        return tuple(found)

    def _chain(self, wanted: str | None) -> None:
        try:
            signed = signed_in(self.archive.directory / DAYS, *self.catalogue.moved())
            if signed.fault:
                self.found.find(DAYS, "manifest", signed.fault)
            self._signed = signed
            self._beyond(signed)
        except ArchiveFault as fault:
            self.found.find("catalogue", "changed", str(fault))
        self.found.fingerprint = self._signed.fingerprint
        if wanted is not None and self.found.fingerprint not in ("", wanted):
            self.found.find(DAYS, "key", f"signed by {self.found.fingerprint}, not by {wanted}")
        try:
            loaded, _ = self.catalogue.loaded()
            if loaded < self._signed.loaded:
                text = f"the trail is loaded up to manifest {loaded}, and a signed move names {self._signed.loaded}"
                self.found.find("catalogue", "changed", text)
        except ArchiveFault as fault:
            self.found.find("catalogue", "changed", str(fault))

    def _beyond(self, signed: Signed) -> None:
        """Manifests that the catalogue does not count. A move that was killed leaves one, and its day where it was."""
        tiers = self.catalogue.tiers()
        for name, move in beyond(self.archive.directory / DAYS, signed.moved[0]):
            before = {WARM: HOT, COLD: WARM}.get(move.tier) if move is not None else None
            if move is None or move.number != signed.moved[0] + 1 or tiers.get(move.day) != before:
                self.found.find(name, "dropped", "the catalogue does not count this move: its end was cut off")

    # ---- days ------------------------------------------------------------------------------------------------------

    def _day(self, day: str, recorded: str | None, parts: list[Part]) -> dict[PartKey, str]:
        """Roots of what was read, by part."""
        signed = self._signed.days.get(day)
        tier = HOT if signed is None else signed.tier
        if recorded != tier:
            self._tier(day, recorded, signed)
        if tier == HOT and recorded in (WARM, COLD) and not index.tables_of(day) <= self._tables:
            # Its files are there, and were never signed.
            tier = recorded
        readable = tier != HOT or self._has_table(day)
        listed = {part.instrument for part in parts}
        for instrument, entry in sorted(signed.files.items()) if signed is not None else ():
            if instrument not in listed:
                self._unread = True
                self.found.find(entry["file"], "dropped", "it was signed, and the catalogue does not have it")
        if not parts and signed is None:
            self.found.find(day, "dropped", "the catalogue has the day, and nothing of it")
        roots: dict[PartKey, str] = {}
        places: list[tuple[int, int]] = []
        for part in parts:
            lines = self._lines(part, tier, signed) if readable else None
            rows = None if lines is None else self._part(part, tier, lines)
            if lines is not None:
                roots[(day, part.instrument)] = root_of(lines)
            if rows is None:
                self._unread = True
                continue
            places += [(seq, number) for seq, number, _, _ in rows.lines]
        self._seqs.take(places)
        return roots

    def _tier(self, day: str, recorded: str | None, signed: SignedDay | None) -> None:
        if recorded is None:
            self.found.find(day, "dropped", "the catalogue has no tier for the day")
        elif recorded not in (HOT, WARM, COLD):
            self.found.find(day, "changed", f"the catalogue says that it is in a tier {recorded!r:.40}: there is none")
        else:
            said = "no signed manifest has moved it" if signed is None else f"its signed manifest says {signed.tier}"
            self.found.find(day, "changed", f"the catalogue says that it is {recorded}; {said}")

    def _has_table(self, day: str) -> bool:
        self._hot.append(day)
        missing = sorted(index.tables_of(day) - self._tables)
        if missing:
            self._hot.pop()
            self.found.find(f"{day} (hot)", "dropped", f"the catalogue has no table {' and no '.join(missing)}")
        return not missing

    def _lines(self, part: Part, tier: str, signed: SignedDay | None) -> list[bytes] | None:
        """Its records, as they are; None: they can't be read, or are not those that were signed."""
        if tier == HOT:
            return self.catalogue.hot_lines(part)
        find = self.found.find
        entry = None if signed is None else signed.files.get(part.instrument)
        if signed is None or entry is None:
            find(part.file, "added", "no signed manifest has it")
            return None
        if entry_of(part) != entry:
            find(part.file, "changed", "the catalogue says something else of it than the signed manifest")
        name, version = entry["file"], entry["version_id"]
        try:
            cold = self.archive.cold() if tier == COLD else None
            path = self.archive.directory / WARM / name
            raw = bytes_of(path, follow=False) if cold is None else cold.get(name, version)
            until = None if cold is None else cold.locked_until(name, version)
        except ArchiveFault as error:
            find(name, "changed", str(error))
            return None
        except (OSError, EnvironmentFault) as error:
            find(name, "dropped", f"can't be read: {getattr(error, 'strerror', None) or error}")
            return None
        if signed.until is not None and (until is None or until < min(signed.until, datetime.max.replace(tzinfo=UTC))):
            find(name, "unlocked", f"it is locked until {until}, and was to be until {signed.until}")
        if hashlib.sha256(raw).hexdigest() != entry["sha256"]:
            find(name, "changed", "its bytes are not those that were signed")
            return None
        # Imported late: who has no files needs no pyarrow.
        from lockstep.posttrade.archive.parquet import NoParquet, lines_in

        try:
            lines = lines_in(raw)
        except NoParquet as error:
            find(name, "changed", f"can't be read: {error}")
            return None
        if root_of(lines) != entry["root"]:
            find(name, "changed", "its records are not those that were signed")
        return lines

    def _part(self, part: Part, tier: str, lines: list[bytes]) -> PartRows | None:
        """Whether the catalogue says of a part what its records add up to; None: they are no records of it."""
        place = f"{part.day} instrument {part.instrument} ({tier})"
        self.found.records[tier] += len(lines)
        self.found.files[tier] += tier != HOT
        try:
            made = counted((line, record_from(line)) for line in lines)
        except NoRecord as fault:
            self.found.find(place, "changed", str(fault))
            return None
        if not lines:
            self.found.find(place, "dropped", f"it has no records, and should have {part.records}")
            return None
        rows = made.get((part.day, part.instrument))
        if rows is None or len(made) != 1:
            self.found.find(place, "changed", "it has records of another day or instrument")
            return None
        first, last = rows.lines[0][0], rows.lines[-1][0]
        size = sum(len(line) for line in lines)
        if len(lines) != part.records:
            text = f"it has {len(lines)} records, and should have {part.records}"
            self.found.find(place, "changed", text)
        elif (first, last, size) != (part.first_seq, part.last_seq, part.line_bytes):
            self.found.find(place, "changed", "the catalogue has other seqs or another size of it than its records")
        self._totals(part, rows, place)
        self._indexes(part, tier, rows, place)
        return rows

    def _totals(self, part: Part, rows: PartRows, place: str) -> None:
        said = self.catalogue.summaries((part.day, part.day), part.instrument)
        totals = rows.totals
        codes = dict(sorted(totals.refusals.items()))
        now = (totals.orders, totals.trades, totals.volume, totals.refusals.total(), codes)
        names = ("orders", "trades", "volume", "refusals", "by_code")
        # The symbol is that of the first segment, which may not have had one yet.
        known = {"", totals.symbol}
        if not said or now != tuple(said[0][name] for name in names) or said[0]["symbol"] not in known:
            self.found.find(place, "changed", "the daily summary is not what its records add up to")

    def _indexes(self, part: Part, tier: str, rows: PartRows, place: str) -> None:
        for what, said, made in (
            ("client", index.holders_of(self.catalogue, part.part), rows.holders),
            ("words", index.mentions_of(self.catalogue, part.part), rows.texts),
        ):
            other = sorted(name for name in {*said, *made} if said[name] != made[name])
            if other:
                named = ", ".join(f"{name!r:.80} has {said[name]} for {made[name]} records" for name in other[:_NAMED])
                more = f", and {len(other) - _NAMED} others" if len(other) > _NAMED else ""
                self.found.find(place, "index", f"the index by {what} is not that of its records: {named}{more}")
        if tier == HOT:
            wanted = {(name, seq, number) for seq, number, _, names in rows.lines for name in names}
            other_rows = sorted(wanted ^ index.hot_holders(self.catalogue, part.day, part.part))
            if other_rows:
                name, seq, number = other_rows[0]
                text = f"{len(other_rows)} entries of the index by client are not those of its records"
                self.found.find(place, "index", f"{text}: the first is of {name}, seq {seq}, place {number}")

    # ---- across days -----------------------------------------------------------------------------------------------

    def _order(self) -> None:
        """Whether a command, or an event of one, is missing between those that are there."""
        if not self._unread:
            for text in self._seqs.holes():
                self.found.find("records", "dropped", text)

    def _warm_files(self) -> None:
        """Each file of the warm tier that nobody has signed: others read the directory as it is."""
        root = self.archive.directory / WARM
        held = {entry["file"] for day in self._signed.days.values() if day.tier == WARM for entry in day.files.values()}
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if name in held or (path.is_dir() and not path.is_symlink()):
                continue
            if name not in self._signed.files:
                text = "no signed manifest has it: who reads the directory as it is, reads it, too"
                self.found.find(name, "added", f"{text}; remove it (a move that was killed leaves some: move again)")
            elif _sha256_of(path) not in self._signed.files[name]:
                self.found.find(name, "changed", "its day is in the cold tier, and this is not what was left of it")

    def _leftovers(self, known: set[PartKey]) -> None:
        wanted = {name for day in self._hot for name in index.tables_of(day)}
        for name in sorted(self._tables - wanted):
            self.found.find(name, "added", "a table of a day that is not in the hot tier")
        for name, rows in index.strangers(self.catalogue, self._hot):
            self.found.find(name, "added", f"{rows} rows are of no day and instrument that the catalogue has")
            self._unread = True
        for day, instrument in sorted(index.summed(self.catalogue) - known):
            text = "a daily summary of what the catalogue does not have"
            self.found.find(f"{day} instrument {instrument}", "added", text)
        for words in index.unsearched(self.catalogue):
            self.found.find("index", "index", f"a search for its words does not find {words!r:.200}")

    # ---- the trail -------------------------------------------------------------------------------------------------

    def _against_trail(self, roots: dict[PartKey, str], trail: Path) -> None:
        """Record by record: what the trail has sealed, up to what is loaded, is what the archive has."""
        try:
            loaded, sealed_hash = self.catalogue.loaded()
        except ArchiveFault:
            return
        sealed: dict[PartKey, list[bytes]] = defaultdict(list)
        today = ""
        find = self.found.find
        try:
            for line in _loaded_lines(trail, loaded, sealed_hash, lambda text: find(str(trail), "manifest", text)):
                key = part_of(record_from(line))
                if key[0] != today:
                    self._compare(sealed, roots)
                    today = key[0]
                sealed[key].append(line)
            self._compare(sealed, roots)
        except (ManifestFault, NoRecord) as fault:
            find(str(trail), "manifest", str(fault))
            return
        for day, instrument in roots:
            find(f"{day} instrument {instrument}", "added", "the trail has nothing of it")

    def _compare(self, sealed: dict[PartKey, list[bytes]], roots: dict[PartKey, str]) -> None:
        """One day of the trail; then it is forgotten."""
        for (day, instrument), lines in sealed.items():
            there = roots.pop((day, instrument), "")
            if there != root_of(lines):
                what = "changed" if there else "dropped"
                text = "its records are not those that the trail has sealed"
                self.found.find(f"{day} instrument {instrument}", what, text)
        sealed.clear()


def _loaded_lines(trail: Path, loaded: int, sealed: str, say: Callable[[str], None]) -> Iterator[bytes]:
    newest = 0
    for segment in sealed_segments(trail) if loaded else ():
        newest = segment.body["number"]
        if newest == loaded and segment.hash != sealed:
            say(f"its manifest {loaded} is not the one that was loaded: it is of another trail, or was made anew")
        if newest > loaded:
            return
        yield from segment.lines
    if newest < loaded:
        say(f"it ends at manifest {newest}, and {loaded} was loaded")


def _sha256_of(path: Path) -> str:
    try:
        return hashlib.sha256(bytes_of(path, follow=False)).hexdigest()
    except OSError:
        return ""
