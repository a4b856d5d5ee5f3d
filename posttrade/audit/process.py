"""The audit process: a follower whose sink is the audit trail."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.posttrade.audit.manifest import default_key, old_key, signing_key
from lockstep.posttrade.audit.naming import Keys, names_of
from lockstep.posttrade.audit.trail import AuditTrail, has_trail
from lockstep.posttrade.follower import Sink
from lockstep.posttrade.held import hold_directory
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot, when_there
from lockstep.runtime.access.entering import Entrance, enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.metrics.disk import DATA, free_space
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import StopRequest, open_log
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.topology import Topology

NAME: Final = "audit"
_REBUILD: Final = (
    "move the directory to where it is kept, and `lockstep audit run --data-dir NEW --keys KEYS --master-key FILE` "
    "makes a new trail of what the cluster has now, with the same pseudonyms"
)
_BEGIN: Final = (
    "keep this trail, and `lockstep audit run --from-snapshot --data-dir NEW` begins another one behind an engine's "
    "newest snapshot, which says that what lies before is not in it"
)
_STOP_POLL_S: Final = 0.05


def run(
    topology: Topology,
    directory: Path,
    key_file: Path | None,
    segment_commands: int,
    metrics: tuple[str, int],
    *,
    keys: Keys | None = None,
    from_snapshot: bool = False,
) -> int:
    """Follow until SIGTERM or SIGINT; the exit code.

    `key_file`, `keys`: None: beside the trail. `metrics`: host and port of its figures; 0: none. `from_snapshot`: an
    empty trail begins behind an engine's snapshot.
    """
    log = open_log(NAME)
    stop = StopRequest.install()

    def work() -> None:
        with hold_directory(directory, NAME):
            key = trail_key(directory, key_file, log)

            def opener() -> Sink:
                names = names_of(directory, keys or Keys(), log)
                return AuditTrail(directory, key, segment_commands=segment_commands, names=names)

            entrance = enter(topology, NAME, log)
            serving = _serve(opener, topology, directory, metrics, entrance, stop, from_snapshot=from_snapshot)
            failure = uvloop.run(serving)
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(NAME, log, work)


def trail_key(directory: Path, key_file: Path | None, log: ProcessLog) -> Ed25519PrivateKey:
    """The key that signs a trail; made where there is neither a key nor a trail.

    Raises:
        EnvironmentFault: it is missing or can't be used; it is to be made inside the trail.
    """
    path = key_file or default_key(directory)
    if key_file is None and not path.exists() and old_key(directory).exists():
        path = old_key(directory)
    inside = path.resolve().is_relative_to(directory.resolve())
    if inside and not path.exists():
        raise EnvironmentFault(
            f"the key {path} would lie in the trail that it signs: name a place outside (--key-file)"
        )
    if inside:
        log.warning(
            "key_in_trail", key=str(path),
            text=f"whoever is given this trail is given its key: stop this process, move the key to "
            f"{default_key(directory)}, start it again",
        )  # fmt: skip
    return signing_key(path, make=not has_trail(directory))


async def _serve(
    opener: Callable[[], Sink],
    topology: Topology,
    directory: Path,
    metrics: tuple[str, int],
    entrance: Entrance,
    stop: StopRequest,
    *,
    from_snapshot: bool,
) -> BaseException | None:
    async with AsyncExitStack() as stack:
        # The key store may be away.
        sink = await when_there(open_log(NAME), stop, opener)
        if sink is None:
            return None
        if from_snapshot:
            await begin_with_snapshot(sink, topology, open_log(NAME))
        shell = FollowerShell(NAME, topology, opener, rebuild=_REBUILD, begin=_BEGIN, sink=sink)
        stack.push_async_callback(shell.stop)
        if metrics[1]:

            def everything() -> Families:
                yield from shell.figures.families(shell.machine)
                yield from free_space({DATA: directory})

            check, tls = entrance.refuse_scrape, entrance.ssl_context()
            stack.callback(MetricsServer(*metrics, everything, check, tls).close)
        shell.start()
        shell.spawn(entrance.run())
        while not (stop.requested or shell.failed.is_set()):  # noqa: ASYNC110 - a signal can't wake this loop
            await asyncio.sleep(_STOP_POLL_S)
    return shell.failure
