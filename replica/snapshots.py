"""The snapshots of one engine: files beside its journal, and which of them may be started from.

`<seq>.snapshot` was verified by re-execution (or came from a peer that had); `<seq>.unverified` was not yet. A file
appears whole or not at all: it is written under another name, synced, renamed, and its folder synced.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from lockstep.replica.divergence import EpochTable
from lockstep.replica.retention import plan_retirement
from lockstep.replica.snapshot_file import (
    MAX_HEAD_BYTES,
    SnapshotDamaged,
    SnapshotHead,
    decode_head,
    decode_snapshot_file,
)
from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.stream.values import frozen

VERIFIED: Final = ".snapshot"
UNVERIFIED: Final = ".unverified"
REJECTED: Final = ".rejected"
_STARTABLE: Final = "startable"
_FIRST_READ: Final = 64 << 10


class SnapshotFault(EnvironmentFault):
    """Snapshots can't be read or written; the text names the file and the remedy."""


@frozen
class StoredSnapshot:
    """One snapshot file."""

    head: SnapshotHead
    path: Path
    verified: bool
    taken_ns: int
    """When the file was written, Unix time."""

    @property
    def seq(self) -> int:
        """The last seq that the state has executed."""
        return self.head.seq


class SnapshotSource(Protocol):
    """Where a replica that starts finds verified snapshots."""

    def heads(self) -> tuple[SnapshotHead, ...]:
        """Heads of all verified ones, ascending in seq."""
        ...

    def verified_seqs(self) -> tuple[int, ...]:
        """Seqs of all verified ones, ascending."""
        ...

    def read(self, seq: int) -> bytes:
        """The whole file of a verified one. Raises SnapshotDamaged if it is not there."""
        ...

    def open(self, seq: int) -> contextlib.AbstractContextManager[tuple[SnapshotHead, BinaryIO]]:
        """The file of a verified one, and its head. Raises SnapshotDamaged if it is not there, or has none."""
        ...


class SnapshotStore:
    """The snapshots in one engine's data directory. Several processes may look; each file has one writer."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "snapshots"

    # ---- reading ------------------------------------------------------------------------------------------------

    def stored(self) -> tuple[StoredSnapshot, ...]:
        """All readable ones, ascending in seq; files that are damaged are left out."""
        found = []
        for path in self._paths(VERIFIED, UNVERIFIED):
            try:
                head, taken_ns = _read_head(path)
            except (SnapshotDamaged, FileNotFoundError):
                continue  # started from it is never; the next snapshot takes its place
            found.append(StoredSnapshot(head, path, path.suffix == VERIFIED, taken_ns))
        return tuple(found)

    def unreadable(self) -> tuple[tuple[Path, str], ...]:
        """Files that are damaged, as far as their heads show it, and what is wrong with them."""
        found = []
        for path in self._paths(VERIFIED, UNVERIFIED, files_only=False):
            try:
                _read_head(path)
            except SnapshotDamaged as damage:
                found.append((path, str(damage)))
            except FileNotFoundError:
                continue
        return tuple(found)

    def heads(self) -> tuple[SnapshotHead, ...]:
        """Heads of the verified ones, ascending in seq."""
        return tuple(one.head for one in self.stored() if one.verified)

    def verified_seqs(self) -> tuple[int, ...]:
        """Seqs of the verified ones, ascending, by their names alone."""
        return tuple(int(path.stem) for path in self._paths(VERIFIED))

    def read(self, seq: int) -> bytes:
        """The whole file of a verified one, as it is.

        Raises:
            SnapshotDamaged: there is none.
        """
        try:
            return self.path(seq).read_bytes()
        except OSError as error:
            raise SnapshotDamaged(f"{self.path(seq)}: {error.strerror}") from error

    @contextlib.contextmanager
    def open(self, seq: int) -> Iterator[tuple[SnapshotHead, BinaryIO]]:
        """The file of a verified one, and its head. It can be read to its end, even if it is deleted meanwhile.

        Raises:
            SnapshotDamaged: there is none, or it does not begin as one does.
        """
        try:
            with self.path(seq).open("rb") as file:
                head, _ = _head_of(file, seq)
                yield head, file
        except OSError as error:
            raise SnapshotDamaged(f"{self.path(seq)}: {error.strerror}") from error

    def path(self, seq: int, suffix: str = VERIFIED) -> Path:
        """Where a snapshot lies, or would."""
        return self.folder / f"{seq:020d}{suffix}"

    @property
    def incoming(self) -> Path:
        """Where a snapshot that is being fetched from a peer grows."""
        return self.folder / "incoming.part"

    def _paths(self, *suffixes: str, files_only: bool = True) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = (path for path in self.folder.iterdir() if path.suffix in suffixes and path.stem.isdigit())
        return sorted(path for path in found if path.is_file() or not files_only)

    # ---- writing ------------------------------------------------------------------------------------------------

    def write(self, raw: bytes, seq: int, *, verified: bool) -> Path:
        """Store a snapshot, durably.

        Raises:
            SnapshotFault: the disk does not take it.
        """
        path = self.path(seq, VERIFIED if verified else UNVERIFIED)
        self._put(path, raw)
        return path

    def mark(self, seq: int, before: str, after: str) -> None:
        """Rename a snapshot from one suffix to another, durably.

        Raises:
            SnapshotFault: it can't be.
        """
        try:
            self.path(seq, before).rename(self.path(seq, after))
            self._sync_folder()
        except OSError as error:
            raise SnapshotFault(disk_text("rename snapshot", self.path(seq, before), error)) from error

    def adopt(self, seq: int) -> None:
        """Take the file that was fetched as the snapshot at `seq`. It is on the disk already, synced."""
        try:
            self.incoming.rename(self.path(seq))
            self._sync_folder()
        except OSError as error:
            raise SnapshotFault(disk_text("keep", self.incoming, error)) from error

    def retire(self, keep: int) -> tuple[int, ...]:
        """Delete verified ones as `plan_retirement` says, and unverified ones older than the newest; what went."""
        seqs = self.verified_seqs()
        newest = max(seqs, default=0)
        gone = [self.path(seq) for seq in plan_retirement(seqs, keep=keep, startable_seq=self.startable_seq)]
        gone += [path for path in self._paths(UNVERIFIED) if int(path.stem) <= newest]
        for path in gone:
            _delete(path)
        return tuple(int(path.stem) for path in gone)

    def remove_after(self, seq: int) -> None:
        """Delete snapshots beyond `seq`: of a history that was discarded."""
        if self.startable_seq > seq:
            self.note_startable(seq)
        for path in self._paths(VERIFIED, UNVERIFIED):
            if int(path.stem) > seq:
                _delete(path)

    @property
    def startable_seq(self) -> int:
        """The newest snapshot that the engine's flushed events and digests are known to reach; 0: none is."""
        try:
            return int((self.folder / _STARTABLE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def note_startable(self, seq: int) -> None:
        """Events and digests up to a snapshot are on the disk.

        Raises:
            SnapshotFault: it can't be written down.
        """
        self._put(self.folder / _STARTABLE, str(seq).encode("ascii"))

    def _put(self, path: Path, raw: bytes) -> None:
        """Write a file that appears whole or not at all."""
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            self._sync_folder()
        except OSError as error:
            raise SnapshotFault(disk_text("write", path, error)) from error

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # ---- whose they are ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def tend(self) -> Iterator[None]:
        """Be the one snapshotter of this engine.

        Raises:
            SnapshotFault: there is another.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SnapshotFault(f"another snapshotter works in {self.folder}; stop that one") from None
            yield

    def tended(self) -> bool:
        """Whether a snapshotter is at work."""
        try:
            with (self.folder / "lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    # ---- asking for one -----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask the snapshotter beside this engine for a snapshot now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "request").touch()

    def asked(self) -> bool:
        """Whether somebody has asked since this was called last."""
        try:
            (self.folder / "request").unlink()
        except FileNotFoundError:
            return False
        return True


def usable(
    heads: Sequence[SnapshotHead], *, cluster_uuid: str, epochs: EpochTable, tip_seq: int, base_seq: int
) -> tuple[SnapshotHead, ...]:
    """Those snapshots from which a journal can be continued, newest first.

    The epoch table says so: a snapshot whose table is the journal's up to its seq is of the journal's history.

    Args:
        heads: of verified snapshots.
        cluster_uuid: of the journal, empty if it knows none.
        epochs: the journal's epoch table.
        tip_seq: the journal's last seq.
        base_seq: the seq before the journal's first one.
    """
    found = [
        head
        for head in heads
        if base_seq <= head.seq <= tip_seq
        and cluster_uuid in ("", head.cluster_uuid)
        and head.base.epochs == tuple(entry for entry in epochs if entry.first_seq <= head.seq)
    ]
    return tuple(sorted(found, key=lambda head: -head.seq))


def check_file(path: Path) -> SnapshotHead:
    """Read a whole snapshot file and check it.

    Raises:
        SnapshotFault: it can't be read, or is damaged; the text names the file.
    """
    try:
        return decode_snapshot_file(path.read_bytes())[0]
    except OSError as error:
        raise SnapshotFault(f"{path}: {error.strerror}") from error
    except SnapshotDamaged as damage:
        raise SnapshotFault(f"{path}: {damage}; delete it, another snapshot takes its place") from damage


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotFault(disk_text("delete", path, error)) from error


def _read_head(path: Path) -> tuple[SnapshotHead, int]:
    try:
        with path.open("rb") as file:
            return _head_of(file, int(path.stem))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotDamaged(f"it can't be read: {error.strerror}") from error


def _head_of(file: BinaryIO, seq: int) -> tuple[SnapshotHead, int]:
    start = file.read(_FIRST_READ)
    try:
        head = decode_head(start)
    except SnapshotDamaged:
        head = decode_head(start + file.read(MAX_HEAD_BYTES))  # an epoch table of thousands
    status = os.fstat(file.fileno())
    if head.seq != seq:
        raise SnapshotDamaged(f"it is the snapshot at seq {head.seq}, under another name")
    if status.st_size != head.file_bytes:
        raise SnapshotDamaged(f"{status.st_size} bytes where its head says {head.file_bytes}")
    return head, status.st_mtime_ns
