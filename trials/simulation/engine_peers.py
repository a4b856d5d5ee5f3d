"""What a simulated engine asks other engines for, as `PeerFetcher` does: logs, digests, snapshots."""

from typing import TYPE_CHECKING, Final

import grpc

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    AskDigest,
    FetchLog,
    FetchSnapshot,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    PeerSnapshot,
)
from lockstep.replica.snapshot_file import decode_snapshot_file
from lockstep.stream.batch import LayoutError, decode_batch
from lockstep.trials.simulation.engine_service import ServingHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import SECOND
from lockstep.trials.simulation.network import Done
from lockstep.v1 import replication_pb2

if TYPE_CHECKING:
    from lockstep.trials.simulation.engine_storage import StoringHost

_FETCH_TIMEOUT_NS: Final = 5 * SECOND
_MAX_BYTES: Final = 4 << 20


class PeerCalls:
    """Of one engine; the answers go into its inbox."""

    def __init__(self, host: "StoringHost") -> None:
        self._host = host

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """See `Ports`."""
        request = replication_pb2.FetchJournalRequest(from_seq=order.from_seq, max_bytes=_MAX_BYTES)

        def done(said: tuple[list[replication_pb2.FetchJournalReply], str] | None, failure: str) -> None:
            if failure.startswith(grpc.StatusCode.OUT_OF_RANGE.name):
                self._host.post(PeerLogBehind(order.peer))
                return
            if said is None or not said[0]:
                self._host.post(PeerLogFailed(order.peer))
                return
            try:
                self._host.post(_peer_log(order.peer, *said))
            except LayoutError:
                self._host.post(PeerLogFailed(order.peer))

        self._ask_journal(order.peer, request, cluster_uuid, done)

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """See `Ports`."""

        def done(said: tuple[list[replication_pb2.FetchJournalReply], str] | None, _failure: str) -> None:
            if said is not None and said[0]:
                self._host.post(_peer_log(order.peer, *said).delivered)

        request = replication_pb2.FetchJournalRequest(from_seq=order.seq, max_bytes=1)
        self._ask_journal(order.peer, request, cluster_uuid, done)

    def _ask_journal(self, peer: int, request: replication_pb2.FetchJournalRequest, uuid: str, done: Done) -> None:
        def ask(host: Host, answer: Done) -> None:
            assert isinstance(host, ServingHost)
            host.serve_fetch_journal(
                request,
                uuid,
                lambda replies, theirs, text: answer(None if replies is None else (replies, theirs), text),
            )

        self._host.world.network.call(
            self._host, self._host.world.host("engine", peer), ask, done, timeout_ns=_FETCH_TIMEOUT_NS
        )

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """See `Ports`."""

        def done(raw: bytes | None, _failure: str) -> None:
            if raw is None:
                self._host.post(PeerLogFailed(order.peer))
                return
            head, _state = decode_snapshot_file(raw)
            self._host.disk.incoming = raw
            self._host.post(PeerSnapshot(order.peer, head.cluster_uuid, head.base))

        def ask(peer: Host, answer: Done) -> None:
            assert isinstance(peer, ServingHost)
            peer.serve_snapshot(answer)

        peer = self._host.world.host("engine", order.peer)
        self._host.world.network.call(self._host, peer, ask, done, timeout_ns=_FETCH_TIMEOUT_NS)


def _peer_log(peer: int, replies: list[replication_pb2.FetchJournalReply], uuid: str) -> PeerLog:
    first = replies[0]
    return PeerLog(
        peer,
        uuid,
        first.in_sync,
        first.tip.seq,
        tuple(EpochEntry(entry.epoch, entry.first_seq) for entry in first.epochs),
        tuple(decode_batch(raw) for reply in replies for raw in reply.batches),
        replies[-1].digest,
        first.committed_seq,
        first.snapshot_seq,
    )
