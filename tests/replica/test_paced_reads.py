"""Many who read an engine's history as fast as they can get a bounded part, in turn, and a sequencer its answer."""

import itertools
import threading
import time
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest

from lockstep.ops.local.ports import free_ports
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, FenceAnswer, JournalWrite, Role
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.service import ReplicationService, register
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.turnstile import SHARE, Turnstile
from lockstep.replica.view import ReplicaView
from lockstep.runtime.process import start_grpc_server
from lockstep.stream.batch import stamp_batch
from lockstep.stream.digest import GENESIS
from lockstep.stream.records import COMMAND, EVENT, EventKind
from lockstep.v1 import cluster_pb2, replication_pb2, replication_pb2_grpc
from tests.everybody import open_guard

FRAMES, IN_ONE = 64, 512
UUID = "c1a5e000-0000-4000-8000-000000000001"
EPOCHS = (EpochEntry(1, 1),)
READERS = 6
READ_S = 2.0
BYTES_A_SECOND = 1 / (4e-9 * SHARE)
"""At the most, of a lane, if nothing else cost anything."""


@pytest.fixture
def address(tmp_path):
    """A server as an engine has it, over some megabytes of history and a snapshot; its main loop promises at once."""
    journal, store = Journal(tmp_path / "1", 1), SnapshotStore(tmp_path / "1")
    events = EventStore(journal, 1)
    for first in range(1, FRAMES * IN_ONE + 1, IN_ONE):
        records = np.zeros(IN_ONE, dtype=COMMAND)
        one = stamp_batch(records, epoch=1, first_seq=first, timestamp_ns=0)
        journal.write(JournalWrite(batches=(one,), synced=False), sync=False, applied=(0, GENESIS))
        delivered = np.zeros(IN_ONE, dtype=EVENT)
        delivered["seq"], delivered["kind"] = np.arange(first, first + IN_ONE), EventKind.ACCEPTED
        events.add((AppliedBatch(1, first, first + IN_ONE - 1, delivered, GENESIS),))
    base = Base(7, GENESIS, 5_000, EPOCHS, 0b110, 2, 1, 4)
    store.write(encode_snapshot_file(UUID, base, bytes(4 << 20)), 7, verified=True)
    tip = FRAMES * IN_ONE
    view = ReplicaView(Role.PRIMARY, True, True, 1, 1, tip, GENESIS, tip, 1, 2, EPOCHS, UUID, "")
    turnstile, address = Turnstile(), f"127.0.0.1:{free_ports(1)[0]}"
    fetches = Fetches(1, journal, events, lambda: view, store)

    def promise(call):
        call.done.set_result(FenceAnswer(1, True, 1, 0, 0, b"", 0, 0))

    service = ReplicationService(1, fetches, turnstile, lambda: view, promise)
    server = start_grpc_server(address, register(service), (), cluster_pb2.GetStatusReply, access=open_guard())
    yield address
    server.stop(0)
    turnstile.close()
    journal.close()


READS = {
    "journal": lambda stub: stub.FetchJournal(replication_pb2.FetchJournalRequest(from_seq=1), timeout=20),
    "events": lambda stub: stub.FetchEvents(replication_pb2.FetchEventsRequest(), timeout=20),
    "snapshot": lambda stub: stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=20),
}


@dataclass
class Reader:
    """Reads again and again, on a connection of its own."""

    address: str
    read: str
    over: threading.Event
    size: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            stub = replication_pb2_grpc.ReplicationStub(channel)
            while not self.over.is_set():
                try:
                    for reply in READS[self.read](stub):
                        self.size += reply.ByteSize()
                        if self.over.is_set():
                            break
                except grpc.RpcError as error:
                    self.failures.append(error.details())


def read_all(readers, meanwhile=lambda: None):
    """Bytes that each got within a while."""
    threads = [threading.Thread(target=reader.run) for reader in readers]
    for thread in threads:
        thread.start()
    began_s = time.monotonic()
    while time.monotonic() - began_s < READ_S:
        meanwhile()
        time.sleep(0.05)
    took_s = time.monotonic() - began_s
    sizes = [reader.size for reader in readers]
    readers[0].over.set()
    for thread in threads:
        thread.join(20)
    assert not any(itertools.chain.from_iterable(reader.failures for reader in readers))
    return sizes, took_s


@pytest.mark.parametrize("read", READS)
def test_readers_get_a_bounded_part_all_together_and_nobody_is_left_out(address, read):
    over = threading.Event()
    fences = []
    with grpc.insecure_channel(address) as channel:
        stub = replication_pb2_grpc.ReplicationStub(channel)

        def fence():
            began_s = time.monotonic()
            request = replication_pb2.FenceRequest(cluster_uuid=UUID, epoch=1, sequencer=1)
            assert stub.Fence(request, timeout=30).accepted
            fences.append(time.monotonic() - began_s)

        sizes, took_s = read_all([Reader(address, read, over) for _ in range(READERS)], fence)
    # A reply each may be on its way where the clock is read.
    assert sum(sizes) < BYTES_A_SECOND * took_s + READERS * (1 << 20)
    assert min(sizes) > 0
    assert sorted(fences)[len(fences) // 2] < 0.25


def test_a_peer_that_catches_up_has_its_turn_beside_readers_of_everything(address):
    """One connection among many: it gets its part, and the pages of a megabyte that others ask for do not add up."""
    over = threading.Event()
    readers = [Reader(address, "journal", over), *(Reader(address, "events", over) for _ in range(READERS - 1))]
    (peer, *others), _ = read_all(readers)
    assert peer > sum(others) / len(others) / 4
