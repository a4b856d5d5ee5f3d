"""Turns at what an engine gives to few at a time: a few callers at once, one of each client before a second of any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from lockstep.stream.turns import FairQueue

MAX_WAITING: Final = 1_024


class TooManyWait(Exception):
    """Try again later."""


class Turns:
    """For one event loop.

    Invariant: somebody waits only while all turns are taken.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: FairQueue[str, asyncio.Future[None]] = FairQueue()

    @asynccontextmanager
    async def of(self, client: str) -> AsyncIterator[None]:
        """A turn, when it is this client's.

        Raises:
            TooManyWait: the queue is full.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyWait("too many listings and searches wait here")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.add(client, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while len(self._waiting):
            turn = self._waiting.take()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
