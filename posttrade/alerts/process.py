"""The alerts' process: a follower whose sink is the alerts, who asks it, and to whom it sends what fires."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from lockstep.posttrade.alerts.addresses import rules_of
from lockstep.posttrade.alerts.desk import Desk
from lockstep.posttrade.alerts.hub import Hub
from lockstep.posttrade.alerts.sender import Asker, Sender
from lockstep.posttrade.alerts.service import SERVICE, AlertsService
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.socket_door import SocketDoor
from lockstep.posttrade.held import hold_directory
from lockstep.posttrade.serving import show_health, status_of
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot, when_there
from lockstep.runtime.access.entering import Entrance, enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.disk import DATA, free_space
from lockstep.runtime.metrics.families import Families, counter, gauge
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import StopRequest, open_log, start_aio_grpc_server
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.topology import Topology

NAME: Final = "alerts"
FILE: Final = "alerts.db"
REBUILD: Final = "stop it, and `lockstep alerts rebuild` makes it anew from what the cluster has"
BEGIN: Final = "stop it, and `lockstep alerts rebuild --from-snapshot` begins anew with an engine's snapshot"
_STOP_POLL_S: Final = 0.05
_GRACE_S: Final = 1.0


def run(topology: Topology, *, from_snapshot: bool = False) -> int:
    """Follow until SIGTERM or SIGINT; the exit code. `from_snapshot`: one that is empty begins with a snapshot."""
    log = open_log(NAME)
    stop = StopRequest.install()

    def work() -> None:
        directory = topology.alerts.data_dir
        with hold_directory(directory, "run"):
            failure = uvloop.run(serve(topology, directory / FILE, stop, log, from_snapshot=from_snapshot))
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(NAME, log, work)


async def serve(
    topology: Topology, path: Path, stop: StopRequest, log: ProcessLog, *, from_snapshot: bool = False
) -> BaseException | None:
    """Run until `stop`; what broke, if it ended by itself."""
    entrance = enter(topology, NAME, log)
    hub = Hub()
    async with AsyncExitStack() as stack:
        opener = partial(AlertsSink, path, None, hub.on_fired)
        sink = await when_there(log, stop, opener)
        if sink is None:
            return None
        if from_snapshot:
            await begin_with_snapshot(sink, topology, log)
        shell = FollowerShell(NAME, topology, opener, rebuild=REBUILD, begin=BEGIN, sink=sink)
        stack.push_async_callback(shell.stop)
        sender = await _open(topology, path, shell, hub, entrance, log, stack)
        shell.start()
        shell.spawn(entrance.run())
        while not stop.requested:
            if shell.failed.is_set() or sender.failed.is_set():
                break
            await asyncio.sleep(_STOP_POLL_S)
    return shell.failure or sender.failure


async def _open(
    topology: Topology,
    path: Path,
    shell: FollowerShell,
    hub: Hub,
    entrance: Entrance,
    log: ProcessLog,
    stack: AsyncExitStack,
) -> Sender:
    wanted = topology.alerts
    desk = await asyncio.to_thread(Desk, path)
    stack.callback(desk.close)
    thread = ThreadPoolExecutor(1, thread_name_prefix="alerts-desk")
    stack.callback(thread.shutdown, cancel_futures=True)

    def asked(work: Callable[[Desk], Any]) -> Any:
        return asyncio.get_running_loop().run_in_executor(thread, work, desk)

    rules = rules_of(wanted.webhook_hosts, wanted.webhook_networks)
    ask = Asker(asked)
    sender = Sender(ask, hub, rules, topology.name, entrance.entitlements.numbered, log)
    stack.push_async_callback(sender.close)
    await sender.start()
    if wanted.metrics_port:

        def everything() -> Families:
            yield from shell.figures.families(shell.machine)
            yield from _families(hub, sender)
            yield from free_space({DATA: wanted.data_dir})

        check, tls = entrance.refuse_scrape, entrance.ssl_context()
        stack.callback(MetricsServer(wanted.host, wanted.metrics_port, everything, check, tls).close)
    if wanted.http_port:
        door = SocketDoor(wanted.host, ask, hub, entrance)
        await door.open(wanted.http_port)
        stack.push_async_callback(door.close)
    if wanted.grpc_port:
        service = AlertsService(shell, ask, hub, sender, rules, entrance.entitlements)
        server, health = await start_aio_grpc_server(
            f"{wanted.host}:{wanted.grpc_port}",
            service.register,
            (SERVICE,),
            partial(status_of, shell, "fired"),
            access=entrance.guard(),
            credentials=entrance.credentials(mutual=False),
        )
        stack.push_async_callback(server.stop, _GRACE_S)
        shell.spawn(show_health(shell, health, SERVICE))
    return sender


def _families(hub: Hub, sender: Sender) -> Families:
    yield gauge("lockstep_alerts_followers", "Streams and WebSockets that follow what fires.", hub.followers)
    yield gauge("lockstep_alerts_webhooks", "Webhooks of all users.", sender.hooks)
    text = "Webhooks whose last attempt failed."
    yield gauge("lockstep_alerts_webhooks_failing", text, len(sender.failing))
    yield counter("lockstep_alerts_deliveries_total", "Firings that webhooks have taken.", sender.delivered)
    text = "Attempts at a webhook that failed."
    yield counter("lockstep_alerts_delivery_failures_total", text, sender.failures)
    text = "Firings that a webhook refused too often."
    yield counter("lockstep_alerts_discarded_total", text, sender.discarded)
