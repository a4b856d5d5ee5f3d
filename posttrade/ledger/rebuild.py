"""Making a ledger anew beside the one that is used, and putting it in its place.

The running ledger goes on meanwhile, and takes up the new generation within a second of the swap.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from lockstep.posttrade.chunks import Chunk, Position, check
from lockstep.posttrade.ledger.place import LedgerPlace
from lockstep.posttrade.ledger.process import NAME, REBUILD, holding, open_sink
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.shell import FollowerShell
from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.process import EnvironmentFault, StopRequest
from lockstep.runtime.topology import Topology

_LOOK_S: Final = 0.05
_SAY_S: Final = 2.0


class Stopped(EnvironmentFault):
    """It was stopped before it was done; nothing has changed."""


def rebuild_from_chunks(place: LedgerPlace, chunks: Iterable[Chunk], *, keep: bool = False) -> Position:
    """From a history that is read here; the position that it leads to. `keep`: the generation of before stays."""
    with holding(place, "rebuild"):
        before = place.current()
        place.discard(before + 1)
        sink = LedgerSink(place.open(before + 1))
        try:
            for chunk in chunks:
                check(chunk, sink.position())
                sink.apply(chunk)
            position = sink.position()
        finally:
            sink.close()
        _finish(place, before, keep=keep)
        return position


def rebuild_from_engines(
    topology: Topology,
    place: LedgerPlace,
    stop: StopRequest,
    say: Callable[[Position, int], None],
    *,
    keep: bool = False,
) -> Position:
    """From the engines, until it has come as far as they are.

    Raises:
        Stopped: `stop` was requested.
    """
    with holding(place, "rebuild"):
        before = place.current()
        place.discard(before + 1)
        position = asyncio.run(_follow(topology, place, before + 1, stop, say))
        _finish(place, before, keep=keep)
        return position


async def _follow(
    topology: Topology, place: LedgerPlace, generation: int, stop: StopRequest, say: Callable[[Position, int], None]
) -> Position:
    introduce(topology)
    shell = FollowerShell(NAME, topology, partial(open_sink, place, generation), rebuild=REBUILD)
    try:
        shell.start()
        said_s = time.monotonic()
        while not shell.caught_up or shell.machine.lag_commands:
            if stop.requested:
                raise Stopped(f"stopped ({stop.reason}); the ledger is as it was")
            if shell.failed.is_set() and shell.failure is not None:
                raise shell.failure
            if time.monotonic() - said_s >= _SAY_S:
                said_s = time.monotonic()
                say(shell.machine.position, shell.machine.committed_seq)
            await asyncio.sleep(_LOOK_S)
        return shell.machine.position
    finally:
        await shell.stop()


def _finish(place: LedgerPlace, before: int, *, keep: bool) -> None:
    place.swap(before + 1)
    if not keep and before > 1:
        # The one that was used just now stays until the next rebuild: somebody may be reading it.
        place.discard(before - 1)
