"""The scheduler's process: a follower of the stream, and a sender of what its desk decides."""

import asyncio
import datetime as dt
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client.core import Metric

from lockstep.day.board import Board
from lockstep.day.decision import Decision
from lockstep.day.desk import AHEAD, BEHIND, Desk
from lockstep.day.figures import DayFigures
from lockstep.day.plans import plans_of
from lockstep.day.schedule import Schedule, load_schedule
from lockstep.day.sender import NAME, Sender
from lockstep.day.sink import BoardSink
from lockstep.errors import LockstepError
from lockstep.posttrade.opening_fetch import NoOpening
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot
from lockstep.runtime.access.entering import enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import StopRequest, open_log
from lockstep.runtime.topology import Topology

_POLL_S: Final = 0.05
_SEEN_S: Final = 5.0
"""So long behind its answer a change may need to come by the stream."""
_FIRST_RETRY_S: Final = 0.2
_LONGEST_RETRY_S: Final = 10.0
_FIGURES_S: Final = 1.0
_RENEW: Final = dt.timedelta(days=20)
_REBUILD: Final = "start the scheduler again: it begins with what the cluster has now"


def run(topology: Topology, schedule_path: Path, *, token: str | None = None, metrics_port: int = 0) -> int:
    """Keep the trading day until SIGTERM or SIGINT; the exit code."""
    log = open_log(NAME)
    stop = StopRequest.install()

    def work() -> None:
        failure = uvloop.run(serve(topology, load_schedule(schedule_path), stop, token=token, port=metrics_port))
        if failure is not None:
            raise failure
        log.info("stopped", reason=stop.reason)

    return run_to_end(NAME, log, work)


async def serve(
    topology: Topology, schedule: Schedule, stop: StopRequest, *, token: str | None = None, port: int = 0
) -> BaseException | None:
    """Run one scheduler until `stop`; what broke, if it ended by itself."""
    log = open_log(NAME)
    entrance = enter(topology, NAME, log)
    sender = Sender(topology, token)
    day = today()
    plans = await asyncio.to_thread(plans_of, schedule, day - BEHIND, day + AHEAD)
    desk = Desk(schedule, plans, Board(sender.client_number))
    sink = BoardSink(desk)
    try:
        await begin_with_snapshot(sink, topology, log)
    except NoOpening as none:
        log.info("no_snapshot", text="it begins with the first command", said=str(none))
    async with AsyncExitStack() as stack:
        shell = FollowerShell(NAME, topology, lambda: sink, rebuild=_REBUILD, sink=sink)
        stack.push_async_callback(shell.stop)
        figures = DayFigures(shell.figures, desk)
        if port:

            def everything() -> Iterator[Metric]:
                yield from figures.families(shell.machine)

            check, tls = entrance.refuse_scrape, entrance.ssl_context()
            stack.callback(MetricsServer(topology.day.host, port, everything, check, tls).close)
        shell.start()
        shell.spawn(entrance.principals.run())
        keeper = Keeper(desk, shell, sender, figures)
        stack.callback(keeper.end)
        shell.spawn(keeper.run())
        while not (stop.requested or shell.failed.is_set()):  # noqa: ASYNC110 - a signal sets it
            await asyncio.sleep(_POLL_S)
        return shell.failure


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


class Keeper:
    """Gives what is due, one change at a time, and waits until the stream says that it is done."""

    def __init__(self, desk: Desk, shell: FollowerShell, sender: Sender, figures: DayFigures) -> None:
        self._desk = desk
        self._shell = shell
        self._sender = sender
        self._figures = figures
        self._log = open_log(NAME)
        self._retry_s = _FIRST_RETRY_S
        self._built = today()
        self._figures_s = 0.0
        self._ended = False

    def end(self) -> None:
        """Give nothing more. It is canceled, too, but a session that is being closed may take that for its own."""
        self._ended = True

    async def run(self) -> None:
        """Until it is ended or canceled."""
        while not self._ended:
            await self._renew()
            self._show()
            decision = self._desk.decide(self._desk.board.now_ns) if self._shell.caught_up else None
            if decision is None:
                await asyncio.sleep(_POLL_S)
                continue
            if await self._give(decision):
                self._retry_s = _FIRST_RETRY_S
                continue
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, _LONGEST_RETRY_S)

    async def _give(self, decision: Decision) -> bool:
        """Whether the change was executed as far as its numbers show, by whomever."""
        mark, count = decision.mark, len(decision.commands)
        said = {"segment": mark.segment, "date": str(mark.date), "change": mark.code, "instruments": count}
        refused = sum(self._desk.board.refusals.values())
        try:
            await self._sender.send(decision, self._shell.machine.position)
        except LockstepError as error:
            self._figures.unanswered += 1
            self._log.warning("change_not_given", **said, said=str(error), again_in_s=self._retry_s)
            return False
        give_up_s = time.monotonic() + _SEEN_S
        while self._desk.board.next_no(mark) < decision.first_no + count:
            if self._ended or time.monotonic() >= give_up_s:
                self._figures.unanswered += 1
                self._log.warning("change_not_seen", **said, again_in_s=self._retry_s)
                return False
            await asyncio.sleep(_POLL_S)
        if sum(self._desk.board.refusals.values()) > refused:
            self._log.error("change_refused", **said, refusals=self._desk.board.refusals, again_in_s=self._retry_s)
            return False
        self._figures.changes += 1
        phases = sorted({one.phase.name.lower() for one in decision.commands})
        self._log.info("changed", **said, phases=phases)
        return True

    def _show(self) -> None:
        """Twice a second at the most; by the clock of the host, as it is for people."""
        if time.monotonic() < self._figures_s:
            return
        self._figures_s = time.monotonic() + _FIGURES_S
        now_ns = time.time_ns()
        late = self._desk.decide(now_ns)
        self._figures.late_ns = 0 if late is None else max(0, now_ns - late.due_ns)
        self._figures.passed = len(self._desk.passed_over(self._desk.board.now_ns))
        self._figures.next_due_ns = self._desk.next_due_ns(now_ns)

    async def _renew(self) -> None:
        """Plans reach as far ahead as on the first day."""
        day = today()
        if day - self._built < _RENEW:
            return
        self._built = day
        plans = await asyncio.to_thread(plans_of, self._desk.schedule, day - BEHIND, day + AHEAD)
        self._desk.plans.update(plans)
