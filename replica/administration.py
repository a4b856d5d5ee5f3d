"""What an operator may ask of an engine: its snapshots, and to begin anew."""

import time
from collections.abc import Callable
from typing import Any, Final

import grpc

from lockstep.replica.effects import Role
from lockstep.replica.snapshots import SnapshotStore, StoredSnapshot
from lockstep.replica.view import ReplicaView
from lockstep.runtime.process import Operation
from lockstep.v1 import cluster_pb2

_TAKE_TIMEOUT_S: Final = 30.0
_LOOK_S: Final = 0.05


class EngineAdministration:
    """An engine's part of `lockstep.v1.Cluster`. `reinit` asks the main loop to begin anew."""

    def __init__(self, store: SnapshotStore, view: Callable[[], ReplicaView], reinit: Callable[[], None]) -> None:
        self._store = store
        self._view = view
        self._reinit = reinit

    def operations(self) -> dict[str, Operation]:
        """What `start_grpc_server` serves, by method name."""
        return {
            "ListSnapshots": self.list_snapshots,
            "TakeSnapshot": self.take_snapshot,
            "Reinit": self.begin_anew,
        }

    def list_snapshots(self, request: cluster_pb2.ListSnapshotsRequest, context: Any) -> cluster_pb2.ListSnapshotsReply:
        """All snapshots beside this engine, ascending in seq."""
        del request, context
        return cluster_pb2.ListSnapshotsReply(snapshots=[_message(stored) for stored in self._store.stored()])

    def take_snapshot(self, request: cluster_pb2.TakeSnapshotRequest, context: Any) -> cluster_pb2.TakeSnapshotReply:
        """A verified snapshot that holds everything that is committed now."""
        del request
        view = self._view()
        if not self._store.tended():
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                "no snapshotter runs beside this engine; start `lockstep snapshotter` on its host",
            )
        wanted = view.committed_seq
        if not wanted:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nothing is committed yet: there is nothing to snapshot")
        remaining = context.time_remaining()
        deadline = time.monotonic() + (min(remaining, _TAKE_TIMEOUT_S) if remaining is not None else _TAKE_TIMEOUT_S)
        while time.monotonic() < deadline and context.is_active():
            for stored in self._store.stored():
                if stored.verified and stored.seq >= wanted:
                    return cluster_pb2.TakeSnapshotReply(snapshot=_message(stored))
            self._store.ask()
            time.sleep(_LOOK_S)
        context.abort(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"the snapshotter has not come to seq {wanted} yet; see its log"
        )
        raise AssertionError("abort returns never")

    def begin_anew(self, request: cluster_pb2.ReinitRequest, context: Any) -> cluster_pb2.OperatorReply:
        """Archive journal and snapshots, and come back by snapshot and catch-up."""
        del request
        view = self._view()
        listed = bool(view.in_sync_bits >> view.member & 1)
        if listed and view.joined and view.role is not Role.DIVERGED:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"engine {view.member} is in sync: what it holds may be the only copy; take it out of the in-sync set "
                "first (lockstep cluster fence)",
            )
        self._reinit()
        return cluster_pb2.OperatorReply(epoch=view.epoch, seq=0)


def _message(stored: StoredSnapshot) -> cluster_pb2.Snapshot:
    return cluster_pb2.Snapshot(
        seq=stored.seq,
        epoch=stored.head.epoch,
        digest=stored.head.base.digest,
        size_bytes=stored.head.file_bytes,
        taken_ns=stored.taken_ns,
        verified=stored.verified,
    )
