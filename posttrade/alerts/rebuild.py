"""Making the alerts anew, of the same requests and what the engines have; the process is stopped meanwhile.

What has fired before fires again, under the same numbers and ids. Lists and webhooks are taken over; a webhook goes on
behind the last firing that both histories have.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from lockstep.posttrade.alerts import schema
from lockstep.posttrade.alerts.process import BEGIN, FILE, NAME, REBUILD
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.store import Store
from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.posttrade.follower import Sink
from lockstep.posttrade.held import hold_directory
from lockstep.posttrade.opening_fetch import fetch_opening
from lockstep.posttrade.reading import EngineReader
from lockstep.posttrade.shell import FollowerShell
from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process import StopRequest, open_log
from lockstep.runtime.topology import Topology

_LOOK_S: Final = 0.05
_SAY_S: Final = 2.0
BEHIND_S: Final = 60.0
"""So long without a step further, while the file that counts is ahead: then the engines have no more."""


class NotRebuilt(EnvironmentFault):
    """It was stopped, or the engines have less than the file that counts; nothing has changed."""


def rebuild(topology: Topology, stop: StopRequest, say: Callable[[Position, int], None]) -> Position:
    """From the first command on; where that comes to.

    Raises:
        NotRebuilt: nothing has changed. The text says why.
    """
    directory = topology.alerts.data_dir
    with hold_directory(directory, "run"):
        old, new = directory / FILE, directory / f"{FILE}.new"
        _discard(new)
        with closing(Store(new)) as made:
            take_over(made, old)
        position = asyncio.run(_follow(topology, old, new, stop, say))
        with closing(Store(new)) as made:
            place_webhooks(made, old)
            made.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        _discard(old, keep=True)
        new.replace(old)
        _discard(new)
        return position


def skip(topology: Topology) -> Position:
    """Where what follows was cut everywhere: go on with the engines' newest snapshot. Alerts and what has fired stay;
    what was crossed in between and is crossed still fires once.

    Raises:
        NotRebuilt: the snapshot is older than the file.
    """
    directory = topology.alerts.data_dir
    with hold_directory(directory, "run"):
        introduce(topology)
        with closing(AlertsSink(directory / FILE)) as sink:
            asyncio.run(_skip(topology, sink))
            return sink.position()


async def _skip(topology: Topology, sink: AlertsSink) -> None:
    reader = EngineReader(topology.engines)
    try:
        opening = await fetch_opening(reader, [engine.id for engine in topology.engines], open_log(NAME))
    finally:
        await reader.close()
    before = sink.position()
    if opening.position.seq <= before.seq:
        text = f"the newest snapshot is of seq {opening.position.seq}, this is at {before.seq}: it needs none"
        raise NotRebuilt(f"{text}; start it, or rebuild it without --from-snapshot")
    sink.skip(opening)


def take_over(made: Store, old: Path) -> None:
    """All that users have asked for and written down."""
    if not old.exists():
        return
    made.rows("ATTACH DATABASE ? AS old", (str(old),))
    for table in schema.KEPT:
        made.rows(f"INSERT INTO main.{table.name} SELECT * FROM old.{table.name}")  # noqa: S608 - names of ours
    made.rows("DETACH DATABASE old")


def place_webhooks(made: Store, old: Path) -> None:
    """Behind the last firing that they have taken and that is the same in both."""
    if not old.exists():
        return
    made.rows("ATTACH DATABASE ? AS old", (str(old),))
    made.rows(
        "UPDATE endpoints SET delivered = (SELECT coalesce(max(n.number), 0) FROM main.firings n JOIN old.firings o "
        "ON n.owner = o.owner AND n.number = o.number AND n.id = o.id "
        "WHERE n.owner = endpoints.owner AND n.number <= endpoints.delivered)"
    )
    made.rows("DETACH DATABASE old")


async def _follow(
    topology: Topology, old: Path, new: Path, stop: StopRequest, say: Callable[[Position, int], None]
) -> Position:
    introduce(topology)
    live = _reached(old)
    opener = partial(AlertsSink, new)
    shell = FollowerShell(NAME, topology, opener, rebuild=REBUILD, begin=BEGIN, known_epoch=live.epoch)
    try:
        shell.start()
        said_s = moved_s = time.monotonic()
        seq = -1
        while True:
            await asyncio.sleep(_LOOK_S)
            if stop.requested:
                raise NotRebuilt(f"stopped ({stop.reason}); the alerts are as they were")
            if shell.failure is not None:
                raise shell.failure
            now_s, at = time.monotonic(), shell.machine.position
            if at.seq != seq:
                seq, moved_s = at.seq, now_s
            if shell.caught_up and not shell.machine.lag_commands:
                if not is_behind(at, await shell.between(_epochs), live):
                    await shell.between(_settle)
                    return at
                if now_s - moved_s > BEHIND_S:
                    raise NotRebuilt(
                        f"the engines that answer have nothing behind seq {at.seq}, the alerts are at {live.seq}: "
                        "nothing has changed; bring back the engines that have the rest, and rebuild again"
                    )
            if now_s - said_s >= _SAY_S:
                said_s = now_s
                say(at, max(shell.machine.committed_seq, live.seq))
    finally:
        await shell.stop()


def is_behind(made: Position, epochs: list[EpochBegin], live: Position) -> bool:
    """Whether it would take back what has fired. A file of history that the cluster goes on without is no measure."""
    later = (one for one in epochs if one.epoch > live.epoch)
    return made.seq < live.seq and all(one.first_seq > live.seq for one in later)


def _reached(path: Path) -> Position:
    if not path.exists():
        return Position()
    with closing(Store(path)) as store:
        return store.position()[0]


def _epochs(sink: Sink) -> list[EpochBegin]:
    return sink.epochs()


def _settle(sink: Sink) -> None:
    assert isinstance(sink, AlertsSink)
    sink.settle()


def _discard(path: Path, *, keep: bool = False) -> None:
    """Remove a file and what SQLite has beside it. `keep`: the file itself is replaced in one step."""
    for suffix in ("-wal", "-shm") if keep else ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
