"""Fetching other engines' logs: one request at a time on a thread of its own, answers into the main loop's queue."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    AskDigest,
    FetchLog,
    FetchSnapshot,
    PeerDigest,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    PeerSnapshot,
)
from lockstep.replica.fetches import UUID_KEY
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, decode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS, PATIENT_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.v1 import replication_pb2, replication_pb2_grpc

# About 4096 commands: executing them must not keep the main loop from its heartbeats.
_MAX_BYTES: Final = 512 << 10
_TIMEOUT_S: Final = 5.0
_SNAPSHOT_TIMEOUT_S: Final = 600.0
FromPeer = PeerLog | PeerDigest | PeerLogFailed | PeerLogBehind | PeerSnapshot


class PeerFetcher:
    """Performs `FetchLog` and `FetchSnapshot` effects. `post` is called from the fetcher's thread."""

    def __init__(self, peers: tuple[Member, ...], store: SnapshotStore, post: Callable[[FromPeer], None]) -> None:
        self._peers = {peer.id: peer for peer in peers}
        self._channels: dict[tuple[int, bool], grpc.Channel] = {}
        self._store = store
        self._post = post
        self._partial = (0, 0)  # peer and seq of a snapshot of which a part is there
        self.progress = (0, 0)
        """Bytes of a snapshot so far and in all; 0 while none is being fetched."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="peer-fetch")

    def fetch(self, request: FetchLog, cluster_uuid: str) -> None:
        """Start it; returns at once."""
        self._pool.submit(self._run, request, cluster_uuid)

    def ask(self, request: AskDigest, cluster_uuid: str) -> None:
        """Start it; returns at once."""
        self._pool.submit(self._run_ask, request, cluster_uuid)

    def _run_ask(self, request: AskDigest, cluster_uuid: str) -> None:
        try:
            answer = self._fetch(FetchLog(request.peer, request.seq), cluster_uuid, max_bytes=1)
        except (grpc.RpcError, LayoutError, ValueError):
            return  # it is asked again while the difference stands
        if isinstance(answer, PeerLog):
            self._post(answer.delivered)

    def close(self) -> None:
        """Ends; a request under way is cut off."""
        for channel in list(self._channels.values()):
            channel.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: FetchLog, cluster_uuid: str) -> None:
        try:
            self._post(self._fetch(request, cluster_uuid))
        except grpc.RpcError as error:
            behind = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.OUT_OF_RANGE
            self._post(PeerLogBehind(request.peer) if behind else PeerLogFailed(request.peer))
        except (LayoutError, ValueError):
            # Closed, down, in another cluster, or damaged on the way: the machine asks another peer.
            self._post(PeerLogFailed(request.peer))

    def _fetch(self, request: FetchLog, cluster_uuid: str, *, max_bytes: int = _MAX_BYTES) -> PeerLog | PeerLogFailed:
        metadata = ((UUID_KEY, cluster_uuid),) if cluster_uuid else ()
        call: Any = self._stub(request.peer).FetchJournal(
            replication_pb2.FetchJournalRequest(from_seq=request.from_seq, max_bytes=max_bytes),
            timeout=_TIMEOUT_S,
            metadata=metadata,
        )
        uuid = str(dict(call.initial_metadata()).get(UUID_KEY, ""))
        first: replication_pb2.FetchJournalReply | None = None
        batches: list[Batch] = []
        digest = b""
        for reply in call:
            first = first or reply
            batches += [decode_batch(raw) for raw in reply.batches]
            digest = reply.digest
        if first is None:
            return PeerLogFailed(request.peer)
        epochs = tuple(EpochEntry(entry.epoch, entry.first_seq) for entry in first.epochs)
        return PeerLog(
            request.peer,
            uuid,
            first.in_sync,
            first.tip.seq,
            epochs,
            tuple(batches),
            digest,
            first.committed_seq,
            first.snapshot_seq,
        )

    # ---- snapshots ----------------------------------------------------------------------------------------------

    def fetch_snapshot(self, request: FetchSnapshot) -> None:
        """Start it; returns at once. A transfer that broke off goes on where it ended."""
        self._pool.submit(self._run_snapshot, request)

    def _run_snapshot(self, request: FetchSnapshot) -> None:
        try:
            head = self._download(request)
        except (grpc.RpcError, SnapshotDamaged, OSError, ValueError):
            self._post(PeerLogFailed(request.peer))
            return
        self.progress = (0, 0)
        self._post(PeerSnapshot(request.peer, head.cluster_uuid, head.base))

    def _download(self, request: FetchSnapshot) -> SnapshotHead:
        path = self._store.incoming
        path.parent.mkdir(parents=True, exist_ok=True)
        peer, seq = self._partial
        offset = path.stat().st_size if peer == request.peer and seq and path.exists() else 0
        wanted = replication_pb2.FetchSnapshotRequest(seq=seq if offset else 0, offset=offset)
        self._partial = (request.peer, 0)
        with path.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            for reply in self._stub(request.peer, patient=True).FetchSnapshot(wanted, timeout=_SNAPSHOT_TIMEOUT_S):
                file.write(reply.chunk)
                self._partial = (request.peer, reply.seq)
                self.progress = (file.tell(), reply.total_bytes)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._partial = (0, 0)  # whatever it is: a damaged one is fetched anew
        return decode_snapshot_file(path.read_bytes())[0]

    def _stub(self, peer: int, *, patient: bool = False) -> replication_pb2_grpc.ReplicationStub:
        if (peer, patient) not in self._channels:
            address = self._peers[peer].grpc_address
            options = PATIENT_OPTIONS if patient else CHANNEL_OPTIONS
            self._channels[peer, patient] = open_channel(address, options)
        return replication_pb2_grpc.ReplicationStub(self._channels[peer, patient])
