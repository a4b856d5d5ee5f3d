"""A damaged journal made anew from what can be read of it: all or nothing, and as often as one likes.

The new journal is built whole in a folder beside the old one and read once more; only then it takes the old one's
place, and that is archived. Until then nothing of what was there has changed. What a crash interrupts is either begun
anew (`*.part`) or, where everything was ready, finished by the next that opens the journal (`*.ready`).
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rocksdict import AccessType, WriteBatch

from lockstep.replica.archive import new_archive
from lockstep.replica.evidence import Tip
from lockstep.replica.marks import Marks, damage_path, journal_path
from lockstep.replica.remains import Remains, TornJournal, find_remains
from lockstep.replica.rocks import JournalDamaged, JournalFault, faults, file_faults
from lockstep.replica.stored_journal import EPOCH_PREFIX, KEY, LAYOUT, PROMISE, StoredJournal, inspect
from lockstep.replica.witness import read_witness, witness_path
from lockstep.stream.batch import decode_batch
from lockstep.stream.values import frozen

_MENDED: Final = "mended"
SALVAGED: Final = "salvage"
_BATCH_BYTES: Final = 4 << 20


@frozen
class Mended:
    """What was done."""

    base_seq: int
    """The journal begins behind this seq."""
    tip: Tip
    archive: Path
    """Where everything is as it was."""


def is_mendable(data_dir: Path, damage: JournalDamaged) -> bool:
    """Whether a snapshot and what can be read behind it hold all that a damaged journal is known to have held."""
    return _whole_remains(data_dir, damage) is not None


def mend(data_dir: Path, member: int, damage: JournalDamaged) -> Mended | None:
    """Have a stopped engine's journal begin behind its damage, if everything since is there; None if it is not.

    It stays the journal that it was: with the snapshot that it then begins at it holds all that was acknowledged.

    Raises:
        JournalFault: the disk does not take the new one; nothing was changed.
    """
    remains = _whole_remains(data_dir, damage)
    return None if remains is None else rebuild(data_dir, member, remains, disown=False)


def _whole_remains(data_dir: Path, damage: JournalDamaged) -> Remains | None:
    remains = find_remains(data_dir)
    return remains if remains is not None and remains.whole and damage.needed.seq <= remains.tip.seq else None


def rebuild(data_dir: Path, member: int, remains: Remains, *, disown: bool) -> Mended:
    """Make what is left the journal.

    Args:
        data_dir: of an engine that does not run.
        member: the engine.
        remains: of `find_remains`.
        disown: it may lack what was acknowledged, so it becomes one that the cluster has not admitted.

    Raises:
        JournalFault: the disk does not take it, or another process has the journal; nothing was changed.
    """
    name = SALVAGED if disown else _MENDED
    part, ready = data_dir / f"{name}.part", data_dir / f"{name}.ready"
    with _alone(data_dir):
        try:
            with file_faults("write", part):
                shutil.rmtree(part, ignore_errors=True)
                journal_path(part).mkdir(parents=True)
            _write_journal(data_dir, part, member, remains, disown=disown)
            _check(part, remains)
            if disown:
                summary = inspect(part)
                assert summary is not None, "it was just written"
                Marks(part, read_witness(witness_path(data_dir)), summary, (0, b"")).close()
            with file_faults("write", ready):
                part.rename(ready)
                _sync_folder(data_dir)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        archive = _swap(data_dir, ready)
    return Mended(remains.base_seq, remains.tip, archive)


def finish(data_dir: Path) -> None:
    """Finish what a crash has interrupted when all was ready.

    Raises:
        JournalFault: the disk does not let it.
    """
    for name in (_MENDED, SALVAGED):
        if (data_dir / f"{name}.ready").is_dir():
            with _alone(data_dir):
                _swap(data_dir, data_dir / f"{name}.ready")


def _write_journal(data_dir: Path, part: Path, member: int, remains: Remains, *, disown: bool) -> None:
    old = TornJournal(data_dir) if remains.readable else None
    new = _NewJournal(part)
    try:
        uuid = _cluster_uuid(data_dir, remains)
        new.put_facts(_facts({} if old is None else old.facts(), member, uuid, remains, disown=disown))
        seq = remains.base_seq
        while old is not None and seq < remains.tip.seq:
            raw = old.raw_batch_at(seq + 1)
            if raw is None:
                break  # as `_check` will say
            new.put_batch(seq + 1, raw)
            seq = decode_batch(raw).last_seq
        new.finish()
    finally:
        new.close()
        if old is not None:
            old.close()


def _cluster_uuid(data_dir: Path, remains: Remains) -> str:
    mark = read_witness(witness_path(data_dir)).mark
    return remains.snapshot.cluster_uuid if remains.snapshot else mark.cluster_uuid if mark else ""


def _facts(
    old: dict[bytes, bytes], member: int, cluster_uuid: str, remains: Remains, *, disown: bool
) -> dict[bytes, bytes]:
    """What the new journal says of itself."""
    facts = {key: value for key, value in old.items() if not key.startswith(EPOCH_PREFIX)}
    facts |= {EPOCH_PREFIX + KEY.pack(entry.epoch): KEY.pack(entry.first_seq) for entry in remains.epochs}
    committed = KEY.unpack(facts.get(b"committed_seq", KEY.pack(0)))[0]
    facts[b"base_seq"] = KEY.pack(remains.base_seq)
    facts[b"committed_seq"] = KEY.pack(min(max(committed, remains.base_seq), remains.tip.seq))
    if cluster_uuid:
        facts[b"cluster_uuid"] = cluster_uuid.encode()
    promised = PROMISE.unpack(facts.get(b"promise", PROMISE.pack(0, 0)))[0]
    if promised < remains.tip.epoch:
        head = remains.snapshot
        to = head.base.sequencer if head is not None and head.epoch == remains.tip.epoch else 0
        facts[b"promise"] = PROMISE.pack(remains.tip.epoch, to)
    if disown:
        facts |= {
            b"layout": KEY.pack(LAYOUT),
            b"member": KEY.pack(member),
            b"journal": KEY.pack(secrets.randbits(63) | 1),
            b"witnessed": b"1",
            b"blank": b"1",
            b"disowned": b"1",
        }
    return facts


class _NewJournal(StoredJournal):
    """A journal that is written at one go."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, access=AccessType.read_write())
        self._batch = WriteBatch(raw_mode=True)

    def put_facts(self, facts: dict[bytes, bytes]) -> None:
        for key, value in facts.items():
            self._batch.put(key, value, self._handles["meta"])

    def put_batch(self, first_seq: int, raw: bytes) -> None:
        self._batch.put(KEY.pack(first_seq), raw, self._handles["commands"])
        if self._batch.size_in_bytes() > _BATCH_BYTES:
            self._write()

    def finish(self) -> None:
        """All of it is on the disk on return."""
        self._write()
        with faults("flush", self.path):
            self._commands.flush()
            self._meta.flush()
            self._db.flush_wal(True)

    def _write(self) -> None:
        with faults("write", self.path):
            self._db.write(self._batch)
        self._batch = WriteBatch(raw_mode=True)


def _check(part: Path, remains: Remains) -> None:
    """Read the new journal once more: whatever the disk made of it is not what counts from now on unseen."""
    journal, seq = StoredJournal(part), remains.base_seq
    try:
        for batch in journal.batches(seq + 1):
            if batch.first_seq != seq + 1:
                break
            seq = batch.last_seq
        said = journal.summary()
    finally:
        journal.close()
    if (seq, said.tip_seq, said.epochs) != (remains.tip.seq, remains.tip.seq, remains.epochs):
        raise JournalFault(f"{part}: what was written can't be read again; look at `dmesg`, replace the disk")


def _swap(data_dir: Path, ready: Path) -> Path:
    """The old parts into the archive, the new ones into their places. May be interrupted and called again."""
    archive = new_archive(data_dir, ready.stem)
    with file_faults("move into its archive", data_dir):
        for name in ("journal", "witness"):
            new, old = ready / name, data_dir / name
            if not new.exists():
                continue
            if old.exists():
                old.rename(archive / name)
            new.rename(old)
        if damage_path(data_dir).exists():
            damage_path(data_dir).rename(archive / damage_path(data_dir).name)
        _sync_folder(archive)
        _sync_folder(data_dir)
        shutil.rmtree(ready)
    return archive


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One process at a time; the kernel gives the lock back if it dies."""
    with file_faults("open", data_dir):
        fd = os.open(data_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalFault(f"{data_dir}: another process is mending its journal; wait for it") from None
        yield
    finally:
        os.close(fd)
