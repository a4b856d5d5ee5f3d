"""The gateway process: puts the parts together, and ends them in order."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Protocol

import grpc
import uvloop
from grpc_health.v1 import health_pb2

from lockstep.gateway import service_accounts, service_market_data, service_orders
from lockstep.gateway.intake import IntakeLog
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.shell import GatewayShell
from lockstep.runtime.access.entering import enter
from lockstep.runtime.access.link_seals import LinkSeals
from lockstep.runtime.delivery_mark_file import DeliveryMarkFile
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.server import serve as serve_metrics
from lockstep.runtime.private import make_private
from lockstep.runtime.process import (
    EnvironmentFault,
    StopRequest,
    open_log,
    start_aio_grpc_server,
)
from lockstep.runtime.realtime import RealTime
from lockstep.runtime.topology import Member, Topology
from lockstep.runtime.transport import Transport, wait_for_driver
from lockstep.runtime.watch import WatchServer

SERVICES: Final = (service_orders.SERVICE, service_accounts.SERVICE, service_market_data.SERVICE)
_DRIVER_PATIENCE_S: Final = 10.0
_STOP_GRACE_S: Final = 3.0
_STOP_POLL_S: Final = 0.05
# A full collection walks every object; what start-up made stays for good.
_GC_THRESHOLDS: Final = (50_000, 50, 100)


class _Service(Protocol):
    def register(self, server: grpc.aio.Server) -> None: ...


class Door(Protocol):
    """Another way to a gateway's sessions, in its process."""

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """End all connections, before the gateway's streams are ended."""


MakeDoor = Callable[[GatewayShell], Door | None]
"""The door that this gateway has, if its configuration wants it."""


def run(topology: Topology, member: Member, doors: Sequence[MakeDoor] = ()) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    log = open_log(member.name)
    stop = StopRequest.install()

    def work() -> None:
        failure = uvloop.run(serve(topology, member, stop, doors))
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(member.name, log, work)


async def serve(
    topology: Topology, member: Member, stop: StopRequest, doors: Sequence[MakeDoor] = ()
) -> BaseException | None:
    """Run one gateway until `stop`; what broke, if it ended by itself.

    Raises:
        EnvironmentFault, DriverUnavailable: something that an operator can mend.
    """
    while True:
        async with AsyncExitStack() as stack:
            shell = await _start(topology, member, stack)
            for door in filter(None, (make(shell) for make in doors)):
                await door.start()
                stack.push_async_callback(door.stop)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            # The request may come from a signal or from another thread: polled, as neither can wake this loop.
            while not (stop.requested or shell.failed.is_set() or shell.left_behind):  # noqa: ASYNC110
                await asyncio.sleep(_STOP_POLL_S)
        if stop.requested or not shell.left_behind:
            return shell.failure


async def _start(topology: Topology, member: Member, stack: AsyncExitStack) -> GatewayShell:
    await asyncio.to_thread(wait_for_driver, topology.aeron_dir, _DRIVER_PATIENCE_S)
    entrance = enter(topology, member.name, open_log(member.name), member)
    intake = IntakeLog(member.data_dir, cluster=topology.name, gateway=member.id, now_s=int(time.time()))
    try:
        stored, watched = intake.unanswered(), intake.watched()
        watch = _watch_server(member, intake.incarnation, entrance.seals)
        delivered = DeliveryMarkFile(member.data_dir)
        stack.callback(delivered.close)
    except EnvironmentFault:
        intake.close()
        raise
    make_private(member.data_dir)
    if intake.damage:
        print(f"{member.name}: {intake.damage}", file=sys.stderr)  # noqa: T201 - what the operator is to read
    stack.callback(watch.close)
    limits, timing = topology.limits, topology.timing
    settings = Settings(
        gateway=member.id,
        incarnation=intake.incarnation,
        session_credit=limits.session_credit,
        max_commands=limits.window_commands,
        resend_ns=timing.resend_ms * 1_000_000,
        rewind_ns=timing.rewind_ms * 1_000_000,
    )
    machine = GatewayMachine(settings)
    machine.restore(stored, watched)
    realtime = RealTime(timing.realtime_priority, open_log(member.name))
    transport = Transport(topology.aeron_dir, seals=entrance.seals, on_attached=realtime.take)
    shell = GatewayShell(topology, member, machine, intake, transport, watch, delivered, entrance)
    stack.push_async_callback(shell.stop)
    await _open(shell, transport, stack)
    shell.start()
    realtime.take()
    return shell


async def _open(shell: GatewayShell, transport: Transport, stack: AsyncExitStack) -> None:
    topology, member = shell.topology, shell.member
    stack.callback(
        serve_metrics(
            topology,
            member,
            lambda: (*shell.figures.families(shell.status(), transport), *shell.entrance.families()),
            shell.entrance.refuse_scrape,
            shell.entrance.ssl_context(),
        )
    )
    parts: tuple[_Service, ...] = (
        service_orders.OrderEntryService(shell),
        service_accounts.AccountsService(shell),
        service_market_data.MarketDataService(shell),
    )

    def register(server: grpc.aio.Server) -> None:
        for part in parts:
            part.register(server)

    server, health = await start_aio_grpc_server(
        member.grpc_address,
        register,
        SERVICES,
        shell.status,
        access=shell.entrance.guard(),
        credentials=shell.entrance.credentials(mutual=False),
        seals=shell.entrance.seals,
    )
    stack.push_async_callback(server.stop, _STOP_GRACE_S)
    stack.push_async_callback(shell.end_streams)

    def show(serving: bool) -> None:
        reply = health_pb2.HealthCheckResponse
        status = reply.SERVING if serving else reply.NOT_SERVING
        shell.spawn(_set_health(health, status))

    shell.on_serving = show


def _watch_server(member: Member, incarnation: int, seals: LinkSeals | None) -> WatchServer:
    try:
        return WatchServer(member.host, member.watch_port, member.id, incarnation, seals=seals)
    except OSError as error:
        remedy = "stop the program that uses it or choose another watch_port"
        raise EnvironmentFault(f"{error.strerror}; {remedy}") from error


async def _set_health(health: object, status: object) -> None:
    for name in ("", *SERVICES):
        await health.set(name, status)  # type: ignore[attr-defined]  # the package ships no types
