"""Events and digests of applied batches: what can be computed from the journal, kept so that it needs not be.

A database of its own, because it bypasses the write-ahead log, which RocksDB does not allow together with recycled log
files, and those the journal needs for quick syncs. A crash loses the newest entries; replay makes them again. It says
to which journal it belongs; what is another journal's, damaged or doubted is archived, and made again as well.

| column family | key | value |
| --- | --- | --- |
| events | first seq of the batch, big endian | EVENT records |
| digests | last seq of the batch, big endian | 16 bytes |
| sessions | first seq of some batches, big endian | see `session_index.py` |
"""

import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import numpy as np
from rocksdict import Rdict, WriteBatch, WriteOptions

from lockstep.replica.archive import archive_parts
from lockstep.replica.effects import AppliedBatch
from lockstep.replica.rocks import MEMTABLE_BYTES, DerivedDamaged, database_options, family_options, faults, file_faults
from lockstep.replica.session_index import Span, encode_entry, last_of, spans
from lockstep.stream.digest import Digest
from lockstep.stream.records import EVENT

_KEY: Final = struct.Struct(">Q")
_FAMILIES: Final = ("events", "digests", "sessions")
_MAX_SEQ: Final = 2**64 - 1
_PENDING_BATCHES: Final = 64
_OWNER: Final = b"journal"
DOUBT: Final = "DOUBT"
"""A file in the folder that says why it must not be used."""


class Derived:
    """Writes belong to one thread; reads may come from any. Raises JournalFault."""

    def __init__(self, data_dir: Path, journal: int) -> None:
        """`journal`: identity of the journal that they belong to. What can't be relied on is archived first."""
        self.path = data_dir / "derived"
        self.renewed = ""
        """Why what was there was not used; empty if it was."""
        self._volatile = WriteOptions()
        self._volatile.disable_wal = True  # type: ignore[assignment, method-assign]  # the stub calls it a method
        doubt = self._open(journal)
        if doubt:
            archive = archive_parts(data_dir, "derived", ("derived",))
            self.renewed = f"{doubt}; moved to {archive}, and made again from the journal"
            doubt = self._open(journal)
            assert not doubt, "a new database is doubted"
        self._lock = threading.Lock()
        self.first_seq = self._first_key()
        """First seq of the oldest events kept; 0: none are. What came before is not known here any more."""
        # A write of its own for each batch would cost more than everything else that is done for a lone order.
        self._pending: list[AppliedBatch] = []

    def _open(self, journal: int) -> str:
        """Open what is there, or nothing; why it can't be used, then it is not open."""
        if (self.path / DOUBT).exists():
            return f"{self.path}: {(self.path / DOUBT).read_text(encoding='utf-8')}"
        if self.path.is_dir() and not (self.path / "CURRENT").exists() and any(self.path.iterdir()):
            return f"{self.path}: its file CURRENT is missing"
        sizes = {"events": MEMTABLE_BYTES, "digests": 4 << 20, "sessions": 4 << 20}
        families = {name: family_options(size) for name, size in sizes.items()}
        try:
            with _faults("open", self.path):
                self._db = Rdict(str(self.path), database_options(recycle_logs=0), families)
                self._handles = {name: self._db.get_column_family_handle(name) for name in _FAMILIES}
                self._events = self._db.get_column_family("events")
                self._digests = self._db.get_column_family("digests")
                self._sessions = self._db.get_column_family("sessions")
                owner = self._db.get(_OWNER)
            if owner is None:
                # New, or of a program that did not write it down.
                self._own(journal)
            elif owner != _KEY.pack(journal):
                self._close()
                return f"{self.path} belongs to journal {int.from_bytes(owner, 'big'):x}, not to {journal:x}"
        except DerivedDamaged as damage:
            return damage.why
        return ""

    def _own(self, journal: int) -> None:
        with _faults("write", self.path):
            self._db.put(_OWNER, _KEY.pack(journal), write_opt=self._volatile)
            self._db.flush()

    def keep(self, batches: tuple[AppliedBatch, ...]) -> None:
        """Store events and digests of applied batches, some time soon; not durable."""
        with self._lock:
            self.first_seq = self.first_seq or batches[0].first_seq
            self._pending += batches
            if len(self._pending) >= _PENDING_BATCHES:
                self._write_pending()

    def write_pending(self) -> None:
        """Write what `keep` has put off. Readers see it before as well."""
        with self._lock:
            self._write_pending()

    def _write_pending(self) -> None:
        if not self._pending:
            return
        batch = WriteBatch(raw_mode=True)
        events, digests = self._handles["events"], self._handles["digests"]
        raws = []
        for applied in self._pending:
            raws.append(applied.events.tobytes())
            batch.put(_KEY.pack(applied.first_seq), raws[-1], events)
            batch.put(_KEY.pack(applied.last_seq), applied.digest, digests)
        first_seq, last_seq = self._pending[0].first_seq, self._pending[-1].last_seq
        entry = encode_entry(last_seq, np.frombuffer(b"".join(raws), dtype=EVENT))
        batch.put(_KEY.pack(first_seq), entry, self._handles["sessions"])
        self._pending.clear()
        with _faults("write", self.path):
            self._db.write(batch, self._volatile)

    def events_from(self, from_seq: int) -> Iterator[tuple[int, bytes]]:
        """(first seq, EVENT bytes) of stored batches in order, from the batch that holds `from_seq` on."""
        self.write_pending()
        with _faults("read", self.path):
            cursor = self._events.iter()
            cursor.seek_for_prev(_KEY.pack(max(from_seq, 1)))
            if not cursor.valid():
                cursor.seek_to_first()
            while cursor.valid():
                yield _KEY.unpack(cursor.key())[0], cursor.value()
                cursor.next()
            cursor.status()

    def spans_of(self, session_id: int, from_seq: int, to_seq: int) -> Iterator[Span]:
        """All of `from_seq..to_seq` in order, by whether events there may concern a session."""
        self.write_pending()
        with _faults("read", self.path):
            yield from spans(self._sessions.iter(), session_id, from_seq, to_seq)

    def digest(self, last_seq: int) -> Digest | None:
        """Stored chain digest after the batch that ends at `last_seq`."""
        self.write_pending()
        with _faults("read", self.path):
            value = self._digests.get(_KEY.pack(last_seq))
        return None if value is None else Digest(value)

    def digests_from(self, last_seq: int) -> Iterator[tuple[int, Digest]]:
        """(last seq, digest) of batches that end at `last_seq` or later, in order, as far as they are written."""
        with _faults("read", self.path):
            cursor = self._digests.iter()
            cursor.seek(_KEY.pack(last_seq))
            while cursor.valid():
                yield _KEY.unpack(cursor.key())[0], Digest(cursor.value())
                cursor.next()
            cursor.status()

    def last_kept_seqs(self) -> tuple[int, int]:
        """Keys of the newest stored events (a first seq) and of the newest stored digest (a last seq); 0 if none."""
        self.write_pending()
        return self._last_key(self._events), self._last_key(self._digests)

    def truncate(self, after_seq: int) -> None:
        """Delete everything after `after_seq`, durably."""
        self.write_pending()
        batch = WriteBatch(raw_mode=True)
        for name in _FAMILIES:
            batch.delete_range(_KEY.pack(after_seq + 1), _KEY.pack(_MAX_SEQ), self._handles[name])
        with _faults("write", self.path):
            self._db.write(batch, self._volatile)
            for name in _FAMILIES:
                self._db.get_column_family(name).flush()
        if self.first_seq > after_seq:
            self.first_seq = 0
        self.trim_sessions(after_seq)

    def trim_sessions(self, after_seq: int) -> None:
        """Forget, durably, what is known of the sessions in parts that reach further than `after_seq`.

        What will follow there may concern others.
        """
        batch = WriteBatch(raw_mode=True)
        family = self._handles["sessions"]
        with _faults("write", self.path):
            cursor = self._sessions.iter()
            cursor.seek_to_last()
            while cursor.valid() and last_of(cursor.value()) > after_seq:
                batch.delete(cursor.key(), family)
                cursor.prev()
            if len(batch):
                self._db.write(batch, self._volatile)
                self._sessions.flush()

    def drop_through(self, seq: int) -> None:
        """Delete everything up to `seq`, a batch's end; not durable."""
        self.write_pending()
        batch = WriteBatch(raw_mode=True)
        for name in _FAMILIES:
            batch.delete_range(_KEY.pack(0), _KEY.pack(seq + 1), self._handles[name])
        if self.first_seq and self.first_seq <= seq:
            self.first_seq = seq + 1
        with _faults("write", self.path):
            self._db.write(batch, self._volatile)

    def flush(self) -> None:
        """Have what is stored on the disk, so that a start needs not go back before it. From any thread."""
        self.write_pending()
        with _faults("flush", self.path):
            for family in (self._events, self._digests, self._sessions):
                family.flush()

    def close(self) -> None:
        """Close it; what is in memory is flushed, so that the next start needs not store it again."""
        self.write_pending()
        with _faults("close", self.path):
            for family in (self._events, self._digests, self._sessions):
                family.flush()
        self._close()

    def _close(self) -> None:
        with _faults("close", self.path):
            # Each family's object and handle keep the database open as well.
            self._handles.clear()
            for part in (self._events, self._digests, self._sessions, self._db):
                part.close()

    def _first_key(self) -> int:
        with _faults("read", self.path):
            cursor = self._events.iter()
            cursor.seek_to_first()
            return int(_KEY.unpack(cursor.key())[0]) if cursor.valid() else 0

    def _last_key(self, family: Rdict) -> int:
        with _faults("read", self.path):
            cursor = family.iter()
            cursor.seek_to_last()
            return int(_KEY.unpack(cursor.key())[0]) if cursor.valid() else 0


def note_doubt(data_dir: Path, why: str) -> None:
    """Have what is stored there made again from the journal at the next start.

    Raises:
        JournalFault: that can't be written down.
    """
    path = data_dir / "derived" / DOUBT
    with file_faults("write", path):
        path.write_text(why, encoding="utf-8")


def _faults(action: str, path: Path) -> AbstractContextManager[None]:
    return faults(action, path, DerivedDamaged)
