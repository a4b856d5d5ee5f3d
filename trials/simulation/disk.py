"""Simulated disks. What was written and not synced is gone after a power cut; a write is atomic, all or nothing. A bit
may flip: then the journal ends earlier than it did, as RocksDB reads it, and only the mark apart from it shows it.

`Disk` answers as `lockstep.replica.journal.Journal` does, so that the real restore, event store and gRPC service of an
engine run on it. Events and digests bypass the log in the real journal, so they are lost with the process here.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

from lockstep.gateway.disconnects import Watch
from lockstep.replica.divergence import EpochEntry, EpochTable, epoch_at
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.evidence import Mark, Tip, Verdict, judge
from lockstep.replica.marks import JournalSummary
from lockstep.replica.session_index import Span
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import SnapshotHead, decode_head
from lockstep.stream.batch import Batch
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.digest import Digest
from lockstep.stream.records import Commands


class Disk:
    """One engine's disk; it outlives the engine's lives."""

    def __init__(self, member: int) -> None:
        self.member = member
        self.path = Path(f"engine-{member}")
        self.incarnation = 0
        self.promise = (0, 0)
        self.uuid = ""
        self.committed_hint = 0
        self.archived = 0
        """Tails archived."""
        self.generation = 0
        """How often the disk was replaced."""
        self.joined = False
        self.mark: Mark | None = None
        """What the witness beside the journal says."""
        self.base_seq = 0
        """The seq before the first batch."""
        self.snapshots: dict[int, bytes] = {}
        """Verified snapshot files by seq."""
        self.incoming = b""
        """A snapshot file that was fetched and is not installed yet."""
        self.startable_seq = 0
        """The newest snapshot that flushed events and digests are known to reach."""
        self._flushed_seq = 0
        self._batches: list[Batch] = []
        self._firsts: list[int] = []
        self._epochs: list[EpochEntry] = []
        self._digests: dict[int, Digest] = {}
        self._events: dict[int, bytes] = {}

    @property
    def derived(self) -> "Disk":
        """The part that can be made again from the rest: events and digests."""
        return self

    def wipe(self) -> None:
        """A new, empty disk."""
        generation = self.generation + 1
        self.__init__(self.member)  # type: ignore[misc]  # the same disk object, as new
        self.generation = generation

    @property
    def identity(self) -> int:
        """Identity of the journal on it."""
        return self.member * 1000 + self.generation + 1

    # ---- writing -------------------------------------------------------------------------------------------------

    def write(self, write: JournalWrite) -> None:
        """One atomic, synced write."""
        for batch in write.batches:
            self._batches.append(batch)
            self._firsts.append(batch.first_seq)
        self._epochs += write.epochs
        if write.promise is not None:
            self.promise = write.promise
        if write.cluster_uuid:
            self.uuid = write.cluster_uuid
        if write.committed_seq:
            self.committed_hint = write.committed_seq
        self.joined |= write.joined
        self._bear_witness()

    def _bear_witness(self) -> None:
        tip = Tip(self.epoch_at(self.tip_seq), self.tip_seq)
        self.mark = Mark(self.identity, self.uuid, tip, tip, self.promise[0], self.joined, unsynced=False)

    def copy(self) -> dict[str, Any]:
        """All that is on it now, witness and all."""
        return deepcopy(self.__dict__)

    def put_back(self, copy: dict[str, Any]) -> None:
        """Make it what it was when it was copied."""
        self.__dict__.update(deepcopy(copy))

    def damage(self, batches: int, *, promise: bool) -> None:
        """What a flipped bit in the log does: it ends earlier, by so many batches; an older promise may come back."""
        for batch in self._batches[max(0, len(self._batches) - batches) :]:
            self._epochs = [entry for entry in self._epochs if entry.first_seq < batch.first_seq]
        del self._batches[max(0, len(self._batches) - batches) :], self._firsts[max(0, len(self._firsts) - batches) :]
        if promise:
            self.promise = (max(0, self.promise[0] - 1), 0)
        self.forget_volatile(keep=False)
        self._forget(lambda seq: seq <= self.tip_seq)
        self._flushed_seq = min(self._flushed_seq, self.tip_seq)

    def verdict(self) -> Verdict:
        """What the journal is worth, by the real rule."""
        return judge(self.summary().found(), self.mark, same_boot=True)

    def keep(self, batches: tuple[AppliedBatch, ...]) -> None:
        """Store events and digests; gone with the process."""
        for batch in batches:
            self._digests[batch.last_seq] = batch.digest
            self._events[batch.first_seq] = batch.events.tobytes()

    def forget_volatile(self, keep: bool) -> None:
        """The process died. Sometimes its memtables had been flushed before."""
        if not keep:
            self._forget(lambda seq: seq <= self._flushed_seq)

    def flush(self) -> None:
        """Store events and digests for good."""
        self._flushed_seq = max(self._digests, default=0)
        self.startable_seq = max((seq for seq in self.snapshots if seq <= self._flushed_seq), default=0)

    def truncate(self, after_seq: int) -> Path:
        """Archive and delete the tail."""
        cut = bisect_right(self._firsts, after_seq)
        if cut and self._batches[cut - 1].last_seq > after_seq:
            raise AssertionError(f"engine {self.member}: a batch lies across seq {after_seq}")
        del self._batches[cut:], self._firsts[cut:]
        self._epochs = [entry for entry in self._epochs if entry.first_seq <= after_seq]
        self._digests = {seq: digest for seq, digest in self._digests.items() if seq <= after_seq}
        self._events = {seq: raw for seq, raw in self._events.items() if seq <= after_seq}
        self._flushed_seq = min(self._flushed_seq, after_seq)
        self.startable_seq = min(self.startable_seq, after_seq)
        self.archived += 1
        self._bear_witness()
        return self.path / f"archive-{self.archived}"

    def drop_through(self, seq: int) -> None:
        """Delete everything up to a batch's end."""
        if seq <= self.base_seq:
            return
        cut = bisect_right(self._firsts, seq)
        if cut and self._batches[cut - 1].last_seq > seq:
            raise AssertionError(f"engine {self.member}: a batch lies across seq {seq}")
        del self._batches[:cut], self._firsts[:cut]
        self.base_seq = seq
        self._forget(lambda one: one > seq)

    def begin_after(self, base: Base, cluster_uuid: str, common_seq: int) -> Path:
        """Begin anew after a snapshot."""
        archive = self.truncate(common_seq)
        self._batches.clear()
        self._firsts.clear()
        self._forget(lambda _one: False)
        self._epochs = list(base.epochs)
        self.base_seq = self.committed_hint = self.startable_seq = base.seq
        self._flushed_seq = 0
        self.uuid = cluster_uuid
        if self.promise[0] < base.epochs[-1].epoch:
            self.promise = (base.epochs[-1].epoch, base.sequencer)
        self._bear_witness()
        return archive

    def _forget(self, keep: Callable[[int], bool]) -> None:
        self._digests = {seq: digest for seq, digest in self._digests.items() if keep(seq)}
        self._events = {seq: raw for seq, raw in self._events.items() if keep(seq)}

    # ---- snapshots, as SnapshotStore does ------------------------------------------------------------------------

    def heads(self) -> tuple[SnapshotHead, ...]:
        """Heads of all snapshots, ascending."""
        return tuple(decode_head(self.snapshots[seq]) for seq in sorted(self.snapshots))

    def verified_seqs(self) -> tuple[int, ...]:
        """Seqs of all snapshots, ascending."""
        return tuple(sorted(self.snapshots))

    def read(self, seq: int) -> bytes:
        """The whole file."""
        return self.snapshots[seq]

    @contextmanager
    def open(self, seq: int) -> Iterator[tuple[SnapshotHead, BytesIO]]:
        """The file, and its head."""
        raw = self.snapshots[seq]
        yield decode_head(raw), BytesIO(raw)

    # ---- reading, as Journal does --------------------------------------------------------------------------------

    @property
    def tip_seq(self) -> int:
        """Last durable seq."""
        return self._batches[-1].last_seq if self._batches else self.base_seq

    @property
    def first_seq(self) -> int:
        """Of the oldest events kept; 0: none are."""
        return min(self._events, default=0)

    def epoch_at(self, seq: int) -> int:
        """Epoch of the record at a seq, 0 if there is none."""
        return epoch_at(self._epochs, seq) if seq <= self.tip_seq else 0

    def batch_at(self, seq: int) -> Batch | None:
        """The batch that holds a seq."""
        index = bisect_right(self._firsts, seq) - 1
        if index < 0 or self._batches[index].last_seq < seq:
            return None
        return self._batches[index]

    def batches(self, from_seq: int) -> Iterator[Batch]:
        """Batches from the batch that holds `from_seq` on, as of now."""
        index = bisect_right(self._firsts, from_seq) - 1
        if index < 0 or self._batches[index].last_seq < from_seq:
            index += 1
        yield from self._batches[index:]

    def raw_batches(self, from_seq: int) -> Iterator[bytes]:
        """Like `batches`, encoded."""
        for batch in self.batches(from_seq):
            yield batch.raw

    def events_from(self, from_seq: int) -> Iterator[tuple[int, bytes]]:
        """Stored events, from the batch that holds `from_seq` on."""
        firsts = sorted(self._events)
        for first in firsts[max(0, bisect_right(firsts, from_seq) - 1) :]:
            yield first, self._events[first]

    def spans_of(self, session_id: int, from_seq: int, to_seq: int) -> Iterator[Span]:
        """It keeps no index."""
        del session_id
        yield Span(from_seq, to_seq, concerned=True)

    def digest(self, last_seq: int) -> Digest | None:
        """Stored digest."""
        return self._digests.get(last_seq)

    def last_kept_seqs(self) -> tuple[int, int]:
        """Newest stored events (a first seq) and digest (a last seq)."""
        return max(self._events, default=0), max(self._digests, default=0)

    def epochs(self) -> EpochTable:
        """The epoch table."""
        return tuple(self._epochs)

    def summary(self) -> JournalSummary:
        """What it says of itself."""
        last = self._batches[-1] if self._batches else None
        return JournalSummary(
            self.member,
            self.uuid,
            self.promise[0],
            self.promise[1],
            epoch_at(self._epochs, self.tip_seq),
            self.tip_seq,
            0 if last is None else last.timestamp_ns,
            self.committed_hint,
            self.incarnation,
            tuple(self._epochs),
            self.identity,
            self.joined,
            self.base_seq,
            self.mark is not None,
        )


class DeliveryNote:
    """One gateway's note of how far it has delivered: it survives the process, like its intake log."""

    def __init__(self) -> None:
        self.uuid = ""
        self.delivered = DeliveryMark()

    def begin(self, uuid: str, delivered: DeliveryMark) -> None:
        """What was delivered before means nothing any more, or is part of this."""
        self.uuid, self.delivered = uuid, delivered

    def advance(self, delivered: DeliveryMark) -> None:
        """Events up to there are about to be delivered."""
        self.delivered = max(self.delivered, delivered)


class Intake:
    """One gateway's intake log: not synced, so it survives the process and not the power."""

    def __init__(self) -> None:
        self.incarnation = 0
        self._entries: list[tuple[int, Commands]] = []
        self._watched: dict[int, Watch] = {}
        self._watched_before: dict[int, dict[int, Watch]] = {}  # by the key of the entry that came with the change

    def watched(self) -> list[Watch]:
        """Sessions with cancel on disconnect, by session."""
        return [watch for _session_id, watch in sorted(self._watched.items())]

    def unanswered(self) -> list[tuple[int, Commands]]:
        """What it holds, oldest first."""
        return list(self._entries)

    def write(
        self, entries: Sequence[tuple[int, Commands]], forget_through: int, watched: Sequence[Watch] = ()
    ) -> None:
        """Add entries and drop those up to `forget_through`; `watched`: changes."""
        if entries and watched:
            self._watched_before[entries[0][0]] = dict(self._watched)
        self._entries += entries
        for watch in watched:
            if watch.grace_ms:
                self._watched[watch.session_id] = watch
            else:
                self._watched.pop(watch.session_id, None)
        if forget_through and self._entries and self._entries[0][0] <= forget_through:
            self._watched_before = {key: old for key, old in self._watched_before.items() if key > forget_through}
            keys = [key for key, _records in self._entries]
            del self._entries[: bisect_left(keys, forget_through + 1)]

    def lose_tail(self, count: int) -> None:
        """A power cut: the newest entries had not reached the disk."""
        if count and self._entries:
            first_lost = self._entries[-count:][0][0]
            del self._entries[-count:]
            undone = [key for key in self._watched_before if key >= first_lost]
            if undone:
                self._watched = self._watched_before[min(undone)]
