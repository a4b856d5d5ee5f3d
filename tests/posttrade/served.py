"""Engines as a follower meets them: the calls that it makes, answered over gRPC from a history that a test has made.

What an engine has of it, and whether it says that the rest was cut, a test changes while followers read.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np

from lockstep.engine.implementations import implementation
from lockstep.ops.local.ports import HOST, free_ports
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.runtime.topology import Access, Ledger, Member, ProcessKind, Topology
from lockstep.stream.digest import GENESIS, Digest, next_digest
from lockstep.stream.records import join_records
from lockstep.v1 import replication_pb2, replication_pb2_grpc
from tests.posttrade.flows import History


class ServedEngine(replication_pb2_grpc.ReplicationServicer):
    """One engine that has the first `batches` of a history, without those up to `cut_seq`."""

    def __init__(self, number: int, made: History, batches: int) -> None:
        self.number = number
        self.made = made
        self.batches = batches
        self.cut_seq = 0
        self.in_sync = True
        self.snapshot: tuple[int, Digest, bytes] | None = None
        """Seq, digest, file."""
        self.asked = 0
        self.digests = digests_of(made)
        (self.port,) = free_ports(1)

    @property
    def committed_seq(self) -> int:
        return self.made.batches[self.batches - 1].last_seq if self.batches else 0

    def _tip(self) -> replication_pb2.Tip:
        epoch = self.made.batches[self.batches - 1].epoch if self.batches else 0
        return replication_pb2.Tip(epoch=epoch, seq=self.committed_seq)

    def FetchJournal(self, request, context) -> Iterator[replication_pb2.FetchJournalReply]:  # noqa: N802 - gRPC's name
        self.asked += 1
        if request.from_seq <= self.cut_seq:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, f"engine {self.number}: cut after seq {self.cut_seq}")
        found = [one for one in self.made.batches[: self.batches] if one.last_seq >= request.from_seq]
        found = found[: 1 if request.max_bytes == 1 else 20]
        digest = self.digests[found[-1].last_seq] if found else b""
        yield replication_pb2.FetchJournalReply(
            digest=digest,
            batches=[one.raw for one in found], tip=self._tip(), committed_seq=self.committed_seq, in_sync=self.in_sync,
            first_seq=self.cut_seq + 1,
        )  # fmt: skip

    def FetchEvents(self, request, _context) -> Iterator[replication_pb2.FetchEventsReply]:  # noqa: N802 - gRPC's name
        events = join_records([np.ascontiguousarray(part) for part in self.made.events[: self.batches]])
        wanted = events[(events["seq"] > request.after.seq) & (events["seq"] <= request.to_seq)]
        yield replication_pb2.FetchEventsReply(
            epoch=self._tip().epoch, events=wanted.tobytes(), through_seq=request.to_seq,
            committed_seq=self.committed_seq,
        )  # fmt: skip

    def FetchSnapshot(self, request, context) -> Iterator[replication_pb2.FetchSnapshotReply]:  # noqa: N802 - gRPC's name
        if self.snapshot is None or request.seq not in (0, self.snapshot[0]):
            context.abort(grpc.StatusCode.NOT_FOUND, f"engine {self.number} has no verified snapshot")
            return
        seq, digest, raw = self.snapshot
        for begin in range(0, len(raw), 1_000):
            chunk = raw[begin : begin + 1_000]
            yield replication_pb2.FetchSnapshotReply(seq=seq, digest=digest, chunk=chunk, total_bytes=len(raw))


def digests_of(made: History) -> dict[int, Digest]:
    """The engines' chain, by the last seq of each batch."""
    found, digest = {}, GENESIS
    for batch, events in zip(made.batches, made.events, strict=True):
        digest = found[batch.last_seq] = next_digest(digest, batch.raw, events.tobytes())
    return found


def snapshot_of(made: History, batches: int) -> tuple[int, Digest, bytes]:
    """Seq, chain digest and file of the snapshot that an engine writes behind so many batches."""
    engine = implementation("native")()
    for batch in made.batches[:batches]:
        engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
    last = made.batches[batches - 1]
    begins: dict[int, int] = {}
    for batch in made.batches[:batches]:
        begins.setdefault(batch.epoch, batch.first_seq)
    epochs = tuple(EpochEntry(epoch, first_seq) for epoch, first_seq in begins.items())
    digest = digests_of(made)[last.last_seq]
    base = Base(last.last_seq, digest, last.timestamp_ns, epochs, 0b110, 1, 0, 1)
    return last.last_seq, digest, encode_snapshot_file("a-cluster", base, engine.snapshot())


@contextmanager
def served(*engines: ServedEngine) -> Iterator[None]:
    """While the block runs, they answer."""
    servers = []
    for engine in engines:
        server = grpc.server(ThreadPoolExecutor(4))
        replication_pb2_grpc.add_ReplicationServicer_to_server(engine, server)
        assert server.add_insecure_port(f"{HOST}:{engine.port}")
        server.start()
        servers.append(server)
    try:
        yield
    finally:
        for server in servers:
            server.stop(None).wait()


def topology_of(directory: Path, *engines: ServedEngine, grpc_port: int = 0) -> Topology:
    """A cluster of these engines, whose ledger lies in a directory."""
    members = tuple(Member(ProcessKind.ENGINE, one.number, HOST, one.port) for one in engines)
    ledger = Ledger(data_dir=directory, grpc_port=grpc_port)
    return Topology("served", (), Path(), (), members, (), ledger=ledger, access=Access(audit_dir=directory / "access"))
