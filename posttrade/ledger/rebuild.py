"""Making a ledger anew beside the one that is used, and putting it in its place.

The running ledger goes on meanwhile, and takes up the new generation within a second of the swap. Nobody is to see the
ledger go back: what is swapped in is as far as the one that counts, whatever a single engine says the end is. The one
exception is a ledger of history that the cluster goes on without, which a rebuild is the remedy for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from lockstep.posttrade.chunks import Chunk, Position, check
from lockstep.posttrade.follower import Sink
from lockstep.posttrade.ledger.place import LedgerPlace
from lockstep.posttrade.ledger.process import BEGIN, NAME, REBUILD, holding, open_sink
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store import Reached
from lockstep.posttrade.opening import Opening
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot
from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.process import EnvironmentFault, StopRequest, open_log
from lockstep.runtime.topology import Topology

_LOOK_S: Final = 0.05
_BEHIND_LOOK_S: Final = 0.5
_SAY_S: Final = 2.0
BEHIND_S: Final = 60.0
"""So long without a step further, while the ledger that counts is ahead: then the engines have no more."""


class Stopped(EnvironmentFault):
    """It was stopped before it was done; nothing has changed."""


class Behind(EnvironmentFault):
    """What was made is not as far as the ledger that counts; nothing has changed. The text says what to do."""


class LosesHistory(EnvironmentFault):
    """What would be made begins later than the ledger that counts; nothing has changed. The text says what to do."""


def loses_history(made: Reached, live: Reached | None) -> bool:
    """Whether a rebuilt ledger lacks a beginning that the one that counts has."""
    return live is not None and live.position.seq > 0 and made.begins_behind > live.begins_behind


def _refuse_loss(place: LedgerPlace, before: int) -> None:
    made, live = place.reached(before + 1), place.reached(before)
    if made is None or live is None or not loses_history(made, live):
        return
    begin = f"behind seq {live.begins_behind}" if live.begins_behind else "with the first command"
    raise LosesHistory(
        f"the ledger that counts begins {begin}, this one would begin behind seq {made.begins_behind}: nothing was "
        "swapped; rebuild without --from-snapshot, or from an archive of journals (--journal) that has more; to have "
        "the history between count no more, add --lose-history"
    )


def is_behind(made: Reached, live: Reached | None) -> bool:
    """Whether a rebuilt ledger would take back what the one that counts has shown.

    A ledger whose last records were stamped under an epoch that the rebuilt history has ended before them holds what
    the cluster goes on without: such a one is no measure.
    """
    if live is None:
        return False
    later = (one for one in made.epochs if one.epoch > live.position.epoch)
    return made.position.seq < live.position.seq and all(one.first_seq > live.position.seq for one in later)


def rebuild_from_chunks(
    place: LedgerPlace,
    chunks: Iterable[Chunk],
    *,
    keep: bool = False,
    opening: Opening | None = None,
    lose_history: bool = False,
) -> Position:
    """From a history that is read here; the position that it leads to.

    `keep`: the generation of before stays. `opening`: what it begins with, where it does not begin at seq 1.
    `lose_history`: it may begin later than the ledger that counts.

    Raises:
        LosesHistory: it would begin later than the ledger that counts.
        Behind: the history ends before the ledger that counts.
    """
    with holding(place, "rebuild"):
        before = place.current()
        place.discard(before + 1)
        sink = LedgerSink(place.open(before + 1))
        try:
            if opening is not None:
                sink.begin(opening)
            if not lose_history:
                _refuse_loss(place, before)
            for chunk in chunks:
                check(chunk, sink.position())
                sink.apply(chunk)
            made = sink.store.reached()
        except LosesHistory:
            sink.close()
            place.discard(before + 1)
            raise
        finally:
            sink.close()
        live = place.reached(before)
        if live is not None and is_behind(made, live):
            place.discard(before + 1)
            raise Behind(
                f"this history ends at seq {made.position.seq}, the ledger that counts is at {live.position.seq}: "
                "nothing was swapped; name a newer journal, or rebuild from the running engines (without --journal); "
                "if that ledger is of another cluster, name another --data-dir"
            )
        try:
            _finish(place, before, keep=keep, lose_history=lose_history)
        except LosesHistory:
            place.discard(before + 1)
            raise
        return made.position


def rebuild_from_engines(
    topology: Topology,
    place: LedgerPlace,
    stop: StopRequest,
    say: Callable[[Position, int], None],
    *,
    keep: bool = False,
    from_snapshot: bool = False,
    lose_history: bool = False,
) -> Position:
    """From the engines, until it has come as far as they are, and as the ledger that counts.

    `from_snapshot`: from the newest snapshot on, and not from seq 1. `lose_history`: see `rebuild_from_chunks`.

    Raises:
        LosesHistory: it would begin later than the ledger that counts.
        Stopped: `stop` was requested.
        Behind: the engines have less than the ledger that counts.
    """
    with holding(place, "rebuild"):
        before = place.current()
        place.discard(before + 1)
        begin = partial(_begin, topology, place, before, from_snapshot=from_snapshot, lose_history=lose_history)
        try:
            swap = partial(_finish, place, before, keep=keep, lose_history=lose_history)
            return asyncio.run(_follow(topology, place, before, stop, say, begin, swap))
        except LosesHistory:
            place.discard(before + 1)
            raise


async def _begin(
    topology: Topology,
    place: LedgerPlace,
    before: int,
    *,
    from_snapshot: bool,
    lose_history: bool,
) -> Sink:
    """The new generation, at its beginning."""
    sink = await asyncio.to_thread(open_sink, place, before + 1)
    if not from_snapshot:
        return sink
    try:
        await begin_with_snapshot(sink, topology, open_log(NAME))
        if not lose_history:
            await asyncio.to_thread(_refuse_loss, place, before)
    except BaseException:
        sink.close()
        raise
    return sink


async def _follow(
    topology: Topology,
    place: LedgerPlace,
    before: int,
    stop: StopRequest,
    say: Callable[[Position, int], None],
    begin: Callable[[], Awaitable[Sink]],
    swap: Callable[[], None],
) -> Position:
    introduce(topology)
    live = await asyncio.to_thread(place.reached, before)
    sink = await begin()
    opener = partial(open_sink, place, before + 1)
    # An engine that was left behind ends early; the ledger that counts knows of a higher epoch than it.
    known_epoch = live.position.epoch if live else 0
    shell = FollowerShell(NAME, topology, opener, rebuild=REBUILD, begin=BEGIN, sink=sink, known_epoch=known_epoch)
    try:
        shell.start()
        said_s = moved_s = time.monotonic()
        seq = -1
        while True:
            if stop.requested:
                raise Stopped(f"stopped ({stop.reason}); the ledger is as it was")
            if shell.failed.is_set() and shell.failure is not None:
                raise shell.failure
            now_s = time.monotonic()
            if shell.machine.position.seq != seq:
                seq, moved_s = shell.machine.position.seq, now_s
            if shell.caught_up and not shell.machine.lag_commands:
                live = await asyncio.to_thread(_still_ahead, place, before)
                if live is None:
                    # While it still follows, so that what is swapped in is as new as can be.
                    await asyncio.to_thread(swap)
                    return shell.machine.position
                if now_s - moved_s > BEHIND_S:
                    raise Behind(_no_further(live, shell.machine.position))
                await asyncio.sleep(_BEHIND_LOOK_S)
            if now_s - said_s >= _SAY_S:
                said_s = now_s
                say(shell.machine.position, max(shell.machine.committed_seq, live.position.seq if live else 0))
            await asyncio.sleep(_LOOK_S)
    finally:
        await shell.stop()


def _still_ahead(place: LedgerPlace, before: int) -> Reached | None:
    """The ledger that counts, if it is ahead of what was made."""
    live, made = place.reached(before), place.reached(before + 1)
    return live if made is None or is_behind(made, live) else None


def _no_further(live: Reached, made: Position) -> str:
    return (
        f"the engines that answer have nothing behind seq {made.seq}, the ledger that counts is at "
        f"{live.position.seq}: nothing was swapped; bring back the engines that have the rest, and rebuild again; if "
        "that ledger is of another cluster, name another --data-dir"
    )


def _finish(place: LedgerPlace, before: int, *, keep: bool, lose_history: bool) -> None:
    if not lose_history:
        # Once more: what counts is not what it was when this began, hours ago, if somebody has restored it meanwhile.
        _refuse_loss(place, before)
    place.swap(before + 1)
    if keep or before == 1:
        return
    # The one that was used just now stays until the next rebuild: somebody may be reading it. One that begins earlier
    # than the one that counts stays for good: nobody else may have what is in it.
    old, made = place.reached(before - 1), place.reached(before + 1)
    if made is None or not loses_history(made, old):
        place.discard(before - 1)
