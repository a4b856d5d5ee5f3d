"""A follower's process around its driver: engines, the thread that applies, and whoever waits for a seq."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lockstep.posttrade.chunks import Chunk, Position
from lockstep.posttrade.figures import FollowerFigures
from lockstep.posttrade.follower import MAX_WAITING, Failed, FollowerMachine, HistoryGone, Read, Sink, SinkAway, Stop
from lockstep.posttrade.follower_driver import FollowerDriver, Ports
from lockstep.posttrade.opening_fetch import fetch_opening
from lockstep.posttrade.reading import EngineReader
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.guarded_loop import GuardedLoop
from lockstep.runtime.process_log import ProcessLog, open_log
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import Topology

_FIRST_RETRY_S: Final = 0.05
_LONGEST_RETRY_S: Final = 2.0
FRESH_NS: Final = 2_000_000_000
"""So far behind is not "caught up" any more."""


AWAY_S: Final = 600.0
"""So long a follower waits for what it stores in; then it ends, and whoever watches it decides."""


class TooManyWait(Exception):
    """Too many reads wait for a seq."""


class NotThere(Exception):
    """The follower did not come to a seq in time. The text says how far it is."""


async def when_there[T](log: ProcessLog, stop: StopRequest, ask: Callable[[], T]) -> T | None:
    """What `ask` gives, called in a thread, once that is not away any more; None: the process was asked to stop.

    Raises:
        EnvironmentFault: it was away for `AWAY_S`.
    """
    pause_s, give_up_s = _FIRST_RETRY_S, time.monotonic() + AWAY_S
    while not stop.requested:
        try:
            return await asyncio.to_thread(ask)
        except SinkAway as away:
            if time.monotonic() >= give_up_s:
                raise _given_up(away) from away
            log.warning("what is stored does not answer", said=str(away), again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
    return None


async def begin_with_snapshot(sink: Sink, topology: Topology, log: ProcessLog) -> None:
    """Have a follower that has stored nothing begin with the newest snapshot that an engine has.

    Raises:
        NoOpening: there is none.
    """
    if sink.position().seq:
        log.info("has_begun", seq=sink.position().seq, text="it goes on from there, and needs no snapshot")
        return
    reader = EngineReader(topology.engines)
    try:
        opening = await fetch_opening(reader, [engine.id for engine in topology.engines], log)
    finally:
        await reader.close()
    await asyncio.to_thread(sink.begin, opening)


def _given_up(away: SinkAway) -> EnvironmentFault:
    return EnvironmentFault(f"{away}; it was waited for {AWAY_S:.0f} s: bring it back, then start this process again")


class FollowerShell(GuardedLoop, Ports):
    """Supplies the driver's `Ports`. Made, started and stopped in one asyncio loop."""

    def __init__(
        self,
        name: str,
        topology: Topology,
        opener: Callable[[], Sink],
        *,
        rebuild: str,
        begin: str = "",
        sink: Sink | None = None,
        known_epoch: int = 0,
    ) -> None:
        """`opener`: opens the sink, also after its database was away. `rebuild`: the command that makes it anew.

        `begin`: what to do where history is cut before it came there. `sink`: it was opened already. `known_epoch`: see
        `FollowerMachine`.
        """
        super().__init__()
        self.name = name
        self.figures = FollowerFigures(name)
        self.reader = EngineReader(topology.engines)
        self.sink = opener() if sink is None else sink
        engines = tuple(engine.id for engine in topology.engines)
        self.machine = FollowerMachine(self.sink.position(), engines, known_epoch=known_epoch)
        self.driver = FollowerDriver(self.machine, self, self._on_applied)
        self._opener = opener
        self._rebuild = rebuild
        self._begin = begin or rebuild
        self._stale = False
        self._within = False
        """What is stored was away within a chunk: the sink has applied a part of it."""
        self._log = open_log(name)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-sink")
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    # ---- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow."""
        position = self.machine.position
        self._log.info("following", from_seq=position.seq, epoch=position.epoch)
        self.guarded(self.driver.start)

    async def stop(self) -> None:
        """End; what is being applied comes to its end first."""
        self.driver.end()
        for _, future in self._waiting:
            future.cancel()
        await self._loop.run_in_executor(self._worker, lambda: None)
        await self.end_tasks()
        self._worker.shutdown()
        self.sink.close()
        await self.reader.close()

    @property
    def caught_up(self) -> bool:
        """Whether it has heard from an engine, and has come as far as it is known to be."""
        return self.figures.caught_up_ns > 0 and self.figures.lag_ns(self.machine) < FRESH_NS

    def why_not_serving(self) -> str:
        """In one sentence; empty if it has caught up."""
        if self.failure is not None:
            return str(self.failure)
        if self.caught_up:
            return ""
        said = f"at seq {self.machine.position.seq} of {self.machine.committed_seq}"
        return f"{said}; {self.machine.last_fault}" if self.machine.last_fault else said

    async def reached(self, seq: int, patience_s: float) -> None:
        """Wait until everything up to a seq is stored.

        Raises:
            NotThere: it did not come so far in time.
            TooManyWait: ask again later.
        """
        if self.machine.position.seq >= seq:
            return
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyWait(f"{MAX_WAITING} reads wait for this follower; ask again")
        entry = (seq, self._loop.create_future())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(patience_s):
                await entry[1]
        except TimeoutError:
            raise NotThere(f"this follower is at seq {self.machine.position.seq}, {seq} was asked for") from None
        finally:
            self._waiting.remove(entry)

    # ---- the driver's ports -----------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def read(self, wanted: Read, heard: Callable[[Chunk | Failed], None]) -> None:
        """See `Ports`."""
        self.spawn(self._read(wanted, heard))

    async def _read(self, wanted: Read, heard: Callable[[Chunk | Failed], None]) -> None:
        found = await self.reader.read(wanted)
        heard(found)
        if not self.machine.lag_commands and not isinstance(found, Failed):
            self.figures.caught_up_ns = time.time_ns()

    def apply(self, chunk: Chunk, stored: Callable[[Position], None]) -> None:
        """See `Ports`."""
        self.spawn(self._apply(chunk, stored))

    async def _apply(self, chunk: Chunk, stored: Callable[[Position], None]) -> None:
        begin_ns, before, pause_s = time.monotonic_ns(), self.machine.position, _FIRST_RETRY_S
        give_up_s = time.monotonic() + AWAY_S
        while True:
            try:
                position = await self._loop.run_in_executor(self._worker, self._applied, chunk, before)
                break
            except SinkAway as away:
                if time.monotonic() >= give_up_s:
                    raise _given_up(away) from away
                self.figures.away += 1
                self._log.warning("what is stored does not answer", said=str(away), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
        self.figures.apply_ns += time.monotonic_ns() - begin_ns
        self.figures.events += len(chunk.events)
        self.figures.commands += chunk.commands
        self.figures.rows = getattr(self.sink, "rows", 0)
        stored(position)

    def _applied(self, chunk: Chunk, before: Position) -> Position:
        """In the worker's thread."""
        if self._stale:
            self.sink = self._opener()
            self._stale = False
        position = self.sink.position()
        if position == chunk.end():
            # It was committed, and the answer was lost.
            return position
        within = self._within and before.seq <= position.seq < chunk.through_seq
        assert within or position == before, f"{position} is stored, {before} was expected"
        try:
            position = self.sink.apply(chunk)
        except SinkAway as away:
            self._lost(away)
            raise
        self._within = False
        return position

    def _lost(self, away: SinkAway) -> None:
        if away.keeps:
            self._within = True
            return
        self._stale = True
        self.sink.close()

    async def between[T](self, work: Callable[[Sink], T]) -> T:
        """What `work` does with the sink, between two chunks, in the thread that applies.

        Raises:
            SinkAway: what is stored does not answer now.
        """
        return await self._loop.run_in_executor(self._worker, self._between, work)

    def _between[T](self, work: Callable[[Sink], T]) -> T:
        if self._stale:
            self.sink = self._opener()
            self._stale = False
        try:
            return work(self.sink)
        except SinkAway as away:
            self._lost(away)
            raise

    def stopped(self, why: Stop) -> None:
        """See `Ports`."""
        if why.diverged:
            what = f"the cluster goes on without commands up to seq {why.after_seq} that the {self.name} has stored"
            self.fail(HistoryGone(f"{what} ({why.text}); {self._rebuild}"))
            return
        what = f"what follows seq {why.after_seq} was cut from every journal before the {self.name} came there"
        self.fail(HistoryGone(f"{what} ({why.text}); {self._begin}"))

    def _on_applied(self, chunk: Chunk) -> None:
        seq = chunk.through_seq
        for wanted, future in self._waiting:
            if wanted <= seq and not future.done():
                future.set_result(None)
