"""How many calls of a method are under way at once, in all and of each connection, and who gives up a place.

A call that waits for its other end (to take a reply, to send a message) costs no thread, but what it holds: so calls
have places. Where none is free the one that has waited longest gives up its own, if it has waited for a while; who is
served and takes what it gets keeps it. Others wait a moment, connections in turn. Belongs to one event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lockstep.stream.turns import FairQueue
from lockstep.stream.values import frozen

GIVES_WAY_AFTER_S: Final = 1.0
"""A caller that has kept its call waiting for so long loses its place to others."""
WAIT_S: Final = 3.0
"""A call waits for a place for so long at the most."""
MAX_WAITING: Final = 128
_LOOK_S: Final = 0.1


@frozen
class Limit:
    """Of one method."""

    at_once: int
    per_caller: int


@dataclass(slots=True, eq=False)
class Place:
    """One call's. `give_up` ends the call's waiting."""

    caller: str
    waits_since_s: float | None = None
    """Since when it waits for its other end; None: it is at work."""
    give_up: Callable[[], None] | None = field(default=None)


class Places:
    """Of one method.

    Invariant: at most `at_once` places are taken, and `per_caller` of them by one caller.
    """

    __slots__ = ("_callers", "_limit", "_taken", "_timer", "_waiting")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._taken: dict[Place, None] = {}
        self._callers: Counter[str] = Counter()
        self._waiting: FairQueue[str, tuple[str, asyncio.Future[Place | None]]] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._taken)

    async def enter(self, caller: str) -> Place | None:
        """A place, also if it comes free within a moment; None: this caller has its share, or too many wait."""
        loop = asyncio.get_running_loop()
        if not len(self._waiting):
            place = self.take(caller, loop.time())
            if place is not None:
                return place
        if self._callers[caller] >= self._limit.per_caller or len(self._waiting) >= MAX_WAITING:
            return None
        turn: asyncio.Future[Place | None] = loop.create_future()
        self._waiting.add(caller, (caller, turn))
        self._look_again(loop)
        try:
            async with asyncio.timeout(WAIT_S):
                return await turn
        except TimeoutError:
            return turn.result() if turn.done() and not turn.cancelled() else None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and (place := turn.result()) is not None:
                self.leave(place)
            raise

    def take(self, caller: str, now_s: float) -> Place | None:
        """A place; None: there is none, and nobody gives one up."""
        if self._callers[caller] >= self._limit.per_caller:
            self._clear(now_s, caller)
        elif len(self._taken) >= self._limit.at_once:
            self._clear(now_s, None)
        if self._callers[caller] >= self._limit.per_caller or len(self._taken) >= self._limit.at_once:
            return None
        place = Place(caller)
        self._taken[place] = None
        self._callers[caller] += 1
        return place

    def leave(self, place: Place) -> None:
        """The call is over. Again: nothing."""
        if place in self._taken:
            self._free(place)
            if len(self._waiting):
                self._hand_on()

    def _free(self, place: Place) -> None:
        del self._taken[place]
        self._callers[place.caller] -= 1
        if not self._callers[place.caller]:
            del self._callers[place.caller]

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._hand_on()

    def _hand_on(self) -> None:
        """Hand places that are free, or are again, to those who wait."""
        loop = asyncio.get_running_loop()
        while len(self._waiting):
            caller, turn = self._waiting.first()
            if not turn.done():
                place = self.take(caller, loop.time())
                if place is None and self._callers[caller] < self._limit.per_caller:
                    self._look_again(loop)
                    return
                turn.set_result(place)
            self._waiting.take()

    def _clear(self, now_s: float, caller: str | None) -> None:
        """Take the place of who waits longest: of this caller, or of whomever."""
        waiting = [
            (place.waits_since_s, place)
            for place in self._taken
            if place.waits_since_s is not None and caller in (None, place.caller)
        ]
        since_s, longest = min(waiting, key=lambda entry: entry[0], default=(now_s, None))
        if longest is not None and now_s - since_s >= GIVES_WAY_AFTER_S:
            self._free(longest)
            if longest.give_up is not None:
                longest.give_up()
