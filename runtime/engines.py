"""Asking the engines over gRPC: plays inquiries (`inquiry.py` decides who is asked) in the asyncio loop."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, nullcontext
from typing import Any, Final

import grpc

from lockstep.runtime.access.dialing import open_aio_channel
from lockstep.runtime.inquiry import (
    BEGAN,
    DUE,
    FETCH_TIMEOUT_NS,
    Answered,
    Call,
    EventKey,
    EventSearch,
    Failed,
    Fault,
    Happening,
    Inquiry,
    LookUp,
    NoAnswer,
    OnePage,
    Todo,
    in_order,
)
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.runtime.turns import TooManyWait, Turns
from lockstep.stream.records import Events
from lockstep.v1 import replication_pb2, replication_pb2_grpc

FIRST_SEQ_KEY: Final = "lockstep-first-seq"
_SNAPSHOT_S: Final = 120.0
_SEARCHES_AT_ONCE: Final = 2
"""Pages of history that one gateway has the engines search at once, for all its clients."""
_FAULTS: Final = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: Fault.BUSY,
    grpc.StatusCode.OUT_OF_RANGE: Fault.GONE,
    grpc.StatusCode.FAILED_PRECONDITION: Fault.DIVERGED,
}


class EnginesUnavailable(Exception):
    """No engine answered; the text says what each said."""


class EnginesBusy(EnginesUnavailable):
    """The engine that was asked lives, and has others before this; asking another one would not make it less."""


class EventsGone(EnginesUnavailable):
    """No engine has the events, and some say that they were cut from their journals for good."""

    def __init__(self, text: str, first_seq: int, *, everywhere: bool = False) -> None:
        super().__init__(text)
        self.first_seq = first_seq
        """From this seq on events can be had; 0: not known."""
        self.everywhere = everywhere
        """Each engine has said so. Else one that did not answer may have them."""


def fault_of(call: Call, code: grpc.StatusCode) -> Fault:
    """What a call's status says of the engine."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and isinstance(call.request, replication_pb2.QueryRequest):
        return Fault.BUSY
    return _FAULTS.get(code, Fault.UNAVAILABLE)


class Engines:
    """Connections to all engines of the cluster, made at once and kept."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(member.id for member in members)
        self._channels = {member.id: open_aio_channel(member.grpc_address, CHANNEL_OPTIONS) for member in members}
        self._stubs: dict[int, Any] = {
            member: replication_pb2_grpc.ReplicationStub(channel) for member, channel in self._channels.items()
        }
        self._searches = Turns(_SEARCHES_AT_ONCE)
        self.primary = 0
        """Engine to ask first; 0: not known."""

    async def play(self, inquiry: Inquiry, client: str | None = None) -> AsyncGenerator[Todo]:
        """The inquiry's steps that bring pages, or its end. A caller that leaves before the end ends what is under way.

        `client`: whose turn it is that each page of events waits for; None: nobody's.

        Raises:
            EnginesUnavailable: too many clients wait for a turn.
        """
        under_way: set[asyncio.Task[Happening]] = set()
        happened: deque[Happening] = deque((BEGAN,))
        deadline_ns = 0
        try:
            while True:
                todo = inquiry.step(happened.popleft(), time.monotonic_ns())
                if todo.pages or todo.over:
                    yield todo
                if todo.over:
                    return
                under_way |= {asyncio.create_task(self._ask(call, client)) for call in todo.calls}
                deadline_ns = todo.deadline_ns
                if not happened:
                    await _next(under_way, happened, deadline_ns)
        finally:
            for task in under_way:
                task.cancel()

    async def _ask(self, call: Call, client: str | None) -> Happening:
        stub = self._stubs[call.engine]
        timeout_s = call.timeout_ns / 1e9
        try:
            if isinstance(call.request, replication_pb2.QueryRequest):
                return Answered(call.engine, await stub.Query(call.request, timeout=timeout_s))
            async with nullcontext() if client is None else self._searches.of(client):
                return Answered(call.engine, [page async for page in stub.FetchEvents(call.request, timeout=timeout_s)])
        except grpc.aio.AioRpcError as error:
            text = f"engine {call.engine}: {error.code().name} {error.details()}"
            return Failed(call.engine, fault_of(call, error.code()), text, _first_seq(error))
        except TooManyWait as error:
            raise EnginesUnavailable(str(error)) from None

    async def end_of(self, inquiry: Inquiry) -> replication_pb2.QueryReply:
        """The answer to a question that brings no events.

        Raises:
            EnginesBusy: an engine lives, and has others before this.
            EnginesUnavailable: there is none now.
        """
        async with aclosing(self.play(inquiry)) as steps:
            async for todo in steps:
                if isinstance(todo.end, NoAnswer):
                    raise _error(todo.end)
                if todo.end is not None:
                    return todo.end
        raise AssertionError("an inquiry without an end")

    async def query(
        self, request: replication_pb2.QueryRequest, *, min_epoch: int = 0, min_seq: int = 0
    ) -> replication_pb2.QueryReply:
        """Committed state of `min_epoch` and `min_seq`, or newer.

        Raises:
            EnginesUnavailable: none answered that has it.
        """
        engines = in_order(self._members, first=self.primary)
        return await self.end_of(LookUp(engines, request, min_epoch=min_epoch, min_seq=min_seq))

    async def page(
        self,
        request: replication_pb2.QueryRequest,
        *,
        min_epoch: int = 0,
        min_seq: int = 0,
        timeout_s: float = FETCH_TIMEOUT_NS / 1e9,
        standby: bool = False,
    ) -> replication_pb2.QueryReply:
        """A page of a list, of `min_epoch` and `min_seq` or newer: from the primary, or the next one that has it.

        `standby`: from the primary last.

        Raises:
            EnginesBusy: the engine is slow; it is not asked twice, and neither is another one.
            EnginesUnavailable: none answered that has it.
        """
        engines = in_order(self._members, last=self.primary) if standby else in_order(self._members, first=self.primary)
        timeout_ns = int(timeout_s * 1e9)
        return await self.end_of(OnePage(engines, request, min_epoch=min_epoch, min_seq=min_seq, timeout_ns=timeout_ns))

    async def diverged_at(self, *, delivered_epoch: int, delivered_seq: int, min_epoch: int) -> int:
        """The first seq at which history differs from what was delivered up to `delivered_seq`; 0: it is the same.

        Raises:
            EnginesUnavailable: none answered that has heard of `min_epoch`.
        """
        delivered = replication_pb2.DeliveryMark(epoch=delivered_epoch, seq=delivered_seq)
        reply = await self.query(replication_pb2.QueryRequest(delivered=delivered), min_epoch=min_epoch)
        return reply.diverged_at

    async def events(
        self, *, after: EventKey, to_seq: int, session_id: int = 0, min_epoch: int = 0, client: str = ""
    ) -> AsyncIterator[tuple[Events, EventKey]]:
        """Pages of the events after the given id up to and including `to_seq`, of one session or of all (0), in order.

        A page says how far it reaches, and may be empty. It is asked for when it is the turn of `client`.

        Raises:
            EventsGone: no engine has them all, and they were cut from journals.
            EnginesUnavailable: no engine has them all just now.
        """
        engines = in_order(self._members, first=self.primary)
        search = EventSearch(engines, after=after, to_seq=to_seq, session_id=session_id, min_epoch=min_epoch)
        async with aclosing(self.play(search, client)) as steps:
            async for todo in steps:
                for page in todo.pages:
                    yield page.events, page.through
                if isinstance(todo.end, NoAnswer):
                    raise _error(todo.end)

    async def snapshot(self, engine: int) -> bytes | None:
        """The newest verified snapshot file of an engine; None: it has none.

        Raises:
            EnginesUnavailable: it does not answer, or breaks off.
        """
        parts: list[bytes] = []
        try:
            request = replication_pb2.FetchSnapshotRequest()
            async for reply in self._stubs[engine].FetchSnapshot(request, timeout=_SNAPSHOT_S):
                parts.append(reply.chunk)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND and not parts:
                return None
            raise EnginesUnavailable(f"engine {engine}: {error.code().name} {error.details()}") from None
        return b"".join(parts)

    async def batch(self, engine: int, seq: int) -> bytes:
        """The stamped batch that holds the command at `seq`, from an engine's journal.

        Raises:
            EnginesUnavailable: it does not answer, or does not have it.
        """
        request = replication_pb2.FetchJournalRequest(from_seq=seq, max_bytes=1)
        try:
            async for reply in self._stubs[engine].FetchJournal(request, timeout=FETCH_TIMEOUT_NS / 1e9):
                if reply.batches:
                    return bytes(reply.batches[0])
        except grpc.aio.AioRpcError as error:
            raise EnginesUnavailable(f"engine {engine}: {error.code().name} {error.details()}") from None
        raise EnginesUnavailable(f"engine {engine}: no batch at seq {seq}")

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()


async def _next(under_way: "set[asyncio.Task[Happening]]", happened: deque[Happening], deadline_ns: int) -> None:
    """Wait for what happens next: one call or several, or the deadline (0: there is none)."""
    wait_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9) if deadline_ns else None
    if under_way:
        done, _ = await asyncio.wait(under_way, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        under_way -= done
        happened.extend(task.result() for task in done)
    else:
        assert wait_s is not None, "an inquiry that waits for nothing"
        await asyncio.sleep(wait_s)
    if not happened:
        happened.append(DUE)


def _error(end: NoAnswer) -> EnginesUnavailable:
    if end.fault is Fault.GONE:
        return EventsGone(end.text, end.first_seq, everywhere=end.everywhere)
    return EnginesBusy(end.text) if end.fault is Fault.BUSY else EnginesUnavailable(end.text)


def _first_seq(error: grpc.aio.AioRpcError) -> int:
    first_seq = dict(error.trailing_metadata() or ()).get(FIRST_SEQ_KEY, "")
    return int(first_seq) if str(first_seq).isdigit() else 0
