"""The feed process: puts the parts together, and ends them in order."""

import asyncio
import gc
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import uvloop
from grpc_health.v1 import health_pb2

from lockstep.marketdata.service_feed import SERVICE, MarketFeedService
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.access.entering import enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.server import serve as serve_metrics
from lockstep.runtime.process import StopRequest, open_log, start_aio_grpc_server
from lockstep.runtime.topology import Member, Topology
from lockstep.runtime.transport import Transport, wait_for_driver

Door = Callable[[FeedShell, AsyncExitStack], Awaitable[None]]
"""Another way in for readers: opened beside gRPC, and closed by what it puts on the stack."""

_DRIVER_PATIENCE_S: Final = 10.0
_STOP_GRACE_S: Final = 1.0
_STOP_POLL_S: Final = 0.05
# A full collection walks every order; what start-up made stays for good.
_GC_THRESHOLDS: Final = (50_000, 50, 100)
_INCARNATION_BITS: Final = 62


def run(topology: Topology, member: Member, doors: Sequence[Door] = ()) -> int:
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
    topology: Topology, member: Member, stop: StopRequest, doors: Sequence[Door] = ()
) -> BaseException | None:
    """Run one feed until `stop`; what broke, if it ended by itself.

    Raises:
        EnvironmentFault, DriverUnavailable: something that an operator can mend.
    """
    least_epoch, begin_is_gone, log = 0, False, open_log(member.name)
    while True:
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(wait_for_driver, topology.aeron_dir, _DRIVER_PATIENCE_S)
            entrance = enter(topology, member.name, log, member)
            transport = Transport(topology.aeron_dir, seals=entrance.seals)
            shell = FeedShell(
                topology,
                member,
                transport,
                secrets.randbits(_INCARNATION_BITS),
                entrance,
                least_epoch=least_epoch,
                begin_is_gone=begin_is_gone,
            )
            stack.push_async_callback(shell.stop)
            await _open(shell, transport, doors, stack)
            shell.start()
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            # The request may come from a signal or from another thread: polled, as neither can wake this loop.
            while not (stop.requested or shell.failed.is_set() or shell.left_behind):  # noqa: ASYNC110
                await asyncio.sleep(_STOP_POLL_S)
        why = shell.machine.left_behind
        if stop.requested or why is None:
            return shell.failure
        least_epoch = max(least_epoch, why.epoch)
        begin_is_gone = begin_is_gone or not why.diverged


async def _open(shell: FeedShell, transport: Transport, doors: Sequence[Door], stack: AsyncExitStack) -> None:
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
    service = MarketFeedService(shell)
    server, health = await start_aio_grpc_server(
        member.grpc_address,
        service.register,
        (SERVICE,),
        shell.status,
        access=shell.entrance.guard(),
        credentials=shell.entrance.credentials(mutual=False),
        seals=shell.entrance.seals,
    )
    stack.push_async_callback(server.stop, _STOP_GRACE_S)
    for door in doors:
        await door(shell, stack)
    stack.callback(shell.end_readers)

    def show(serving: bool) -> None:
        reply = health_pb2.HealthCheckResponse
        status = reply.SERVING if serving else reply.NOT_SERVING
        shell.spawn(_set_health(health, status))

    shell.on_serving = show


async def _set_health(health: object, status: object) -> None:
    for name in ("", SERVICE):
        await health.set(name, status)  # type: ignore[attr-defined]  # the package ships no types
