"""Fetching a snapshot from another engine over gRPC, also when that engine dies in the middle."""

import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
import pytest

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import FetchSnapshot, PeerLogFailed, PeerSnapshot
from lockstep.replica.peers import PeerFetcher
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.topology import Member, ProcessKind
from lockstep.stream.digest import Digest
from lockstep.v1 import replication_pb2, replication_pb2_grpc

BASE = Base(7, Digest(b"d" * 16), 5_000, (EpochEntry(1, 1), EpochEntry(3, 6)), 0b110, 2, 1, 4)
CHUNK = 1 << 16


class Peer(replication_pb2_grpc.ReplicationServicer):
    """An engine that serves one snapshot in chunks, and dies behind the first `chunks` of a call."""

    def __init__(self, raw):
        self.raw = raw
        self.chunks = 1 << 30
        self.asked = []
        self.server = grpc.server(ThreadPoolExecutor(2))
        replication_pb2_grpc.add_ReplicationServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def FetchSnapshot(self, request, context):  # noqa: N802
        self.asked.append((request.seq, request.offset))
        for number, at in enumerate(range(request.offset, len(self.raw), CHUNK)):
            if number == self.chunks:
                context.abort(grpc.StatusCode.UNAVAILABLE, "died")
            yield replication_pb2.FetchSnapshotReply(
                seq=7, chunk=self.raw[at : at + CHUNK], total_bytes=len(self.raw), digest=BASE.digest
            )


@pytest.fixture
def peers():
    raw = encode_snapshot_file("uuid-1", BASE, bytes(range(256)) * 2_000)
    made = [Peer(raw), Peer(raw)]
    yield made
    for peer in made:
        peer.server.stop(0).wait()


@pytest.fixture
def fetcher(peers, tmp_path):
    members = tuple(
        Member(ProcessKind.ENGINE, number, "127.0.0.1", peer.port, 0, data_dir=tmp_path)
        for number, peer in enumerate(peers, start=1)
    )
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    made = PeerFetcher(members, SnapshotStore(tmp_path), answers.put)

    def fetch(peer):
        made.fetch_snapshot(FetchSnapshot(peer))
        return answers.get(timeout=30)

    yield made, fetch
    made.close()


def test_transfer_that_broke_off_goes_on_where_it_ended(peers, fetcher, tmp_path):
    shell, fetch = fetcher
    peers[0].chunks = 3
    assert fetch(1) == PeerLogFailed(1)
    assert shell.progress == (3 * CHUNK, len(peers[0].raw))
    peers[0].chunks = 1 << 30
    assert fetch(1) == PeerSnapshot(1, "uuid-1", BASE)
    assert peers[0].asked == [(0, 0), (7, 3 * CHUNK)]
    assert SnapshotStore(tmp_path).incoming.read_bytes() == peers[0].raw
    assert shell.progress == (0, 0)


class StallingLink:
    """Passes one TCP connection on to a server; after so many bytes from it, nothing moves for a while."""

    def __init__(self, port, stall_after, stall_s):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target, self._stall_after, self._stall_s = port, stall_after, stall_s
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        caller, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._pass_on, args=(caller, server), daemon=True).start()
        self._pass_on(server, caller, self._stall_after)

    def _pass_on(self, source, target, stall_after=1 << 60):
        passed = 0
        with suppress(OSError):
            while received := source.recv(1 << 14):
                if passed < stall_after <= passed + len(received):
                    time.sleep(self._stall_s)
                passed += len(received)
                target.sendall(received)
            target.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()


def test_transfer_over_a_link_that_is_slower_than_a_ping_is_not_broken_off(peers, tmp_path):
    link = StallingLink(peers[0].port, CHUNK, stall_s=2.5)
    member = Member(ProcessKind.ENGINE, 1, "127.0.0.1", link.port, 0, data_dir=tmp_path)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    shell = PeerFetcher((member,), SnapshotStore(tmp_path), answers.put)
    shell.fetch_snapshot(FetchSnapshot(1))
    assert answers.get(timeout=30) == PeerSnapshot(1, "uuid-1", BASE)
    assert peers[0].asked == [(0, 0)]
    shell.close()
    link.close()


def test_transfer_begins_anew_at_another_peer_when_the_first_one_dies_in_the_middle(peers, fetcher, tmp_path):
    _, fetch = fetcher
    peers[0].chunks = 2
    assert fetch(1) == PeerLogFailed(1)
    peers[0].server.stop(0).wait()
    assert fetch(1) == PeerLogFailed(1)
    assert fetch(2) == PeerSnapshot(2, "uuid-1", BASE)
    assert peers[1].asked == [(0, 0)]
    assert SnapshotStore(tmp_path).incoming.read_bytes() == peers[1].raw
