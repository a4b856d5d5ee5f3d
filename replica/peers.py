"""Fetching other engines' logs: one request at a time on a thread of its own, answers into the main loop's queue."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from lockstep.ops.process import CHANNEL_OPTIONS
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import FetchLog, PeerLog, PeerLogFailed
from lockstep.replica.service import UUID_KEY
from lockstep.stream.frames import Frame, FrameError, decode_frame
from lockstep.stream.topology import Member
from lockstep.v1 import replication_pb2, replication_pb2_grpc

# About 4096 commands: executing them must not keep the main loop from its heartbeats.
_MAX_BYTES: Final = 512 << 10
_TIMEOUT_S: Final = 5.0


class PeerFetcher:
    """Performs `FetchLog` effects. `post` is called from the fetcher's thread."""

    def __init__(self, peers: tuple[Member, ...], post: Callable[[PeerLog | PeerLogFailed], None]) -> None:
        self._peers = {peer.id: peer for peer in peers}
        self._channels: dict[int, grpc.Channel] = {}
        self._post = post
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="peer-fetch")

    def fetch(self, request: FetchLog, cluster_uuid: str) -> None:
        """Start it; returns at once."""
        self._pool.submit(self._run, request, cluster_uuid)

    def close(self) -> None:
        """Ends; a request under way is cut off."""
        for channel in list(self._channels.values()):
            channel.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: FetchLog, cluster_uuid: str) -> None:
        try:
            self._post(self._fetch(request, cluster_uuid))
        except (grpc.RpcError, FrameError, ValueError):
            # Closed, down, in another cluster, or damaged on the way: the machine asks another peer.
            self._post(PeerLogFailed(request.peer))

    def _fetch(self, request: FetchLog, cluster_uuid: str) -> PeerLog | PeerLogFailed:
        peer = self._peers[request.peer]
        if peer.id not in self._channels:
            self._channels[peer.id] = grpc.insecure_channel(peer.grpc_address, options=list(CHANNEL_OPTIONS))
        stub = replication_pb2_grpc.ReplicationStub(self._channels[peer.id])
        metadata = ((UUID_KEY, cluster_uuid),) if cluster_uuid else ()
        call: Any = stub.FetchJournal(
            replication_pb2.FetchJournalRequest(from_seq=request.from_seq, max_bytes=_MAX_BYTES),
            timeout=_TIMEOUT_S,
            metadata=metadata,
        )
        uuid = str(dict(call.initial_metadata()).get(UUID_KEY, ""))
        first: replication_pb2.FetchJournalReply | None = None
        frames: list[Frame] = []
        digest = b""
        for reply in call:
            first = first or reply
            frames += [decode_frame(raw) for raw in reply.frames]
            digest = reply.digest
        if first is None:
            return PeerLogFailed(request.peer)
        epochs = tuple(EpochEntry(entry.epoch, entry.first_seq) for entry in first.epochs)
        return PeerLog(
            request.peer, uuid, first.in_sync, first.tip.seq, epochs, tuple(frames), digest, first.committed_seq
        )
