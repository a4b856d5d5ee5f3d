"""What every process of the cluster has: a log, an orderly end, and a gRPC server with health, reflection and status.

Nothing here decides anything about trading. A process' `run` function puts these around its shell:

* `open_log`, first;
* `StopRequest.install()`, whose `requested` the main loop reads;
* `start_grpc_server` (or the asyncio twin in a gateway).

`EnvironmentFault` is for what an operator can mend (a busy port, a directory of another cluster): its text names the
thing and the remedy, and `run` turns it into exit code 1 without a traceback.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lockstep.runtime.channel_options import CHANNEL_OPTIONS as CHANNEL_OPTIONS
from lockstep.runtime.channel_options import MAX_MESSAGE_BYTES
from lockstep.runtime.doorbell import Doorbell, DoorbellTaken
from lockstep.runtime.faults import EXIT_DAMAGED as EXIT_DAMAGED
from lockstep.runtime.faults import EXIT_ENVIRONMENT as EXIT_ENVIRONMENT
from lockstep.runtime.faults import EXIT_INVARIANT as EXIT_INVARIANT
from lockstep.runtime.faults import EXIT_OK as EXIT_OK
from lockstep.runtime.faults import EnvironmentFault as EnvironmentFault
from lockstep.runtime.process_log import ProcessLog as ProcessLog
from lockstep.runtime.process_log import open_log as open_log
from lockstep.runtime.stop_request import StopRequest as StopRequest
from lockstep.runtime.topology import Member, Topology, can_ring
from lockstep.runtime.undecodable import AioUndecodableRefused, UndecodableRefused
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

MAX_REQUEST_BYTES: Final = 4 << 20
SERVER_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    # A busy port must be an error, not a second server that gets half of the connections.
    ("grpc.so_reuseport", 0),
    # Answers may be large; of what is asked, a full batch of commands is the largest, at well below one MiB.
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # A connection that never says what it is, or what it can, is closed.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.settings_timeout", 10_000),
    # So is one whose other end is gone without a word: a peer that has said nothing for half a minute is pinged, and
    # has twenty seconds to answer: its kernel alone does not, and a busy host does. Both are needed: keepalive alone
    # never fires in current gRPC. There is no bound on a connection's age: a session's stream lives all day.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Clients may ping often: that is how they notice a hung server.
    ("grpc.http2.min_ping_interval_without_data_ms", 100),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)

# Clients may be many, and forget connections that they no longer use; one with a stream is in use. Only for them: the
# cluster's own channels stay connected without calls, so that no takeover has to connect first.
CLIENTS_OPTIONS: Final[Sequence[tuple[str, int]]] = (*SERVER_OPTIONS, ("grpc.max_connection_idle_ms", 600_000))

StatusSource = Callable[[], cluster_pb2.GetStatusReply]
Operation = Callable[[Any, Any], Any]
"""Serves one method of `lockstep.v1.Cluster`: `(request, context) -> reply`."""


OPERATIONS: Final = (
    "SwitchPrimary",
    "SetAutomaticFailover",
    "SetAckPolicy",
    "FenceMember",
    "ForceFailover",
    "GetHistory",
    "Reinit",
    "TakeSnapshot",
    "ListSnapshots",
)
_ELSEWHERE: Final = (
    "this process does not lead the cluster and does not do that: ask the leading sequencer (lockstep status shows "
    "it), or for snapshots and reinit an engine"
)


def open_doorbell(topology: Topology, member: Member) -> Doorbell:
    """The doorbell that a member's loop sleeps on.

    Raises:
        EnvironmentFault: another process of this host has the same name.
    """
    try:
        return Doorbell(
            topology.aeron_dir, member.name, poll_us=None if can_ring(topology, member) else topology.timing.park_us
        )
    except DoorbellTaken as error:
        raise EnvironmentFault(str(error)) from error


class ClusterService(cluster_pb2_grpc.ClusterServicer):
    """`lockstep.v1.Cluster` over a status callback and the operations that this process has, by method name."""

    def __init__(self, status: StatusSource, operations: Mapping[str, Operation] | None = None) -> None:
        self._status = status
        for name, operation in (operations or {}).items():
            setattr(self, name, operation)

    def GetStatus(  # noqa: N802 - gRPC's name
        self, request: cluster_pb2.GetStatusRequest, context: Any
    ) -> cluster_pb2.GetStatusReply:
        """Status of this process."""
        del request, context
        return _timed(self._status())


class AioClusterService(cluster_pb2_grpc.ClusterServicer):
    """`lockstep.v1.Cluster` for an asyncio server: the status, and no operations."""

    def __init__(self, status: StatusSource) -> None:
        self._status = status

    async def GetStatus(  # noqa: N802 - gRPC's name
        self, request: cluster_pb2.GetStatusRequest, context: Any
    ) -> cluster_pb2.GetStatusReply:
        """Status of this process."""
        del request, context
        return _timed(self._status())


def _timed(reply: cluster_pb2.GetStatusReply) -> cluster_pb2.GetStatusReply:
    reply.clock_ns = time.time_ns()
    return reply


def _not_here(service: ClusterService, request: Any, context: Any) -> NoReturn:
    del service, request
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, _ELSEWHERE)
    raise AssertionError("abort returns never")


async def _not_here_either(service: AioClusterService, request: Any, context: Any) -> NoReturn:
    del service, request
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, _ELSEWHERE)
    raise AssertionError("abort returns never")


for _name in OPERATIONS:
    setattr(ClusterService, _name, _not_here)
    setattr(AioClusterService, _name, _not_here_either)


def start_grpc_server(
    address: str,
    register: Callable[[grpc.Server], None],
    services: Sequence[str],
    status: StatusSource,
    *,
    operations: Mapping[str, Operation] | None = None,
    workers: int = 8,
    ready: bool = True,
) -> grpc.Server:
    """Start a threaded server with the given services, health (not serving if not `ready`), reflection and Cluster.

    Raises:
        EnvironmentFault: the address cannot be bound.
    """
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="grpc")
    server = grpc.server(pool, options=list(SERVER_OPTIONS), interceptors=(UndecodableRefused(),))
    register(server)
    cluster_pb2_grpc.add_ClusterServicer_to_server(ClusterService(status, operations), server)
    probe = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    names = _service_names(services)
    reflection.enable_server_reflection(names, server)
    _bind(server, address)
    server.start()
    for name in ("", *services, _CLUSTER):
        state = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        probe.set(name, state)
    return server


async def start_aio_grpc_server(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    status: StatusSource,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """Start an asyncio server for clients, with the given services, health, reflection and Cluster.

    Health starts as NOT_SERVING; the caller sets it on the returned servicer when it can serve.

    Raises:
        EnvironmentFault: the address cannot be bound.
    """
    server = grpc.aio.server(options=list(CLIENTS_OPTIONS), interceptors=(*interceptors, AioUndecodableRefused()))
    register(server)
    cluster_pb2_grpc.add_ClusterServicer_to_server(AioClusterService(status), server)
    probe = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    reflection.enable_server_reflection(_service_names(services), server)
    _bind(server, address)
    await server.start()
    for name in ("", *services):
        await probe.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    return server, probe


_CLUSTER: Final = "lockstep.v1.Cluster"


def _service_names(services: Sequence[str]) -> tuple[str, ...]:
    return (*services, _CLUSTER, health.SERVICE_NAME, reflection.SERVICE_NAME)


def _bind(server: grpc.Server | grpc.aio.Server, address: str) -> None:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise EnvironmentFault(_busy(address)) from error
    if port == 0:
        raise EnvironmentFault(_busy(address))


def _busy(address: str) -> str:
    return (
        f"cannot listen on {address}: another program uses it, or the host name is not one of this machine; "
        f"stop that program or choose another port in the cluster's configuration"
    )
