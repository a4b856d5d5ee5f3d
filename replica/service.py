"""The engine's gRPC service `Replication`.

What reads history (journal, events) runs on the server's threads against the journal and the published view: events in
pages, whose makers take turns (`turnstile.py`). What needs the machine or the engine is posted to the main loop and
awaited; how much of that is done in one turn of the loop is in `reads.py`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import grpc
import numpy as np

from lockstep.replica.answers import is_listing
from lockstep.replica.divergence import parted_at
from lockstep.replica.effects import FenceAnswer
from lockstep.replica.events import EventStore, after_event
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault
from lockstep.replica.snapshot_file import SnapshotDamaged, decode_head
from lockstep.replica.snapshots import SnapshotSource
from lockstep.replica.turnstile import Turnstile
from lockstep.replica.view import ReplicaView
from lockstep.runtime.topology import MAX_MEMBER
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.frames import decode_frame
from lockstep.stream.identity import split_uuid
from lockstep.v1 import replication_pb2, replication_pb2_grpc

UUID_KEY: Final = "lockstep-cluster-uuid"
"""Metadata of FetchJournal, both ways: whose journal this is."""
FIRST_SEQ_KEY: Final = "lockstep-first-seq"
"""Trailing metadata of FetchEvents that ends with OUT_OF_RANGE: the oldest seq whose events are kept."""
_CHUNK_BYTES: Final = 1 << 20
# Of a stored snapshot: what a slow link has brought is kept, and shown, in steps of so much.
_FILE_CHUNK_BYTES: Final = 1 << 18
_DEFAULT_TIMEOUT_S: Final = 5.0
_WHOLE_SEQ: Final = 2**32 - 1
_PAGE_S: Final = 0.25
"""How long one call searches before it answers with what it has."""
_PLACE_S: Final = 0.05
_MAX_LOOKUPS: Final = 8
_MAX_LISTINGS: Final = 4
_MAX_FETCHES: Final = 4
WORKERS: Final = 24
"""Threads of the server: more than all of those together."""


@dataclass(frozen=True, slots=True)
class FenceCall:
    """A Fence call that waits for the main loop."""

    request: replication_pb2.FenceRequest
    done: "Future[FenceAnswer]" = field(default_factory=Future)


class TooManyQueries(Exception):
    """More wait than the main loop lets wait."""


class HistoryGivenUp(Exception):
    """What was to be told when it is committed was of a tail that this engine has given up."""


@dataclass(frozen=True, slots=True)
class QueryCall:
    """A Query call; answered when the state that it shows is committed."""

    request: replication_pb2.QueryRequest
    done: "Future[replication_pb2.QueryReply]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class CutOrder:
    """The journal may be cut up to this seq."""

    seq: int


Call = FenceCall | QueryCall | CutOrder


class ReplicationService(replication_pb2_grpc.ReplicationServicer):
    """See proto/lockstep/v1/replication.proto."""

    def __init__(
        self,
        member: int,
        journal: Journal,
        events: EventStore,
        view: Callable[[], ReplicaView],
        post: Callable[[Call], None],
        snapshots: SnapshotSource,
        turnstile: Turnstile | None = None,
    ) -> None:
        """`turnstile`: searches of history wait there for their turn; None: they run to their end at once."""
        self._member = member
        self._journal = journal
        self._events = events
        self._view = view
        self._post = post
        self._snapshots = snapshots
        self._turnstile = turnstile
        self._lookups = threading.BoundedSemaphore(_MAX_LOOKUPS)
        self._listings = threading.BoundedSemaphore(_MAX_LISTINGS)
        self._fetches = threading.BoundedSemaphore(_MAX_FETCHES)

    def Fence(self, request: replication_pb2.FenceRequest, context: Any) -> replication_pb2.FenceReply:  # noqa: N802
        """Promise; on disk before this returns."""
        if not request.epoch or not request.sequencer or not request.cluster_uuid:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "cluster_uuid, epoch and sequencer have to be set")
        if request.epoch > MAX_EPOCH or request.sequencer > MAX_MEMBER:
            text = f"epoch {request.epoch} must be in 1..{MAX_EPOCH}, sequencer {request.sequencer} in 1..{MAX_MEMBER}"
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)
        try:
            split_uuid(request.cluster_uuid)
        except ValueError as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"cluster_uuid: {error}")
        call = FenceCall(request)
        self._post(call)
        answer = self._await(call.done, context)
        if answer.refusal:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, answer.refusal)
        return replication_pb2.FenceReply(
            accepted=answer.accepted,
            promised=answer.promised,
            tip=replication_pb2.Tip(epoch=answer.tip_epoch, seq=answer.tip_seq, digest=answer.digest),
            committed_seq=answer.committed_seq,
            timestamp_ns=answer.timestamp_ns,
            member=self._member,
            blank=answer.blank,
            journal=answer.journal,
        )

    def FetchJournal(  # noqa: N802
        self, request: replication_pb2.FetchJournalRequest, context: Any
    ) -> Iterator[replication_pb2.FetchJournalReply]:
        """Frames as journaled up to what is applied now. The first reply comes even if there is no frame."""
        view = self._view()
        metadata = dict(context.invocation_metadata())
        theirs = metadata.get(UUID_KEY, "")
        if theirs and view.cluster_uuid and theirs != view.cluster_uuid:
            text = f"engine {self._member} belongs to cluster {view.cluster_uuid}, the caller to {theirs}"
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, text)
        if request.from_seq <= self._journal.base_seq and self._journal.base_seq:
            _abort(context, grpc.StatusCode.OUT_OF_RANGE, self._behind("journal", request.from_seq))
        context.send_initial_metadata(((UUID_KEY, view.cluster_uuid),))
        reply = self._journal_reply(view, first=True)
        size = total = last_seq = 0
        try:
            for raw in self._journal.raw_frames(request.from_seq):
                head = decode_frame(raw)
                if head.last_seq > view.applied_seq or (request.max_bytes and total >= request.max_bytes):
                    break
                reply.frames.append(raw)
                last_seq = head.last_seq
                size += len(raw)
                total += len(raw)
                if size >= _CHUNK_BYTES:
                    reply.digest = self._journal.derived.digest(last_seq) or b""
                    yield reply
                    reply, size = self._journal_reply(view, first=False), 0
            if reply.frames or not total:
                reply.digest = (self._journal.derived.digest(last_seq) or b"") if last_seq else view.digest
                yield reply
        except JournalFault as fault:
            _abort(context, grpc.StatusCode.UNAVAILABLE, str(fault))

    def FetchEvents(  # noqa: N802
        self, request: replication_pb2.FetchEventsRequest, context: Any
    ) -> Iterator[replication_pb2.FetchEventsReply]:
        """Committed events after an id, of one session or of all.

        OUT_OF_RANGE: the journal was cut behind them; FAILED_PRECONDITION: what comes before them was given up.
        """
        view = self._view()
        to_seq = min(request.to_seq or view.committed_seq, view.committed_seq)
        after = request.after
        parted = parted_at(view.epochs, request.told_epoch, after.seq) if request.told_epoch else 0
        if parted:
            text = f"history is another one from seq {parted} on than what was told under epoch {request.told_epoch}"
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, text)
        begin = after.seq + 1 if after.index == _WHOLE_SEQ else max(after.seq, 1)
        if begin <= min(to_seq, self._journal.base_seq) or (
            self._journal.base_seq and begin < (self._journal.derived.first_seq or begin)
        ):
            first_seq = max(self._journal.base_seq + 1, self._journal.derived.first_seq)
            context.set_trailing_metadata(((FIRST_SEQ_KEY, str(first_seq)),))
            _abort(context, grpc.StatusCode.OUT_OF_RANGE, self._behind("events", begin))
        # With index 0xffffffff the whole seq is behind the caller; otherwise the rest of that seq may be missing.
        found = self._found(request, to_seq)
        try:
            if self._turnstile is None or request.urgent:
                yield from _all_at_once(view, found, max(after.seq - 1, 0), to_seq)
            else:
                yield self._one_page(request, view, found, to_seq, context)
        except JournalFault as fault:
            _abort(context, grpc.StatusCode.UNAVAILABLE, str(fault))

    def _found(self, request: replication_pb2.FetchEventsRequest, to_seq: int) -> Iterator[tuple[bytes, int]]:
        """(EVENT records that are wanted, last seq covered), in order."""
        after, session_id = request.after, request.session_id
        begin = max(after.seq + (after.index == _WHOLE_SEQ), 1)
        parts = self._events.search(session_id, begin, to_seq) if session_id else self._events.read(begin, to_seq)
        for events, last_seq in parts:
            wanted = after_event(events, after.seq, after.index) if after.seq else events
            yield np.ascontiguousarray(wanted).tobytes() if len(wanted) else b"", last_seq

    def _one_page(
        self,
        request: replication_pb2.FetchEventsRequest,
        view: ReplicaView,
        found: Iterator[tuple[bytes, int]],
        to_seq: int,
        context: Any,
    ) -> replication_pb2.FetchEventsReply:
        """What is found within a moment, in slices between which others have their turn."""
        assert self._turnstile is not None, "nobody waits without a turnstile"
        if not self._fetches.acquire(blocking=False):
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"engine {self._member} searches for others; ask again")
        try:
            chunks: list[bytes] = []
            size, through, ended = 0, max(request.after.seq - 1, 0), False
            until_s = time.monotonic() + _PAGE_S
            while not ended and size < _CHUNK_BYTES and time.monotonic() < until_s and context.is_active():
                with self._turnstile.slice(request.caller) as used_up:
                    ended = True
                    for raw, last_seq in found:
                        chunks.append(raw)
                        through = last_seq
                        size += len(raw)
                        if size >= _CHUNK_BYTES or used_up():
                            ended = False
                            break
        finally:
            self._fetches.release()
        return _events_reply(view, chunks, to_seq if ended else through, paused=not ended and through < to_seq)

    def FetchSnapshot(  # noqa: N802
        self, request: replication_pb2.FetchSnapshotRequest, context: Any
    ) -> Iterator[replication_pb2.FetchSnapshotReply]:
        """A verified snapshot file, in chunks."""
        seqs = self._snapshots.verified_seqs()
        if not seqs or (request.seq and request.seq not in seqs):
            what = f"at seq {request.seq}" if request.seq else "yet"
            _abort(context, grpc.StatusCode.NOT_FOUND, f"engine {self._member} has no verified snapshot {what}")
        try:
            raw = self._snapshots.read(request.seq or seqs[-1])
            head = decode_head(raw)
        except SnapshotDamaged as damage:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"engine {self._member}'s snapshot can't be read: {damage}")
        for start in range(min(request.offset, len(raw) - 1), len(raw), _FILE_CHUNK_BYTES):
            yield replication_pb2.FetchSnapshotReply(
                seq=head.seq,
                digest=head.base.digest,
                chunk=raw[start : start + _FILE_CHUNK_BYTES],
                total_bytes=len(raw),
            )

    def _behind(self, what: str, seq: int) -> str:
        return (
            f"engine {self._member} no longer has the {what} at seq {seq}: its journal was cut after seq "
            f"{self._journal.base_seq}; a snapshot holds the state of then"
        )

    def Query(self, request: replication_pb2.QueryRequest, context: Any) -> replication_pb2.QueryReply:  # noqa: N802
        """Committed state."""
        if request.WhichOneof("query") is None:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the request asks for nothing: set one field of `query`")
        waiting = self._listings if is_listing(request) else self._lookups
        # Who waits holds one of the server's threads, and a sequencer that has to fence needs one, too.
        if not waiting.acquire(timeout=_PLACE_S):
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"engine {self._member} answers others; ask again")
        try:
            call = QueryCall(request)
            # A caller that has given up is not answered.
            if not context.add_callback(call.done.cancel):
                _abort(context, grpc.StatusCode.CANCELLED, "the call was canceled")
            self._post(call)
            return self._await(call.done, context)
        finally:
            waiting.release()

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

    def _await[T](self, future: "Future[T]", context: Any) -> T:
        remaining = context.time_remaining()
        timeout_s = min(_DEFAULT_TIMEOUT_S, remaining) if remaining is not None else _DEFAULT_TIMEOUT_S
        try:
            return future.result(timeout=max(timeout_s, 0.0))
        except CancelledError:
            _abort(context, grpc.StatusCode.CANCELLED, "the call was canceled")
        except TooManyQueries:
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"engine {self._member} answers others; ask again")
        except HistoryGivenUp:
            text = f"engine {self._member} has given up the commands after which it was to tell its state: ask again"
            _abort(context, grpc.StatusCode.UNAVAILABLE, text)
        except FutureTimeout:
            future.cancel()
            why = self._view().why
            text = f"engine {self._member} could not answer from committed state in {timeout_s:.1f} s"
            _abort(context, grpc.StatusCode.UNAVAILABLE, f"{text}: {why}" if why else text)


def _all_at_once(
    view: ReplicaView, found: Iterator[tuple[bytes, int]], through: int, to_seq: int
) -> Iterator[replication_pb2.FetchEventsReply]:
    chunks: list[bytes] = []
    size, sent = 0, False
    for raw, through in found:
        chunks.append(raw)
        size += len(raw)
        if size >= _CHUNK_BYTES:
            yield _events_reply(view, chunks, through)
            chunks, size, sent = [], 0, True
    if size or not sent or through < to_seq:
        yield _events_reply(view, chunks, to_seq)


def _events_reply(
    view: ReplicaView, chunks: list[bytes], through: int, *, paused: bool = False
) -> replication_pb2.FetchEventsReply:
    # As in the stamps of queries: the epoch of the last record received.
    epoch = view.epochs[-1].epoch if view.epochs else 0
    return replication_pb2.FetchEventsReply(
        epoch=epoch, events=b"".join(chunks), through_seq=through, committed_seq=view.committed_seq, paused=paused
    )


def _abort(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    context.abort(code, text)
    raise AssertionError("abort returns never")


def register(service: ReplicationService) -> Callable[[grpc.Server], None]:
    """What `start_grpc_server` calls to add the service."""

    def add(server: grpc.Server) -> None:
        replication_pb2_grpc.add_ReplicationServicer_to_server(service, server)

    return add
