"""The replica's journal in RocksDB: stamped batches, promises, the epoch table, and what belongs to a batch.

Column families:

| name | key | value | durability |
| --- | --- | --- | --- |
| commands | first seq, big endian | STREAM frame without sender, flags, aux, committed seq | log, synced |
| meta | text | identity, base seq, promise, committed seq (a hint), epoch table | log; all but the hint always synced |

The base seq is the one before the first that the journal holds: what is up to there is in snapshots only. The epoch
table is never cut. A new journal draws a random identity and is `blank` until the cluster has taken it in.

One burst is one WriteBatch and one sync, then one mark in the witness (`evidence.py`): a journal that lacks some of
what was marked is never opened for writing. A write that fails leaves unknown what is on the disk, so it is terminal.
"""

import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from rocksdict import AccessType, Rdict, ReadOptions, WriteBatch, WriteOptions

from lockstep.replica.archive import archive_tail
from lockstep.replica.derived import Derived
from lockstep.replica.divergence import EpochEntry, EpochTable, epoch_at
from lockstep.replica.effects import JournalWrite
from lockstep.replica.evidence import Mark, Tip, Verdict, Wholeness
from lockstep.replica.marks import JournalSummary, Marks, check_owner, examine, journal_path
from lockstep.replica.rocks import (
    MEMTABLE_BYTES,
    JournalDamaged,
    JournalFault,
    database_options,
    family_options,
    faults,
)
from lockstep.replica.settings import Base
from lockstep.replica.untouched import open_untouched
from lockstep.replica.witness import Said, witness_path
from lockstep.runtime.faults import disk_text
from lockstep.stream.frames import Frame, FrameError, decode_frame, encode_frame

__all__ = ["LAYOUT", "Journal", "JournalFault", "JournalSummary", "inspect", "journal_path"]

LAYOUT: Final = 2
"""2: the digest chain is BLAKE3."""
_KEY: Final = struct.Struct(">Q")
_PROMISE: Final = struct.Struct("<QQ")
_FAMILIES: Final = ("commands", "meta")
_EPOCH_PREFIX: Final = b"epoch/"
_EPOCH_END: Final = b"epoch0"
_MAX_SEQ: Final = 2**64 - 1


class Journal:
    """One open journal. Writes belong to one thread; reads may come from any.

    Raises:
        JournalFault: the directory is locked, belongs to another engine, or has a newer layout.
        JournalDamaged: it lacks something that it held, or can't be read. Nothing was changed.
    """

    def __init__(
        self,
        data_dir: Path,
        member: int,
        *,
        read_only: bool = False,
        follow_in: Path | None = None,
        disown: bool = False,
    ) -> None:
        """`follow_in`: read beside the writing process, with own files in this folder; `catch_up` shows the news.

        `disown`: take what is there for what it is, as a journal that the cluster has not taken in.
        """
        read_only = read_only or follow_in is not None
        self.data_dir = data_dir
        self.path = journal_path(data_dir)
        self._fault: JournalFault | None = None
        self._derived: Derived | None = None
        self._marks: Marks | None = None
        said, verdict = Said(None, same_boot=False, count=0, damaged=0), Verdict(Wholeness.WHOLE)
        if not read_only:
            self._make_directory()
            said, verdict = examine(data_dir, member, inspect, disown=disown)
        self.notices: list[tuple[str, str]] = []  # what was found and mended when it was opened: (event, text)
        with faults("open", self.path):
            families = {"commands": family_options(MEMTABLE_BYTES), "meta": family_options(1 << 20)}
            # A log file that is used again needs no new blocks: it halves the slowest syncs (p99 1.7 -> 0.7 ms).
            options = database_options(recycle_logs=4)
            if follow_in is not None:
                self._db = Rdict(str(self.path), options, families, AccessType.secondary(str(follow_in)))
            elif read_only:
                self._db = open_untouched(self.path, options, families)
            else:
                self._db = Rdict(str(self.path), options, families, AccessType.read_write())
            self._handles = {name: self._db.get_column_family_handle(name) for name in _FAMILIES}
            self._commands = self._db.get_column_family("commands")
            self._meta = self._db.get_column_family("meta")
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        self.unsynced = False
        """Something was written since the last sync."""
        self.mark: Mark | None = None
        """What was acknowledged when it was open before, if all of it is here."""
        try:
            self._check_identity(member, read_only)
            self.member = self._int("member")
            self.incarnation = self._int("incarnation")
            self.identity = self._int("journal")
            """Random number, drawn when the journal was created."""
            self.base_seq = self._int("base_seq")
            """The seq before the first one that it holds."""
            if not read_only:
                self._bear_witness(said, verdict)
                self._derived = Derived(data_dir, self.identity)
                self._check_derived(verdict)
        except JournalFault:
            self.close()
            raise

    @property
    def derived(self) -> Derived:
        """Events and digests; a journal that was opened for reading only has none."""
        assert self._derived is not None, "opened for reading only"
        return self._derived

    @property
    def marks(self) -> Marks:
        """What the witness is told; a journal that was opened for reading only has none."""
        assert self._marks is not None, "opened for reading only"
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
        for frame in write.frames:
            batch.put(_KEY.pack(frame.first_seq), encode_frame(frame), commands)
        for entry in write.epochs:
            batch.put(_EPOCH_PREFIX + _KEY.pack(entry.epoch), _KEY.pack(entry.first_seq), meta)
        if write.promise is not None:
            batch.put(b"promise", _PROMISE.pack(*write.promise), meta)
        if write.cluster_uuid:
            batch.put(b"cluster_uuid", write.cluster_uuid.encode(), meta)
        if write.committed_seq:
            batch.put(b"committed_seq", _KEY.pack(write.committed_seq), meta)
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
        batch.put(b"committed_seq", _KEY.pack(committed_seq), self._handles["meta"])
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
        """Archive everything after `after_seq` as frames and as readable JSON lines, then delete it.

        The archive is on the disk before anything is deleted. Returns the archive's path.

        Raises:
            JournalFault: a batch lies on both sides of `after_seq`, or the disk fails.
        """
        tail = list(self.frames(after_seq + 1))
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
        batch.delete_range(_KEY.pack(after_seq + 1), _KEY.pack(_MAX_SEQ), self._handles["commands"])
        for entry in self.epochs():
            if entry.first_seq > after_seq:
                batch.delete(_EPOCH_PREFIX + _KEY.pack(entry.epoch), self._handles["meta"])
        self._write(batch, self._synced)

    def drop_through(self, seq: int) -> None:
        """Delete everything up to `seq`, a batch's end; what is deleted has to be in snapshots.

        Raises:
            JournalFault: a batch lies on both sides of `seq`, or the disk fails.
        """
        if seq <= self.base_seq:
            return
        following = next(self.frames(seq + 1), None)
        if following is not None and following.first_seq <= seq:
            raise JournalFault(
                f"journal {self.path}: batch {following.first_seq} lies across seq {seq}; nothing was cut"
            )
        self.derived.drop_through(seq)
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(_KEY.pack(0), _KEY.pack(seq + 1), self._handles["commands"])
        batch.put(b"base_seq", _KEY.pack(seq), self._handles["meta"])
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
        batch.delete_range(_KEY.pack(0), _KEY.pack(_MAX_SEQ), commands)
        batch.delete_range(_EPOCH_PREFIX, _EPOCH_END, meta)
        for entry in base.epochs:
            batch.put(_EPOCH_PREFIX + _KEY.pack(entry.epoch), _KEY.pack(entry.first_seq), meta)
        batch.put(b"base_seq", _KEY.pack(base.seq), meta)
        batch.put(b"committed_seq", _KEY.pack(base.seq), meta)
        batch.put(b"cluster_uuid", cluster_uuid.encode(), meta)
        if self._promise()[0] < base.epochs[-1].epoch:
            batch.put(b"promise", _PROMISE.pack(base.epochs[-1].epoch, base.sequencer), meta)
        self._write(batch, self._synced)
        self.base_seq = base.seq
        with self._terminal():
            self.marks.begin_anew(Tip(base.epochs[-1].epoch, base.seq), self._promise()[0], cluster_uuid)
        return archive

    def flush_tables(self) -> None:
        """Write what is in memory into tables, as happens by itself when there is enough of it."""
        with self._terminal(), faults("flush", self.path):
            for family in (self._commands, self._meta):
                family.flush()

    def close(self) -> None:
        """Close it."""
        if self._derived is not None:
            self._derived.close()
        if self._marks is not None:
            self._marks.close()
        self._fault = self._fault or JournalFault(f"cannot write journal {self.path}: it is closed")
        with faults("close", self.path):
            # Each family's object and handle keep the database open as well.
            self._handles.clear()
            for part in (self._commands, self._meta, self._db):
                part.close()

    # ---- reading ------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """See what the writing process has written since; only of a journal that follows another process."""
        with faults("follow", self.path):
            self._db.try_catch_up_with_primary()
        self.base_seq = self._int("base_seq")
        self.identity = self._int("journal")

    @property
    def committed_hint(self) -> int:
        """A seq that is committed; the newest committed one may be higher."""
        return self._int("committed_seq")

    @property
    def cluster_uuid(self) -> str:
        """Empty if it never met a sequencer."""
        return (self._text("cluster_uuid") or b"").decode()

    def _promise(self) -> tuple[int, int]:
        promise = self._text("promise")
        if not promise:
            return 0, 0
        epoch, sequencer = _PROMISE.unpack(promise)
        return epoch, sequencer

    def frames(self, from_seq: int) -> Iterator[Frame]:
        """Journaled frames in order, from the batch that holds `from_seq` on.

        Raises:
            JournalFault: an entry is damaged.
        """
        for raw in self.raw_frames(from_seq):
            try:
                yield decode_frame(raw)
            except FrameError as error:
                raise JournalDamaged(self.path, str(error)) from error

    def raw_frames(self, from_seq: int) -> Iterator[bytes]:
        """Like `frames`, undecoded."""
        start = _KEY.pack(max(from_seq, 1))
        with faults("read", self.path):
            cursor = self._commands.iter()
            cursor.seek_for_prev(start)
            if cursor.valid() and _last_seq(cursor.key(), cursor.value()) < from_seq:
                cursor.next()
            elif not cursor.valid():
                cursor.seek(start)
            while cursor.valid():
                yield cursor.value()
                cursor.next()
            cursor.status()

    def epochs(self) -> EpochTable:
        """The epoch table, ascending."""
        entries: list[EpochEntry] = []
        with faults("read", self.path):
            options = ReadOptions()
            options.set_iterate_upper_bound(_EPOCH_END)
            for key, value in self._meta.items(from_key=_EPOCH_PREFIX, read_opt=options):
                if isinstance(key, bytes) and key.startswith(_EPOCH_PREFIX):
                    entries.append(EpochEntry(_KEY.unpack(key[len(_EPOCH_PREFIX) :])[0], _KEY.unpack(value)[0]))
        return tuple(entries)

    def summary(self) -> JournalSummary:
        """What it says of itself."""
        epochs = self.epochs()
        tip_seq, timestamp_ns = self.base_seq, 0
        tip_epoch = epoch_at(epochs, tip_seq)
        with faults("read", self.path):
            cursor = self._commands.iter()
            cursor.seek_to_last()
            raw = cursor.value() if cursor.valid() else None
        if raw is not None:
            try:
                last = decode_frame(raw)
            except FrameError as error:
                raise JournalDamaged(self.path, str(error)) from error
            tip_epoch, tip_seq, timestamp_ns = last.epoch, last.last_seq, last.timestamp_ns
        promised, promised_to = self._promise()
        return JournalSummary(
            self.member,
            self.cluster_uuid,
            promised,
            promised_to,
            tip_epoch,
            tip_seq,
            timestamp_ns,
            self._int("committed_seq"),
            self.incarnation,
            epochs,
            self.identity,
            self._text("blank") is None,
            self.base_seq,
            self._text("witnessed") is not None,
            self._text("disowned") is not None,
        )

    # ---- inside -------------------------------------------------------------------------------------------------

    def _make_directory(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalFault(disk_text("create data directory", self.data_dir, error)) from error

    def _check_identity(self, member: int, read_only: bool) -> None:
        layout = self._int("layout")
        check_owner(self.data_dir, layout, LAYOUT, self._int("member"), member)
        if read_only:
            return
        batch = WriteBatch(raw_mode=True)
        meta = self._handles["meta"]
        batch.put(b"layout", _KEY.pack(LAYOUT), meta)
        batch.put(b"member", _KEY.pack(member), meta)
        batch.put(b"incarnation", _KEY.pack(self._int("incarnation") + 1), meta)
        if not self._int("journal"):
            # Never 0. A journal of an earlier program gets one, too; the cluster knows it already.
            batch.put(b"journal", _KEY.pack(secrets.randbits(63) | 1), meta)
            if not layout:
                batch.put(b"blank", b"1", meta)
        self._write(batch, self._synced)

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
        """Make it another journal with the same content, one that the cluster has not taken in."""
        batch = WriteBatch(raw_mode=True)
        meta = self._handles["meta"]
        self.identity = secrets.randbits(63) | 1
        batch.put(b"journal", _KEY.pack(self.identity), meta)
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

    def _text(self, key: str) -> bytes | None:
        with faults("read", self.path):
            return cast("bytes | None", self._meta.get(key.encode()))

    def _int(self, key: str) -> int:
        value = self._text(key)
        return 0 if value is None else int(_KEY.unpack(value)[0])


def inspect(data_dir: Path) -> JournalSummary | None:
    """Summary of the journal of an engine that does not run; None if the directory holds none.

    Raises:
        JournalFault: it can't be read.
    """
    if not (journal_path(data_dir) / "CURRENT").exists():
        return None
    journal = Journal(data_dir, 0, read_only=True)
    try:
        return journal.summary()
    finally:
        journal.close()


def _last_seq(key: bytes, raw: bytes) -> int:
    return int(_KEY.unpack(key)[0]) + decode_frame(raw).count - 1
