"""A journal of an engine that does not run, opened for reading: batches, digests and events as they lie on the disk.

Nothing is written and nothing repaired. An engine that runs is refused, because its newest writes are only in its own
memory and half of them would look like damage.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from rocksdict import Rdict

from lockstep.engine.contract import EngineType, MatchingEngine
from lockstep.engine.snapshot_format import SnapshotError
from lockstep.replica.evidence import Wholeness, judge
from lockstep.replica.marks import JournalSummary, journal_path
from lockstep.replica.rocks import MEMTABLE_BYTES, database_options, family_options, faults, lock_owner
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import SnapshotDamaged, decode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore, usable
from lockstep.replica.stored_journal import StoredJournal
from lockstep.replica.untouched import open_untouched
from lockstep.replica.witness import read_witness, witness_path
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import EVENT, Events

_KEY: Final = struct.Struct(">Q")


class NoJournal(ValueError):
    """The directory holds no engine's journal; the text names it and what was expected."""


class ColdJournal:
    """One engine's data directory. A context manager.

    Raises:
        NoJournal: the directory holds none.
        EnvironmentFault: an engine runs on it.
        JournalFault: it can't be read.
    """

    def __init__(self, data_dir: Path) -> None:
        path = journal_path(data_dir)
        if not (path / "CURRENT").exists():
            raise NoJournal(
                f"{data_dir} holds no journal; name an engine's data directory, such as lockstep-data/engine-1"
            )
        refuse_if_in_use(data_dir)
        self.data_dir = data_dir
        self._journal = StoredJournal(data_dir)
        try:
            self.summary: JournalSummary = self._journal.summary()
            said = read_witness(witness_path(data_dir))
            verdict = judge(self.summary.found(), said.mark, same_boot=said.same_boot)
            self.missing = verdict.why if verdict.wholeness is Wholeness.DAMAGED else ""
            """What it held and does not hold any more, as the witness beside it says; empty: nothing is known to be."""
            self._derived = _Kept(data_dir / "derived")
        except BaseException:
            self._journal.close()
            raise

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.data_dir} (engine-{self.summary.member})"

    def raw_batches(self, from_seq: int = 1) -> Iterator[bytes]:
        """Journal entries in order, unchecked, from the one that holds `from_seq` on. May raise JournalFault."""
        return self._journal.raw_batches(from_seq)

    def digest(self, last_seq: int) -> bytes | None:
        """The digest that the engine had after the batch that ends at `last_seq`; None if it is not kept."""
        return self._derived.digest(last_seq)

    @property
    def last_digest_seq(self) -> int:
        """Seq of the newest digest that is kept; 0: none."""
        return self._derived.last_digest_seq

    def events(self, first_seq: int) -> Events | None:
        """The events of the batch that begins at `first_seq`, as the engine computed them; None if not kept."""
        return self._derived.events(first_seq)

    def begin(self, make: EngineType) -> tuple[Base | None, MatchingEngine]:
        """Where its execution can begin, and an engine that stands there.

        At seq 1, or where the journal was cut at the oldest snapshot that continues to it.

        Raises:
            NoJournal: its beginning is gone, and no readable snapshot beside it leads on.
        """
        summary = self.summary
        if not summary.base_seq:
            return None, make()
        store = SnapshotStore(self.data_dir)
        heads = usable(
            store.heads(),
            cluster_uuid=summary.cluster_uuid,
            epochs=summary.epochs,
            tip_seq=summary.tip_seq,
            base_seq=summary.base_seq,
        )
        for head in reversed(heads):
            try:
                return head.base, make.restore(decode_snapshot_file(store.read(head.seq))[1])
            except (SnapshotDamaged, SnapshotError):
                continue
        raise NoJournal(
            f"{self.data_dir}: the journal begins after seq {summary.base_seq}, and no snapshot beside it can be read"
        )

    def close(self) -> None:
        """Close it."""
        self._derived.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Kept:
    """The derived database, read only; an engine that never closed in order may have none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: Rdict | None = None
        if not (path / "CURRENT").exists():
            return
        with faults("open", path):
            families = {"events": family_options(MEMTABLE_BYTES), "digests": family_options(4 << 20)}
            self._db = open_untouched(path, database_options(recycle_logs=0), families)
            self._events = self._db.get_column_family("events")
            self._digests = self._db.get_column_family("digests")

    def digest(self, last_seq: int) -> bytes | None:
        if self._db is None:
            return None
        with faults("read", self._path):
            found: bytes | None = self._digests.get(_KEY.pack(last_seq))
        return found

    @property
    def last_digest_seq(self) -> int:
        if self._db is None:
            return 0
        with faults("read", self._path):
            cursor = self._digests.iter()
            cursor.seek_to_last()
            return int(_KEY.unpack(cursor.key())[0]) if cursor.valid() else 0

    def events(self, first_seq: int) -> Events | None:
        if self._db is None:
            return None
        with faults("read", self._path):
            raw: bytes | None = self._events.get(_KEY.pack(first_seq))
        return None if raw is None else np.frombuffer(raw, EVENT)

    def close(self) -> None:
        if self._db is None:
            return
        with faults("close", self._path):
            for part in (self._events, self._digests, self._db):
                part.close()


def refuse_if_in_use(data_dir: Path) -> None:
    """Raises EnvironmentFault if an engine runs on a data directory."""
    owner = lock_owner(journal_path(data_dir) / "LOCK")
    if owner:
        raise EnvironmentFault(
            f"{data_dir} is in use by process {owner}; stop that engine first, or ask the cluster: "
            "`lockstep cluster status`, `history`"
        )
