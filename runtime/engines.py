"""Asking the engines: queries of committed state, and events that RELEASE frames did not bring.

Every engine can answer for committed events; for queries the primary comes first, because its state is the newest, and
where something is only looked up, the next one soon after, because an engine that hangs keeps its connection. A page of
a list is asked of one engine: what is slow would only be slower if two did it. An answer of a lower epoch or seq than
one that was told comes from an engine that was left behind, and does not count.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import grpc
import numpy as np

from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.runtime.turns import TooManyWait, Turns
from lockstep.stream.records import EVENT, Events, join_records, no_events
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

LAST_INDEX: Final = 2**32 - 1
FIRST_SEQ_KEY: Final = "lockstep-first-seq"
_QUERY_TIMEOUT_S: Final = 1.0
# Well above what a live engine takes under load, and below the silence that counts as a hang.
_ASK_NEXT_AFTER_S: Final = 0.1
_FETCH_TIMEOUT_S: Final = 10.0
_BUSY_PAUSE_S: Final = 0.05
_BUSY: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
_SEARCHES_AT_ONCE: Final = 2
"""Pages of history that one gateway has the engines search at once, for all its clients."""
EventKey = tuple[int, int]
"""(seq, index)"""


class EnginesUnavailable(Exception):
    """No engine answered; the text says what each said."""


class EnginesBusy(EnginesUnavailable):
    """The engine that was asked lives, and has others before this; asking another one would not make it less."""


class EventsGone(EnginesUnavailable):
    """No engine has the events, and some say that they were cut from their journals for good."""

    def __init__(self, text: str, first_seq: int) -> None:
        super().__init__(text)
        self.first_seq = first_seq
        """From this seq on events can be had; 0: not told."""


class HistoryParted(EnginesUnavailable):
    """The cluster goes on without some of what was told before the events that were asked for."""


class Engines:
    """Connections to all engines of the cluster, made at once and kept."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(member.id for member in members)
        self._channels = {
            member.id: grpc.aio.insecure_channel(member.grpc_address, options=list(CHANNEL_OPTIONS))
            for member in members
        }
        self._stubs: dict[int, Any] = {
            member: replication_pb2_grpc.ReplicationStub(channel) for member, channel in self._channels.items()
        }
        self._searches = Turns(_SEARCHES_AT_ONCE)
        self.primary = 0
        """Engine to ask first; 0: not known."""

    def _order(self, *, first: int = 0, last: int = 0) -> list[int]:
        """All engines; `first` and `last` where they are named (0: whichever)."""
        return sorted(self._members, key=lambda member: (member != first, member == last))

    async def query(
        self, request: replication_pb2.QueryRequest, *, min_epoch: int = 0, min_seq: int = 0
    ) -> replication_pb2.QueryReply:
        """Committed state of `min_epoch` and `min_seq`, or newer.

        Raises:
            EnginesUnavailable: none answered that has it.
        """
        said: list[str] = []
        left = self._order(first=self.primary)
        asked: set[asyncio.Task[replication_pb2.QueryReply]] = set()
        try:
            while left or asked:
                if left:
                    asked.add(asyncio.create_task(self._ask(left.pop(0), request, min_epoch, min_seq)))
                patience_s = _ASK_NEXT_AFTER_S if left else None
                answered, asked = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                for call in answered:
                    if isinstance(error := call.exception(), EnginesUnavailable):
                        said.append(str(error))
                for call in answered:
                    if not isinstance(call.exception(), EnginesUnavailable):
                        return call.result()
        finally:
            for call in asked:
                call.cancel()
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def _ask(
        self,
        member: int,
        request: replication_pb2.QueryRequest,
        min_epoch: int,
        min_seq: int,
        timeout_s: float = _QUERY_TIMEOUT_S,
    ) -> replication_pb2.QueryReply:
        try:
            reply: replication_pb2.QueryReply = await self._stubs[member].Query(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in _BUSY:
                raise EnginesBusy(f"engine {member}: {error.code().name} {error.details()}") from None
            raise EnginesUnavailable(f"engine {member}: {error.code().name} {error.details()}") from None
        if reply.stamp.epoch < min_epoch:
            raise EnginesUnavailable(f"engine {member}: answers of epoch {reply.stamp.epoch}, {min_epoch} was seen")
        if reply.stamp.seq < min_seq:
            raise EnginesUnavailable(f"engine {member}: answers of seq {reply.stamp.seq}, {min_seq} was seen")
        return reply

    async def page(
        self,
        request: replication_pb2.QueryRequest,
        *,
        min_epoch: int = 0,
        min_seq: int = 0,
        timeout_s: float = _FETCH_TIMEOUT_S,
        standby: bool = False,
    ) -> replication_pb2.QueryReply:
        """A page of a list, of `min_epoch` and `min_seq` or newer: from the primary, or the next one that has it.

        `standby`: from the primary last.

        Raises:
            EnginesBusy: the engine is slow; it is not asked twice, and neither is another one.
            EnginesUnavailable: none answered that has it.
        """
        said: list[str] = []
        for member in self._order(last=self.primary) if standby else self._order(first=self.primary):
            try:
                return await self._ask(member, request, min_epoch, min_seq, timeout_s)
            except EnginesBusy:
                raise
            except EnginesUnavailable as error:
                said.append(str(error))
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def parted_at(self, *, told_epoch: int, told_seq: int, min_epoch: int) -> int:
        """The first seq at which history differs from what was told up to `told_seq`; 0: it is the same.

        Raises:
            EnginesUnavailable: none answered that has heard of `min_epoch`.
        """
        told = replication_pb2.Told(epoch=told_epoch, seq=told_seq)
        reply = await self.query(replication_pb2.QueryRequest(told=told), min_epoch=min_epoch)
        return reply.parted_at

    async def newest(self, request: replication_pb2.QueryRequest) -> replication_pb2.QueryReply:
        """Ask all engines at once; the answer of the highest (epoch, seq).

        Raises:
            EnginesUnavailable: none answered.
        """
        calls = [self._stubs[member].Query(request, timeout=_QUERY_TIMEOUT_S) for member in self._members]
        best: replication_pb2.QueryReply | None = None
        said = []
        for member, call in zip(self._members, calls, strict=True):
            try:
                reply: replication_pb2.QueryReply = await call
            except grpc.aio.AioRpcError as error:
                said.append(f"engine {member}: {error.code().name} {error.details()}")
                continue
            if best is None or (reply.stamp.epoch, reply.stamp.seq) > (best.stamp.epoch, best.stamp.seq):
                best = reply
        if best is None:
            raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")
        return best

    async def events(
        self,
        *,
        after: EventKey,
        to_seq: int,
        session_id: int = 0,
        min_epoch: int = 0,
        client: str = "",
    ) -> AsyncIterator[tuple[Events, EventKey]]:
        """Pages of the events after the given id up to and including `to_seq`, of one session or of all (0), in order.

        A page says how far it reaches, and may be empty. It is asked for when it is the turn of `client`. If an engine
        fails on the way the next one goes on; one that has not heard of `min_epoch` does not count: it may be of a
        history that was given up.

        Raises:
            EventsGone: no engine has them all, and they were cut from journals.
            EnginesUnavailable: no engine has them all just now.
        """
        said: list[str] = []
        begins: list[int] = []
        for member in self._order(first=self.primary):
            reached = after[0]
            while after < (to_seq, LAST_INDEX):
                request = replication_pb2.FetchEventsRequest(
                    after=common_pb2.EventId(seq=after[0], index=after[1]),
                    session_id=session_id,
                    to_seq=to_seq,
                )
                try:
                    async with self._searches.of(client):
                        replies = await self._event_page(member, request)
                except TooManyWait as error:
                    raise EnginesUnavailable(str(error)) from None
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        await asyncio.sleep(_BUSY_PAUSE_S)
                        continue
                    said.append(f"engine {member}: {error.code().name} {error.details()}")
                    if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                        begins.append(_first_seq(error))
                    break
                for events, last in _pages(replies, min_epoch):
                    after, reached = max(after, last), max(reached, last[0])
                    yield events, after
                if not (replies and replies[-1].paused and replies[-1].epoch >= min_epoch) and reached < to_seq:
                    said.append(f"engine {member}: has committed events of epoch {min_epoch} up to {reached} only")
                    break
            else:
                return
        if begins:
            raise EventsGone("; ".join(said), min(begins))
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def _event_page(
        self, member: int, request: replication_pb2.FetchEventsRequest
    ) -> list[replication_pb2.FetchEventsReply]:
        return [reply async for reply in self._stubs[member].FetchEvents(request, timeout=_FETCH_TIMEOUT_S)]

    async def fetch(
        self, *, after_seq: int, to_seq: int, first: int = 0, min_epoch: int = 0, told_epoch: int = 0
    ) -> Events:
        """All events of the seqs from `after_seq + 1` to `to_seq`, as one array, without waiting for a turn of clients.

        `first` is asked first (0: the primary). `told_epoch`: the one under which `after_seq` was told; 0: not known.

        Raises:
            HistoryParted: what was told is no longer history.
            EventsGone, EnginesUnavailable: no engine has them all; see `events`.
        """
        said: list[str] = []
        begins: list[int] = []
        for member in self._order(first=first or self.primary):
            parts: list[Events] = []
            through = after_seq
            try:
                async for reply in self._all_pages(member, after_seq, to_seq, told_epoch):
                    if reply.epoch < min_epoch:
                        break
                    parts.append(np.frombuffer(reply.events, dtype=EVENT))
                    through = reply.through_seq
            except grpc.aio.AioRpcError as error:
                said.append(f"engine {member}: {error.code().name} {error.details()}")
                if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                    raise HistoryParted(said[-1]) from None
                if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                    begins.append(_first_seq(error))
                continue
            if through >= to_seq:
                return join_records(parts) if parts else no_events()
            said.append(f"engine {member}: has committed events of epoch {min_epoch} up to {through} only")
        if begins:
            raise EventsGone("; ".join(said), min(begins))
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def _all_pages(
        self, member: int, after_seq: int, to_seq: int, told_epoch: int
    ) -> AsyncIterator[replication_pb2.FetchEventsReply]:
        """Of one engine, which has others before this now and then: asked again until it has told everything."""
        until_s = time.monotonic() + _FETCH_TIMEOUT_S
        again = True
        while again:
            again = False
            request = replication_pb2.FetchEventsRequest(
                after=common_pb2.EventId(seq=after_seq, index=LAST_INDEX), to_seq=to_seq, told_epoch=told_epoch
            )
            try:
                async for reply in self._stubs[member].FetchEvents(request, timeout=_FETCH_TIMEOUT_S):
                    yield reply
                    again, after_seq = reply.paused, reply.through_seq
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > until_s:
                    raise
                await asyncio.sleep(_BUSY_PAUSE_S)
                again = True

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()


def _pages(replies: Sequence[replication_pb2.FetchEventsReply], min_epoch: int) -> Iterator[tuple[Events, EventKey]]:
    """Events of replies, and how far each reaches; those of an engine that was left behind are none."""
    for reply in replies:
        if reply.epoch < min_epoch:
            return
        events = np.frombuffer(reply.events, dtype=EVENT)
        last = (int(events["seq"][-1]), int(events["index"][-1])) if len(events) else (0, 0)
        yield events, max(last, (reply.through_seq, LAST_INDEX))


def _first_seq(error: grpc.aio.AioRpcError) -> int:
    told = dict(error.trailing_metadata() or ()).get(FIRST_SEQ_KEY, "")
    return int(told) if str(told).isdigit() else 0
