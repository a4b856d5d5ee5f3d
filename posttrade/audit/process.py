"""The audit process: a follower whose sink is the audit trail."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from lockstep.posttrade.audit.manifest import signing_key
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.follower import Sink
from lockstep.posttrade.held import hold_directory
from lockstep.posttrade.shell import FollowerShell
from lockstep.runtime.access.entering import Entrance, enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.disk import DATA, free_space
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import StopRequest, open_log
from lockstep.runtime.topology import Topology

NAME: Final = "audit"
_REBUILD: Final = (
    "move the directory to where it is kept, and `lockstep audit run --data-dir NEW` makes a new trail of what the "
    "cluster has now"
)
_STOP_POLL_S: Final = 0.05


def run(topology: Topology, directory: Path, key_file: Path, segment_commands: int, metrics: tuple[str, int]) -> int:
    """Follow until SIGTERM or SIGINT; the exit code. `metrics`: host and port of its figures; 0: none."""
    log = open_log(NAME)
    stop = StopRequest.install()

    def work() -> None:
        with hold_directory(directory, NAME):
            key = signing_key(key_file)

            def opener() -> Sink:
                return AuditTrail(directory, key, segment_commands=segment_commands)

            make = partial(FollowerShell, NAME, topology, opener, rebuild=_REBUILD)
            failure = uvloop.run(_serve(make, directory, metrics, enter(topology, NAME, log), stop))
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(NAME, log, work)


async def _serve(
    make: "partial[FollowerShell]", directory: Path, metrics: tuple[str, int], entrance: Entrance, stop: StopRequest
) -> BaseException | None:
    async with AsyncExitStack() as stack:
        shell = make()
        stack.push_async_callback(shell.stop)
        if metrics[1]:

            def everything() -> Families:
                yield from shell.figures.families(shell.machine)
                yield from free_space({DATA: directory})

            check, tls = entrance.refuse_scrape, entrance.ssl_context()
            stack.callback(MetricsServer(*metrics, everything, check, tls).close)
        shell.start()
        shell.spawn(entrance.principals.run())
        while not (stop.requested or shell.failed.is_set()):  # noqa: ASYNC110 - a signal can't wake this loop
            await asyncio.sleep(_STOP_POLL_S)
    return shell.failure
