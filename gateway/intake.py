"""The intake log: what this gateway has admitted and not yet seen answered, on disk.

A command is written here before it leaves, so a gateway that is killed and started again sends the rest of it again,
also where the client is gone by then. Beside the commands stand the sessions that want their orders canceled when their
client is gone. Not synced: it survives the death of the process, not that of the host; for the latter the client, who
keeps what is unanswered, sends again.

RocksDB reads a damaged log as one that ends earlier, and a damaged list of its files as a shorter one. So the number of
writes stands a second time in a small file beside it (`IntakeMark`): a log that has seen fewer, though the host has not
gone down since, has lost some. And each write says how much there is after it. What differs is said.
"""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from rocksdict import DBCompressionType, Options, Rdict, RdictIter, WriteBatch, WriteOptions

from lockstep.gateway.disconnects import Watch
from lockstep.gateway.intake_mark import IntakeMark
from lockstep.runtime.faults import disk_text
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import COMMAND, LAYOUT_VERSION, Commands

_KEY_BYTES: Final = 8
_WATCH: Final = struct.Struct(">IQ")
_INCARNATION: Final = b"meta:incarnation"
_OWNER: Final = b"meta:owner"
_WATCHED: Final = b"watched:"
_WRITES: Final = b"meta:writes"
_SEEN: Final = struct.Struct(">QII")
"""Writes so far, entries and watched sessions that are there after the last."""
_LOST: Final = (
    "commands that were not answered yet, and sessions with cancel on disconnect, may be missing: clients that live "
    "send again what is unanswered; cancel orders of those that do not by hand (`lockstep cluster kill-switch`)"
)
_WRITE_BUFFER_BYTES: Final = 16 << 20


class IntakeLog:
    """Entries by ascending key; keys never repeat within one life of the log."""

    def __init__(self, directory: Path, *, cluster: str, gateway: int, now_s: int, synced: bool = False) -> None:
        """Open or create it. `now_s` (Unix seconds) makes the incarnation rise even if the directory was wiped.

        Raises:
            EnvironmentFault: the directory is in use, belongs to another gateway, or cannot be read.
        """
        self.directory = directory
        options = Options(raw_mode=True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_compression_type(DBCompressionType.none())
        self._fault: EnvironmentFault | None = None
        with self._disk("open"):
            directory.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(directory), options)
        self._write = WriteOptions()
        self._write.sync = synced
        with self._reading():
            self._check_owner(f"{cluster}/gateway-{gateway}/layout-{LAYOUT_VERSION}")
            stored = self._db.get(_INCARNATION)
            writes = self._db.get(_WRITES)
        before = int.from_bytes(stored, "big") if stored is not None else 0
        self.incarnation = max(before + 1, now_s)
        """Number of this life of the gateway, greater than those of all before."""
        with self._disk("write"):
            self._db[_INCARNATION] = self.incarnation.to_bytes(8, "big")
            self._mark = IntakeMark(directory / "mark")
        self._forgotten = 0
        self._writes, entries, watched = (0, None, None) if writes is None else _SEEN.unpack(writes)
        self._expected: tuple[int | None, int | None] = (entries, watched)
        self._keys: deque[int] = deque()
        self._watching: set[int] = set()
        self.damage = ""
        """What was found to be missing, in words; empty if nothing was."""
        if self._mark.writes > self._writes:
            self.damage = (
                f"the intake log {directory} has lost its last {self._mark.writes - self._writes} writes: {_LOST}"
            )
            self._writes = self._mark.writes

    def _check_owner(self, owner: str) -> None:
        stored = self._db.get(_OWNER)
        if stored is None:
            with self._disk("write"):
                self._db[_OWNER] = owner.encode()
        elif stored != owner.encode():
            self._db.close()
            raise EnvironmentFault(
                f"the intake log {self.directory} belongs to {stored.decode(errors='replace')}, not to {owner}; "
                f"give this gateway a data_dir of its own"
            )

    @contextmanager
    def _disk(self, action: str) -> Iterator[None]:
        """Errors of the disk, and of the binding, which raises nothing narrower, with the place and the remedy."""
        try:
            yield
        except EnvironmentFault:
            raise
        except Exception as error:
            if "Corruption" in str(error):
                raise self._damaged(str(error)) from error
            if "lock" in str(error).lower() and "LOCK" in str(error):
                raise EnvironmentFault(
                    f"the intake log {self.directory} is in use by another process: stop that gateway, or give this "
                    "one a data_dir of its own"
                ) from error
            raise EnvironmentFault(disk_text(action, f"the intake log {self.directory}", error)) from error

    def _damaged(self, why: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the intake log {self.directory} is damaged ({why}); move it away and start again: {_LOST}"
        )

    def unanswered(self) -> list[tuple[int, Commands]]:
        """What the log holds, oldest first.

        Raises:
            EnvironmentFault: an entry is damaged.
        """
        entries = []
        cursor = self._db.iter()
        cursor.seek_to_first()
        self._check(cursor)
        while cursor.valid():
            key, value = cursor.key(), cursor.value()
            self._step(cursor)
            if len(key) != _KEY_BYTES:
                continue
            if len(value) % COMMAND.itemsize:
                raise self._damaged(f"an entry of {len(value)} bytes")
            entries.append((int.from_bytes(key, "big"), np.frombuffer(value, dtype=COMMAND)))
        if entries:
            self._forgotten = entries[0][0] - 1
        self._keys = deque(key for key, _ in entries)
        self._compare(len(entries), self._expected[0], "entries")
        return entries

    def _compare(self, found: int, expected: int | None, what: str) -> None:
        if expected is not None and found != expected and not self.damage:
            self.damage = f"the intake log {self.directory} has {found} {what} where it had {expected}: {_LOST}"

    def watched(self) -> list[Watch]:
        """Sessions with cancel on disconnect, by session.

        Raises:
            EnvironmentFault: an entry is damaged.
        """
        sessions = []
        cursor = self._db.iter()
        cursor.seek(_WATCHED)
        self._check(cursor)
        while cursor.valid() and cursor.key().startswith(_WATCHED):
            session_id, watch = cursor.key()[len(_WATCHED) :], cursor.value()
            self._step(cursor)
            if len(session_id) != _KEY_BYTES or len(watch) != _WATCH.size:
                raise self._damaged(f"a watched session of {len(session_id)} and {len(watch)} bytes")
            sessions.append(Watch(int.from_bytes(session_id, "big"), *_WATCH.unpack(watch)))
        self._watching = {watch.session_id for watch in sessions}
        self._compare(len(sessions), self._expected[1], "sessions with cancel on disconnect")
        return sessions

    def write(
        self,
        entries: Sequence[tuple[int, Commands]],
        forget_through: int = 0,
        watched: Sequence[Watch] = (),
    ) -> None:
        """Add entries and drop those up to `forget_through` (0: none), in one write.

        `watched`: changes of what `watched()` of the next life gives.

        Raises:
            EnvironmentFault: it could not be written, or an earlier write could not: what is on the disk is not known.
        """
        if self._fault is not None:
            raise self._fault
        batch = WriteBatch(raw_mode=True)
        self._keys.extend(key for key, _ in entries)
        while self._keys and self._keys[0] <= forget_through:
            self._keys.popleft()
        for key, records in entries:
            batch.put(key.to_bytes(_KEY_BYTES, "big"), records.tobytes())
        if forget_through > self._forgotten:
            for key in range(self._forgotten + 1, forget_through + 1):
                batch.delete(key.to_bytes(_KEY_BYTES, "big"))
            self._forgotten = forget_through
        for watch in watched:
            name = _WATCHED + watch.session_id.to_bytes(_KEY_BYTES, "big")
            if watch.grace_ms:
                batch.put(name, _WATCH.pack(watch.grace_ms, watch.connection))
                self._watching.add(watch.session_id)
            else:
                batch.delete(name)
                self._watching.discard(watch.session_id)
        self._writes += 1
        batch.put(_WRITES, _SEEN.pack(self._writes, len(self._keys), len(self._watching)))
        try:
            with self._disk("write"):
                self._db.write(batch, self._write)
                self._mark.put(self._writes)
        except EnvironmentFault as fault:
            self._fault = fault
            raise

    def _step(self, cursor: RdictIter) -> None:
        """To the next entry. An iterator that meets damage ends as it does at the end."""
        cursor.next()
        if not cursor.valid():
            self._check(cursor)

    def _check(self, cursor: RdictIter) -> None:
        with self._reading():
            cursor.status()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the binding raises nothing narrower
            if type(error) is not Exception:
                raise
            raise self._damaged(str(error)) from error

    def flush_tables(self) -> None:
        """Write what is in memory into a table, as happens by itself when there is enough of it."""
        self._db.flush()

    def close(self) -> None:
        """Close it; the log stays.

        Raises:
            EnvironmentFault: it could not be written down. One that has failed before says nothing more.
        """
        self._mark.close()
        try:
            with self._disk("close"):
                self._db.close()
        except EnvironmentFault:
            if self._fault is None:
                raise
