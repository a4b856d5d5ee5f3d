"""gRPC calls to the engines: Fence and FetchJournal. Answers arrive in the inbox as events.

Channels are connected when an engine's liveness link comes up, not when a takeover needs them.
"""

import threading
from typing import Any, Final

import grpc

from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.sequencer import events as ev
from lockstep.sequencer.driver import fence_answered
from lockstep.sequencer.store_link import Inbox
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, replication_pb2, replication_pb2_grpc

_FENCE_TIMEOUT_S: Final = 0.5
_FETCH_TIMEOUT_S: Final = 10.0
# A channel that goes idle would have to connect first, in the middle of a takeover.
_NEVER_IDLE: Final = (("grpc.client_idle_timeout_ms", 2**31 - 1),)


class EngineCalls:
    """One warm channel per engine."""

    def __init__(self, engines: tuple[Member, ...], inbox: Inbox) -> None:
        self._inbox = inbox
        self._channels = {
            engine.id: open_channel(engine.grpc_address, [*CHANNEL_OPTIONS, *_NEVER_IDLE]) for engine in engines
        }
        self._stubs = {
            engine: replication_pb2_grpc.ReplicationStub(channel) for engine, channel in self._channels.items()
        }

    def warm(self, engine: int) -> None:
        """Connect now: a status call whose answer nobody needs."""
        stub = cluster_pb2_grpc.ClusterStub(self._channels[engine])
        stub.GetStatus.future(cluster_pb2.GetStatusRequest(), timeout=_FETCH_TIMEOUT_S, wait_for_ready=True)

    def fence(self, request: replication_pb2.FenceRequest, order: ev.FenceOrder) -> None:
        """Ask for a promise; ends in FenceAnswered or FenceFailed."""
        call = self._stubs[order.engine].Fence.future(request, timeout=_FENCE_TIMEOUT_S, wait_for_ready=True)
        call.add_done_callback(lambda done: self._on_fence(order, done))

    def fetch(self, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        """Fetch the journal in a thread of their own; ends in JournalFetched or JournalFetchFailed."""
        threading.Thread(target=self._fetch, args=(request, order), name="journal-fetch", daemon=True).start()

    def close(self) -> None:
        """End every call."""
        for channel in self._channels.values():
            channel.close()

    def _on_fence(self, order: ev.FenceOrder, done: Any) -> None:
        if done.cancelled():
            self._inbox.put(ev.FenceFailed(order.engine, order.epoch, "cancelled"))
            return
        error = done.exception()
        if error is not None:
            self._inbox.put(ev.FenceFailed(order.engine, order.epoch, _describe(error)))
            return
        self._inbox.put(fence_answered(order, done.result()))

    def _fetch(self, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        batches: list[Batch] = []
        try:
            call = self._stubs[order.engine].FetchJournal(request, timeout=_FETCH_TIMEOUT_S)
            for reply in call:
                batches += [decode_batch(raw) for raw in reply.batches]
                if batches and batches[-1].last_seq >= order.to_seq:
                    call.cancel()
                    break
        except (grpc.RpcError, LayoutError) as error:
            self._inbox.put(ev.JournalFetchFailed(order.engine, order.epoch, _describe(error)))
            return
        self._inbox.put(ev.JournalFetched(order.engine, order.epoch, tuple(batches)))


def _describe(error: Exception) -> str:
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)
