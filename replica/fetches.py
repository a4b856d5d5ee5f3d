"""What is read of an engine's history, as replies of `Replication`: journal, events, stored snapshots.

Each is a generator that gives replies, and None when the slice of time is over that it was given: it goes on from
there in the next one (`turnstile.py`). It reads the journal and the published view, and refuses by raising.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

import grpc
import numpy as np

from lockstep.replica.divergence import diverged_at
from lockstep.replica.events import EventStore, after_event
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault
from lockstep.replica.snapshot_file import SnapshotDamaged
from lockstep.replica.snapshots import SnapshotSource
from lockstep.replica.turnstile import Lane, UsedUp
from lockstep.replica.view import ReplicaView
from lockstep.runtime.refusal import Refusal
from lockstep.stream.batch import seqs_of
from lockstep.v1 import replication_pb2

UUID_KEY: Final = "lockstep-cluster-uuid"
"""Metadata of FetchJournal, both ways: whose journal this is."""
FIRST_SEQ_KEY: Final = "lockstep-first-seq"
"""Trailing metadata of FetchEvents that ends with OUT_OF_RANGE: the oldest seq whose events are kept."""
RECENT_COMMANDS: Final = 16_384
"""A read that begins so close to the end is of the recent lane."""
_CHUNK_BYTES: Final = 1 << 20
# Of a stored snapshot: what a slow link has brought is kept, and shown, in steps of so much.
_FILE_CHUNK_BYTES: Final = 1 << 18
_WHOLE_SEQ: Final = 2**32 - 1
_PAGE_S: Final = 0.25
"""How long one call searches events before it answers with what it has."""


class Fetches:
    """Of one engine. From any thread; one generator is used in one thread at a time."""

    def __init__(
        self,
        member: int,
        journal: Journal,
        events: EventStore,
        view: Callable[[], ReplicaView],
        snapshots: SnapshotSource,
    ) -> None:
        self._member = member
        self._journal = journal
        self._events = events
        self._view = view
        self._snapshots = snapshots

    @property
    def cluster_uuid(self) -> str:
        """Whose journal this is; empty: not known yet."""
        return self._view().cluster_uuid

    def lane(self, from_seq: int) -> Lane:
        """Of a read that begins there."""
        return Lane.RECENT if from_seq + RECENT_COMMANDS > self._view().applied_seq else Lane.HISTORY

    # ---- the journal --------------------------------------------------------------------------------------------

    def journal(
        self, request: replication_pb2.FetchJournalRequest, theirs: str, used_up: UsedUp
    ) -> Iterator[replication_pb2.FetchJournalReply | None]:
        """Batches as journaled up to what is applied now. The first reply comes even if there is none.

        `theirs`: the caller's cluster; empty: it knows none.
        """
        view = self._view()
        if theirs and view.cluster_uuid and theirs != view.cluster_uuid:
            text = f"engine {self._member} belongs to cluster {view.cluster_uuid}, the caller to {theirs}"
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, text)
        if request.from_seq <= self._journal.base_seq and self._journal.base_seq:
            raise Refusal(grpc.StatusCode.OUT_OF_RANGE, self._behind("journal", request.from_seq))
        try:
            yield from self._batches(request, view, used_up)
        except JournalFault as fault:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, str(fault)) from fault

    def _batches(
        self, request: replication_pb2.FetchJournalRequest, view: ReplicaView, used_up: UsedUp
    ) -> Iterator[replication_pb2.FetchJournalReply | None]:
        reply = self._journal_reply(view, first=True)
        size = total = last_seq = 0
        for raw in self._journal.raw_batches(request.from_seq):
            _, through = seqs_of(raw)
            if through > view.applied_seq or (request.max_bytes and total >= request.max_bytes):
                break
            reply.batches.append(raw)
            last_seq = through
            size += len(raw)
            total += len(raw)
            if size >= _CHUNK_BYTES:
                reply.digest = self._journal.derived.digest(last_seq) or b""
                yield reply
                reply, size = self._journal_reply(view, first=False), 0
            elif used_up():
                yield None
        if reply.batches or not total:
            reply.digest = (self._journal.derived.digest(last_seq) or b"") if last_seq else view.digest
            yield reply

    def _journal_reply(self, view: ReplicaView, *, first: bool) -> replication_pb2.FetchJournalReply:
        reply = replication_pb2.FetchJournalReply(
            tip=view.tip(),
            committed_seq=view.committed_seq,
            in_sync=view.in_sync,
            first_seq=self._journal.base_seq + 1,
            snapshot_seq=max(self._snapshots.verified_seqs(), default=0) if first else 0,
        )
        if first:
            reply.epochs.extend(
                replication_pb2.EpochEntry(epoch=entry.epoch, first_seq=entry.first_seq)
                for entry in view.epochs
                if entry.first_seq <= view.applied_seq
            )
        return reply

    # ---- events -------------------------------------------------------------------------------------------------

    def events(
        self, request: replication_pb2.FetchEventsRequest, used_up: UsedUp
    ) -> Iterator[replication_pb2.FetchEventsReply | None]:
        """Committed events after an id, of one session or of all: a page of what is found within a moment.

        OUT_OF_RANGE: the journal was cut behind them; FAILED_PRECONDITION: what comes before them was discarded.
        """
        view = self._view()
        to_seq = min(request.to_seq or view.committed_seq, view.committed_seq)
        after = request.after
        diverged = diverged_at(view.epochs, request.delivered_epoch, after.seq) if request.delivered_epoch else 0
        if diverged:
            text = f"history from seq {diverged} on is not what was delivered under epoch {request.delivered_epoch}"
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, text)
        begin = after.seq + 1 if after.index == _WHOLE_SEQ else max(after.seq, 1)
        if begin <= min(to_seq, self._journal.base_seq) or (
            self._journal.base_seq and begin < (self._journal.derived.first_seq or begin)
        ):
            first_seq = max(self._journal.base_seq + 1, self._journal.derived.first_seq)
            metadata = ((FIRST_SEQ_KEY, str(first_seq)),)
            raise Refusal(grpc.StatusCode.OUT_OF_RANGE, self._behind("events", begin), metadata)
        try:
            yield from self._page(request, view, to_seq, used_up)
        except JournalFault as fault:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, str(fault)) from fault

    def _page(
        self, request: replication_pb2.FetchEventsRequest, view: ReplicaView, to_seq: int, used_up: UsedUp
    ) -> Iterator[replication_pb2.FetchEventsReply | None]:
        chunks: list[bytes] = []
        size, through, paused = 0, max(request.after.seq - 1, 0), False
        until_s = time.monotonic() + _PAGE_S
        # With index 0xffffffff the whole seq is behind the caller; otherwise the rest of that seq may be missing.
        for raw, last_seq in self._found(request, to_seq):
            chunks.append(raw)
            through = last_seq
            size += len(raw)
            if size >= _CHUNK_BYTES:
                paused = True
                break
            if used_up():
                yield None
                if time.monotonic() >= until_s:
                    paused = True
                    break
        # As in the stamps of queries: the epoch of the last record received.
        epoch = view.epochs[-1].epoch if view.epochs else 0
        yield replication_pb2.FetchEventsReply(
            epoch=epoch,
            events=b"".join(chunks),
            through_seq=through if paused else to_seq,
            committed_seq=view.committed_seq,
            paused=paused and through < to_seq,
        )

    def _found(self, request: replication_pb2.FetchEventsRequest, to_seq: int) -> Iterator[tuple[bytes, int]]:
        """(EVENT records that are wanted, last seq covered), in order."""
        after, session_id = request.after, request.session_id
        begin = max(after.seq + (after.index == _WHOLE_SEQ), 1)
        parts = self._events.search(session_id, begin, to_seq) if session_id else self._events.read(begin, to_seq)
        for events, last_seq in parts:
            wanted = after_event(events, after.seq, after.index) if after.seq else events
            yield np.ascontiguousarray(wanted).tobytes() if len(wanted) else b"", last_seq

    # ---- snapshots ----------------------------------------------------------------------------------------------

    def snapshot(
        self, request: replication_pb2.FetchSnapshotRequest, used_up: UsedUp
    ) -> Iterator[replication_pb2.FetchSnapshotReply | None]:
        """A verified snapshot file, in chunks: each is a slice, whatever it took."""
        del used_up
        seqs = self._snapshots.verified_seqs()
        if not seqs or (request.seq and request.seq not in seqs):
            what = f"at seq {request.seq}" if request.seq else "yet"
            text = f"engine {self._member} has no verified snapshot {what}"
            raise Refusal(grpc.StatusCode.NOT_FOUND, text)
        try:
            with self._snapshots.open(request.seq or seqs[-1]) as (head, file):
                start = min(request.offset, head.file_bytes - 1)
                file.seek(start)
                while start < head.file_bytes and (chunk := file.read(_FILE_CHUNK_BYTES)):
                    start += len(chunk)
                    yield replication_pb2.FetchSnapshotReply(
                        seq=head.seq, digest=head.base.digest, chunk=chunk, total_bytes=head.file_bytes
                    )
        except SnapshotDamaged as damage:
            text = f"engine {self._member}'s snapshot can't be read: {damage}"
            raise Refusal(grpc.StatusCode.NOT_FOUND, text) from damage

    def _behind(self, what: str, seq: int) -> str:
        return (
            f"engine {self._member} no longer has the {what} at seq {seq}: its journal was cut after seq "
            f"{self._journal.base_seq}; a snapshot holds the state of then"
        )
