"""The scheduler's loop: it ends when it is asked to, whatever it is in the middle of."""

import asyncio
from types import SimpleNamespace

from lockstep.day.board import Board
from lockstep.day.desk import Desk
from lockstep.day.figures import DayFigures
from lockstep.day.process import Keeper
from lockstep.posttrade.chunks import Position
from lockstep.posttrade.figures import FollowerFigures
from tests.day.world import CLIENT, SCHEDULE, Market, Scheduler, plans


class Swallower:
    """A sender that never gets an answer, and takes a cancellation for its own."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    async def send(self, _decision, _position) -> None:
        self.sent.set()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            return


def test_it_ends_though_what_it_waits_for_swallows_the_cancellation():
    async def work() -> None:
        day = plans()[1].days[3]
        market = Market(day.begin_ns)
        market.tick(day.begin_ns)
        desk = Desk(SCHEDULE, plans(), Board(CLIENT))
        reader = Scheduler(market)
        reader.desk = desk
        reader.read()
        sender = Swallower()
        shell = SimpleNamespace(caught_up=True, machine=SimpleNamespace(position=Position()))
        keeper = Keeper(desk, shell, sender, DayFigures(FollowerFigures("day"), desk))  # type: ignore[arg-type]
        running = asyncio.get_running_loop().create_task(keeper.run())
        await asyncio.wait_for(sender.sent.wait(), 10)
        keeper.end()
        running.cancel()
        await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 10)

    asyncio.run(work())
