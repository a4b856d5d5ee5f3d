"""What can be read of a damaged journal, and where what can be read may begin. Nothing is changed by looking.

A verified snapshot is worth all of the journal up to its seq. So damage that lies below one costs nothing but history:
the journal may begin there, as one that was cut, and if it can be read from there to its end, which the witness knows,
it is *whole*. Otherwise that beginning counts from which most can be reached, the oldest of several that are as good.

Each batch says with its last seq where the next one lies, so one damaged table is in nobody's way but its own.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from lockstep.replica.divergence import EpochEntry, EpochTable
from lockstep.replica.evidence import Tip, Wholeness, judge
from lockstep.replica.marks import JournalSummary, journal_path
from lockstep.replica.rocks import JournalDamaged, JournalFault, faults
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, check_snapshot_file
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.stored_journal import KEY, StoredJournal
from lockstep.replica.witness import Said, read_witness, witness_path
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.values import frozen


@frozen
class Remains:
    """The best of what is left."""

    tip: Tip
    """Up to here it can be read."""
    base_seq: int
    """It begins behind this seq; what is up to there is in a snapshot."""
    snapshot: SnapshotHead | None
    """The snapshot at `base_seq`; None: it begins where the journal did."""
    epochs: EpochTable
    """Up to `tip`."""
    readable: bool = True
    """False: nothing of the journal itself can be read, the snapshot is all that is left."""
    whole: bool = False
    """From `base_seq` on, everything that the journal is known to have held is there."""


class TornJournal(StoredJournal):
    """A journal of which parts may be damaged or gone. What it says of itself may be older than it was, or nothing."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, lenient=True)

    def _read_identity(self) -> None:
        try:
            super()._read_identity()
        except JournalDamaged:
            self.layout = self.member = self.incarnation = self.identity = self.base_seq = 0

    def raw_batch_at(self, first_seq: int) -> bytes | None:
        """The batch that begins there, undecoded; None: none does."""
        with faults("read", self.path):
            return cast("bytes | None", self._commands.get(KEY.pack(first_seq)))

    def batch_at(self, first_seq: int) -> Batch | None:
        """The batch that begins there; None: none does. Raises JournalFault."""
        raw = self.raw_batch_at(first_seq)
        try:
            return None if raw is None else decode_batch(raw)
        except LayoutError as error:
            raise JournalDamaged(self.path, str(error)) from error

    def facts(self) -> dict[bytes, bytes]:
        """Everything that it says of itself, as it lies there; nothing if that can't be read."""
        try:
            with faults("read", self.path):
                return cast("dict[bytes, bytes]", dict(self._meta.items()))
        except JournalDamaged:
            return {}

    def summary_at(self, tip: Tip) -> JournalSummary:
        """What it says of itself, if it ends there. Raises JournalFault."""
        return self._summary(tip, 0, self.epochs())


def find_remains(data_dir: Path) -> Remains | None:
    """What is left in a stopped engine's data directory; None: nothing at all.

    Raises:
        JournalFault: another process has the journal.
    """
    good = _Snapshots(SnapshotStore(data_dir))
    if not (journal_path(data_dir) / "CURRENT").exists():
        return _snapshot_alone(good)
    try:
        journal = TornJournal(data_dir)
    except JournalDamaged:
        return _snapshot_alone(good)
    try:
        found = _best(journal, good)
        if found is None or not _is_whole(journal, found, read_witness(witness_path(data_dir))):
            return found
        return Remains(found.tip, found.base_seq, found.snapshot, found.epochs, whole=True)
    finally:
        journal.close()


class _Snapshots:
    """Verified snapshots whose files are good to the last byte."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self.heads = store.heads()

    def is_good(self, head: SnapshotHead) -> bool:
        try:
            return check_snapshot_file(self._store.read(head.seq)) == head
        except SnapshotDamaged:
            return False


def _best(journal: TornJournal, good: _Snapshots) -> Remains | None:
    own_base = journal.base_seq
    try:
        epochs, uuid = journal.epochs(), journal.cluster_uuid
    except JournalDamaged:
        epochs, uuid = (), ""
    heads = [head for head in good.heads if head.seq >= own_base and _continues(head, uuid, epochs)]
    found: Remains | None = None
    if not own_base or any(good.is_good(head) for head in heads):
        before = tuple(entry for entry in epochs if entry.first_seq <= own_base) if own_base else ()
        tip, read = _walk(journal, own_base, before)
        if not own_base or any(head.seq <= tip.seq and good.is_good(head) for head in heads):
            found = Remains(tip, own_base, None, read)
    for head in heads:
        if (found is None or head.seq > found.tip.seq) and good.is_good(head):
            tip, read = _walk(journal, head.seq, head.base.epochs)
            found = Remains(tip, head.seq, head, read)
    return found if found is not None and found.tip.seq else None


def _continues(head: SnapshotHead, uuid: str, epochs: EpochTable) -> bool:
    """Whether a snapshot is of the journal's history, or of that history gone on: the journal may lack its end."""
    known = tuple(entry for entry in epochs if entry.first_seq <= head.seq)
    return head.base.epochs[: len(known)] == known and uuid in ("", head.cluster_uuid)


def _walk(journal: TornJournal, base_seq: int, epochs: Iterable[EpochEntry]) -> tuple[Tip, EpochTable]:
    """The last record that can be read without a gap from a beginning on, and the epochs up to there."""
    seq, table = base_seq, list(epochs)
    try:
        while (batch := journal.batch_at(seq + 1)) is not None:
            epoch = table[-1].epoch if table else 0
            if batch.first_seq != seq + 1 or batch.epoch < epoch:
                break
            if batch.epoch > epoch:
                table.append(EpochEntry(batch.epoch, batch.first_seq))
            seq = batch.last_seq
    except JournalFault:
        pass  # whatever the disk says: here is the end of what can be read
    return Tip(table[-1].epoch if table else 0, seq), tuple(table)


def _is_whole(journal: TornJournal, found: Remains, said: Said) -> bool:
    """Whether it is all there behind its beginning: its batches up to the mark, and what it says of itself."""
    mark = said.mark
    try:
        summary = journal.summary_at(found.tip)
    except JournalFault:
        return False
    if mark is None or found.epochs != summary.epochs or mark.joined != summary.joined:
        return False
    if mark.cluster_uuid != summary.cluster_uuid:
        return False
    return judge(summary.found(), mark, same_boot=said.same_boot).wholeness is not Wholeness.DAMAGED


def _snapshot_alone(good: _Snapshots) -> Remains | None:
    for head in reversed(good.heads):
        if good.is_good(head):
            return Remains(Tip(head.epoch, head.seq), head.seq, head, head.base.epochs, readable=False)
    return None
