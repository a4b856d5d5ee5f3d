"""The replica's journal in RocksDB: stamped batches, promises, the epoch table, and what belongs to a batch.

Column families:

| name | key | value | durability |
| --- | --- | --- | --- |
| commands | first seq, big endian | the stamped batch, as it came (`stream/batch.py`) | log, synced |
| meta | text | identity, base seq, promise, committed seq (a hint), epoch table | log; all but the hint always synced |

The base seq is the one before the first that the journal holds: what is up to there is in snapshots only. The epoch
table is never cut. A new journal draws a random identity and is `blank` until the cluster has admitted it.

One burst is one WriteBatch and one sync, then one mark in the witness (`evidence.py`): a journal that lacks some of
what was marked is never opened for writing. A write that fails leaves unknown what is on the disk, so it is terminal.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rocksdict import AccessType, WriteBatch, WriteOptions

from lockstep.replica.archive import archive_tail
from lockstep.replica.derived import Derived
from lockstep.replica.divergence import epoch_at
from lockstep.replica.effects import JournalWrite
from lockstep.replica.evidence import Mark, Tip, Verdict, Wholeness
from lockstep.replica.marks import JournalSummary, Marks, examine, journal_path
from lockstep.replica.mend import finish
from lockstep.replica.rocks import JournalDamaged, JournalFault, faults
from lockstep.replica.settings import Base
from lockstep.replica.stored_journal import EPOCH_END, EPOCH_PREFIX, KEY, LAYOUT, PROMISE, StoredJournal, inspect
from lockstep.replica.witness import Said, witness_path
from lockstep.runtime.faults import disk_text

__all__ = ["LAYOUT", "Journal", "JournalFault", "JournalSummary", "inspect", "journal_path"]

_MAX_SEQ: Final = 2**64 - 1


class Journal(StoredJournal):
    """One journal, open for writing by one thread; reads may come from any.

    Raises:
        JournalFault: the directory is locked, belongs to another engine, or has a newer layout.
        JournalDamaged: it lacks something that it held, or can't be read. Nothing was changed.
    """

    def __init__(self, data_dir: Path, member: int) -> None:
        self._fault: JournalFault | None = None
        self._derived: Derived | None = None
        self._marks: Marks | None = None
        finish(data_dir)
        _make_directory(data_dir)
        said, verdict = examine(data_dir, member, inspect)
        self.notices: list[tuple[str, str]] = []  # what was found and mended when it was opened: (event, text)
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        self.unsynced = False
        """Something was written since the last sync."""
        self.mark: Mark | None = None
        """What was acknowledged when it was open before, if all of it is here."""
        super().__init__(data_dir, member, access=AccessType.read_write())
        try:
            self._begin(member)
            self._bear_witness(said, verdict)
            self._derived = Derived(data_dir, self.identity)
            self._check_derived(verdict)
        except JournalFault:
            self.close()
            raise

    @property
    def derived(self) -> Derived:
        """Events and digests."""
        assert self._derived is not None, "not open"
        return self._derived

    @property
    def marks(self) -> Marks:
        """What the witness records."""
        assert self._marks is not None, "not open"
        return self._marks

    # ---- writing ------------------------------------------------------------------------------------------------

    def write(self, write: JournalWrite, *, sync: bool, applied: tuple[int, bytes] = (0, b"")) -> None:
        """One atomic write; durable on return if `sync` or if it holds a promise or the cluster's identity.

        `applied`: up to which seq the journal was executed before, and the chain digest there; kept beside the journal.

        Raises:
            JournalFault: it failed, or an earlier one did. The replica must stop.
        """
        self._raise_fault()
        batch = WriteBatch(raw_mode=True)
        commands, meta = self._handles["commands"], self._handles["meta"]
        for stamped in write.batches:
            batch.put(KEY.pack(stamped.first_seq), stamped.raw, commands)
        for entry in write.epochs:
            batch.put(EPOCH_PREFIX + KEY.pack(entry.epoch), KEY.pack(entry.first_seq), meta)
        if write.promise is not None:
            batch.put(b"promise", PROMISE.pack(*write.promise), meta)
        if write.cluster_uuid:
            batch.put(b"cluster_uuid", write.cluster_uuid.encode(), meta)
        if write.committed_seq:
            batch.put(b"committed_seq", KEY.pack(write.committed_seq), meta)
        if write.joined:
            batch.delete(b"blank", meta)
            batch.delete(b"disowned", meta)
        must_sync = sync or write.promise is not None or bool(write.cluster_uuid) or write.joined
        self._write(batch, self._synced if must_sync else self._unsynced)
        with self._terminal():
            self.marks.on_write(write, synced=must_sync, applied=applied)
        self.unsynced = not must_sync

    def note_committed(self, committed_seq: int) -> None:
        """Store the committed seq while there is nothing else to write: snapshots go no further than it."""
        batch = WriteBatch(raw_mode=True)
        batch.put(b"committed_seq", KEY.pack(committed_seq), self._handles["meta"])
        self._write(batch, self._unsynced)

    def sync(self) -> None:
        """Make everything written so far durable. May be called from another thread than the writer's."""
        self._raise_fault()
        self.unsynced = False
        tip = self.marks.tip
        with self._terminal():
            with faults("sync", self.path):
                self._db.flush_wal(True)
            self.marks.on_sync(tip)

    def truncate(self, after_seq: int) -> Path:
        """Archive everything after `after_seq` as batches and as readable JSON lines, then delete it.

        The archive is on the disk before anything is deleted. Returns the archive's path.

        Raises:
            JournalFault: a batch lies on both sides of `after_seq`, or the disk fails.
        """
        tail = list(self.batches(after_seq + 1))
        if tail and tail[0].first_seq <= after_seq:
            raise JournalFault(
                f"journal {self.path}: batch {tail[0].first_seq}..{tail[0].last_seq} lies across seq {after_seq}; "
                "the journals of this cluster have different batches, which must never be"
            )
        archive = archive_tail(self.data_dir, f"{self.incarnation}-{after_seq}", tail)
        self.give_up_after(after_seq)
        return archive

    def give_up_after(self, after_seq: int) -> None:
        """Delete everything after a batch's end, and do not keep it anywhere.

        Raises:
            JournalFault: the disk fails.
        """
        # The mark first: a crash in between leaves a journal that holds more than it has to.
        epochs = tuple(entry for entry in self.epochs() if entry.first_seq <= after_seq)
        with self._terminal():
            self.marks.begin_anew(Tip(epoch_at(epochs, after_seq), after_seq))
        # First what can be made again: a crash in between leaves nothing behind that belongs to no command.
        self.derived.truncate(after_seq)
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(KEY.pack(after_seq + 1), KEY.pack(_MAX_SEQ), self._handles["commands"])
        for entry in self.epochs():
            if entry.first_seq > after_seq:
                batch.delete(EPOCH_PREFIX + KEY.pack(entry.epoch), self._handles["meta"])
        self._write(batch, self._synced)

    def drop_through(self, seq: int) -> None:
        """Delete everything up to `seq`, a batch's end; what is deleted has to be in snapshots.

        Raises:
            JournalFault: a batch lies on both sides of `seq`, or the disk fails.
        """
        if seq <= self.base_seq:
            return
        following = next(self.batches(seq + 1), None)
        if following is not None and following.first_seq <= seq:
            raise JournalFault(
                f"journal {self.path}: batch {following.first_seq} lies across seq {seq}; nothing was cut"
            )
        self.derived.drop_through(seq)
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(KEY.pack(0), KEY.pack(seq + 1), self._handles["commands"])
        batch.put(b"base_seq", KEY.pack(seq), self._handles["meta"])
        # Readers that look at `base_seq` first never ask for what is being deleted.
        self.base_seq = seq
        self._write(batch, self._synced)

    def begin_after(self, base: Base, cluster_uuid: str, common_seq: int) -> Path:
        """Have the journal begin anew after a snapshot; what it held after `common_seq` is archived first.

        Returns the archive's path.

        Raises:
            JournalFault: the disk fails.
        """
        archive = self.truncate(common_seq)
        self.derived.drop_through(base.seq)
        commands, meta = self._handles["commands"], self._handles["meta"]
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(KEY.pack(0), KEY.pack(_MAX_SEQ), commands)
        batch.delete_range(EPOCH_PREFIX, EPOCH_END, meta)
        for entry in base.epochs:
            batch.put(EPOCH_PREFIX + KEY.pack(entry.epoch), KEY.pack(entry.first_seq), meta)
        batch.put(b"base_seq", KEY.pack(base.seq), meta)
        batch.put(b"committed_seq", KEY.pack(base.seq), meta)
        batch.put(b"cluster_uuid", cluster_uuid.encode(), meta)
        if self.promise()[0] < base.epochs[-1].epoch:
            batch.put(b"promise", PROMISE.pack(base.epochs[-1].epoch, base.sequencer), meta)
        self._write(batch, self._synced)
        self.base_seq = base.seq
        with self._terminal():
            self.marks.begin_anew(Tip(base.epochs[-1].epoch, base.seq), self.promise()[0], cluster_uuid)
        return archive

    def flush_tables(self) -> None:
        """Write what is in memory into tables, as happens by itself when there is enough of it."""
        with self._terminal(), faults("flush", self.path):
            for family in (self._commands, self._meta):
                family.flush()

    def close(self) -> None:
        """Close it."""
        try:
            if self._derived is not None:
                self._derived.close()
        finally:
            if self._marks is not None:
                self._marks.close()
            self._fault = self._fault or JournalFault(f"cannot write journal {self.path}: it is closed")
            self._close_database()

    # ---- inside -------------------------------------------------------------------------------------------------

    def _begin(self, member: int) -> None:
        batch = WriteBatch(raw_mode=True)
        meta = self._handles["meta"]
        batch.put(b"layout", KEY.pack(LAYOUT), meta)
        batch.put(b"member", KEY.pack(member), meta)
        batch.put(b"incarnation", KEY.pack(self.incarnation + 1), meta)
        if not self.identity:
            # Never 0. A journal of an earlier program gets one, too; the cluster knows it already.
            batch.put(b"journal", KEY.pack(secrets.randbits(63) | 1), meta)
            if not self.layout:
                batch.put(b"blank", b"1", meta)
        self._write(batch, self._synced)
        self._read_identity()

    def _bear_witness(self, said: Said, verdict: Verdict) -> None:
        """Begin to write marks; a journal that may lack what was acknowledged is no longer the one that held it."""
        if verdict.wholeness is Wholeness.UNSYNCED:
            self._disown()
            if verdict.why:
                self.notices.append(("journal_unsynced", f"journal {self.path}: {verdict.why}; it counts for nothing"))
        summary = self.summary()
        if verdict.wholeness is Wholeness.WHOLE:
            self.mark = said.mark
        applied = (0, b"") if self.mark is None else (self.mark.applied_seq, self.mark.digest)
        self._marks = Marks(self.data_dir, said, summary, applied)
        if said.damaged:
            self.notices.append(("witness_damaged", f"{said.damaged} pages of {witness_path(self.data_dir)}"))
        if not summary.witnessed:
            batch = WriteBatch(raw_mode=True)
            batch.put(b"witnessed", b"1", self._handles["meta"])
            self._write(batch, self._synced)

    def _disown(self) -> None:
        """Make it another journal with the same content, one that the cluster has not admitted."""
        batch = WriteBatch(raw_mode=True)
        meta = self._handles["meta"]
        self.identity = secrets.randbits(63) | 1
        batch.put(b"journal", KEY.pack(self.identity), meta)
        for flag in (b"blank", b"disowned"):
            batch.put(flag, b"1", meta)
        self._write(batch, self._synced)

    def _check_derived(self, verdict: Verdict) -> None:
        derived = self.derived
        if derived.renewed:
            self.notices.append(("derived_renewed", derived.renewed))
        ahead, tip = max(derived.last_kept_seqs()), self.marks.tip
        derived.trim_sessions(tip.seq)
        if ahead <= tip.seq:
            return
        if verdict.wholeness is Wholeness.UNSYNCED:
            derived.truncate(tip.seq)
            return
        raise JournalDamaged(
            self.path, f"it ends at {tip}; results up to seq {ahead} are stored", Tip(0, ahead), self.cluster_uuid
        )

    def _write(self, batch: WriteBatch, options: WriteOptions) -> None:
        self._raise_fault()
        with self._terminal(), faults("write", self.path):
            self._db.write(batch, options)

    @contextmanager
    def _terminal(self) -> Iterator[None]:
        """After a fault nothing more is written."""
        try:
            yield
        except JournalFault as fault:
            self._fault = fault
            raise

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault


def _make_directory(data_dir: Path) -> None:
    try:
        journal_path(data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalFault(disk_text("create data directory", data_dir, error)) from error
