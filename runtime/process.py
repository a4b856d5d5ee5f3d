"""What every process of the cluster has: a log, an orderly end, and a gRPC server with health, reflection and status.

Nothing here decides anything about trading. A process' `run` function puts these around its shell:

* `open_log`, first;
* `StopRequest.install()`, whose `requested` the main loop reads;
* `start_grpc_server` (or the twin for a gateway's own event loop).

`EnvironmentFault` is for what an operator can mend (a busy port, a directory of another cluster): its text names the
thing and the remedy, and `run` turns it into exit code 1 without a traceback.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.access.link_seals import LinkSeals
from lockstep.runtime.call_guard import CallGuard
from lockstep.runtime.channel_options import CHANNEL_OPTIONS as CHANNEL_OPTIONS
from lockstep.runtime.channel_options import MAX_MESSAGE_BYTES
from lockstep.runtime.doorbell import Doorbell, DoorbellTaken
from lockstep.runtime.faults import EXIT_DAMAGED as EXIT_DAMAGED
from lockstep.runtime.faults import EXIT_ENVIRONMENT as EXIT_ENVIRONMENT
from lockstep.runtime.faults import EXIT_INVARIANT as EXIT_INVARIANT
from lockstep.runtime.faults import EXIT_OK as EXIT_OK
from lockstep.runtime.faults import EnvironmentFault as EnvironmentFault
from lockstep.runtime.grpc_loop import RunningServer, run_in_loop
from lockstep.runtime.process_log import ProcessLog as ProcessLog
from lockstep.runtime.process_log import open_log as open_log
from lockstep.runtime.refusal import Refusal
from lockstep.runtime.stop_request import StopRequest as StopRequest
from lockstep.runtime.topology import Member, Topology, can_ring
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

MAX_CONNECTIONS: Final = 12_000
"""Of clients, at one gRPC port."""

# Clients may be many, and forget connections that they no longer use; one with a stream is in use. Only for them: the
# cluster's own channels stay connected without calls, so that no takeover has to connect first.
CLIENTS_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    *SERVER_OPTIONS,
    ("grpc.max_connection_idle_ms", 120_000),
    # One that does not say within this time that it speaks HTTP/2, or TLS, is closed. gRPC itself waits two minutes.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Beyond it a connection is closed as soon as it is made.
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
)

# Between the cluster's own processes a connection carries few calls at a time.
PEERS_OPTIONS: Final[Sequence[tuple[str, int]]] = (*SERVER_OPTIONS, ("grpc.max_concurrent_streams", 256))

StatusSource = Callable[[], "cluster_pb2.GetStatusReply | Future[cluster_pb2.GetStatusReply]"]
"""Called in the event loop of gRPC, so it must not wait; what has to be waited for is a future."""
Operation = Callable[[Any, Any], Any]
"""Serves one method of `lockstep.v1.Cluster`, in a thread: `(request, context) -> reply`."""
_STATUS_S: Final = 2.0


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


_LONGEST_SLEEP_MS: Final = 50
"""However rare heartbeats are: other deadlines come meanwhile, and a ring may be lost."""


def open_doorbell(topology: Topology, member: Member) -> Doorbell:
    """The doorbell that a member's loop sleeps on.

    Raises:
        EnvironmentFault: another process of this host has the same name.
    """
    try:
        return Doorbell(
            topology.aeron_dir,
            member.name,
            poll_us=None if can_ring(topology, member) else topology.timing.park_us,
            # Timers are looked at between two sleeps; those of heartbeats are due most often.
            wait_ms=min(_LONGEST_SLEEP_MS, max(1, topology.timing.heartbeat_ms // 4)),
        )
    except DoorbellTaken as error:
        raise EnvironmentFault(str(error)) from error


class ClusterService(cluster_pb2_grpc.ClusterServicer):
    """`lockstep.v1.Cluster` over a status callback and the operations that this process has, by method name."""

    def __init__(
        self,
        status: StatusSource,
        operations: Mapping[str, Operation] | None = None,
        seals: LinkSeals | None = None,
    ) -> None:
        self._status = status
        self._seals = seals
        self._asked: Future[cluster_pb2.GetStatusReply] | None = None
        for name, operation in (operations or {}).items():
            setattr(self, name, operation)

    async def GetStatus(  # noqa: N802 - gRPC's name
        self, request: cluster_pb2.GetStatusRequest, context: Any
    ) -> cluster_pb2.GetStatusReply:
        """Status of this process. All who ask while it is being made get the same."""
        del request, context
        if self._asked is None or self._asked.done():
            said = self._status()
            if not isinstance(said, Future):
                return self._completed(said)
            self._asked = said
        try:
            # One that asked and has gone must not take the answer from the others.
            async with asyncio.timeout(_STATUS_S):
                return self._completed(await asyncio.shield(asyncio.wrap_future(self._asked)))
        except TimeoutError:
            self._asked = None
            text = f"the main loop of this process has not answered within {_STATUS_S:g} s"
            raise Refusal(grpc.StatusCode.UNAVAILABLE, text) from None

    def _completed(self, reply: cluster_pb2.GetStatusReply) -> cluster_pb2.GetStatusReply:
        reply.clock_ns = time.time_ns()
        if self._seals is not None:
            reply.link_keys.CopyFrom(self._seals.said())
            for why, count in self._seals.drops.items():
                if count:
                    reply.counters[f"dropped_{why.value.replace(' ', '_')}"] = count
        return reply


async def _not_here(service: ClusterService, request: Any, context: Any) -> NoReturn:
    del service, request, context
    raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, _ELSEWHERE)


for _name in OPERATIONS:
    setattr(ClusterService, _name, _not_here)


def start_grpc_server(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    status: StatusSource,
    *,
    access: AccessGuard,
    credentials: Any = None,
    seals: LinkSeals | None = None,
    operations: Mapping[str, Operation] | None = None,
    ready: bool = True,
) -> RunningServer:
    """Start a server with the given services, health (not serving if not `ready`), reflection and Cluster.

    It runs in the process' loop for gRPC, which the services' code must not block; operations run in threads.
    `credentials`: of TLS (`Entrance.credentials`); None: plaintext. `seals`: of its links, whose keys the status names.

    Raises:
        EnvironmentFault: the address cannot be bound.
    """

    async def start() -> RunningServer:
        guard = CallGuard()
        cluster = ClusterService(status, operations, seals)
        server, probe = await _start(PEERS_OPTIONS, address, credentials, register, services, cluster, (access, guard))
        await _show(probe, ("", *services, _CLUSTER), serving=ready)
        return RunningServer(server, guard.settled)

    return run_in_loop(start())


async def start_aio_grpc_server(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    status: StatusSource,
    *,
    access: AccessGuard,
    credentials: Any = None,
    seals: LinkSeals | None = None,
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """Start a server for clients in this event loop, with the given services, health, reflection and Cluster.

    Health starts as NOT_SERVING; the caller sets it on the returned servicer when it can serve.

    Raises:
        EnvironmentFault: the address cannot be bound.
    """
    cluster = ClusterService(status, seals=seals)
    server, probe = await _start(
        CLIENTS_OPTIONS, address, credentials, register, services, cluster, (access, CallGuard())
    )
    await _show(probe, ("", *services), serving=False)
    return server, probe


async def _start(
    options: Sequence[tuple[str, int]],
    address: str,
    credentials: Any,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    cluster: ClusterService,
    guards: tuple[AccessGuard, CallGuard],
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    server = grpc.aio.server(options=list(options), interceptors=guards)
    register(server)
    cluster_pb2_grpc.add_ClusterServicer_to_server(cluster, server)
    probe = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    reflection.enable_server_reflection(_service_names(services), server)
    _bind(server, address, credentials)
    await server.start()
    return server, probe


async def _show(probe: health.aio.HealthServicer, names: Sequence[str], *, serving: bool) -> None:
    reply = health_pb2.HealthCheckResponse
    for name in names:
        await probe.set(name, reply.SERVING if serving else reply.NOT_SERVING)


_CLUSTER: Final = "lockstep.v1.Cluster"


def _service_names(services: Sequence[str]) -> tuple[str, ...]:
    return (*services, _CLUSTER, health.SERVICE_NAME, reflection.SERVICE_NAME)


def _bind(server: grpc.aio.Server, address: str, credentials: Any) -> None:
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise EnvironmentFault(_busy(address)) from error
    if port == 0:
        raise EnvironmentFault(_busy(address))


def _busy(address: str) -> str:
    return (
        f"cannot listen on {address}: another program uses it, or the host name is not one of this machine; "
        f"stop that program or choose another port in the cluster's configuration"
    )
