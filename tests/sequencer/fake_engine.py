"""An engine without a book, for the sequencer's process tests: real links, real gRPC, an invented digest.

It journals in memory, promises, acknowledges, asks for missing batches. Run as `python fake_engine.py TOPOLOGY MEMBER`
(TOPOLOGY: a pickle). Prints one JSON line for each control record it applies, with the monotonic time.
"""

import asyncio
import itertools
import json
import pickle
import queue
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import grpc
import numpy as np

from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.process import start_grpc_server
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import LinkKind, ProcessKind, Topology, inbound_links, outbound_links
from lockstep.runtime.transport import Transport
from lockstep.runtime.watch import WatchServer
from lockstep.stream.batch import Batch, decode_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.messages import ACK_ENTRY, Ack, Stream, decode, encode
from lockstep.stream.records import CONTROL, CommandKind, bits_to_members
from lockstep.v1 import cluster_pb2, replication_pb2, replication_pb2_grpc


class FakeEngine(replication_pb2_grpc.ReplicationServicer):
    """See the module."""

    def __init__(self, topology: Topology, member: int) -> None:
        self.me = topology.member(ProcessKind.ENGINE, member)
        self.promised = 0
        self.journal: list[Batch] = []
        self.digest = GENESIS
        self.tip = 0
        self.questions: queue.SimpleQueue[tuple[object, Future]] = queue.SimpleQueue()
        self.rewind_due_ns = 0
        self.transport = Transport(topology.aeron_dir)
        self.inbound = [
            self.transport.inbound(spec)
            for (kind, _), spec in inbound_links(topology, self.me).items()
            if kind is LinkKind.STREAM
        ]
        self.acks = [
            self.transport.outbound(spec, queue_limit_bytes=1 << 20)
            for (kind, _), spec in outbound_links(topology, self.me).items()
            if kind is LinkKind.ACK_TO_SEQUENCER
        ]
        self.watch = WatchServer("127.0.0.1", self.me.watch_port, member, time.time_ns())
        self.server = start_grpc_server(
            self.me.grpc_address,
            lambda server: replication_pb2_grpc.add_ReplicationServicer_to_server(self, server),
            ("lockstep.v1.Replication",),
            cluster_pb2.GetStatusReply,
            access=AccessGuard(Entitlements(()), Trail(Path(), "")),
        )

    def run(self) -> None:
        """Until killed."""
        print(json.dumps({"kind": "READY"}), flush=True)
        while True:
            work = sum(link.poll(self.on_stream, 64) for link in self.inbound)
            while not self.questions.empty():
                request, reply = self.questions.get()
                reply.set_result(self.answer(request))
            self.watch.set_status(0, self.promised)
            self.watch.poll(time.monotonic_ns())
            if not work:
                time.sleep(0.0001)

    def on_stream(self, raw: bytes) -> None:
        """Journal, apply, acknowledge."""
        got = decode(raw, Stream)
        self.take(got.batch, got.leader_epoch)

    def catch_up(self, topology: Topology) -> None:
        """Take over what a living peer has journaled."""
        for peer in topology.engines:
            if peer.id == self.me.id:
                continue
            stub = replication_pb2_grpc.ReplicationStub(grpc.insecure_channel(peer.grpc_address))
            try:
                for reply in stub.FetchJournal(replication_pb2.FetchJournalRequest(from_seq=1), timeout=2):
                    for raw in reply.batches:
                        batch = decode_batch(raw)
                        self.take(batch, max(self.promised, batch.epoch))
            except grpc.RpcError:
                continue

    def take(self, got: Batch, leader_epoch: int) -> None:
        """One batch, in whatever way it came."""
        if leader_epoch < self.promised:
            return
        self.promised = leader_epoch
        if got.first_seq > self.tip + 1:
            if time.monotonic_ns() >= self.rewind_due_ns:
                self.rewind_due_ns = time.monotonic_ns() + 20_000_000
                self.send_ack(np.zeros(0, ACK_ENTRY), rewinds=True)
            return
        if got.first_seq <= self.tip or not got.count:
            return
        self.journal.append(got)
        self.tip = got.last_seq
        self.digest = next_digest(self.digest, got.raw, b"")
        entries = np.zeros(1, ACK_ENTRY)
        entries["last_seq"] = self.tip
        entries["digest"] = np.void(self.digest)
        self.send_ack(entries)
        self.tell(got)

    def tell(self, got: Batch) -> None:
        """Report control records to the test."""
        if got.records["kind"][0] < CommandKind.EPOCH_START:
            return
        said = got.records.view(CONTROL)[0]
        line = {
            "kind": CommandKind(said["kind"]).name,
            "epoch": int(said["epoch"]),
            "primary": int(said["primary"]),
            "in_sync": bits_to_members(int(said["in_sync"])),
            "member": int(said["member"]),
            "sequencer": int(said["sequencer"]),
            "cause": int(said["cause"]),
            "seq": got.last_seq,
            "at_ns": time.monotonic_ns(),
            "seqs_contiguous": [one.first_seq for one in self.journal] == self.expected_firsts(),
            "times_rise": all(a.timestamp_ns <= b.timestamp_ns for a, b in itertools.pairwise(self.journal)),
        }
        print(json.dumps(line), flush=True)

    def expected_firsts(self) -> list[int]:
        """First seqs that a stream without gaps has."""
        firsts, expected = [], 1
        for one in self.journal:
            firsts.append(expected)
            expected += one.count
        return firsts

    def send_ack(self, entries: np.ndarray, *, rewinds: bool = False) -> None:
        """One ACK to every sequencer."""
        raw = encode(Ack(self.me.id, self.promised, self.tip, 0, 0, unjoined=False, rewinds=rewinds, entries=entries))
        for link in self.acks:
            link.send(raw)

    def answer(self, request: object) -> object:
        """On the loop's thread."""
        tip = replication_pb2.Tip(
            epoch=self.journal[-1].epoch if self.journal else 0, seq=self.tip, digest=bytes(self.digest)
        )
        if isinstance(request, replication_pb2.FenceRequest):
            accepted = request.epoch >= self.promised
            if accepted:
                self.promised = request.epoch
            return replication_pb2.FenceReply(
                accepted=accepted, promised=self.promised, tip=tip, member=self.me.id,
                timestamp_ns=self.journal[-1].timestamp_ns if self.journal else 0,
            )  # fmt: skip
        assert isinstance(request, replication_pb2.FetchJournalRequest)
        batches = [one.raw for one in self.journal if one.last_seq >= request.from_seq]
        return replication_pb2.FetchJournalReply(batches=batches, tip=tip)

    async def ask(self, request: object) -> object:
        """From gRPC's loop."""
        reply: Future = Future()
        self.questions.put((request, reply))
        async with asyncio.timeout(2):
            return await asyncio.wrap_future(reply)

    async def Fence(self, request: object, _context: object) -> object:  # noqa: N802
        """gRPC."""
        return await self.ask(request)

    async def FetchJournal(self, request: object, _context: object) -> object:  # noqa: N802
        """gRPC."""
        yield await self.ask(request)


if __name__ == "__main__":
    cluster = pickle.loads(Path(sys.argv[1]).read_bytes())
    engine = FakeEngine(cluster, int(sys.argv[2]))
    engine.catch_up(cluster)
    engine.run()
