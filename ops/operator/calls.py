"""An operator's calls to the processes of a cluster, and what their failures mean to somebody who wanted a change."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc

from lockstep.ops.operator.history import EpochBegun, from_batch, from_entry, join
from lockstep.ops.operator.stored_config import read_config
from lockstep.ops.operator.view import ClusterView, view_of
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.channel_options import PATIENT_OPTIONS
from lockstep.runtime.cluster_view import ClusterStatus, StatusProbe, rpc_text
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Topology
from lockstep.stream.batch import decode_batch
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, replication_pb2, replication_pb2_grpc

CALL_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.02
_BEYOND_EVERY_TIP: Final = 2**63
_NOT_DONE: Final = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
)


class CallRefused(Exception):
    """The process says no; the text is its reason. Nothing was changed."""


class OutcomeUnknown(Exception):
    """No conclusive answer came: the change may or may not have been made."""


class Desk:
    """Connections to every process of one cluster: look, change, look again. A context manager."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._probe = StatusProbe.of(topology)

    def look(self, *, timeout_s: float = 2.0) -> tuple[ClusterStatus, ClusterView]:
        """What every process says now, and the picture that it gives; blocks up to the timeout.

        Where no sequencer leads, the config record is read from etcd (another two seconds at the most).
        """
        status = self._probe.ask(timeout_s=timeout_s)
        record = read_config(self.topology).record if status.leader() is None else None
        return status, view_of(status, self.topology, record)

    def wait(
        self, until: Callable[[ClusterStatus, ClusterView], bool], timeout_s: float
    ) -> tuple[ClusterStatus, ClusterView, bool]:
        """Look until something is so, or the time is over; the last look, and whether it was so."""
        deadline = time.monotonic() + timeout_s
        while True:
            status, view = self.look(timeout_s=1.0)
            if until(status, view):
                return status, view, True
            if time.monotonic() > deadline:
                return status, view, False
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Close the connections."""
        self._probe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def change(address: str, method: str, request: Any, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """Call a method of the Cluster service that changes something.

    Raises:
        CallRefused: it was not done; the text says why.
        OutcomeUnknown: nobody can say whether it was done.
        EnvironmentFault: the process is of a version that does not know the method.
    """
    with open_channel(address, PATIENT_OPTIONS) as channel:
        try:
            return getattr(cluster_pb2_grpc.ClusterStub(channel), method)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            if code in _NOT_DONE:
                raise CallRefused(rpc_text(error)) from error
            if code is grpc.StatusCode.UNIMPLEMENTED:
                raise EnvironmentFault(
                    f"the process at {address} does not know {method}: it is of an older version; update it"
                ) from error
            raise OutcomeUnknown(
                f"{method} at {address}: {rpc_text(error)}; it may have been done or not: "
                "look with `lockstep cluster status` before you repeat it"
            ) from error


def ask(address: str, method: str, request: Any, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """Call a method of the Cluster service that changes nothing.

    Raises:
        grpc.RpcError: it fails.
    """
    with open_channel(address, PATIENT_OPTIONS) as channel:
        return getattr(cluster_pb2_grpc.ClusterStub(channel), method)(request, timeout=timeout_s)


def read_history(topology: Topology, view: ClusterView, from_epoch: int) -> tuple[EpochBegun, ...]:
    """All epochs from one on, from the foremost engine's journal and what leaders wrote to etcd.

    Raises:
        EnvironmentFault: no process can say.
    """
    recorded, reported = _recorded(view, from_epoch)
    engines = sorted((e for e in view.engines if e.up), key=lambda e: (not e.in_sync, -e.epoch, -e.seq))
    for engine in engines:
        try:
            return join(_journaled(engine.address, from_epoch), recorded)
        except grpc.RpcError as error:
            reported.append(f"{engine.name}: {rpc_text(error)}")
    if recorded:
        return join((), recorded)
    raise EnvironmentFault(
        f"nobody tells the history of cluster {topology.name}: {'; '.join(reported) or 'no process answers'}; of a "
        "stopped cluster, `lockstep cluster journal dump DIR` shows the epochs"
    )


def _recorded(view: ClusterView, from_epoch: int) -> tuple[tuple[EpochBegun, ...], list[str]]:
    reported = []
    leader_first = sorted(view.sequencers, key=lambda sequencer: sequencer[0] != view.leader)
    for member, address, up in leader_first:
        if not up:
            continue
        try:
            reply = ask(address, "GetHistory", cluster_pb2.GetHistoryRequest(from_epoch=from_epoch))
        except grpc.RpcError as error:
            reported.append(f"sequencer-{member}: {rpc_text(error)}")
            continue
        return tuple(from_entry(entry) for entry in reply.entries), reported
    return (), reported


def _journaled(address: str, from_epoch: int) -> list[EpochBegun]:
    """The EPOCH_STARTs that an engine's journal still holds: one small fetch for each."""
    found = []
    with open_channel(address, PATIENT_OPTIONS) as channel:
        stub = replication_pb2_grpc.ReplicationStub(channel)
        table = next(iter(_fetch(stub, _BEYOND_EVERY_TIP)), replication_pb2.FetchJournalReply())
        for entry in table.epochs:
            if entry.epoch < from_epoch:
                continue
            try:
                batches = [raw for reply in _fetch(stub, entry.first_seq) for raw in reply.batches]
            except grpc.RpcError as error:
                if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.OUT_OF_RANGE:
                    # Truncated away; etcd may still know of it.
                    continue
                raise
            begun = from_batch(decode_batch(batches[0])) if batches else None
            if begun is not None and begun.epoch == entry.epoch:
                found.append(begun)
    return found


def _fetch(stub: Any, from_seq: int) -> Any:
    return stub.FetchJournal(
        replication_pb2.FetchJournalRequest(from_seq=from_seq, max_bytes=1), timeout=CALL_TIMEOUT_S
    )
