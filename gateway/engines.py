"""Asking the engines: queries of committed state, and events that RELEASE frames did not bring.

Every engine can answer for committed events; for queries the primary comes first, because its state is the newest, and
the next one soon after, because an engine that hangs keeps its connection. An answer of a lower epoch or seq than one
that was told comes from an engine that was left behind, and does not count.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
import numpy as np

from lockstep.ops.process import CHANNEL_OPTIONS
from lockstep.stream.records import EVENT, Events, join_records, no_events
from lockstep.stream.topology import Member
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

LAST_INDEX: Final = 2**32 - 1
FIRST_SEQ_KEY: Final = "lockstep-first-seq"
_QUERY_TIMEOUT_S: Final = 1.0
# Well above what a live engine takes under load, and below the silence that counts as a hang.
_ASK_NEXT_AFTER_S: Final = 0.1
_FETCH_TIMEOUT_S: Final = 10.0


class EnginesUnavailable(Exception):
    """No engine answered; the text says what each said."""


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
        self, member: int, request: replication_pb2.QueryRequest, min_epoch: int, min_seq: int
    ) -> replication_pb2.QueryReply:
        try:
            reply: replication_pb2.QueryReply = await self._stubs[member].Query(request, timeout=_QUERY_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise EnginesUnavailable(f"engine {member}: {error.code().name} {error.details()}") from None
        if reply.stamp.epoch < min_epoch:
            raise EnginesUnavailable(f"engine {member}: answers of epoch {reply.stamp.epoch}, {min_epoch} was seen")
        if reply.stamp.seq < min_seq:
            raise EnginesUnavailable(f"engine {member}: answers of seq {reply.stamp.seq}, {min_seq} was seen")
        return reply

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
        after_seq: int,
        to_seq: int,
        after_index: int = LAST_INDEX,
        session_id: int = 0,
        first: int = 0,
        min_epoch: int = 0,
        told_epoch: int = 0,
    ) -> AsyncIterator[Events]:
        """Events after the given id up to and including `to_seq`, of one session or of all (0), in order.

        If an engine fails on the way the next one goes on behind the last event. `first` is asked first (0: the
        primary); one that has not heard of `min_epoch` does not count: it may be of a history that was given up.
        `told_epoch`: the one under which the given id was told; 0: not known.

        Raises:
            HistoryParted: the given id is no longer history.
            EventsGone: no engine has them all, and they were cut from journals.
            EnginesUnavailable: no engine has them all just now.
        """
        said = []
        begins: list[int] = []
        for member in self._order(first=first or self.primary):
            after = common_pb2.EventId(seq=after_seq, index=after_index)
            request = replication_pb2.FetchEventsRequest(
                after=after, session_id=session_id, to_seq=to_seq, told_epoch=told_epoch
            )
            through = 0
            call = self._stubs[member].FetchEvents(request, timeout=_FETCH_TIMEOUT_S)
            try:
                async for reply in call:
                    if reply.epoch < min_epoch:
                        call.cancel()
                        break
                    through = max(through, reply.through_seq)
                    if reply.events:
                        events = np.frombuffer(reply.events, dtype=EVENT)
                        after_seq, after_index = int(events["seq"][-1]), int(events["index"][-1])
                        told_epoch = 0  # from here on it is what was just fetched
                        yield events
            except grpc.aio.AioRpcError as error:
                said.append(f"engine {member}: {error.code().name} {error.details()}")
                if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                    raise HistoryParted(said[-1]) from None
                if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                    begins.append(_first_seq(error))
                continue
            if through >= to_seq:
                return
            said.append(f"engine {member}: has committed events of epoch {min_epoch} up to {through} only")
        if begins:
            raise EventsGone("; ".join(said), min(begins))
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def fetch(
        self, *, after_seq: int, to_seq: int, first: int = 0, min_epoch: int = 0, told_epoch: int = 0
    ) -> Events:
        """All events of the seqs from `after_seq + 1` to `to_seq`, as one array; see `events`.

        Raises:
            EnginesUnavailable: no engine has them all.
        """
        wanted = self.events(
            after_seq=after_seq, to_seq=to_seq, first=first, min_epoch=min_epoch, told_epoch=told_epoch
        )
        parts = [part async for part in wanted]
        return join_records(parts) if parts else no_events()

    async def snapshot(self) -> tuple[int, bytes]:
        """(seq, the whole state as of it; see `lockstep.engine.snapshot_format`), from a standby where there is one.

        Raises:
            EnginesUnavailable: none answered.
        """
        said = []
        for member in self._order(last=self.primary):
            request = replication_pb2.FetchSnapshotRequest()
            chunks, seq, total = [], 0, -1
            try:
                async for reply in self._stubs[member].FetchSnapshot(request, timeout=_FETCH_TIMEOUT_S):
                    chunks.append(reply.chunk)
                    seq, total = reply.seq, reply.total_bytes
            except grpc.aio.AioRpcError as error:
                said.append(f"engine {member}: {error.code().name} {error.details()}")
                continue
            content = b"".join(chunks)
            if len(content) == total:
                return seq, content
            said.append(f"engine {member}: sent {len(content)} bytes of a snapshot of {total}")
        raise EnginesUnavailable("; ".join(said) or "the topology lists no engine")

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()


def _first_seq(error: grpc.aio.AioRpcError) -> int:
    told = dict(error.trailing_metadata() or ()).get(FIRST_SEQ_KEY, "")
    return int(told) if str(told).isdigit() else 0
