"""The engine's gRPC service `Replication`, in the loop in which a process' calls are served: no call waits in a thread.

What reads history is made in slices, whose makers take turns (`fetches.py`, `turnstile.py`). What needs the machine or
the engine is posted to the main loop and awaited; how much of that is done in one turn of it is in `reads.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import field
from functools import partial
from typing import Any, Final

import grpc

from lockstep.replica.effects import FenceAnswer
from lockstep.replica.fetches import UUID_KEY, Fetches
from lockstep.replica.turnstile import Turnstile
from lockstep.replica.view import ReplicaView
from lockstep.runtime.refusal import Refusal, busy
from lockstep.runtime.topology import MAX_MEMBER
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.identity import split_uuid
from lockstep.stream.values import frozen
from lockstep.v1 import replication_pb2, replication_pb2_grpc

_DEFAULT_TIMEOUT_S: Final = 5.0


@frozen
class FenceCall:
    """A Fence call that waits for the main loop."""

    request: replication_pb2.FenceRequest
    done: "Future[FenceAnswer]" = field(default_factory=Future)


class TooManyQueries(Exception):
    """More wait than the main loop lets wait."""


class HistoryDiscarded(Exception):
    """An answer that waited for its commit was of a tail that this engine has discarded."""


@frozen
class QueryCall:
    """A Query call; answered when the state that it shows is committed."""

    request: replication_pb2.QueryRequest
    done: "Future[replication_pb2.QueryReply]" = field(default_factory=Future)


@frozen
class CutOrder:
    """The journal may be cut up to this seq."""

    seq: int


Call = FenceCall | QueryCall | CutOrder


def fence_reply(member: int, answer: FenceAnswer) -> replication_pb2.FenceReply:
    """What a fence is answered with that was not refused."""
    return replication_pb2.FenceReply(
        accepted=answer.accepted,
        promised=answer.promised,
        tip=replication_pb2.Tip(epoch=answer.tip_epoch, seq=answer.tip_seq, digest=answer.digest),
        committed_seq=answer.committed_seq,
        timestamp_ns=answer.timestamp_ns,
        member=member,
        blank=answer.blank,
        journal=answer.journal,
    )


class ReplicationService(replication_pb2_grpc.ReplicationServicer):
    """See proto/lockstep/v1/replication.proto."""

    def __init__(
        self,
        member: int,
        fetches: Fetches,
        turnstile: Turnstile,
        view: Callable[[], ReplicaView],
        post: Callable[[Call], None],
    ) -> None:
        self._member = member
        self._fetches = fetches
        self._turnstile = turnstile
        self._view = view
        self._post = post

    async def Fence(  # noqa: N802
        self, request: replication_pb2.FenceRequest, context: Any
    ) -> replication_pb2.FenceReply:
        """Promise; on disk before this returns."""
        _check_fence(request)
        call = FenceCall(request)
        self._post(call)
        answer = await self._answer(call.done, context)
        if answer.refusal:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, answer.refusal)
        return fence_reply(self._member, answer)

    async def FetchJournal(  # noqa: N802
        self, request: replication_pb2.FetchJournalRequest, context: Any
    ) -> AsyncIterator[replication_pb2.FetchJournalReply]:
        """Frames as journaled up to what is applied now. The first reply comes even if there is no frame."""
        theirs = str(dict(context.invocation_metadata() or ()).get(UUID_KEY, ""))
        read = partial(self._fetches.journal, request, theirs)
        lane = self._fetches.lane(request.from_seq)
        first = True
        async with aclosing(self._turnstile.replies(lane, context.peer(), read)) as replies:
            async for reply in replies:
                if first:
                    first = False
                    await context.send_initial_metadata(((UUID_KEY, self._fetches.cluster_uuid),))
                yield reply

    async def FetchEvents(  # noqa: N802
        self, request: replication_pb2.FetchEventsRequest, context: Any
    ) -> AsyncIterator[replication_pb2.FetchEventsReply]:
        """A page of the committed events after an id, of one session or of all."""
        lane = self._fetches.lane(request.after.seq)
        read = partial(self._fetches.events, request)
        async with aclosing(self._turnstile.replies(lane, context.peer(), read)) as replies:
            async for reply in replies:
                yield reply

    async def FetchSnapshot(  # noqa: N802
        self, request: replication_pb2.FetchSnapshotRequest, context: Any
    ) -> AsyncIterator[replication_pb2.FetchSnapshotReply]:
        """A verified snapshot file, in chunks."""
        read = partial(self._fetches.snapshot, request)
        async with aclosing(self._turnstile.replies(self._fetches.lane(0), context.peer(), read)) as replies:
            async for reply in replies:
                yield reply

    async def Query(  # noqa: N802
        self, request: replication_pb2.QueryRequest, context: Any
    ) -> replication_pb2.QueryReply:
        """Committed state."""
        if request.WhichOneof("query") is None:
            text = "the request asks for nothing: set one field of `query`"
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)
        call = QueryCall(request)
        self._post(call)
        return await self._answer(call.done, context)

    async def _answer[T](self, future: "Future[T]", context: Any) -> T:
        """What the main loop says. If the caller goes meanwhile the future is cancelled, and passed over."""
        remaining = context.time_remaining()
        timeout_s = min(_DEFAULT_TIMEOUT_S, remaining) if remaining is not None else _DEFAULT_TIMEOUT_S
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                return await asyncio.wrap_future(future)
        except TooManyQueries:
            raise busy(f"engine {self._member} answers others; ask again") from None
        except HistoryDiscarded:
            text = f"engine {self._member} has discarded the commands after which it was to say its state: ask again"
            raise Refusal(grpc.StatusCode.UNAVAILABLE, text) from None
        except TimeoutError:
            why = self._view().why
            text = f"engine {self._member} could not answer from committed state in {timeout_s:.1f} s"
            raise Refusal(grpc.StatusCode.UNAVAILABLE, f"{text}: {why}" if why else text) from None


def _check_fence(request: replication_pb2.FenceRequest) -> None:
    def wrong(text: str) -> Refusal:
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)

    if not request.epoch or not request.sequencer or not request.cluster_uuid:
        raise wrong("cluster_uuid, epoch and sequencer have to be set")
    if request.epoch > MAX_EPOCH or request.sequencer > MAX_MEMBER:
        raise wrong(
            f"epoch {request.epoch} must be in 1..{MAX_EPOCH}, sequencer {request.sequencer} in 1..{MAX_MEMBER}"
        )
    try:
        split_uuid(request.cluster_uuid)
    except ValueError as error:
        raise wrong(f"cluster_uuid: {error}") from error


def register(service: ReplicationService) -> Callable[[grpc.aio.Server], None]:
    """What `start_grpc_server` calls to add the service."""

    def add(server: grpc.aio.Server) -> None:
        replication_pb2_grpc.add_ReplicationServicer_to_server(service, server)

    return add
