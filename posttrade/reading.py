"""Reading the committed stream: from a live engine over gRPC, or from the journal of one at rest."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc
import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.engine.implementations import implementation
from lockstep.posttrade.chunks import Chunk
from lockstep.posttrade.follower import Failed, Read
from lockstep.runtime.access.dialing import open_aio_channel
from lockstep.runtime.inquiry import LAST_INDEX, Fault
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.digest import Digest
from lockstep.stream.records import EVENT, Events, join_records, no_events
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

CHUNK_BYTES: Final = 1 << 20
"""Of commands in one chunk, about: eight thousand."""
_TIMEOUT_S: Final = 5.0
_SNAPSHOT_TIMEOUT_S: Final = 600.0
"""Engines give away some tens of megabytes a second at the most, whoever asks."""
_FIRST_SEQ_KEY: Final = "lockstep-first-seq"
_FAULTS: Final = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: Fault.BUSY,
    grpc.StatusCode.OUT_OF_RANGE: Fault.GONE,
    grpc.StatusCode.FAILED_PRECONDITION: Fault.DIVERGED,
}


class EngineReader:
    """Connections to all engines, of one asyncio loop, made at once and kept."""

    def __init__(self, engines: Sequence[Member]) -> None:
        self._channels = {engine.id: open_aio_channel(engine.grpc_address, CHANNEL_OPTIONS) for engine in engines}
        self._stubs: dict[int, Any] = {
            engine: replication_pb2_grpc.ReplicationStub(channel) for engine, channel in self._channels.items()
        }

    async def read(self, wanted: Read) -> Chunk | Failed:
        """The next chunk of one engine: its batches first, then the events of those that it knows to be committed."""
        try:
            return await self._read(self._stubs[wanted.engine], wanted)
        except grpc.aio.AioRpcError as error:
            first_seq = dict(error.trailing_metadata() or ()).get(_FIRST_SEQ_KEY, "")
            text = f"engine {wanted.engine}: {error.code().name} {error.details()}"
            fault = _FAULTS.get(error.code(), Fault.UNAVAILABLE)
            return Failed(wanted.engine, fault, text, int(first_seq) if str(first_seq).isdigit() else 0)
        except LayoutError as error:
            return Failed(wanted.engine, Fault.UNAVAILABLE, f"engine {wanted.engine}: {error}")

    async def _read(self, stub: Any, wanted: Read) -> Chunk:
        batches, epoch, committed_seq, in_sync = await self._batches(stub, wanted.after_seq)
        to_seq = min(committed_seq, batches[-1].last_seq if batches else wanted.after_seq)
        to_seq = max((batch.last_seq for batch in batches if batch.last_seq <= to_seq), default=wanted.after_seq)
        # Where nothing is new the question is asked all the same: whether what was applied is this engine's history.
        events, through, committed_seq = await self._events(stub, wanted, to_seq, committed_seq)
        whole = tuple(batch for batch in batches if batch.last_seq <= through)
        through = whole[-1].last_seq if whole else wanted.after_seq
        if len(events) and int(events["seq"][-1]) > through:
            events = events[events["seq"] <= through]
        return Chunk(whole, events, through, committed_seq, epoch, in_sync)

    async def _batches(self, stub: Any, after_seq: int) -> tuple[list[Batch], int, int, bool]:
        request = replication_pb2.FetchJournalRequest(from_seq=after_seq + 1, max_bytes=CHUNK_BYTES)
        batches: list[Batch] = []
        epoch = committed_seq = 0
        in_sync = False
        async for reply in stub.FetchJournal(request, timeout=_TIMEOUT_S):
            batches.extend(decode_batch(bytes(raw)) for raw in reply.batches)
            epoch = max(epoch, reply.tip.epoch, *(entry.epoch for entry in reply.epochs))
            committed_seq = max(committed_seq, reply.committed_seq)
            in_sync = reply.in_sync
        # The first one may have begun before.
        return [batch for batch in batches if batch.first_seq > after_seq], epoch, committed_seq, in_sync

    async def _events(self, stub: Any, wanted: Read, to_seq: int, committed_seq: int) -> tuple[Events, int, int]:
        parts: list[Events] = []
        through = wanted.after_seq
        while True:
            request = replication_pb2.FetchEventsRequest(
                after=common_pb2.EventId(seq=through, index=LAST_INDEX),
                to_seq=to_seq,
                delivered_epoch=wanted.epoch if through == wanted.after_seq else 0,
            )
            paused = False
            async for reply in stub.FetchEvents(request, timeout=_TIMEOUT_S):
                if reply.events:
                    parts.append(np.frombuffer(reply.events, dtype=EVENT))
                through, paused = max(through, reply.through_seq), reply.paused
                committed_seq = max(committed_seq, reply.committed_seq)
            if not paused or through >= to_seq:
                return (join_records(parts) if parts else no_events()), through, committed_seq

    async def snapshot_tip(self, engine: int) -> int | None:
        """Seq of the newest verified snapshot of an engine; None: it has none, or does not answer."""
        call = self._stubs[engine].FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=_TIMEOUT_S)
        try:
            async for reply in call:
                return int(reply.seq)
        except grpc.aio.AioRpcError:
            return None
        finally:
            call.cancel()
        return None

    async def snapshot(self, engine: int, seq: int) -> bytes:
        """A snapshot file of an engine; what came of it, where the engine breaks off."""
        request = replication_pb2.FetchSnapshotRequest(seq=seq)
        parts: list[bytes] = []
        try:
            async for reply in self._stubs[engine].FetchSnapshot(request, timeout=_SNAPSHOT_TIMEOUT_S):
                parts.append(reply.chunk)
        except grpc.aio.AioRpcError:
            return b""
        return b"".join(parts)

    async def digest_at(self, engine: int, seq: int) -> Digest | None:
        """An engine's chain digest behind the batch that ends at a seq; None: it does not say."""
        request = replication_pb2.FetchJournalRequest(from_seq=seq, max_bytes=1)
        try:
            async for reply in self._stubs[engine].FetchJournal(request, timeout=_TIMEOUT_S):
                if reply.batches and reply.digest and decode_batch(bytes(reply.batches[-1])).last_seq == seq:
                    return Digest(reply.digest)
        except (grpc.aio.AioRpcError, LayoutError):
            pass
        found = self._stubs[engine].FetchSnapshot(replication_pb2.FetchSnapshotRequest(seq=seq), timeout=_TIMEOUT_S)
        try:
            async for reply in found:
                return Digest(reply.digest) if reply.digest else None
        except grpc.aio.AioRpcError:
            return None
        finally:
            found.cancel()
        return None

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()


def executed(
    batches: Iterator[Batch], engine: str = "native", *, commands: int = 8_192, state: bytes = b""
) -> Iterator[Chunk]:
    """Chunks of a history, with the events that an engine makes of it here.

    For journals at rest, and for tests: nobody else's events are needed to rebuild what a follower stores. `state`: a
    snapshot in the engines' format that the first batch continues; empty: it is the first command's.
    """
    make = implementation(engine)
    own: MatchingEngine = make.restore(state) if state else make()
    held: list[Batch] = []
    made: list[Events] = []
    for batch in batches:
        held.append(batch)
        made.append(own.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns))
        if sum(one.count for one in held) >= commands:
            yield _chunk(held, made)
            held, made = [], []
    if held:
        yield _chunk(held, made)


def _chunk(held: list[Batch], made: list[Events]) -> Chunk:
    last = held[-1]
    events = join_records([np.ascontiguousarray(part) for part in made if len(part)])
    return Chunk(tuple(held), events, last.last_seq, last.last_seq, last.epoch)
