"""An archive: its catalogue, the files of the warm tier, the objects of the cold one; and what is read from them.

    archive.db        catalogue and hot tier (unless a URL names a database elsewhere)
    warm/             Parquet, `date=.../instrument=...`
    days/             signed manifests, one for each move of a day, chained

What a file or an object says counts only if its bytes are those that the signed manifest of its day names.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lockstep.posttrade.archive.catalogue import Catalogue, Part
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.rows import NoRecord
from lockstep.posttrade.archive.schema import COLD, HOT, WARM
from lockstep.posttrade.archive.signed import SignedDay, SignedDays, entry_of, manifest_file
from lockstep.posttrade.audit.manifest import ManifestFault, bytes_of
from lockstep.posttrade.audit.sealed import sealed_segments
from lockstep.runtime.faults import EnvironmentFault, disk_text, os_error_text

if TYPE_CHECKING:
    from lockstep.posttrade.archive.cold import ColdStore

DAYS: Final = "days"
_MEND: Final = (
    "`lockstep audit verify-archive` names what was changed: restore it, or make the archive anew from the trail"
)
_URL: Final = "cold_url"
_ENDPOINT: Final = "cold_endpoint"


class Archive:
    """See the module. `url`: of the database; None: SQLite in the directory."""

    def __init__(self, directory: Path, url: str | None = None, *, make: bool = False) -> None:
        self.directory = directory
        if make:
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EnvironmentFault(os_error_text(error)) from error
        self.catalogue = Catalogue(directory, url, make=make)
        self._cold: ColdStore | None = None
        self._signed: SignedDays | None = None

    def close(self) -> None:
        """Release it."""
        self.catalogue.close()

    def load(self, trail: Path, say: Callable[[int, int], None] | None = None) -> int:
        """Take what a trail has sealed since the last time; how many records. `say`: manifest, records so far.

        Raises:
            EnvironmentFault: the trail is not whole, or another one than was loaded before.
        """
        number, sealed = self.catalogue.loaded()
        records = 0
        try:
            for segment in sealed_segments(trail, number, sealed):
                records += self.catalogue.load(segment)
                if say is not None:
                    say(int(segment.body["number"]), records)
        except (ManifestFault, NoRecord) as error:
            text = f"{trail} can't be loaded behind its manifest {number}: {error}"
            raise EnvironmentFault(f"{text}; an archive is of one trail") from error
        return records

    # ---- files and objects -------------------------------------------------------------------------------------------

    def path(self, part: Part) -> Path:
        """Where its file is in the warm tier."""
        return self.directory / WARM / part.file

    def content(self, part: Part, tier: str) -> bytes:
        """The bytes of its file or object, as signed.

        Raises:
            ArchiveFault: they are others, or the catalogue says something else of it than the signed manifest.
            EnvironmentFault: they can't be read.
        """
        self.check_part(part, tier)
        return self.read_back(part, tier)

    def read_back(self, part: Part, tier: str) -> bytes:
        """The same, of a part that is not signed yet: its bytes are compared with what it says of itself.

        Raises:
            ArchiveFault: they are others.
            EnvironmentFault: they can't be read.
        """
        if tier == COLD:
            raw, place = self.cold().get(part.file, part.version_id), f"{self.cold().url}/{part.file}"
        else:
            place = str(self.path(part))
            try:
                # A link's bytes may be these now and others tomorrow: what was signed is a file.
                raw = bytes_of(self.path(part), follow=False)
            except OSError as error:
                raise ArchiveFault(f"{place} can't be read: {error.strerror}; restore it from a backup") from error
        if hashlib.sha256(raw).hexdigest() != part.sha256:
            text = "what it says is not used: restore it from a backup, or make it anew from the trail"
            raise ArchiveFault(f"{place} is not what was signed; {text}")
        return raw

    def cold(self) -> "ColdStore":
        """The cold tier, where the last move put it."""
        if self._cold is None:
            with self.catalogue.reading() as look:
                url, endpoint = (self.catalogue.setting(look, name) for name in (_URL, _ENDPOINT))
            if not url:
                raise EnvironmentFault("this archive has no cold tier: name a bucket (--bucket s3://...)")
            self._cold = _opened(url, endpoint or None)
        return self._cold

    def use_cold(self, url: str, endpoint: str | None) -> None:
        """Where the cold tier is, from now on; objects that are there stay where they are.

        Raises:
            EnvironmentFault: there is another one already, or objects can't be locked there.
        """
        with self.catalogue.reading() as look:
            before = self.catalogue.setting(look, _URL)
        if before not in (None, url):
            raise EnvironmentFault(f"the cold tier of this archive is {before}: it can't be in two places")
        cold = _opened(url, endpoint)
        cold.check()
        with self.catalogue.writing() as work:
            self.catalogue.put(work, _URL, url)
            self.catalogue.put(work, _ENDPOINT, endpoint or "")
        self._cold = cold

    # ---- manifests -------------------------------------------------------------------------------------------------

    def manifest_path(self, number: int) -> Path:
        """Of a move."""
        return self.directory / DAYS / manifest_file(number)

    def signed_days(self) -> SignedDays:
        """What was signed of each day. Manifests are verified when their days are asked for.

        Raises:
            ArchiveFault: one is missing.
        """
        moved = self.catalogue.moved()
        if self._signed is None or self._signed.moved != moved:
            try:
                self._signed = SignedDays(self.directory / DAYS, *moved)
            except ManifestFault as fault:
                raise ArchiveFault(f"{fault}: what files of days that moved say is not used; {_MEND}") from fault
        return self._signed

    def signed_day(self, day: str) -> SignedDay | None:
        """What was signed of a day; None: it has not moved.

        Raises:
            ArchiveFault: its manifest is missing, or not the one that was signed.
        """
        try:
            return self.signed_days().of(day)
        except ManifestFault as fault:
            raise ArchiveFault(f"{fault}: what files of {day} say is not used; {_MEND}") from fault

    def check_part(self, part: Part, tier: str) -> None:
        """That the catalogue says of a part what was signed.

        Raises:
            ArchiveFault: it does not.
        """
        said = self.signed_day(part.day)
        if tier == HOT and said is None:
            return
        entry = None if said is None else said.files.get(part.instrument)
        if said is None or said.tier != tier or entry != entry_of(part):
            raise ArchiveFault(
                f"{part.day} instrument {part.instrument}: what the catalogue says of it ({tier}) is not what was "
                f"signed; if a move goes on just now, ask again; else {_MEND}"
            )


def _opened(url: str, endpoint: str | None) -> "ColdStore":
    # Imported late: who has no cold tier needs no boto3.
    from lockstep.posttrade.archive.cold import ColdStore

    return ColdStore(url, endpoint)


def put_file(path: Path, content: bytes) -> None:
    """A file that is there whole, and on the disk, or not at all.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise EnvironmentFault(disk_text("write", f"the archive's {path}", error)) from error
