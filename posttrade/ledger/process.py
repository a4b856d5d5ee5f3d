"""The ledger process: a follower whose sink is the ledger, and who asks it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final

import uvloop

from lockstep.posttrade.follower import Sink, SinkAway
from lockstep.posttrade.ledger.place import LedgerPlace, place_of
from lockstep.posttrade.ledger.service import SERVICE, LedgerService
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.serving import show_health, status_of
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot, when_there
from lockstep.runtime.access.entering import Entrance, enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.disk import DATA, free_space
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import StopRequest, open_log, start_aio_grpc_server
from lockstep.runtime.topology import Topology

NAME: Final = "ledger"
REBUILD: Final = "`lockstep ledger rebuild` makes it anew from what the cluster has, beside this one"
BEGIN: Final = (
    "`lockstep ledger rebuild --from-snapshot` begins anew with the balances of an engine's snapshot (what was before "
    "is not in it then; a ledger that has it is replaced with `--lose-history` only), `lockstep ledger rebuild "
    "--journal` from an archive of journals has it all"
)
_STOP_POLL_S: Final = 0.05
_LOOK_S: Final = 1.0
"""Between two looks at which generation counts."""
_GRACE_S: Final = 1.0


def run(topology: Topology, *, from_snapshot: bool = False) -> int:
    """Follow until SIGTERM or SIGINT; the exit code. `from_snapshot`: a ledger that is empty begins with one."""
    log = open_log(NAME)
    stop = StopRequest.install()

    def work() -> None:
        place = place_of(topology.ledger.database, topology.ledger.data_dir)
        with holding(place, "run"):
            failure = uvloop.run(serve(topology, place, stop, from_snapshot=from_snapshot))
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(NAME, log, work)


@contextmanager
def holding(place: LedgerPlace, what: str) -> Iterator[None]:
    """Nobody else does this at the place meanwhile."""
    lock = place.hold(what)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()


def open_sink(place: LedgerPlace, generation: int) -> Sink:
    """One generation's sink."""
    return LedgerSink(place.open(generation))


async def serve(
    topology: Topology, place: LedgerPlace, stop: StopRequest, *, from_snapshot: bool = False
) -> BaseException | None:
    """Run one ledger until `stop`; what broke, if it ended by itself. A rebuilt generation is taken up in passing."""
    log = open_log(NAME)
    entrance = enter(topology, NAME, log)
    while True:
        async with AsyncExitStack() as stack:
            opened = await when_there(log, stop, partial(_open_current, place))
            if opened is None:
                return None
            generation, sink = opened
            if from_snapshot:
                await begin_with_snapshot(sink, topology, log)
            opener = partial(open_sink, place, generation)
            shell = FollowerShell(NAME, topology, opener, rebuild=REBUILD, begin=BEGIN, sink=sink)
            stack.push_async_callback(shell.stop)
            await _open(topology, place, generation, shell, entrance, stack)
            shell.start()
            shell.spawn(entrance.run())
            look_s = time.monotonic() + _LOOK_S
            while not (stop.requested or shell.failed.is_set()):
                await asyncio.sleep(_STOP_POLL_S)
                if time.monotonic() >= look_s:
                    look_s = time.monotonic() + _LOOK_S
                    if await asyncio.to_thread(_generation, place, generation) != generation:
                        break
        if stop.requested or shell.failed.is_set():
            return shell.failure


def _open_current(place: LedgerPlace) -> tuple[int, Sink]:
    generation = place.current()
    return generation, open_sink(place, generation)


def _generation(place: LedgerPlace, used: int) -> int:
    try:
        return place.current()
    except SinkAway:
        return used


async def _open(
    topology: Topology,
    place: LedgerPlace,
    generation: int,
    shell: FollowerShell,
    entrance: Entrance,
    stack: AsyncExitStack,
) -> None:
    wanted = topology.ledger
    if wanted.metrics_port:

        def everything() -> Families:
            yield from shell.figures.families(shell.machine)
            yield from free_space({DATA: wanted.data_dir})

        check, tls = entrance.refuse_scrape, entrance.ssl_context()
        stack.callback(MetricsServer(wanted.host, wanted.metrics_port, everything, check, tls).close)
    if wanted.grpc_port:
        reader = await asyncio.to_thread(place.reader, generation)
        stack.callback(reader.dispose)
        service = LedgerService(shell, reader, entrance.entitlements)
        stack.callback(service.close)
        server, health = await start_aio_grpc_server(
            f"{wanted.host}:{wanted.grpc_port}",
            service.register,
            (SERVICE,),
            partial(status_of, shell, "rows"),
            access=entrance.guard(),
            credentials=entrance.credentials(mutual=False),
        )
        stack.push_async_callback(server.stop, _GRACE_S)
        shell.spawn(show_health(shell, health, SERVICE))
